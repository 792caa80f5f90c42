"""Compares the enclave's server with a plain ``http.server``, in responses per second and core.

    python benchmarks/enclave_server.py [--requests 5000] [--clients 8]

Each server runs in its own process behind a Unix socket and returns one document of 4500 bytes,
which costs nothing to make. The CPU time of the server's process is measured.
"""

from __future__ import annotations

import argparse
import http.server
import multiprocessing
import os
import signal
import socket
import socketserver
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from nitro_attest.enclave.server import serve

DOCUMENT = bytes(4500)
REQUEST = b"GET /attestation/raw?nonce=%s HTTP/1.1\r\nHost: e\r\nConnection: close\r\n\r\n"


class FreeNsm:
    """An NSM that returns documents at no cost."""

    def attest(self, **_: bytes | None) -> bytes:
        """Returns the same bytes every time."""
        return DOCUMENT


class BareHandler(http.server.BaseHTTPRequestHandler):
    """Returns the same bytes for every GET."""

    def do_GET(self) -> None:
        """Sends the response; called by ``http.server``."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(DOCUMENT)))
        self.end_headers()
        self.wfile.write(DOCUMENT)

    def log_message(self, *_: Any) -> None:
        """Logs nothing, like the enclave's server without a handler for its logger."""


class BareServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """The standard library's threading server on a Unix socket."""

    request_queue_size = 512

    def get_request(self) -> tuple[socket.socket, Any]:
        """Returns a peer address as ``http.server`` expects it; Unix sockets have none."""
        return self.socket.accept()[0], ("unix", 0)


def run_ours(path: str) -> None:
    """Runs the enclave's server until SIGTERM."""
    serve(f"unix:{path}", attester=FreeNsm())


def run_bare(path: str) -> None:
    """Runs the plain server until SIGTERM."""
    server = BareServer(path, BareHandler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()


def child(run: Callable[[str], None], path: str, report: Connection) -> None:
    """Runs a server to its end, then reports its CPU time in seconds."""
    started = time.process_time()
    run(path)
    report.send(time.process_time() - started)


def challenge(path: str) -> None:
    """Sends one challenge and reads the whole response."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(REQUEST % os.urandom(32).hex().encode())
        size = 0
        while piece := client.recv(65536):
            size += len(piece)
    if size < len(DOCUMENT):
        raise RuntimeError("the server closed the connection before the end of its response")


def measure(run: Callable[[str], None], requests: int, clients: int) -> tuple[float, float]:
    """Returns the responses per CPU second of the server and per second of wall-clock time."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "server.sock")
        receive, send = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.Process(target=child, args=(run, path, send))
        process.start()
        while not Path(path).exists():
            time.sleep(0.01)
        with ThreadPoolExecutor(clients) as pool:
            started = time.perf_counter()
            list(pool.map(challenge, [path] * requests))
            elapsed = time.perf_counter() - started
        process.terminate()
        cpu = receive.recv()
        process.join()
    return requests / cpu, requests / elapsed


def main() -> None:
    """Measures both servers and prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=5000, help="requests to each server")
    parser.add_argument("--clients", type=int, default=8, help="concurrent clients")
    options = parser.parse_args()
    for name, run in (("nitro_attest.enclave", run_ours), ("http.server", run_bare)):
        per_core, per_second = measure(run, options.requests, options.clients)
        print(f"{name:<22} {per_core:7.0f} responses/s/core  {per_second:7.0f} responses/s")


if __name__ == "__main__":
    main()
