"""Runs in the guest with the NSM: an application behind TLS with an attested key."""

import json
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

LOG = Path("/tmp/server.log")
RECEIVED = []


def report(event, **values):
    print("@@" + json.dumps({"event": event, **values}), flush=True)


class Application(BaseHTTPRequestHandler):
    """Records every request that arrives."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        RECEIVED.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", "7")
        self.end_headers()
        self.wfile.write(b"granted")

    def log_message(self, *arguments):
        pass


def main():
    application = ThreadingHTTPServer(("127.0.0.1", 8080), Application)
    Thread(target=application.serve_forever, daemon=True).start()
    serve = ["serve", "--tls", "--port", "443", "--forward", "127.0.0.1:8080"]
    with LOG.open("wb") as log:
        subprocess.Popen([sys.executable, "-m", "nitro_attest.enclave", *serve], stderr=log)
    while not LOG.stat().st_size:
        time.sleep(0.05)
    with LOG.open(encoding="utf-8") as log:
        report("listening", endpoint=json.loads(log.readline())["endpoint"])
    for _ in sys.stdin:  # each line asks what has arrived
        report("received", paths=RECEIVED)


main()
