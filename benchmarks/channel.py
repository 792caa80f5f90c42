"""Measures what an attested channel adds to a request of httpx.

    python benchmarks/channel.py [--rounds 1000]

A kept connection: the CPU time of a request through AttestedTransport divided by that of one
through httpx's own transport. A new connection: its CPU time in the client beside that of a bare
TLS connection and of one verification. The server runs in another process, on loopback; making the
document takes its time there.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection

import httpx
from bare import interleaved, microseconds, ratio

from nitro_attest import Verifier
from nitro_attest.channel import AttestedTransport
from nitro_attest.enclave.tls import AttestedIdentity
from nitro_attest.testing import FakeNitro

SEED = b"benchmark"
PCRS = {index: bytes([index + 1]) * 48 for index in (0, 1, 2)}
TARGET = 0.02
"""The accepted cost of a kept connection, as a part of a bare request."""


class Nsm:
    """Makes the documents."""

    def __init__(self) -> None:
        self.nitro = FakeNitro(seed=SEED)

    def attest(
        self,
        *,
        nonce: bytes | None = None,
        user_data: bytes | None = None,
        public_key: bytes | None = None,
    ) -> bytes:
        """Returns a document: see ``Attester``."""
        return self.nitro.document(
            nonce=nonce, user_data=user_data, public_key=public_key, pcrs=PCRS
        )


def serve(port: Connection) -> None:
    """Serves challenges and other requests until the process ends."""
    identity = AttestedIdentity.create(Nsm())

    class Service(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet for each answer

        def do_GET(self) -> None:
            _, _, nonce = self.path.partition("?nonce=")
            body = identity.document(bytes.fromhex(nonce)) if nonce else b"done"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    server.socket = identity.ssl_context().wrap_socket(server.socket, server_side=True)
    port.send(server.server_port)
    server.serve_forever()


@contextmanager
def serving() -> Iterator[str]:
    """Runs the server in a process of its own."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,))
    process.start()
    try:
        yield f"https://127.0.0.1:{ours.recv()}/"
    finally:
        process.terminate()
        process.join()


def main() -> int:
    """Measures and prints; exits with 1 if a kept connection costs more than the target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1000, help="requests of each kind")
    rounds = parser.parse_args().rounds
    nsm, nonce = Nsm(), os.urandom(32)
    document = nsm.attest(nonce=nonce, public_key=bytes(91))
    verifier = Verifier(nsm.nitro.root_pem, policy=PCRS)
    transport = AttestedTransport(policy=PCRS, roots=nsm.nitro.root_pem)
    close = {"Connection": "close"}
    with (
        serving() as url,
        httpx.Client(verify=False, trust_env=False) as bare,
        httpx.Client(transport=transport) as attested,
    ):
        kept = interleaved(
            {"bare": lambda: bare.get(url), "attested": lambda: attested.get(url)}, rounds
        )
        new = interleaved(
            {
                "bare": lambda: bare.get(url, headers=close),
                "attested": lambda: attested.get(url, headers=close),
                "verification": lambda: verifier.verify(document, nonce=nonce),
            },
            rounds // 5,
        )
    start = time.perf_counter()
    for _ in range(100):
        nsm.attest(nonce=nonce)
    made = (time.perf_counter() - start) * 1e4
    cost = ratio(kept, "attested", "bare") - 1
    print(
        f"kept connection: bare {microseconds(kept['bare']):.0f} us, attested "
        f"{microseconds(kept['attested']):.0f} us, ratio {1 + cost:.3f}"
    )
    print(
        f"new connection: bare {microseconds(new['bare']):.0f} us, attested "
        f"{microseconds(new['attested']):.0f} us, of which one verification "
        f"{microseconds(new['verification']):.0f} us; the server makes a document in {made:.0f} us"
    )
    return 0 if cost < TARGET else 1


if __name__ == "__main__":
    raise SystemExit(main())
