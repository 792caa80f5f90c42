"""Bindings to the TLS key or the certificate of the server (B-1 to B-3)."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Literal

from nitro_attest.channel.bindings.base import (
    Bound,
    Peer,
    check_attestation,
    check_path,
    compare,
)
from nitro_attest.errors import InputError
from nitro_attest.limits import NONCE_BYTES
from nitro_attest.transport.connection import CHALLENGE_PATH
from nitro_attest.verification.attestation import Attestation

__all__ = ["TlsCertificateDigest", "TlsKey", "TlsKeyDigest"]

_FIELDS: Final = ("public_key", "user_data")


@dataclass(frozen=True, slots=True)
class _RawDocument:
    """The request and the answer that these bindings share.

    The nonce is in the query of the request, in hex; the body of the answer is the raw document.
    """

    path: str

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


@dataclass(frozen=True, slots=True)
class TlsKey(_RawDocument):
    """Binds a document whose ``public_key`` is the server's TLS key (B-1).

    The document's ``public_key`` is the DER of the SubjectPublicKeyInfo of the certificate that the
    server proved in the handshake. The certificate may be self-signed: the document vouches for its
    key. The nonce is in the query of the request, in hex; the body of the answer is the raw
    document.

    Attributes:
        path: Path of the request, without a query.

    Raises:
        InputError: ``input.expected``: ``path`` is not the path of a request.
    """

    path: str = CHALLENGE_PATH

    def check(self, attestation: Attestation, peer: Peer) -> Bound:
        """Checks that the document's ``public_key`` is the key of the connection.

        Args:
            attestation: The verified document.
            peer: The server of the connection on which it was received.

        Returns:
            The key that both have in common.

        Raises:
            InputError: ``input.document``: not a verified document of an enclave.
            PolicyError: ``policy.binding``: the keys differ, or the document has none.
        """
        check_attestation(attestation)
        key = peer.public_key
        compare("public_key", expected=key, found=attestation.public_key)
        return Bound("tls-key", key)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Digest(_RawDocument):
    """A binding to a digest in a field that the caller names."""

    field: Literal["public_key", "user_data"]

    def __post_init__(self) -> None:
        check_path(self.path)
        if self.field not in _FIELDS:
            raise InputError(
                "input.expected",
                f"field: expected one of {', '.join(_FIELDS)}; found {self.field!r:.200}",
            )

    def _compare(self, attestation: Attestation, data: bytes) -> None:
        check_attestation(attestation)
        found = attestation.public_key if self.field == "public_key" else attestation.user_data
        compare(self.field, expected=sha256(data).digest(), found=found)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsKeyDigest(_Digest):
    """Binds a document that has the SHA-256 of the server's TLS key (B-2).

    The digest is that of the DER of the SubjectPublicKeyInfo of the certificate that the server
    proved in the handshake: the value that HTTP public key pinning used (RFC 7469 section 2.4). The
    request and the answer are those of ``TlsKey``.

    Attributes:
        path: Path of the request, without a query.
        field: The field with the digest, ``"public_key"`` or ``"user_data"``.

    Raises:
        InputError: ``input.expected``: ``path`` is not the path of a request, or ``field`` is
            neither of the two.
    """

    def check(self, attestation: Attestation, peer: Peer) -> Bound:
        """Checks that the field is the SHA-256 of the key of the connection.

        Args:
            attestation: The verified document.
            peer: The server of the connection on which it was received.

        Returns:
            The key of the connection.

        Raises:
            InputError: ``input.document``: not a verified document of an enclave.
            PolicyError: ``policy.binding``: the digests differ, or the document has none.
        """
        key = peer.public_key
        self._compare(attestation, key)
        return Bound("tls-key-digest", key)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsCertificateDigest(_Digest):
    """Binds a document that has the SHA-256 of the server's certificate (B-3).

    The digest is that of the DER of the certificate that the server proved in the handshake. The
    request and the answer are those of ``TlsKey``.

    Attributes:
        path: Path of the request, without a query.
        field: The field with the digest, ``"public_key"`` or ``"user_data"``.

    Raises:
        InputError: ``input.expected``: ``path`` is not the path of a request, or ``field`` is
            neither of the two.
    """

    def check(self, attestation: Attestation, peer: Peer) -> Bound:
        """Checks that the field is the SHA-256 of the certificate of the connection.

        Args:
            attestation: The verified document.
            peer: The server of the connection on which it was received.

        Returns:
            The key of the connection.

        Raises:
            InputError: ``input.document``: not a verified document of an enclave.
            PolicyError: ``policy.binding``: the digests differ, or the document has none.
        """
        key = peer.public_key
        self._compare(attestation, peer.certificate)
        return Bound("tls-certificate-digest", key)
