"""A plain TLS socket whose server is attested."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from nitro_attest.channel.bindings.base import Binding
from nitro_attest.channel.exchange import (
    DEFAULT_BINDING,
    DEFAULT_TIMEOUT,
    RECEIVE_BYTES,
    Attested,
    ChannelVerifier,
    check_host,
    handshake_error,
)
from nitro_attest.errors import InputError
from nitro_attest.transport.connection import Deadline
from nitro_attest.verification.attestation import Attestation
from nitro_attest.verification.core import UnknownFields
from nitro_attest.verification.policy import EnclavePolicy
from nitro_attest.verification.revocation import RevocationLists
from nitro_attest.verification.roots import TrustedRoots
from nitro_attest.verification.verifier import Consistency

__all__ = ["attested_socket"]


def attested_socket(
    connected_socket: socket.socket,
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
    server_hostname: str | None = None,
) -> tuple[ssl.SSLSocket, Attestation]:
    """Opens TLS on a connected socket, and attests the server before the first byte.

    ``nitro_attest.transport.connection.connect`` connects to vsock, Unix and TCP endpoints.

    Args:
        connected_socket: A connected stream socket on which nothing was sent. The TLS socket takes
            it over, with its timeout; it is closed if the server is rejected.
        policy: The policy, as for ``Verifier``; there is no default.
        roots: The trusted roots; by default the root of the AWS commercial partition.
        binding: Ties the document to the connection.
        timeout: Seconds for the TLS handshake and the attestation together, at most 86400.
        max_age: The maximum age of the document; required if the binding has no nonce.
        consistency: As for ``Verifier``.
        unknown_fields: As for ``Verifier``.
        revocation: As for ``Verifier``.
        webpki: Also require a certificate that the system's trust store accepts for
            server_hostname.
        server_hostname: The server's name, for SNI and the Host header; by default none.

    Returns:
        The TLS socket, and the attestation of its server.

    Raises:
        InputError: ``input.*`` or ``policyfile.*``: an argument is invalid.
        EnclaveError: ``transport.*``: the handshake failed, or no document was received.
        FormatError: ``document.*``, ``cbor.*``, ``cose.*`` or ``payload.*``: the answer is not a
            document of an enclave.
        ChainError: ``chain.*`` or ``cert.*``: as for ``Verifier.verify``.
        SignatureError: ``signature.*``: as for ``Verifier.verify``.
        PolicyError: ``policy.*``, ``freshness.*`` or ``consistency.*``: as for ``Verifier.verify``;
            ``policy.binding``: the document names a different key (B-1).

    Example:
        >>> from nitro_attest.channel import attested_socket
        >>> from nitro_attest.transport.connection import Deadline, connect, parse_endpoint
        >>> plain = connect(parse_endpoint("vsock:16:443"), Deadline(5))  # doctest: +SKIP
        >>> tls, attestation = attested_socket(plain, policy={0: pcr0})  # doctest: +SKIP
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
    if server_hostname is not None:
        check_host(server_hostname)
    elif webpki:
        raise InputError("input.expected", "webpki: expected a server_hostname, found None")
    usual_timeout = connected_socket.gettimeout()
    tls, attested = open_tls(channel, connected_socket, server_hostname, channel.deadline())
    tls.settimeout(usual_timeout)
    return tls, attested.attestation


def open_tls(
    channel: ChannelVerifier, plain: socket.socket, server_hostname: str | None, deadline: Deadline
) -> tuple[ssl.SSLSocket, Attested]:
    """Opens TLS on a connected socket, and attests the server.

    Raises:
        NitroAttestError: As for ``attested_socket``. The socket is closed.
    """
    opened = plain
    try:
        plain.settimeout(deadline.remaining())
        opened = tls = _handshake(channel, plain, server_hostname, deadline)
        return tls, attest_socket(channel, tls, server_hostname, deadline)
    except BaseException:
        opened.close()
        raise


def _handshake(
    channel: ChannelVerifier, plain: socket.socket, server_hostname: str | None, deadline: Deadline
) -> ssl.SSLSocket:
    try:
        return channel.context.wrap_socket(plain, server_hostname=server_hostname)
    except TimeoutError:
        raise deadline.error() from None
    except OSError as error:
        raise handshake_error(error) from None


def attest_socket(
    channel: ChannelVerifier, tls: ssl.SSLSocket, host: str | None, deadline: Deadline
) -> Attested:
    """Attests the server of a TLS socket after the handshake.

    Changes the socket's timeout.

    Raises:
        NitroAttestError: As for ``attested_socket``. The socket is left open.
    """
    exchange = channel.begin(tls, host)
    _send(tls, exchange.request, deadline)
    attested = None
    while attested is None:
        attested = exchange.feed(_receive(tls, deadline))
    return attested


def _send(tls: ssl.SSLSocket, request: bytes, deadline: Deadline) -> None:
    try:
        tls.settimeout(deadline.remaining())
        tls.sendall(request)
    except TimeoutError:
        raise deadline.error() from None
    except OSError:
        pass  # the read reports a closed connection, after what the server sent


def _receive(tls: ssl.SSLSocket, deadline: Deadline) -> bytes:
    try:
        tls.settimeout(deadline.remaining())
        return tls.recv(RECEIVE_BYTES)
    except TimeoutError:
        raise deadline.error() from None
    except OSError:  # a reset connection is closed too
        return b""
