"""Challenges an enclave from outside: a fresh nonce there, a document back, and its verification.

A verified document says that some enclave of the wanted measurements answered this nonce. It does
not say that the enclave is the one at the other end of any other connection: anyone can relay a
challenge. Bind what follows to the document's ``public_key``.
"""

from __future__ import annotations

import http.client
import io
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, cast

from nitro_attest.enclave.transport import (
    MAX_HEAD_BYTES,
    Deadline,
    Endpoint,
    HttpEndpoint,
    connect,
    parse_endpoint,
)
from nitro_attest.errors import EnclaveError, InputError
from nitro_attest.limits import MAX_DOCUMENT_BYTES, MAX_NONCE_BYTES, MIN_NONCE_BYTES, NONCE_BYTES
from nitro_attest.verification.attestation import Attestation
from nitro_attest.verification.policy import AnyEnclave, Policy
from nitro_attest.verification.roots import TrustedRoots
from nitro_attest.verification.verifier import Verifier

_RETRY_SECONDS: Final = 0.25
_LONGEST_SECONDS: Final = 86400
_NOTHING_RECEIVED: Final = frozenset(
    {"transport.refused", "transport.no_cid", "transport.no_answer"}
)


@dataclass(frozen=True)
class Fetched:
    """A document as an enclave sent it; nothing of it is verified.

    Attributes:
        document: The bytes received, 1 to 16384.
        nonce: What was asked for; the document may say something else.
    """

    document: bytes
    nonce: bytes


def fetch(
    endpoint: str, nonce: bytes | None = None, *, timeout: float = 15.0, wait: float = 0.0
) -> Fetched:
    """Challenges an enclave and receives its document, unverified.

    Args:
        endpoint: ``vsock:CID:PORT``, ``unix:/path:PORT`` (hybrid vsock), ``unix:/path`` or
            ``http://host:port``. Redirects and proxy settings are not followed.
        nonce: 16 to 64 bytes, used once; by default 32 random ones.
        timeout: Seconds for one attempt, from the connection to the last byte.
        wait: Seconds in which to try again as long as nothing was received, for an enclave that
            is still booting. The whole takes at most ``wait + timeout``.

    Raises:
        InputError: ``input.endpoint``, ``input.nonce`` or ``input.time``.
        EnclaveError: ``transport.*``.
    """
    where = parse_endpoint(endpoint)
    if nonce is None:
        nonce = os.urandom(NONCE_BYTES)
    _check_arguments(nonce, timeout, wait)
    end = time.monotonic() + wait
    while True:
        try:
            return Fetched(_exchange(where, nonce, Deadline(timeout)), nonce)
        except EnclaveError as error:
            if error.code not in _NOTHING_RECEIVED or time.monotonic() >= end:
                raise
        time.sleep(_RETRY_SECONDS)


def attest(
    endpoint: str,
    *,
    policy: Policy | AnyEnclave | Mapping[int, bytes | str],
    roots: TrustedRoots | None = None,
    nonce: bytes | None = None,
    max_age: timedelta | None = None,
    timeout: float = 15.0,
    wait: float = 0.0,
) -> Attestation:
    """Challenges an enclave and verifies that its document answers this challenge.

    Args:
        endpoint: As for ``fetch``.
        policy: What the enclave must be; there is no default.
        roots: The trust anchors; by default the root of the AWS commercial partition.
        nonce: As for ``fetch``.
        max_age: The greatest age of the document. The nonce already bounds it to this exchange.
        timeout: As for ``fetch``.
        wait: As for ``fetch``.

    Returns:
        The evidence. Whoever sent it may have relayed it: speak on only under its public_key.

    Raises:
        InputError: An argument is wrong.
        EnclaveError: ``transport.*``: no document was received.
        FormatError: What was received is no document of an enclave.
        ChainError: Its certificates do not lead from a trusted root.
        SignatureError: Its signature does not belong to it.
        PolicyError: It is authentic, but not what was asked for; ``policy.nonce`` when it answers
            another challenge.
    """
    verifier = Verifier(roots, policy=policy)  # an error in the policy costs no challenge
    fetched = fetch(endpoint, nonce, timeout=timeout, wait=wait)
    return verifier.verify(fetched.document, nonce=fetched.nonce, max_age=max_age)


def _check_arguments(nonce: object, timeout: object, wait: object) -> None:
    if not isinstance(nonce, bytes) or not MIN_NONCE_BYTES <= len(nonce) <= MAX_NONCE_BYTES:
        found = f"{len(nonce)} bytes" if isinstance(nonce, bytes) else type(nonce).__name__
        raise InputError(
            "input.nonce",
            f"the nonce is {found}; expected {MIN_NONCE_BYTES} to {MAX_NONCE_BYTES} bytes",
        )
    if not _is_seconds(timeout) or not _is_seconds(wait) or not timeout:
        raise InputError(
            "input.time",
            f"timeout is {timeout!r} and wait {wait!r}; expected seconds up to {_LONGEST_SECONDS}, "
            "and a timeout above 0",
        )


def _is_seconds(value: object) -> bool:
    return isinstance(value, (int, float)) and 0 <= value <= _LONGEST_SECONDS


def _exchange(endpoint: Endpoint, nonce: bytes, deadline: Deadline) -> bytes:
    host = endpoint.authority if isinstance(endpoint, HttpEndpoint) else "enclave"
    request = (
        f"GET /attestation/raw?nonce={nonce.hex()} HTTP/1.1\r\nHost: {host}\r\n"
        "Accept: application/octet-stream\r\nConnection: close\r\n\r\n"
    )
    with connect(endpoint, deadline) as connection:
        stream = _AnswerStream(connection, deadline)
        try:
            connection.settimeout(deadline.remaining())
            connection.sendall(request.encode("ascii"))
            return _read_answer(stream)
        except TimeoutError:
            raise deadline.error() from None
        except http.client.IncompleteRead as error:
            raise EnclaveError(
                "transport.truncated",
                f"the answer ended after {len(error.partial)} bytes, before its declared length",
            ) from None
        except (OSError, http.client.HTTPException) as error:
            if stream.received:
                raise EnclaveError(
                    "transport.http", f"the answer broke off or is not HTTP/1.1: {error!r:.200}"
                ) from None
            raise EnclaveError(
                "transport.no_answer",
                f"{endpoint} closed the connection without an answer: {error!r:.200}",
            ) from None


def _read_answer(stream: _AnswerStream) -> bytes:
    with http.client.HTTPResponse(cast(socket.socket, stream)) as response:
        response.begin()
        if response.status != 200:
            raise _status_error(response)
        if response.length is None and not response.chunked:
            raise EnclaveError("transport.http", "the answer does not say how long it is")
        if response.length is not None and response.length > MAX_DOCUMENT_BYTES:
            raise _too_large()
        document = response.read()
    if len(document) > MAX_DOCUMENT_BYTES:
        raise _too_large()
    if not document:
        raise EnclaveError("transport.http", "the answer is empty; expected a document")
    return document


class _AnswerStream(io.RawIOBase):
    """A connection under a deadline and a cap, in the shape that ``http.client`` reads from."""

    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        self._connection = connection
        self._deadline = deadline
        self.received = 0

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = MAX_HEAD_BYTES + MAX_DOCUMENT_BYTES - self.received
        if left == 0:
            raise _too_large()
        self._connection.settimeout(self._deadline.remaining())
        count = self._connection.recv_into(memoryview(buffer)[:left])
        self.received += count
        return count


def _status_error(response: http.client.HTTPResponse) -> EnclaveError:
    if 300 <= response.status < 400:
        return EnclaveError(
            "transport.redirect",
            f"the answer is a redirect ({response.status}), which is not followed",
        )
    sentence = ascii(response.read(300).decode("utf-8", "replace").strip())
    if response.status == 504:
        return EnclaveError("transport.nsm_stalled", f"the enclave's NSM is stalled: {sentence}")
    if response.status == 503:
        return EnclaveError("transport.busy", f"the enclave is busy: {sentence}")
    return EnclaveError(
        "transport.status", f"the enclave answered {response.status}: {sentence}; expected 200"
    )


def _too_large() -> EnclaveError:
    return EnclaveError(
        "transport.too_large",
        f"the answer exceeds {MAX_DOCUMENT_BYTES} bytes, more than any document has",
    )
