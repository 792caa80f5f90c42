"""Connections to enclaves: endpoints, sockets, and a deadline for a whole exchange.

An enclave has no network; it is reached over vsock, by a context ID (CID) and a port. Firecracker,
Cloud Hypervisor and vhost-device-vsock provide vsock as a Unix socket on the host ("hybrid vsock"),
and a proxy in front of an enclave provides HTTP over TCP.
"""

from __future__ import annotations

import asyncio
import errno
import queue
import re
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from nitro_attest.errors import EnclaveError, InputError

__all__ = [
    "CHALLENGE_PATH",
    "DEFAULT_PORT",
    "MAX_HEAD_BYTES",
    "Deadline",
    "Endpoint",
    "HttpEndpoint",
    "StreamEndpoint",
    "TcpEndpoint",
    "UnixEndpoint",
    "VsockEndpoint",
    "check_target",
    "connect",
    "connect_async",
    "listen",
    "parse_endpoint",
    "parse_stream_endpoint",
]

DEFAULT_PORT: Final = 1300
"""Default vsock port of the server."""

CHALLENGE_PATH: Final = "/.well-known/nitro-attestation"
"""Path of the challenge on an attested channel (B-1)."""

MAX_HEAD_BYTES: Final = 8192
"""Maximum size of the head of an HTTP request or answer, with its empty line."""

_T = TypeVar("_T")

_CID_ANY: Final = 0xFFFFFFFF  # VMADDR_CID_ANY, linux/vm_sockets.h
_MAX_U32: Final = 0xFFFFFFFF
_MAX_HYBRID_ANSWER: Final = 32  # "OK 4294967295\n" has 14 bytes
_BACKLOG: Final = 512
_RESOLVE_SECONDS: Final = 10
_REFUSED: Final = (
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.EPIPE,
    errno.ENOENT,  # no Unix socket at this path
    errno.EAGAIN,  # a Unix socket with a full backlog
)
_NO_VSOCK: Final = (
    "this machine has no vsock: enable Nitro Enclaves when you launch an EC2 instance, or add a "
    "vsock device to a virtual machine; AF_VSOCK needs Linux"
)
_PATH: Final = r"[^\0\ud800-\udc7f\udd00-\udfff]"
"""One character of a path: no NUL, and no surrogate but those that stand for a byte (PEP 383)."""

_FORMS: Final = (
    "expected vsock:CID:PORT, unix:/path:PORT (hybrid vsock), unix:/path or http://host:port"
)
_STREAM_FORMS: Final = (
    "expected vsock:CID:PORT, unix:/path:PORT (hybrid vsock), unix:/path or host:port"
)
_HOST_AND_PORT: Final = r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]{1,253})):([0-9]+)"


@dataclass(frozen=True, slots=True)
class VsockEndpoint:
    """An AF_VSOCK address.

    Attributes:
        cid: Context ID, 0 to 4294967294; None means any CID of this machine, only to listen.
        port: Port, 0 to 4294967294.
    """

    cid: int | None
    port: int

    def __str__(self) -> str:
        return f"vsock:{'any' if self.cid is None else self.cid}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixEndpoint:
    """A Unix socket, or with a port, the hybrid vsock of a virtual machine monitor.

    Attributes:
        path: Absolute path of the socket.
        port: vsock port behind the monitor, 0 to 4294967294; None for a plain socket.
    """

    path: str
    port: int | None

    def __str__(self) -> str:
        return f"unix:{self.path}" + ("" if self.port is None else f":{self.port}")


@dataclass(frozen=True, slots=True)
class TcpEndpoint:
    """A TCP address.

    Attributes:
        host: Name or IP address; an IPv6 address has no brackets.
        port: TCP port, 0 to 65535.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return self.authority

    @property
    def authority(self) -> str:
        """Host and port in the form of URLs and the Host header (RFC 3986 section 3.2)."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class HttpEndpoint(TcpEndpoint):
    """A TCP address: a proxy in front of an enclave.

    Attributes:
        host: Name or IP address; an IPv6 address has no brackets.
        port: TCP port, 0 to 65535.
    """

    def __str__(self) -> str:
        return f"http://{self.authority}"


Endpoint = VsockEndpoint | UnixEndpoint | HttpEndpoint
"""Any endpoint of a server; ``str()`` gives the text that ``parse_endpoint`` takes."""

StreamEndpoint = VsockEndpoint | UnixEndpoint | TcpEndpoint
"""Any endpoint of a stream; ``str()`` gives the text that ``parse_stream_endpoint`` takes."""


def parse_endpoint(text: str) -> Endpoint:
    """Parses an endpoint.

    Args:
        text: ``vsock:16:1300``, ``vsock:any:1300`` (to listen), ``unix:/run/vm.sock:1300``
            (hybrid vsock), ``unix:/run/server.sock`` or ``http://127.0.0.1:8080``. In a Unix
            path, a colon with only digits after it introduces a port.

    Returns:
        The endpoint.

    Raises:
        InputError: ``input.endpoint``: the text has a different form, or a number is too large.

    Example:
        >>> from nitro_attest.transport.connection import parse_endpoint
        >>> parse_endpoint("vsock:16:1300")
        VsockEndpoint(cid=16, port=1300)
        >>> str(parse_endpoint("unix:/run/vm.sock:1300"))
        'unix:/run/vm.sock:1300'
    """
    if isinstance(text, str):
        if match := re.fullmatch(rf"http://{_HOST_AND_PORT}/?", text, re.ASCII):
            return HttpEndpoint(match[1] or match[2], _number(text, match[3], 0xFFFF))
        if endpoint := _parse_socket(text):
            return endpoint
    raise _invalid_endpoint(text, _FORMS)


def parse_stream_endpoint(text: str) -> StreamEndpoint:
    """Parses an endpoint of a stream of bytes, in which HTTP has no part.

    Args:
        text: As for ``parse_endpoint``, with ``127.0.0.1:8080`` instead of the form with
            ``http://``.

    Returns:
        The endpoint.

    Raises:
        InputError: ``input.endpoint``: the text has a different form, or a number is too large.

    Example:
        >>> from nitro_attest.transport.connection import parse_stream_endpoint
        >>> parse_stream_endpoint("[::1]:443")
        TcpEndpoint(host='::1', port=443)
    """
    if isinstance(text, str):
        if endpoint := _parse_socket(text):
            return endpoint
        match = re.fullmatch(_HOST_AND_PORT, text, re.ASCII)
        if match and match[2] not in ("vsock", "unix"):  # an incomplete endpoint, not a host
            return TcpEndpoint(match[1] or match[2], _number(text, match[3], 0xFFFF))
    raise _invalid_endpoint(text, _STREAM_FORMS)


def _parse_socket(text: str) -> VsockEndpoint | UnixEndpoint | None:
    if match := re.fullmatch(r"vsock:([0-9]+|any):([0-9]+)", text, re.ASCII):
        cid = None if match[1] == "any" else _number(text, match[1], _MAX_U32 - 1)
        return VsockEndpoint(cid, _number(text, match[2], _MAX_U32 - 1))
    if match := re.fullmatch(rf"unix:(/{_PATH}*?)(?::([0-9]+))?", text, re.ASCII | re.DOTALL):
        port = None if match[2] is None else _number(text, match[2], _MAX_U32 - 1)
        return UnixEndpoint(match[1], port)
    return None


def _invalid_endpoint(text: object, forms: str) -> InputError:
    found = repr(text[:200]) if isinstance(text, str) else type(text).__name__
    return InputError("input.endpoint", f"invalid endpoint: {forms}, found {found}")


def _number(text: str, digits: str, highest: int) -> int:
    if len(digits) > 10 or int(digits) > highest:
        raise InputError(
            "input.endpoint",
            f"number too large in the endpoint {text[:200]!r}: expected at most {highest}, found "
            f"{digits[:20]}",
        )
    return int(digits)


def check_target(endpoint: Endpoint | StreamEndpoint) -> None:
    """Checks that an endpoint identifies a machine, so that one can connect to it.

    Args:
        endpoint: The endpoint.

    Raises:
        InputError: ``input.endpoint``: it is ``vsock:any``.
    """
    if isinstance(endpoint, VsockEndpoint) and endpoint.cid is None:
        raise InputError(
            "input.endpoint", f"cannot connect to {endpoint}: give a CID instead of any"
        )


class Deadline:
    """A point on the monotonic clock by which an exchange must end.

    Args:
        seconds: Seconds from now.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Returns the remaining seconds, more than 0.

        Raises:
            EnclaveError: ``transport.timeout``: the deadline has passed.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.error()
        return left

    async def limit(self, step: Awaitable[_T]) -> _T:
        """Awaits a step of the exchange, and cancels it at the deadline.

        Args:
            step: The step, such as a coroutine.

        Returns:
            The result of the step.

        Raises:
            EnclaveError: ``transport.timeout``: the deadline passed.
        """
        try:
            return await asyncio.wait_for(step, self._end - time.monotonic())
        except asyncio.TimeoutError as error:
            if isinstance(error, OSError) and error.errno is not None:  # the kernel's, not ours
                raise
            raise self.error() from None

    def error(self) -> EnclaveError:
        """Builds the error for an operation limited by ``remaining()`` that timed out.

        Returns:
            An EnclaveError with the code ``transport.timeout``.
        """
        return EnclaveError(
            "transport.timeout",
            f"no complete answer within {self._seconds:g} s; the enclave or its NSM may be stalled",
        )


def listen(endpoint: Endpoint | StreamEndpoint) -> socket.socket:
    """Opens a socket that listens on an endpoint of this machine.

    Args:
        endpoint: A vsock, plain Unix or TCP endpoint.

    Returns:
        The listening socket; the caller closes it.

    Raises:
        InputError: ``input.endpoint``: a hybrid vsock endpoint, on which only the virtual machine
            monitor listens.
        EnclaveError: ``transport.unsupported``: this machine has no vsock.
            ``transport.resolve``: the host has no address. ``transport.listen``: the operating
            system rejected the endpoint.
    """
    address: Any
    match endpoint:
        case VsockEndpoint(cid, port):
            sock = _vsock_socket()
            address = (_CID_ANY if cid is None else cid, port)
        case TcpEndpoint(host, port):
            family, address = _resolve(host, port, Deadline(_RESOLVE_SECONDS))
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        case UnixEndpoint(path, None):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            address = path
        case _:
            raise InputError(
                "input.endpoint",
                f"cannot listen on {endpoint}: only the monitor listens on hybrid vsock; inside "
                f"the guest, listen on vsock:any:{endpoint.port}",
            )
    try:
        sock.bind(address)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise EnclaveError(
            "transport.listen", f"cannot listen on {endpoint}: {_reason(error)}"
        ) from None
    return sock


def connect(endpoint: Endpoint | StreamEndpoint, deadline: Deadline) -> socket.socket:
    """Connects to an enclave; for hybrid vsock, through its virtual machine monitor.

    Args:
        endpoint: Any endpoint except ``vsock:any``.
        deadline: Limits the whole connection setup.

    Returns:
        A socket connected to the server; the caller closes it.

    Raises:
        InputError: ``input.endpoint``: ``vsock:any`` identifies no machine.
        EnclaveError: ``transport.unsupported``: this machine has no vsock. ``transport.no_cid``:
            no virtual machine has this CID. ``transport.refused``: nothing listens.
            ``transport.hybrid``: the monitor did not answer OK. ``transport.resolve``: the host
            has no address. ``transport.unreachable``: any other failure.
            ``transport.timeout``: the deadline passed.
    """
    if isinstance(endpoint, TcpEndpoint):
        family, address = _resolve(endpoint.host, endpoint.port, deadline)
        sock = socket.socket(family, socket.SOCK_STREAM)
    else:
        sock, address = _local_socket(endpoint)
    try:
        sock.settimeout(deadline.remaining())
        try:
            sock.connect(address)
        except OSError as error:
            raise _connect_error(endpoint, error, deadline) from None
        if isinstance(endpoint, UnixEndpoint) and endpoint.port is not None:
            _cross_monitor(sock, endpoint.path, endpoint.port, deadline)
    except BaseException:
        sock.close()
        raise
    return sock


async def connect_async(endpoint: Endpoint | StreamEndpoint, deadline: Deadline) -> socket.socket:
    """Does the same as ``connect`` in the running event loop.

    Args:
        endpoint: Any endpoint except ``vsock:any``.
        deadline: Limits the whole connection setup.

    Returns:
        A non-blocking socket connected to the server; the caller closes it. If the task is
        cancelled, the socket is closed.

    Raises:
        InputError: As for ``connect``.
        EnclaveError: As for ``connect``.
    """
    if isinstance(endpoint, TcpEndpoint):
        family, address = await _resolve_async(endpoint.host, endpoint.port, deadline)
        sock = socket.socket(family, socket.SOCK_STREAM)
    else:
        sock, address = _local_socket(endpoint)
    try:
        sock.setblocking(False)
        try:
            await _connect_socket(sock, address, deadline)
        except OSError as error:
            raise _connect_error(endpoint, error, deadline) from None
        if isinstance(endpoint, UnixEndpoint) and endpoint.port is not None:
            await deadline.limit(_cross_monitor_async(sock, endpoint.path, endpoint.port))
    except BaseException:
        sock.close()
        raise
    return sock


async def _connect_socket(sock: socket.socket, address: Any, deadline: Deadline) -> None:
    await deadline.limit(asyncio.get_running_loop().sock_connect(sock, address))
    try:
        sock.getpeername()
    except OSError:  # the event loop takes a Unix socket with a full backlog for connected
        raise OSError(errno.EAGAIN, "full backlog") from None


def _local_socket(endpoint: VsockEndpoint | UnixEndpoint) -> tuple[socket.socket, Any]:
    """Returns a socket, and the address to connect it to."""
    match endpoint:
        case VsockEndpoint(cid, port):
            check_target(endpoint)
            return _vsock_socket(), (cid, port)
        case UnixEndpoint(path, _):
            return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), path


def _vsock_socket() -> socket.socket:
    try:
        return socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    except (AttributeError, OSError):  # not in this Python, or not in the kernel
        raise EnclaveError("transport.unsupported", _NO_VSOCK) from None


def _look_up(host: str, port: int, report: Callable[[tuple[int, Any] | None], object]) -> None:
    """Calls ``report`` in a new thread, with the first address of a host or None.

    getaddrinfo takes no timeout. A thread left behind ends at the resolver's own timeout.
    """

    def look_up() -> None:
        found = None
        with suppress(OSError, UnicodeError):
            entry = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            found = entry[0], entry[4]
        report(found)

    threading.Thread(target=look_up, name="nitro-attest-resolve", daemon=True).start()


def _resolve(host: str, port: int, deadline: Deadline) -> tuple[int, Any]:
    reports: queue.SimpleQueue[tuple[int, Any] | None] = queue.SimpleQueue()
    _look_up(host, port, reports.put)
    try:
        found = reports.get(timeout=deadline.remaining())
    except queue.Empty:
        raise deadline.error() from None
    return _required(found, host)


async def _resolve_async(host: str, port: int, deadline: Deadline) -> tuple[int, Any]:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[tuple[int, Any] | None] = loop.create_future()

    def settle(found: tuple[int, Any] | None) -> None:
        if not future.done():
            future.set_result(found)

    def report(found: tuple[int, Any] | None) -> None:
        with suppress(RuntimeError):  # the loop was closed in the meantime
            loop.call_soon_threadsafe(settle, found)

    _look_up(host, port, report)
    return _required(await deadline.limit(future), host)


def _required(found: tuple[int, Any] | None, host: str) -> tuple[int, Any]:
    if found is None:
        raise EnclaveError("transport.resolve", f"no address found for the host {host}")
    return found


def _connect_error(
    endpoint: Endpoint | StreamEndpoint, error: OSError, deadline: Deadline
) -> EnclaveError:
    if isinstance(error, TimeoutError) and error.errno is None:  # ours, not the kernel's
        return deadline.error()
    if isinstance(endpoint, VsockEndpoint):
        # Measured: an unused CID times out in the kernel after 2 s; a connection to a port on which
        # nothing listens is reset, not refused.
        if error.errno in (errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH):
            return EnclaveError(
                "transport.no_cid",
                f"no answer from CID {endpoint.cid}; check with `nitro-cli describe-enclaves` that "
                "the enclave runs and has this CID",
            )
        if error.errno in (errno.ENODEV, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT):
            return EnclaveError("transport.unsupported", _NO_VSOCK)
    if error.errno in _REFUSED:
        return EnclaveError("transport.refused", f"nothing listens on {endpoint}")
    return EnclaveError("transport.unreachable", f"cannot connect to {endpoint}: {_reason(error)}")


def _cross_monitor(sock: socket.socket, path: str, port: int, deadline: Deadline) -> None:
    # Data sent before the monitor answers OK may be lost, so the request waits for the answer.
    answer = b""
    try:
        sock.sendall(b"CONNECT %d\n" % port)
        while not answer.endswith(b"\n") and len(answer) < _MAX_HYBRID_ANSWER:
            sock.settimeout(deadline.remaining())
            octet = sock.recv(1)  # one at a time: the enclave sent what follows the line
            if not octet:
                break
            answer += octet
    except TimeoutError:
        raise deadline.error() from None
    except OSError:
        answer = b""
    _check_monitor_answer(answer, path, port)


async def _cross_monitor_async(sock: socket.socket, path: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    answer = b""
    try:
        await loop.sock_sendall(sock, b"CONNECT %d\n" % port)
        while not answer.endswith(b"\n") and len(answer) < _MAX_HYBRID_ANSWER:
            octet = await loop.sock_recv(sock, 1)
            if not octet:
                break
            answer += octet
    except OSError:
        answer = b""
    _check_monitor_answer(answer, path, port)


def _check_monitor_answer(answer: bytes, path: str, port: int) -> None:
    if not answer:
        raise EnclaveError(
            "transport.refused",
            f"the monitor at {path} closed the connection to port {port}: nothing listens there, "
            "or the guest is still booting",
        )
    if not re.fullmatch(rb"OK [0-9]+\n", answer):
        raise EnclaveError(
            "transport.hybrid",
            f"unexpected answer of the monitor at {path} to CONNECT: expected OK and a number, "
            f"found {answer!r}; if the socket is not hybrid vsock, omit the port",
        )


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
