"""The binding of Nautilus: an Ed25519 key that signs the enclave's answers (B-10)."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from nitro_attest.channel.bindings.base import check_attestation, require_size
from nitro_attest.channel.bindings.enclave_key import EnclaveKey, bare_key
from nitro_attest.verification.attestation import Attestation

__all__ = ["Nautilus"]


@dataclass(frozen=True, slots=True)
class Nautilus:
    """Reads the key of a Nautilus enclave: 32 octets of an Ed25519 key in ``public_key`` (B-10).

    The enclave makes the key when it starts and signs its answers with it. The document is at
    ``/get_attestation``, in hex in a JSON object; it has no nonce.
    """

    def check(self, attestation: Attestation) -> EnclaveKey[Ed25519PublicKey]:
        """Reads the key.

        Args:
            attestation: The verified document.

        Returns:
            The key, which says nothing about any connection: verify the signature of each answer.

        Raises:
            InputError: ``input.document``: not a verified document of an enclave.
            PolicyError: ``policy.binding``: ``public_key`` does not have 32 octets.
        """
        check_attestation(attestation)
        octets = require_size("public_key", attestation.public_key, 32)
        return EnclaveKey("nautilus", octets, bare_key(octets, "ed25519"))
