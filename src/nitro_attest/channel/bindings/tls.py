"""The binding to the TLS key of the server, for the protocol of this package (B-1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nitro_attest.channel.bindings.base import (
    Bound,
    Peer,
    check_attestation,
    check_path,
    compare,
)
from nitro_attest.limits import NONCE_BYTES
from nitro_attest.verification.attestation import Attestation

__all__ = ["CHALLENGE_PATH", "TlsKey"]

CHALLENGE_PATH: Final = "/.well-known/nitro-attestation"
"""Path of the request that challenges an enclave on a TLS connection."""


@dataclass(frozen=True, slots=True)
class TlsKey:
    """Binds a document whose ``public_key`` is the server's TLS key (B-1).

    The document's ``public_key`` is the DER of the SubjectPublicKeyInfo of the certificate that the
    server proved in the handshake. The certificate may be self-signed: the document vouches for its
    key. The nonce is the query of the request, in hex; the body of the answer is the raw document.

    Attributes:
        path: Path of the request.

    Raises:
        InputError: ``input.expected``: the path is not one.
    """

    path: str = CHALLENGE_PATH

    def __post_init__(self) -> None:
        check_path(self.path)

    @property
    def nonce_bytes(self) -> int:
        """Size of the nonce: 32."""
        return NONCE_BYTES

    def target(self, nonce: bytes) -> str:
        """Returns the path with the nonce in its query.

        Args:
            nonce: The nonce.
        """
        return f"{self.path}?nonce={nonce.hex()}"

    def document(self, body: bytes) -> bytes:
        """Returns the body, which is the document.

        Args:
            body: The body of the answer.
        """
        return body

    def check(self, attestation: Attestation, peer: Peer) -> Bound:
        """Checks that the document's ``public_key`` is the key of the connection.

        Args:
            attestation: The verified document.
            peer: The server of the connection on which it was received.

        Returns:
            The key that both have in common.

        Raises:
            InputError: ``input.document``: the argument is not a verified document of an enclave.
            PolicyError: ``policy.binding``: the keys differ, or the document has none.
        """
        check_attestation(attestation)
        key = peer.public_key
        compare("TLS key in public_key", expected=key, found=attestation.public_key)
        return Bound("tls-key", key)
