"""The ways to an enclave: endpoints, connections, and one deadline over all that happens on them.

An enclave has no network; it is reached over vsock, by a context id (CID) and a port. Firecracker,
Cloud Hypervisor and vhost-device-vsock offer the same as a unix socket on the host ("hybrid
vsock"), and a proxy in front of an enclave offers it as HTTP over TCP.
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

DEFAULT_PORT: Final = 1300
"""The vsock port on which ``server`` listens unless told otherwise."""

MAX_HEAD_BYTES: Final = 8192
"""Longest head of an HTTP request or answer, its empty line included."""

_CID_ANY: Final = 0xFFFFFFFF  # VMADDR_CID_ANY, linux/vm_sockets.h
_MAX_U32: Final = 0xFFFFFFFF
_MAX_HYBRID_ANSWER: Final = 32  # "OK 4294967295\n" has 14
_BACKLOG: Final = 512
_RESOLVE_SECONDS: Final = 10
_REFUSALS: Final = (
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.EPIPE,
    errno.ENOENT,  # no unix socket of this path
    errno.EAGAIN,  # a unix socket with a full backlog
)
_NO_VSOCK: Final = (
    "this machine has no vsock: an EC2 instance needs Nitro Enclaves enabled at launch, a virtual "
    "machine a vsock device, and Python on Linux"
)
_FORMS: Final = (
    "expected vsock:CID:PORT, unix:/path:PORT (hybrid vsock), unix:/path or http://host:port"
)


@dataclass(frozen=True)
class VsockEndpoint:
    """An AF_VSOCK address; a CID of None stands for every own one, and can only be listened on."""

    cid: int | None
    port: int

    def __str__(self) -> str:
        return f"vsock:{'any' if self.cid is None else self.cid}:{self.port}"


@dataclass(frozen=True)
class UnixEndpoint:
    """A unix socket; with a port, the hybrid vsock of a virtual machine monitor."""

    path: str
    port: int | None

    def __str__(self) -> str:
        return f"unix:{self.path}" + ("" if self.port is None else f":{self.port}")


@dataclass(frozen=True)
class HttpEndpoint:
    """A TCP address, of a proxy in front of an enclave; ``host`` is a name or an IP address."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"http://{self.authority}"

    @property
    def authority(self) -> str:
        """Host and port as a URL and the Host header write them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


Endpoint = VsockEndpoint | UnixEndpoint | HttpEndpoint


def parse_endpoint(text: str) -> Endpoint:
    """Reads an endpoint.

    Args:
        text: ``vsock:16:1300``, ``vsock:any:1300`` (to listen), ``unix:/run/vm.sock:1300``
            (hybrid vsock), ``unix:/run/server.sock`` or ``http://127.0.0.1:8080``. The last
            colon of a unix path is a port's when only digits follow it.

    Raises:
        InputError: ``input.endpoint``.
    """
    if not isinstance(text, str):
        raise InputError("input.endpoint", f"the endpoint is {type(text).__name__}; {_FORMS}")
    if match := re.fullmatch(r"vsock:([0-9]+|any):([0-9]+)", text, re.ASCII):
        cid = None if match[1] == "any" else _number(text, match[1], _MAX_U32 - 1)
        return VsockEndpoint(cid, _number(text, match[2], _MAX_U32 - 1))
    if match := re.fullmatch(r"unix:(/[^\0]*?)(?::([0-9]+))?", text, re.ASCII | re.DOTALL):
        port = None if match[2] is None else _number(text, match[2], _MAX_U32 - 1)
        return UnixEndpoint(match[1], port)
    if match := re.fullmatch(
        r"http://(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]{1,253})):([0-9]+)/?", text, re.ASCII
    ):
        return HttpEndpoint(match[1] or match[2], _number(text, match[3], 0xFFFF))
    raise InputError("input.endpoint", f"{text[:200]!r} is no endpoint; {_FORMS}")


def _number(text: str, digits: str, highest: int) -> int:
    if len(digits) > 10 or int(digits) > highest:
        raise InputError("input.endpoint", f"{text[:200]!r}: {digits[:20]} exceeds {highest}")
    return int(digits)


class Deadline:
    """A moment on the monotonic clock by which an exchange must have ended."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """The seconds left, more than none.

        Raises:
            EnclaveError: ``transport.timeout`` once there are none.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.error()
        return left

    def error(self) -> EnclaveError:
        """What to raise when an operation bounded by ``remaining()`` ran out of time."""
        return EnclaveError(
            "transport.timeout",
            f"no complete answer within {self._seconds:g} seconds; the enclave or its NSM may be "
            "stalled",
        )


def listen(endpoint: Endpoint) -> socket.socket:
    """Returns a socket that listens on an endpoint of this machine.

    Raises:
        InputError: ``input.endpoint``: a hybrid vsock endpoint, which is the monitor's to offer.
        EnclaveError: ``transport.unsupported``, ``transport.resolve``, ``transport.listen``.
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
                f"{endpoint} is hybrid vsock, which only connects; inside the guest listen on "
                f"vsock:any:{endpoint.port}",
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
    """Returns a connection on which the enclave is ready to be spoken to.

    Raises:
        InputError: ``input.endpoint``: ``vsock:any`` names nobody.
        EnclaveError: ``transport.unsupported`` (no vsock on this machine), ``transport.no_cid``
            (no such virtual machine), ``transport.refused`` (nothing listens),
            ``transport.hybrid`` (the monitor answered something else than OK),
            ``transport.resolve``, ``transport.unreachable``, ``transport.timeout``.
    """
    address: Any
    match endpoint:
        case VsockEndpoint(None, _):
            raise InputError("input.endpoint", f"{endpoint} can only be listened on; give a CID")
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
    except (AttributeError, OSError):  # not built in, or the kernel has no such family
        raise EnclaveError("transport.unsupported", _NO_VSOCK) from None


def _resolve(host: str, port: int, deadline: Deadline) -> tuple[int, Any]:
    # getaddrinfo knows no deadline; the thread it may leave behind ends with the resolver's own.
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
        raise EnclaveError("transport.resolve", f"no address is known for the host {host}")
    return found[0]


def _connect_error(endpoint: Endpoint, error: OSError, deadline: Deadline) -> EnclaveError:
    if isinstance(error, TimeoutError) and error.errno is None:  # ours, not the kernel's
        return deadline.error()
    if isinstance(endpoint, VsockEndpoint):
        # Measured: a CID that nobody has times out in the kernel after 2 s; a port that nobody
        # listens on is reset, not refused.
        if error.errno in (errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH):
            return EnclaveError(
                "transport.no_cid",
                f"no virtual machine with CID {endpoint.cid} answers; is the enclave running? "
                "`nitro-cli describe-enclaves` lists the CIDs",
            )
        if error.errno in (errno.ENODEV, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT):
            return EnclaveError("transport.unsupported", _NO_VSOCK)
    if error.errno in _REFUSALS:
        return EnclaveError("transport.refused", f"nothing listens on {endpoint}")
    return EnclaveError("transport.unreachable", f"cannot connect to {endpoint}: {_reason(error)}")


def _cross_monitor(sock: socket.socket, path: str, port: int, deadline: Deadline) -> None:
    # What is sent before the monitor has said OK may be lost: the request has to wait for it.
    answer = b""
    try:
        sock.sendall(b"CONNECT %d\n" % port)
        while not answer.endswith(b"\n") and len(answer) < _MAX_HYBRID_ANSWER:
            sock.settimeout(deadline.remaining())
            octet = sock.recv(1)  # one at a time: what follows the line belongs to the enclave
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
            f"the monitor at {path} closed the connection to port {port}: "
            "nothing listens there, or the guest is still booting",
        )
    if not re.fullmatch(rb"OK [0-9]+\n", answer):
        raise EnclaveError(
            "transport.hybrid",
            f"the monitor at {path} answered {answer!r} to CONNECT; expected OK and a "
            "number; without hybrid vsock leave the port out",
        )


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
