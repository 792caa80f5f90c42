"""asyncio streams to a server that is attested."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from nitro_attest.channel.bindings.base import Binding
from nitro_attest.channel.exchange import (
    DEFAULT_BINDING,
    DEFAULT_TIMEOUT,
    RECEIVE_BYTES,
    ChannelVerifier,
    check_host,
    handshake_error,
)
from nitro_attest.errors import EnclaveError, InputError
from nitro_attest.transport.connection import Endpoint, connect_async, parse_endpoint
from nitro_attest.verification.attestation import Attestation
from nitro_attest.verification.core import UnknownFields
from nitro_attest.verification.policy import EnclavePolicy
from nitro_attest.verification.revocation import RevocationLists
from nitro_attest.verification.roots import TrustedRoots
from nitro_attest.verification.verifier import Consistency

__all__ = ["open_attested_connection"]

_MAX_PORT: Final = 65535
_Opened = tuple[asyncio.StreamReader, asyncio.StreamWriter, Attestation]


async def open_attested_connection(
    host: str,
    port: int | None = None,
    *,
    policy: EnclavePolicy | Mapping[Any, Any],
    roots: bytes | str | TrustedRoots | None = None,
    binding: Binding = DEFAULT_BINDING,
    timeout: float = DEFAULT_TIMEOUT,
    max_age: timedelta | None = None,
    consistency: Consistency | None = None,
    unknown_fields: UnknownFields = "reject",
    revocation: RevocationLists | None = None,
    webpki: bool = False,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Attestation]:
    """Opens a TLS connection, and attests the server before the first byte.

    Args:
        host: Name or IP address of the server; or ``vsock:CID:PORT``, ``unix:/path`` or
            ``unix:/path:PORT`` (hybrid vsock), without ``port``.
        port: TCP port of the server.
        policy: The policy, as for ``Verifier``; there is no default.
        roots: The trusted roots; by default the root of the AWS commercial partition.
        binding: Ties the document to the connection.
        timeout: Seconds for the connection, the TLS handshake and the attestation together, at most
            86400.
        max_age: The maximum age of the document; required if the binding has no nonce.
        consistency: As for ``Verifier``.
        unknown_fields: As for ``Verifier``.
        revocation: As for ``Verifier``.
        webpki: Also require a certificate that the system's trust store accepts for the host.

    Returns:
        Reader and writer, as of ``asyncio.open_connection``, and the attestation of the server.

    Raises:
        InputError: ``input.*`` or ``policyfile.*``: an argument is invalid.
        EnclaveError: ``transport.*``: the connection failed, or no document was received.
        FormatError: ``document.*``, ``cbor.*``, ``cose.*`` or ``payload.*``: the answer is not a
            document of an enclave.
        ChainError: ``chain.*`` or ``cert.*``: as for ``Verifier.verify``.
        SignatureError: ``signature.*``: as for ``Verifier.verify``.
        PolicyError: ``policy.*``, ``freshness.*`` or ``consistency.*``: as for ``Verifier.verify``;
            ``policy.binding``: the document names a different key (B-1).

    Example:
        >>> from nitro_attest.channel import open_attested_connection
        >>> async def send_secret():
        ...     reader, writer, attestation = await open_attested_connection(
        ...         "enclave.example", 443, policy={0: pcr0, 1: pcr1, 2: pcr2}
        ...     )
        ...     writer.write(b"the secret")
    """
    channel = ChannelVerifier(
        policy=policy,
        roots=roots,
        binding=binding,
        timeout=timeout,
        max_age=max_age,
        consistency=consistency,
        unknown_fields=unknown_fields,
        revocation=revocation,
        webpki=webpki,
    )
    if isinstance(host, str) and host.startswith(("vsock:", "unix:")):
        if port is not None or webpki:
            raise InputError(
                "input.endpoint", f"{host[:200]}: expected neither a port= nor webpki=True"
            )
        opening = _attest_endpoint(channel, parse_endpoint(host))
    else:
        check_host(host)
        if type(port) is not int or not 0 < port <= _MAX_PORT:
            raise InputError(
                "input.endpoint", f"expected a port from 1 to {_MAX_PORT}, found {port!r:.200}"
            )
        opening = _attest_host(channel, host, port)
    try:
        return await asyncio.wait_for(opening, timeout)
    except asyncio.TimeoutError:
        raise channel.deadline().error() from None


async def _attest_host(channel: ChannelVerifier, host: str, port: int) -> _Opened:
    try:
        opened = await asyncio.open_connection(host, port, ssl=channel.context)
    except socket.gaierror:
        raise EnclaveError("transport.resolve", f"no address found for the host {host}") from None
    except ConnectionRefusedError:
        raise EnclaveError("transport.refused", f"nothing listens on {host}:{port}") from None
    except (ssl.SSLError, ConnectionError) as error:
        raise handshake_error(error) from None
    except OSError as error:
        raise EnclaveError(
            "transport.unreachable", f"cannot connect to {host}:{port}: {error}"
        ) from None
    return await _attest(channel, *opened, host)


async def _attest_endpoint(channel: ChannelVerifier, endpoint: Endpoint) -> _Opened:
    plain = await connect_async(endpoint, channel.deadline())
    try:
        opened = await asyncio.open_connection(sock=plain, ssl=channel.context, server_hostname="")
    except OSError as error:
        raise handshake_error(error) from None
    return await _attest(channel, *opened, None)


async def _attest(
    channel: ChannelVerifier,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    host: str | None,
) -> _Opened:
    try:
        exchange = channel.begin(writer.get_extra_info("ssl_object"), host)
        writer.write(exchange.request)
        attested = None
        while attested is None:
            attested = exchange.feed(await _read(reader))
    except BaseException:
        writer.transport.abort()
        raise
    return reader, writer, attested.attestation


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(RECEIVE_BYTES)
    except OSError:
        return b""  # a reset connection is closed too
