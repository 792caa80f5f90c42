"""A TLS server on loopback that answers challenges with fake documents, honestly or not."""

from __future__ import annotations

import re
import socket
import ssl
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from nitro_attest.testing import FakeNitro
from support.clock import PATIENT

PCRS = {index: bytes([index + 1]) * 48 for index in (0, 1, 2)}
"""The measurements of the honest enclave."""

CHALLENGE = re.compile(
    rb"GET /(?:\.well-known/nitro-attestation|\.well-known/attestation|enclave/attestation)"
    rb"(?:\?nonce=([0-9a-f]+))? HTTP/1\.1"
)


@dataclass(frozen=True)
class Identity:
    """A TLS key with its self-signed certificate for localhost and 127.0.0.1."""

    pem: bytes
    certificate_pem: bytes
    spki: bytes

    @classmethod
    def create(cls, common_name: str) -> Identity:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
        names = [x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(datetime(2020, 1, 1, tzinfo=timezone.utc))
            .not_valid_after(datetime(2100, 1, 1, tzinfo=timezone.utc))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(key, hashes.SHA256())
        )
        certificate_pem = certificate.public_bytes(Encoding.PEM)
        key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return cls(certificate_pem + key_pem, certificate_pem, spki)

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile() as file:
            Path(file.name).write_bytes(self.pem)
            context.load_cert_chain(file.name)
        return context


@cache
def identities() -> tuple[Identity, Identity]:
    """The identity of the enclave, and that of a relay."""
    return Identity.create("enclave"), Identity.create("relay")


def http(body: bytes, status: bytes = b"200 OK", head: bytes = b"") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status, len(body), head, body)


@dataclass
class Connection:
    """The log of one connection.

    Attributes:
        received: What the server received, decrypted.
        challenges: The number of challenges in it.
        accepted: The server answered a challenge honestly.
        resumed: The TLS session was resumed.
    """

    received: bytearray = field(default_factory=bytearray)
    challenges: int = 0
    accepted: bool = False
    resumed: bool = False

    @property
    def application(self) -> bytes:
        """The bytes received, without the challenges."""
        heads = bytes(self.received).split(b"\r\n\r\n")
        return b"\r\n\r\n".join(head for head in heads if not CHALLENGE.match(head))


Answer = Callable[["FakeEnclave", bytes], bytes]


class FakeEnclave:
    """A server. It answers ``/to?URL`` with a redirect, and other paths with ``done``.

    ``/close`` disconnects after the answer, ``/broken`` within it, ``/abort`` before it.

    Args:
        nitro: Makes the documents.
        at: Their time; now by default.
        answer: The bytes that answer a challenge, from the server and the nonce; an empty answer
            closes the connection.
        early: Bytes that are sent before the first request.
        relay: Use a TLS key that is not the one in the documents.
        mute: Accept connections and send nothing.
        refuse: Accept connections and close them.
        family: AF_INET or AF_UNIX.
        address: The address to listen on.
        context: Changes the settings of TLS.

    Attributes:
        connections: The log of each connection.
        paths: The paths that the application requested.
        answer: The argument; may be changed.
        received: Set when anything was received, after the handshake if there is one.
        hold: Called before each answer to the application.
    """

    def __init__(
        self,
        nitro: FakeNitro,
        at: datetime | None = None,
        *,
        answer: Answer | None = None,
        early: bytes = b"",
        relay: bool = False,
        mute: bool = False,
        refuse: bool = False,
        family: int = socket.AF_INET,
        address: str | tuple[str, int] = ("127.0.0.1", 0),
        context: Callable[[ssl.SSLContext], None] = lambda context: None,
    ) -> None:
        self.nitro, self.at = nitro, at
        self.key = identities()[0].spki
        self.connections: list[Connection] = []
        self.paths: list[str] = []
        self.hold: Callable[[], object] = lambda: None
        self.answer = honest if answer is None else answer
        self._early, self._mute, self._refuse = early, mute, refuse
        self.received = threading.Event()
        self._sockets: list[ssl.SSLSocket] = []
        self._context = identities()[1 if relay else 0].context()
        context(self._context)
        self._listener = socket.create_server(address, family=family, backlog=256)
        self.address = self._listener.getsockname()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def port(self) -> int:
        return int(self.address[1])

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def attestations(self) -> int:
        return sum(connection.challenges for connection in self.connections)

    def document(self, **changes: object) -> bytes:
        fields = {"pcrs": PCRS, "public_key": self.key, "at": self.at} | changes
        return self.nitro.document(**fields)  # type: ignore[arg-type]

    def application(self) -> bytes:
        """The bytes that applications sent, once every client has disconnected."""
        for thread in self._threads[1:]:
            thread.join(PATIENT)
            assert not thread.is_alive(), "a client left its connection open"
        return b"".join(connection.application for connection in self.connections)

    def drop(self) -> None:
        """Closes all connections."""
        for tls in self._sockets:
            with suppress(OSError):
                tls.shutdown(socket.SHUT_RDWR)
        self.application()

    def close(self) -> None:
        self._open = False
        with socket.socket(self._listener.family) as last:
            last.connect(self.address)
            self._threads[0].join(PATIENT)
        self._listener.close()
        self.application()

    _open = True

    def _accept(self) -> None:
        while True:
            accepted, _ = self._listener.accept()
            if not self._open:
                accepted.close()
                return
            self._threads.append(threading.Thread(target=self._serve, args=(accepted,)))
            self._threads[-1].start()

    def _serve(self, accepted: socket.socket) -> None:
        log = Connection()
        self.connections.append(log)
        accepted.settimeout(PATIENT)
        with suppress(OSError), accepted:
            if self._refuse:
                return
            if self._mute:
                accepted.recv(65536)  # the ClientHello
                self.received.set()
                log.received += accepted.recv(65536)
                return
            with self._context.wrap_socket(accepted, server_side=True) as tls:
                self._sockets.append(tls)
                log.resumed = bool(tls.session_reused)
                tls.sendall(self._early)
                while self._exchange(tls, log):
                    pass

    def _exchange(self, tls: ssl.SSLSocket, log: Connection) -> bool:
        head = b""
        while b"\r\n\r\n" not in head:
            data = tls.recv(65536)
            log.received += data
            self.received.set()
            head += data
            if not data:
                return False
        if challenge := CHALLENGE.match(head):
            log.challenges += 1
            log.accepted = self.answer is honest
            answer = self.answer(self, bytes.fromhex((challenge[1] or b"").decode()))
            tls.sendall(answer)
            return bool(answer)
        return self._serve_application(tls, log, head)

    def _serve_application(self, tls: ssl.SSLSocket, log: Connection, head: bytes) -> bool:
        head, _, body = head.partition(b"\r\n\r\n")
        length = int((re.findall(rb"(?i)content-length: *(\d+)", head) or [b"0"])[0])
        while len(body) < length:
            data = tls.recv(65536)
            log.received += data
            body += data
        path = head.split()[1].decode()
        self.paths.append(path)
        self.hold()
        if path == "/abort":
            return False
        if path.startswith("/to?"):
            location = b"Location: %s\r\n" % path[4:].encode()
            tls.sendall(http(b"", b"302 Found", location))
        elif path == "/broken":
            tls.sendall(http(b"done").replace(b"4", b"9", 1))
            return False
        elif path == "/close":
            tls.sendall(http(b"done", head=b"Connection: close\r\n"))
            return False
        else:
            tls.sendall(http(b"done"))
        return True


def honest(server: FakeEnclave, nonce: bytes) -> bytes:
    return http(server.document(nonce=nonce))


def document(**changes: object) -> Answer:
    """Answers with a document in which some fields differ."""
    return lambda server, nonce: http(server.document(**{"nonce": nonce, **changes}))


def _old_tls(context: ssl.SSLContext) -> None:
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.maximum_version = ssl.TLSVersion.TLSv1_1


def with_last_bit_changed(document):
    """A document whose signature is that of no document."""
    return document[:-1] + bytes([document[-1] ^ 1])


OTHER_NITRO = FakeNitro(seed=b"another root")
REDIRECT = http(b"", b"302 Found", b"Location: https://127.0.0.1:1/\r\n")

MISBEHAVIOURS: dict[str, tuple[str, dict[str, object]]] = {
    "relay": ("policy.binding", {"relay": True}),
    "no_key": ("policy.binding", {"answer": document(public_key=None)}),
    "key_of_other": ("policy.binding", {"answer": document(public_key=identities()[1].spki)}),
    "other_image": ("policy.pcr_mismatch", {"answer": document(pcrs={**PCRS, 0: bytes([9]) * 48})}),
    "debug": ("policy.debug", {"answer": document(pcrs={}, debug=True)}),
    "instance": ("payload.kind", {"answer": document(kind="nitrotpm", pcrs={})}),
    "other_root": (
        "chain.untrusted_root",
        {
            "answer": lambda server, nonce: http(
                OTHER_NITRO.document(nonce=nonce, at=server.at, pcrs=PCRS, public_key=server.key)
            )
        },
    ),
    "replayed": ("policy.nonce", {"answer": document(nonce=bytes(32))}),
    "no_nonce": ("policy.nonce", {"answer": document(nonce=None)}),
    "forged": (
        "signature.invalid",
        {"answer": lambda server, nonce: http(with_last_bit_changed(server.document(nonce=nonce)))},
    ),
    "no_document": ("document.empty", {"answer": lambda server, nonce: http(b"")}),
    "large": ("transport.too_large", {"answer": lambda server, nonce: http(bytes(1 << 20))}),
    "endless_head": (
        "transport.too_large",
        {"answer": lambda server, nonce: b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200_000},
    ),
    "endless_body": (
        "transport.http",
        {"answer": lambda server, nonce: b"HTTP/1.1 200 OK\r\n\r\n" + bytes(1 << 20)},
    ),
    "redirect": ("transport.redirect", {"answer": lambda server, nonce: REDIRECT}),
    "not_found": ("transport.status", {"answer": lambda server, nonce: http(b"?", b"404 No")}),
    "busy": ("transport.busy", {"answer": lambda server, nonce: http(b"?", b"503 Busy")}),
    "no_answer": ("transport.no_answer", {"answer": lambda server, nonce: b""}),
    "later_bytes": (
        "transport.http",
        {"answer": lambda server, nonce: honest(server, nonce) + http(b"forged")},
    ),
    "early_bytes": (
        "document.encoding",
        {"early": http(b"early"), "answer": lambda server, nonce: b""},
    ),
    "not_http": ("transport.http", {"early": b"SSH-2.0-x\r\n"}),
    "silent": (
        "transport.timeout",
        {"answer": lambda server, nonce: b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"},
    ),
    "mute": ("transport.timeout", {"mute": True}),
    "old_tls": ("transport.tls", {"context": _old_tls}),
}
"""Each way to be wrong: the code that the client raises, and the arguments of the server."""


@contextmanager
def fake_enclave(
    nitro: FakeNitro, at: datetime | None = None, **options: object
) -> Iterator[FakeEnclave]:
    server = FakeEnclave(nitro, at, **options)  # type: ignore[arg-type]
    try:
        yield server
    finally:
        server.close()


class ConnectProxy:
    """A proxy for CONNECT that relays bytes.

    Attributes:
        heads: The head of each request.
    """

    def __init__(self, status: bytes = b"200 OK") -> None:
        self.heads: list[bytes] = []
        self._status = status
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._open = False
        socket.create_connection(self._listener.getsockname()).close()
        for thread in self._threads:
            thread.join(PATIENT)
            assert not thread.is_alive()
        self._listener.close()

    _open = True

    def _accept(self) -> None:
        while True:
            accepted, _ = self._listener.accept()
            if not self._open:
                accepted.close()
                return
            self._threads.append(threading.Thread(target=self._serve, args=(accepted,)))
            self._threads[-1].start()

    def _serve(self, accepted: socket.socket) -> None:
        with suppress(OSError), accepted:
            head = b""
            while b"\r\n\r\n" not in head and (data := accepted.recv(4096)):
                head += data
            self.heads.append(head)
            accepted.sendall(b"HTTP/1.1 %s\r\n\r\n" % self._status)
            if self._status != b"200 OK":
                return
            host, _, port = head.split()[1].decode().rpartition(":")
            with socket.create_connection((host, int(port))) as target:
                backward = threading.Thread(target=_relay, args=(target, accepted))
                backward.start()
                _relay(accepted, target)
                backward.join(PATIENT)


def _relay(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
