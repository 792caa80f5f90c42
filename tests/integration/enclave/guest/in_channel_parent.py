"""Runs in the parent guest: a client that reaches the enclave through relays of the parent."""

import contextlib
import json
import socket
import ssl
import subprocess
import sys
import time
import traceback
from datetime import datetime, timedelta, timezone
from pathlib import Path
from threading import Thread

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from nitro_attest import ANY_ENCLAVE, NitroAttestError
from nitro_attest.channel import attested_socket

FORWARDED = ("127.0.0.1", 443)
ROOT = Path("/app/root.pem").read_bytes()
SECRET = b"GET /secret HTTP/1.1\r\nHost: enclave\r\nConnection: close\r\n\r\n"
PATIENCE = 30  # the guest is emulated


def report(event, **values):
    print("@@" + json.dumps({"event": event, **values}), flush=True)


def attempt(address, policy=ANY_ENCLAVE):
    """Sends the secret to whoever is attested; returns the answer, or the code of the error."""
    plain = socket.create_connection(address, timeout=PATIENCE)
    try:
        tls, _ = attested_socket(plain, policy=policy, roots=ROOT, timeout=PATIENCE)
    except NitroAttestError as error:
        return error.code
    with tls:
        tls.sendall(SECRET)
        return tls.makefile("rb").read().rpartition(b"\r\n\r\n")[2].decode()


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
        with contextlib.suppress(OSError):  # the client closes the connection
            plain, _ = self._listener.accept()
            with self._context.wrap_socket(plain, server_side=True) as tls:
                self.received += tls.recv(4096)
                for piece in self._answer(self.received):
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
    subprocess.Popen([sys.executable, "-m", "nitro_attest.enclave", *forward])
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(FORWARDED):
            break
        time.sleep(0.1)
    report("granted", answer=attempt(FORWARDED))
    context = own_context()
    old = from_enclave(
        b"GET /.well-known/nitro-attestation?nonce=" + b"00" * 32 + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n" + bytes(2**20)
    away = b"HTTP/1.1 302 Found\r\nLocation: https://other/\r\nContent-Length: 0\r\n\r\n"
    liars = {
        "relay_with_its_own_key": Liar(context, lambda request: [from_enclave(request)]),
        "replayed_document": Liar(context, lambda _: [old]),
        "answer_of_1_MiB": Liar(context, lambda _: [big]),
        "redirect": Liar(context, lambda _: [away]),
        "endless_answer": Liar(context, endless),
    }
    outcomes = {"other_image": attempt(FORWARDED, {0: "01" * 48})}
    for name, liar in liars.items():
        outcomes[name] = attempt(liar.address)
    leaked = [name for name, liar in liars.items() if b"secret" in liar.received]
    report("outcomes", outcomes=outcomes, leaked=leaked)


try:
    main()
except Exception:
    report("failed", error=traceback.format_exc())
