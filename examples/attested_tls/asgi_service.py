"""An ASGI application in an enclave, over TLS with a key that attestation documents name.

    pip install PATH/TO/nitro-attest "uvicorn>=0.47"
    python asgi_service.py vsock:any:443

uvicorn terminates TLS inside the enclave. A client sends the challenge as the first request of each
connection, verifies the document, compares its public_key with the key of the connection, and only
then sends its own requests on the same connection.
"""

from __future__ import annotations

import sys
from typing import Any

import uvicorn

from nitro_attest.enclave.middleware import AsgiAttestation
from nitro_attest.enclave.nsm import Nsm
from nitro_attest.enclave.tls import AttestedIdentity
from nitro_attest.transport.connection import listen, parse_stream_endpoint


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answers every request with the size of its body; put your own application here."""
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    body = f"{size} bytes received in the enclave\n".encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def server_for(identity: AttestedIdentity) -> uvicorn.Server:
    """Builds the server around an identity; HTTP/1.1 only, and no WebSockets."""
    config = uvicorn.Config(
        AsgiAttestation(application, identity),
        ssl_context_factory=lambda *_: identity.ssl_context(),
        ws="none",
        lifespan="off",
    )
    return uvicorn.Server(config)


def main() -> None:
    """Serves on the endpoint in the first argument until SIGTERM."""
    endpoint = parse_stream_endpoint(sys.argv[1])
    with Nsm() as nsm, listen(endpoint) as listener:
        server_for(AttestedIdentity.create(nsm)).run(sockets=[listener])


if __name__ == "__main__":
    main()
