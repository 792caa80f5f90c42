"""The binding of nitriding: digests of the certificate and of application keys (B-4)."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from nitro_attest.channel.bindings.base import (
    Bound,
    Peer,
    check_attestation,
    compare,
    mismatch,
    require_size,
)
from nitro_attest.channel.bindings.bodies import from_base64
from nitro_attest.verification.attestation import Attestation

__all__ = ["Nitriding", "NitridingKeys"]

_PREFIX: Final = b"\x12\x20"  # a multihash: SHA-256, 32 bytes
_MULTIHASH_BYTES: Final = 34


@dataclass(frozen=True, slots=True)
class NitridingKeys:
    """The two digests in the documents of nitriding.

    Attributes:
        certificate_digest: SHA-256 of the DER of the TLS certificate, 32 bytes.
        application_digest: SHA-256 that the application registered for its own keys, 32 bytes;
            None if it registered none, for which the document has zeros.
    """

    certificate_digest: bytes
    application_digest: bytes | None


@dataclass(frozen=True, slots=True)
class Nitriding:
    """Binds the documents of nitriding, whose ``user_data`` has a certificate's digest (B-4).

    The request is ``GET /enclave/attestation`` with a nonce of 20 bytes in the query, in hex; the
    answer is the document in base64. ``user_data`` has 68 bytes: ``12 20``, the SHA-256 of the
    DER of the server's certificate, ``12 20``, and the SHA-256 that the application registered.
    """

    @property
    def nonce_bytes(self) -> int:
        """Size of the nonce: 20."""
        return 20

    def target(self, nonce: bytes) -> str:
        """Returns the path with the nonce in its query.

        Args:
            nonce: The nonce.
        """
        return f"/enclave/attestation?nonce={nonce.hex()}"

    def document(self, body: bytes) -> bytes:
        """Decodes the body from base64.

        Args:
            body: The body of the answer.

        Returns:
            The raw document.

        Raises:
            FormatError: ``document.encoding``: the body is not base64.
        """
        return from_base64(body)

    @staticmethod
    def read(attestation: Attestation) -> NitridingKeys:
        """Reads the two digests. Compares neither, so it binds nothing.

        Args:
            attestation: The verified document.

        Returns:
            The digests.

        Raises:
            InputError: ``input.document``: not a verified document of an enclave.
            PolicyError: ``policy.binding``: ``user_data`` does not have this form.
        """
        check_attestation(attestation)
        data = require_size("user_data", attestation.user_data, 2 * _MULTIHASH_BYTES)
        first, second = data[:_MULTIHASH_BYTES], data[_MULTIHASH_BYTES:]
        if not (first.startswith(_PREFIX) and second.startswith(_PREFIX)):
            raise mismatch(
                f"user_data is not two SHA-256 multihashes: expected {_PREFIX.hex()} before each "
                "digest",
                expected=f"{_PREFIX.hex()}... {_PREFIX.hex()}...",
                found=data.hex(),
            )
        application = second.removeprefix(_PREFIX)
        return NitridingKeys(
            certificate_digest=first.removeprefix(_PREFIX),
            application_digest=application if any(application) else None,
        )

    def check(self, attestation: Attestation, peer: Peer) -> Bound:
        """Checks that the first digest is that of the certificate of the connection.

        Args:
            attestation: The verified document.
            peer: The server of the connection on which it was received.

        Returns:
            The key of the connection.

        Raises:
            InputError: ``input.document``: not a verified document of an enclave.
            PolicyError: ``policy.binding``: the digest is that of a different certificate, or
                ``user_data`` does not have this form.
        """
        found = self.read(attestation).certificate_digest
        key = peer.public_key
        compare(
            "certificate digest in user_data",
            expected=sha256(peer.certificate).digest(),
            found=found,
        )
        return Bound("nitriding", key)
