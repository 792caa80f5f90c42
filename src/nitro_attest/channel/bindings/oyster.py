"""The binding of Marlin Oyster: a raw public key (B-6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from nitro_attest.channel.bindings.base import check_attestation, require_size
from nitro_attest.channel.bindings.enclave_key import EnclaveKey, bare_key
from nitro_attest.errors import InputError
from nitro_attest.verification.attestation import Attestation

__all__ = ["Oyster"]

_KINDS: Final = ("x25519", "ed25519", "secp256k1")
_UNCOMPRESSED: Final = b"\x04"


@dataclass(frozen=True, slots=True)
class Oyster:
    """Reads the key of an Oyster enclave from ``public_key`` (B-6).

    Oyster enclaves make an identity key when they start. Which kind depends on the enclave's image,
    and a document does not identify it, so the caller must: current images have an X25519 key for
    encrypted sessions, earlier ones had an Ed25519 key, and those of the attestation verifier have
    a secp256k1 key. The document is at ``/attestation/raw`` on port 1301 of the enclave's address.

    Attributes:
        kind: ``"x25519"`` or ``"ed25519"``: 32 octets; ``"secp256k1"``: the coordinates x and y of
            the point, 32 octets each.

    Raises:
        InputError: ``input.expected``: the kind is none of the three.
    """

    kind: Literal["x25519", "ed25519", "secp256k1"]

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise InputError(
                "input.expected",
                f"kind: expected one of {', '.join(_KINDS)}; found {self.kind!r:.200}",
            )

    def check(
        self, attestation: Attestation
    ) -> EnclaveKey[X25519PublicKey | Ed25519PublicKey | EllipticCurvePublicKey]:
        """Reads the key.

        Args:
            attestation: The verified document.

        Returns:
            The key, which says nothing about any connection.

        Raises:
            InputError: ``input.document``: not a verified document of an enclave.
            PolicyError: ``policy.binding``: ``public_key`` is not a key of this kind.
        """
        check_attestation(attestation)
        if self.kind == "secp256k1":
            octets = require_size("public_key", attestation.public_key, 64)
            return EnclaveKey("oyster", octets, bare_key(_UNCOMPRESSED + octets, "secp256k1"))
        octets = require_size("public_key", attestation.public_key, 32)
        return EnclaveKey("oyster", octets, bare_key(octets, self.kind))
