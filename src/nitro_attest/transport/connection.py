"""Connections to enclaves: endpoints, sockets, and a deadline for a whole exchange.

An enclave has no network; it is reached over vsock, by a context ID (CID) and a port. Firecracker,
Cloud Hypervisor and vhost-device-vsock provide vsock as a Unix socket on the host ("hybrid vsock"),
and a proxy in front of an enclave provides HTTP over TCP.
"""

from __future__ import annotations

import errno
import re
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any, Final

from nitro_attest.errors import EnclaveError, InputError

__all__ = [
    "DEFAULT_PORT",
    "MAX_HEAD_BYTES",
    "Deadline",
    "Endpoint",
    "HttpEndpoint",
    "UnixEndpoint",
    "VsockEndpoint",
    "connect",
    "listen",
    "parse_endpoint",
]

DEFAULT_PORT: Final = 1300
"""Default vsock port of the server."""

MAX_HEAD_BYTES: Final = 8192
"""Maximum size of the head of an HTTP request or answer, with its empty line."""

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
class HttpEndpoint:
    """A TCP address: a proxy in front of an enclave.

    Attributes:
        host: Name or IP address; an IPv6 address has no brackets.
        port: TCP port, 0 to 65535.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"http://{self.authority}"

    @property
    def authority(self) -> str:
        """Host and port in the form of URLs and the Host header (RFC 3986 section 3.2)."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


Endpoint = VsockEndpoint | UnixEndpoint | HttpEndpoint
"""Any endpoint; ``str()`` gives the text that ``parse_endpoint`` takes."""


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
    if not isinstance(text, str):
        found = type(text).__name__
        raise InputError("input.endpoint", f"invalid endpoint: {_FORMS}, found {found}")
    if match := re.fullmatch(r"vsock:([0-9]+|any):([0-9]+)", text, re.ASCII):
        cid = None if match[1] == "any" else _number(text, match[1], _MAX_U32 - 1)
        return VsockEndpoint(cid, _number(text, match[2], _MAX_U32 - 1))
    if match := re.fullmatch(rf"unix:(/{_PATH}*?)(?::([0-9]+))?", text, re.ASCII | re.DOTALL):
        port = None if match[2] is None else _number(text, match[2], _MAX_U32 - 1)
        return UnixEndpoint(match[1], port)
    if match := re.fullmatch(
        r"http://(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]{1,253})):([0-9]+)/?", text, re.ASCII
    ):
        return HttpEndpoint(match[1] or match[2], _number(text, match[3], 0xFFFF))
    raise InputError("input.endpoint", f"invalid endpoint: {_FORMS}, found {text[:200]!r}")


def _number(text: str, digits: str, highest: int) -> int:
    if len(digits) > 10 or int(digits) > highest:
        raise InputError(
            "input.endpoint",
            f"number too large in the endpoint {text[:200]!r}: expected at most {highest}, found "
            f"{digits[:20]}",
        )
    return int(digits)


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

    def error(self) -> EnclaveError:
        """Builds the error for an operation limited by ``remaining()`` that timed out.

        Returns:
            An EnclaveError with the code ``transport.timeout``.
        """
        return EnclaveError(
            "transport.timeout",
            f"no complete answer within {self._seconds:g} s; the enclave or its NSM may be stalled",
        )


def listen(endpoint: Endpoint) -> socket.socket:
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
        case HttpEndpoint(host, port):
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


def connect(endpoint: Endpoint, deadline: Deadline) -> socket.socket:
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
    address: Any
    match endpoint:
        case VsockEndpoint(None, _):
            raise InputError(
                "input.endpoint", f"cannot connect to {endpoint}: give a CID instead of any"
            )
        case VsockEndpoint(cid, port):
            sock = _vsock_socket()
            address = (cid, port)
        case UnixEndpoint(path, _):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            address = path
        case HttpEndpoint(host, port):
            family, address = _resolve(host, port, deadline)
            sock = socket.socket(family, socket.SOCK_STREAM)
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


def _vsock_socket() -> socket.socket:
    try:
        return socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    except (AttributeError, OSError):  # not in this Python, or not in the kernel
        raise EnclaveError("transport.unsupported", _NO_VSOCK) from None


def _resolve(host: str, port: int, deadline: Deadline) -> tuple[int, Any]:
    # getaddrinfo takes no timeout. A thread left behind ends at the resolver's own timeout.
    found: list[tuple[int, Any]] = []

    def look_up() -> None:
        try:
            entry = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        except (OSError, UnicodeError):
            return
        found.append((entry[0], entry[4]))

    thread = threading.Thread(target=look_up, name="nitro-attest-resolve", daemon=True)
    thread.start()
    thread.join(deadline.remaining())
    if not found:
        deadline.remaining()
        raise EnclaveError("transport.resolve", f"no address found for the host {host}")
    return found[0]


def _connect_error(endpoint: Endpoint, error: OSError, deadline: Deadline) -> EnclaveError:
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
