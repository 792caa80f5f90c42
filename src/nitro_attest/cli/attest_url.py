"""Attests the TLS server of a URL, for ``nitro-attest fetch``."""

from __future__ import annotations

import re
from typing import Final

import click

from nitro_attest.channel.bindings import Binding, Bound, Evervault, Nitriding, Peer, TlsKey
from nitro_attest.channel.exchange import Attested, ChannelVerifier
from nitro_attest.channel.sockets import open_tls
from nitro_attest.transport.connection import TcpEndpoint, connect
from nitro_attest.verification.attestation import Attestation

BINDINGS: Final[dict[str, Binding]] = {
    "tls-key": TlsKey(),
    "nitriding": Nitriding(),
    "evervault": Evervault(),
}
"""The values of ``--binding``."""

DEFAULT_BINDING: Final = "tls-key"

_HTTPS: Final = 443
_MAX_PORT: Final = 65535
_URL: Final = re.compile(
    r"https://(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_][A-Za-z0-9._-]{0,252}))(?::([0-9]{1,5}))?/?"
)


class Recorder:
    """A binding that also keeps the document, for the case that its verification fails.

    Args:
        binding: The binding that decides.

    Attributes:
        received: The document; empty until one is received.
    """

    def __init__(self, binding: Binding) -> None:
        self._binding = binding
        self.received = b""

    @property
    def nonce_bytes(self) -> int:
        """As that of the binding."""
        return self._binding.nonce_bytes

    def target(self, nonce: bytes) -> str:
        """Calls the binding."""
        return self._binding.target(nonce)

    def document(self, body: bytes) -> bytes:
        """Calls the binding, and keeps the document."""
        self.received = self._binding.document(body)
        return self.received

    def check(self, attestation: Attestation, peer: Peer) -> Bound:
        """Calls the binding."""
        return self._binding.check(attestation, peer)


def parse_url(url: str) -> TcpEndpoint:
    """Parses the URL of a server.

    Args:
        url: ``https://host`` or ``https://host:port``.

    Returns:
        The server's address.

    Raises:
        click.UsageError: The URL has a different form.
    """
    match = _URL.fullmatch(url)
    port = int(match[3] or _HTTPS) if match else 0
    if match is None or not 0 < port <= _MAX_PORT:
        raise click.UsageError(f"expected a URL such as https://host:port/, found {url[:200]!r}")
    return TcpEndpoint(match[1] or match[2], port)


def attest_url(url: str, channel: ChannelVerifier) -> Attested:
    """Opens a connection, attests the server, and closes the connection.

    Args:
        url: The URL, as for ``parse_url``.
        channel: Verifies the server.

    Returns:
        The result.

    Raises:
        NitroAttestError: As for ``nitro_attest.channel.attested_socket``, and for
            ``nitro_attest.transport.connection.connect``.
    """
    server = parse_url(url)
    deadline = channel.deadline()
    tls, attested = open_tls(channel, connect(server, deadline), server.host, deadline)
    tls.close()
    return attested
