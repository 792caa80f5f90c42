"""The interface of a binding, and what it compares: the peer of a connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nitro_attest.errors import PolicyError, PolicyFailure
from nitro_attest.verification.attestation import Attestation

__all__ = ["Binding", "Bound", "Peer"]


@dataclass(frozen=True, slots=True)
class Peer:
    """The server of one TLS connection.

    Attributes:
        certificate: DER of the leaf certificate whose key the server proved in the handshake.
    """

    certificate: bytes

    @property
    def public_key(self) -> bytes:
        """The certificate's key: DER of the SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7)."""
        key = x509.load_der_x509_certificate(self.certificate).public_key()
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True, slots=True)
class Bound:
    """The proof that the enclave of a document is the server of a connection.

    Attributes:
        binding: Name of the binding, such as ``tls-key``.
        public_key: DER of the SubjectPublicKeyInfo of the key that the connection and the document
            have in common.
    """

    binding: str
    public_key: bytes


class Binding(Protocol):
    """Ties a document to the TLS connection on which it was received.

    A binding is immutable and does no I/O: a client sends a GET request for ``target()`` as the
    first request of the connection, reads the document from the answer's body by ``document()``,
    verifies it, and passes the result to ``check()``. Write your own class with these members for
    an enclave that ties its key to its documents in another way.
    """

    @property
    def nonce_bytes(self) -> int:
        """Size of the nonce that the server expects."""
        ...

    def target(self, nonce: bytes) -> str:
        """Returns the target of the request, a path with its query, for a nonce."""
        ...

    def document(self, body: bytes) -> bytes:
        """Returns the document in the body of an answer.

        Raises:
            FormatError: The body is not of the form that the server uses.
        """
        ...

    def check(self, attestation: Attestation, peer: Peer) -> Bound:
        """Checks that a verified document names the key of a connection.

        Raises:
            PolicyError: ``policy.binding``: it names a different key, or none.
        """
        ...


def mismatch(message: str, *, expected: str, found: str | None) -> PolicyError:
    """Builds the error of a binding that does not hold."""
    return PolicyError([PolicyFailure("policy.binding", message, expected=expected, found=found)])
