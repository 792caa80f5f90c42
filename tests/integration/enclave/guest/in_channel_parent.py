"""Runs in the parent guest: a client that reaches the enclave through relays of the parent."""

import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
import time
import traceback
from datetime import datetime, timedelta, timezone
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from nitro_attest import ANY_ENCLAVE, NitroAttestError
from nitro_attest.channel import AttestedTransport, attested_socket

FORWARDED = ("127.0.0.1", 443)
ROOT = Path("/app/root.pem").read_bytes()
SECRET = b"GET /secret HTTP/1.1\r\nHost: enclave\r\nConnection: close\r\n\r\n"
PATIENCE = 300  # the guest is emulated; no passing test waits so long


def report(event, **values):
    print("@@" + json.dumps({"event": event, **values}), flush=True)


def by_socket(address, policy=ANY_ENCLAVE, timeout=PATIENCE):
    """Sends the secret to whoever is attested; returns the answer, or the code of the error."""
    plain = socket.create_connection(address, timeout=PATIENCE)
    try:
        tls, _ = attested_socket(plain, policy=policy, roots=ROOT, timeout=timeout)
    except NitroAttestError as error:
        return error.code
    with tls:
        tls.sendall(SECRET)
        return tls.makefile("rb").read().rpartition(b"\r\n\r\n")[2].decode()


def by_httpx(address, policy=ANY_ENCLAVE, timeout=PATIENCE):
    """As ``by_socket``, with an HTTP client."""
    transport = AttestedTransport(policy=policy, roots=ROOT, timeout=timeout)
    with httpx.Client(transport=transport, timeout=PATIENCE) as client:
        try:
            return client.get(f"https://{address[0]}:{address[1]}/secret").text
        except httpx.TransportError as error:
            return error.__cause__.code


CLIENTS = {"socket": by_socket, "httpx": by_httpx}


def in_a_pool():
    """The numbers of the attestations of three requests; the third is due for a new one."""
    clock = SimpleNamespace(now=0.0)
    transport = AttestedTransport(
        policy=ANY_ENCLAVE,
        roots=ROOT,
        timeout=PATIENCE,
        reattest=timedelta(seconds=60),
        clock=lambda: clock.now,
    )
    ids = []
    with httpx.Client(transport=transport, timeout=PATIENCE) as client:
        for clock.now in (0.0, 59.0, 61.0):
            response = client.get(f"https://{FORWARDED[0]}:{FORWARDED[1]}/pool")
            ids.append(response.extensions["nitro_attestation"].attestation_id)
    return [ids.index(one) for one in ids]


def is_resumed():
    """Offers the enclave the session of an earlier connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # its session is known after the handshake
    with context.wrap_socket(socket.create_connection(FORWARDED)) as first:
        session = first.session
    with context.wrap_socket(socket.create_connection(FORWARDED), session=session) as second:
        return second.session_reused


def own_context():
    """TLS with a key of the parent's own."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "enclave")])
    now = datetime.now(timezone.utc)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1)
    certificate = (
        builder.not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, SHA256())
    )
    pem = Path("/tmp/parent.pem")
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pem.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


class Liar:
    """A server of the parent's with its own key: keeps all that clients send."""

    def __init__(self, context, answer):
        self.received = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = self._listener.getsockname()
        self._context, self._answer = context, answer
        Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            plain, _ = self._listener.accept()
            with contextlib.suppress(OSError):  # the client closes the connection
                self._lie(plain)

    def _lie(self, plain):
        with self._context.wrap_socket(plain, server_side=True) as tls:
            request = tls.recv(4096)
            self.received += request
            for piece in self._answer(request):
                tls.sendall(piece)
            while data := tls.recv(4096):
                self.received += data


def from_enclave(request):
    """The enclave's own answer to a request, fetched over a connection of the parent's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(socket.create_connection(FORWARDED)) as tls:
        tls.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer or len(answer) < length_of(answer):
            answer += tls.recv(4096)
        return answer


def length_of(answer):
    head, _, _ = answer.partition(b"\r\n\r\n")
    (size,) = [line[15:] for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"]
    return len(head) + 4 + int(size)


def endless(_):
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
    while True:
        yield b""
        time.sleep(1)


def main():
    forward = ["forward", "--listen", "127.0.0.1:443", "--to", "vsock:16:443"]
    command = [sys.executable, "-m", "nitro_attest.enclave", *forward]
    forwarder = subprocess.Popen(command, stderr=subprocess.PIPE)
    forwarder.stderr.readline()  # it listens
    report("granted", answers=[client(FORWARDED) for client in CLIENTS.values()])
    report("pool", attestations=in_a_pool(), resumed=is_resumed())
    liars = make_liars()
    without_end = Liar(own_context(), endless)
    outcomes = {}
    for name, client in CLIENTS.items():
        outcomes[name] = {kind: client(liar.address) for kind, liar in liars.items()}
        outcomes[name]["other_image"] = client(FORWARDED, {0: "01" * 48})
        outcomes[name]["endless_answer"] = client(without_end.address, timeout=10)
    liars["endless_answer"] = without_end
    leaked = [kind for kind, liar in liars.items() if b"secret" in liar.received]
    report("outcomes", outcomes=outcomes, leaked=leaked)
    sys.stdin.readline()  # the enclave is in debug mode from here on
    report("debug", codes=[client(FORWARDED) for client in CLIENTS.values()])


def make_liars():
    """A server for each way to be another than the enclave."""
    context = own_context()
    old = from_enclave(challenge())
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n" + bytes(2**20)
    away = b"HTTP/1.1 302 Found\r\nLocation: https://other/\r\nContent-Length: 0\r\n\r\n"
    answers = {
        "relay_with_its_own_key": lambda request: [from_enclave(request)],
        "replayed_document": lambda _: [old],
        "answer_for_another_nonce": lambda _: [from_enclave(challenge())],
        "answer_of_1_MiB": lambda _: [big],
        "redirect": lambda _: [away],
    }
    return {kind: Liar(context, answer) for kind, answer in answers.items()}


def challenge():
    """A request with a nonce of the parent's."""
    path = f"/.well-known/nitro-attestation?nonce={os.urandom(32).hex()}"
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


try:
    main()
except Exception:
    report("failed", error=traceback.format_exc())
