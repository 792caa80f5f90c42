"""A WSGI application in an enclave, over TLS with a key that attestation documents name.

    pip install PATH/TO/nitro-attest gunicorn
    python wsgi_service.py unix:/run/service.sock &
    python -m nitro_attest.enclave forward --listen vsock:any:443 --to unix:/run/service.sock

gunicorn terminates TLS inside the enclave. It cannot listen on vsock itself; the forwarder beside
it passes on the encrypted bytes. The worker must keep connections open, because a client sends its
own requests on the connection that it attested: gthread does, gunicorn's default worker and wsgiref
do not.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from gunicorn.app.base import BaseApplication

from nitro_attest.enclave.middleware import WsgiAttestation
from nitro_attest.enclave.nsm import Nsm
from nitro_attest.enclave.tls import AttestedIdentity


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answers every request with the size of its body; put your own application here."""
    size = len(environ["wsgi.input"].read())
    body = f"{size} bytes received in the enclave\n".encode()
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]


class Service(BaseApplication):
    """gunicorn around an identity, which is made before its worker processes are forked."""

    def __init__(self, identity: AttestedIdentity, bind: str) -> None:
        self._identity = identity
        self._bind = bind
        self._context = identity.ssl_context()
        super().__init__()

    def load_config(self) -> None:
        """Sets the options of gunicorn; the environment and files have no part in it."""
        self.cfg.set("bind", self._bind)
        self.cfg.set("worker_class", "gthread")
        self.cfg.set("threads", 16)
        self.cfg.set("keepalive", 60)
        self.cfg.set("certfile", os.devnull)  # switches TLS on, and is never read
        self.cfg.set("ssl_context", lambda config, default_factory: self._context)

    def load(self) -> WsgiAttestation:
        """Builds the application in a worker process."""
        return WsgiAttestation(application, self._identity)


def main() -> None:
    """Serves on the address in the first argument, in the form that gunicorn takes."""
    Service(AttestedIdentity.create(Nsm()), sys.argv[1]).run()


if __name__ == "__main__":
    main()
