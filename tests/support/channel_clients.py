"""One request to a server by each client of ``nitro_attest.channel``."""

import asyncio
import socket

import httpx
import pytest
import requests

from nitro_attest import NitroAttestError
from nitro_attest.channel import (
    AsyncAttestedTransport,
    AttestedAdapter,
    AttestedTransport,
    attested_socket,
    open_attested_connection,
)

SECRET = b"the secret"
RAW = b"POST /secret HTTP/1.1\r\nHost: enclave\r\nContent-Length: 10\r\n\r\n" + SECRET


def by_httpx(server, **options):
    with httpx.Client(transport=AttestedTransport(**options), timeout=None) as client:
        response = client.post(f"{server.url}/secret", content=SECRET)
    assert response.text == "done"
    return response.extensions["nitro_attestation"]


def by_async_httpx(server, **options):
    async def post():
        transport = AsyncAttestedTransport(**options)
        async with httpx.AsyncClient(transport=transport, timeout=None) as client:
            response = await client.post(f"{server.url}/secret", content=SECRET)
        assert response.text == "done"
        return response.extensions["nitro_attestation"]

    return asyncio.run(post())


def by_requests(server, **options):
    with requests.Session() as session:
        session.mount("https://", AttestedAdapter(**options))
        response = session.post(f"{server.url}/secret", data=SECRET)
    assert response.text == "done"
    return response.nitro_attestation


def by_streams(server, **options):
    async def post():
        reader, writer, attestation = await open_attested_connection(
            "127.0.0.1", server.port, **options
        )
        writer.write(RAW)
        assert (await reader.read(4096)).endswith(b"done")
        writer.close()
        await writer.wait_closed()
        return attestation

    return asyncio.run(post())


def by_socket(server, **options):
    if options.get("webpki"):
        options["server_hostname"] = "127.0.0.1"
    with socket.create_connection(("127.0.0.1", server.port)) as plain:
        tls, attestation = attested_socket(plain, **options)
    with tls:
        tls.sendall(RAW)
        assert tls.recv(4096).endswith(b"done")
    return attestation


CLIENTS = [by_httpx, by_async_httpx, by_requests, by_streams, by_socket]


def rejection_by(client, server, **options):
    """The NitroAttestError with which a client rejects a server, in the error of its library."""
    if client in (by_streams, by_socket):
        with pytest.raises(NitroAttestError) as caught:
            client(server, **options)
        return caught.value
    with pytest.raises((httpx.TransportError, requests.ConnectionError)) as caught:
        client(server, **options)
    error = caught.value
    assert isinstance(error.__cause__, NitroAttestError)
    connect_errors = (httpx.ConnectError, requests.ConnectionError)
    if error.__cause__.code == "transport.timeout":
        connect_errors = (httpx.ConnectTimeout, requests.ConnectTimeout)
    assert isinstance(error, connect_errors)
    return error.__cause__
