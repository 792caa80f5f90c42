"""Internal: parses one HTTP/1.1 answer from bytes, without I/O and within fixed limits (RFC 9112).

The peer is untrusted, and what two parsers read differently is rejected: lines must end with CR LF
and are never continued, and the size of the body is given either by one Content-Length or by chunks
without extensions and trailers. An answer without a body (1xx, 204, 304) or whose body ends with
the connection is rejected.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, NoReturn

from nitro_attest._internal.wording import plural
from nitro_attest.errors import EnclaveError
from nitro_attest.transport.connection import MAX_HEAD_BYTES

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([0-9]{3}) [\t\x20-\x7e\x80-\xff]*\r\n")
_FIELD_LINE: Final = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t\x20-\x7e\x80-\xff]*)\r\n"  # RFC 9110 section 5
)
_LENGTH: Final = re.compile(r"0|[1-9][0-9]*", re.ASCII)
_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")  # RFC 9112 section 7.1
_CHUNK_LINE_BYTES: Final = 10
_LINE_END: Final = b"\r\n"
_WITHOUT_BODY: Final = (204, 304)  # RFC 9112 section 6.3; so has every 1xx
_QUOTED_BYTES: Final = 60
_QUOTED_BODY_BYTES: Final = 300


@dataclass(frozen=True, slots=True)
class Response:
    """One complete answer.

    Attributes:
        status: The status code, 200 to 599.
        headers: Name in lower case and value of each field, in order; a name may occur repeatedly.
        body: The body, put together from its chunks if it has any.
        rest: Bytes after the answer, as far as they were received with it. A caller that keeps
            the connection must reject them: nothing was requested that they could answer.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    rest: bytes


class ResponseParser:
    """Parses the bytes of one answer as they are received.

    The result depends only on the bytes, not on how they are divided into calls. Time is linear
    in the number of bytes and calls, memory is limited by MAX_HEAD_BYTES, ``max_body`` and the
    last call's data.

    Args:
        max_body: Maximum size of the body in bytes.
    """

    def __init__(self, max_body: int) -> None:
        self._max_body = max_body
        self._received = bytearray()
        self._position = 0  # of the next line; after the head, of the body
        self._status = 0  # until its line is complete
        self._headers: list[tuple[str, str]] = []
        self._size: int | Literal["chunked"] | None = None  # known at the end of the head
        self._body = bytearray()

    def feed(self, data: bytes) -> Response | None:
        """Parses more bytes.

        Args:
            data: What was received; when the connection is closed, call ``end()`` instead.

        Returns:
            The answer if it is complete, otherwise None.

        Raises:
            EnclaveError: ``transport.http``: the bytes are not an answer of the accepted form.
                ``transport.too_large``: the head has more than MAX_HEAD_BYTES or the body more
                than ``max_body`` bytes. A further call raises the same error.
        """
        self._received += data
        while self._size is None:
            # The head ends within its first MAX_HEAD_BYTES bytes, or it is too large.
            end = self._received.find(b"\n", self._position, MAX_HEAD_BYTES) + 1
            if not end and len(self._received) >= MAX_HEAD_BYTES:
                raise EnclaveError(
                    "transport.too_large",
                    f"answer too large: expected an HTTP head of at most {MAX_HEAD_BYTES} bytes, "
                    "found no end of it",
                )
            if not end:
                return None
            self._read_line(bytes(self._received[self._position : end]))
            self._position = end
        if not (self._read_chunks() if self._size == "chunked" else self._read_body(self._size)):
            return None
        rest = bytes(self._received[self._position :])
        return Response(self._status, tuple(self._headers), bytes(self._body), rest)

    def end(self) -> NoReturn:
        """Reports that the connection was closed before the answer was complete.

        Raises:
            EnclaveError: ``transport.no_answer``: nothing was received. ``transport.http``: the
                head is incomplete. ``transport.truncated``: the body is incomplete.
        """
        if not self._received:
            raise EnclaveError("transport.no_answer", "the connection was closed without an answer")
        if self._size is None:
            raise EnclaveError(
                "transport.http",
                f"incomplete HTTP head: the connection was closed after "
                f"{plural(len(self._received), 'byte')}",
            )
        raise EnclaveError(
            "transport.truncated",
            f"truncated answer: expected {self._expected()}, found "
            f"{plural(len(self._received) - self._position, 'byte')} more",
        )

    def _expected(self) -> str:
        if self._size == "chunked":
            return f"a further chunk after {plural(len(self._body), 'byte')}"
        return f"a body of {self._size} bytes"

    def _read_body(self, size: int) -> bool:
        end = self._position + size
        if len(self._received) < end:
            return False
        self._body += self._received[self._position : end]
        self._position = end
        return True

    def _read_chunks(self) -> bool:
        """Takes the chunks that are complete; returns True after the last one, which is empty."""
        while True:
            start = self._position
            end = self._received.find(b"\n", start, start + _CHUNK_LINE_BYTES) + 1
            if not end and len(self._received) - start < _CHUNK_LINE_BYTES:
                return False
            size = self._chunk_size(bytes(self._received[start : end or start + _CHUNK_LINE_BYTES]))
            after = end + size + len(_LINE_END)
            if len(self._received) < after:
                return False
            if self._received[end + size : after] != _LINE_END:
                raise EnclaveError(
                    "transport.http",
                    f"malformed chunk: expected CR LF after its {plural(size, 'byte')}, found "
                    f"{bytes(self._received[end + size : after])!r}",
                )
            self._body += self._received[end : end + size]
            self._position = after
            if not size:
                return True

    def _chunk_size(self, line: bytes) -> int:
        match = _CHUNK_SIZE.fullmatch(line)
        if not match:
            raise EnclaveError(
                "transport.http",
                f"malformed chunk size: expected 1 to 8 hex digits and CR LF, found {line!r}",
            )
        size = int(match[1], 16)
        if len(self._body) + size > self._max_body:
            raise EnclaveError(
                "transport.too_large",
                f"answer with status {self._status} too large: expected a body of at most "
                f"{self._max_body} bytes, found {len(self._body) + size}",
            )
        return size

    def _read_line(self, line: bytes) -> None:
        if not self._status:
            self._status = _parse_status(line)
        elif line == _LINE_END:
            self._size = self._declared_size(self._status)
        else:
            self._headers.append(_parse_field(line))

    def _declared_size(self, status: int) -> int | Literal["chunked"]:
        codings = [value for name, value in self._headers if name == "transfer-encoding"]
        lengths = [value for name, value in self._headers if name == "content-length"]
        if codings:
            if codings != ["chunked"] or lengths or self._received.startswith(b"HTTP/1.0"):
                raise EnclaveError(
                    "transport.http",
                    f"ambiguous size of the answer with status {status}: expected one "
                    "Content-Length, or in HTTP/1.1 the Transfer-Encoding chunked, found "
                    f"{', '.join(codings)[:_QUOTED_BYTES]!a}"
                    f"{' beside a Content-Length' if lengths else ''}",
                )
            return "chunked"
        digits = ", ".join(lengths)  # no digits, unless there is exactly one value
        if not _LENGTH.fullmatch(digits):
            found = ascii(digits[:_QUOTED_BYTES]) if lengths else "none"
            raise EnclaveError(
                "transport.http",
                f"invalid length of the answer with status {status}: expected one Content-Length "
                f"in decimal digits, found {found}",
            )
        # Compared by its digits first: int() of thousands of digits is slow, or a ValueError.
        if len(digits) > len(str(self._max_body)) or int(digits) > self._max_body:
            raise EnclaveError(
                "transport.too_large",
                f"answer with status {status} too large: expected a body of at most "
                f"{self._max_body} bytes, found a Content-Length of {digits[:_QUOTED_BYTES]}",
            )
        return int(digits)


def check_status(response: Response) -> None:
    """Rejects an answer whose status is not 200.

    Raises:
        EnclaveError: ``transport.redirect``, ``transport.nsm_stalled`` (504), ``transport.busy``
            (503) or ``transport.status``.
    """
    if response.status == 200:
        return
    if 300 <= response.status < 400:
        raise EnclaveError(
            "transport.redirect",
            f"unexpected redirect: expected status 200, found {response.status}",
        )
    sentence = ascii(response.body[:_QUOTED_BODY_BYTES].decode("utf-8", "replace").strip())
    if response.status == 504:
        raise EnclaveError("transport.nsm_stalled", f"the enclave's NSM is stalled: {sentence}")
    if response.status == 503:
        raise EnclaveError("transport.busy", f"the enclave is busy: {sentence}")
    raise EnclaveError(
        "transport.status", f"unexpected status: expected 200, found {response.status}: {sentence}"
    )


def _parse_status(line: bytes) -> int:
    match = _STATUS_LINE.fullmatch(line)
    if not match:
        raise EnclaveError(
            "transport.http",
            "malformed status line: expected HTTP/1.1 and a status code, found "
            f"{line[:_QUOTED_BYTES]!r}",
        )
    status = int(match[1])
    if not 200 <= status <= 599 or status in _WITHOUT_BODY:
        raise EnclaveError(
            "transport.http",
            f"unexpected status {status}: expected an answer with a body (200 to 599, except 204 "
            "and 304)",
        )
    return status


def _parse_field(line: bytes) -> tuple[str, str]:
    match = _FIELD_LINE.fullmatch(line)
    if not match:
        raise EnclaveError(
            "transport.http",
            "malformed HTTP header: expected a name, a colon, a value and CR LF, found "
            f"{line[:_QUOTED_BYTES]!r}",
        )
    return match[1].decode("ascii").lower(), match[2].strip(b"\t ").decode("latin-1")
