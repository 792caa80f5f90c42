"""The binding to a secp256k1 key, as enclaves of Ethereum services have (B-11)."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from nitro_attest.channel.bindings.base import check_attestation, require_size
from nitro_attest.channel.bindings.enclave_key import EnclaveKey, bare_key
from nitro_attest.verification.attestation import Attestation

__all__ = ["Secp256k1Key"]


@dataclass(frozen=True, slots=True)
class Secp256k1Key:
    """Reads a secp256k1 key: an uncompressed point of 65 octets in ``public_key`` (B-11).

    The Ethereum address of the key is the last 20 bytes of the Keccak-256 of ``octets[1:]``.
    Keccak-256 is not SHA3-256; the ``cryptography`` package has no Keccak, so the address is not
    part of the result.
    """

    def check(self, attestation: Attestation) -> EnclaveKey[EllipticCurvePublicKey]:
        """Reads the key.

        Args:
            attestation: The verified document.

        Returns:
            The key, which says nothing about any connection.

        Raises:
            InputError: ``input.document``: not a verified document of an enclave.
            PolicyError: ``policy.binding``: ``public_key`` is not such a point.
        """
        check_attestation(attestation)
        octets = require_size("public_key", attestation.public_key, 65)
        return EnclaveKey("secp256k1", octets, bare_key(octets, "secp256k1"))
