"""The bindings of Turnkey: boot proofs and app proofs of QuorumOS enclaves (B-7, B-8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from nitro_attest._internal.wording import size_or_type
from nitro_attest.channel.bindings.base import (
    check_attestation,
    compare,
    mismatch,
    require_size,
)
from nitro_attest.channel.bindings.enclave_key import bare_key
from nitro_attest.errors import InputError
from nitro_attest.verification.attestation import Attestation

__all__ = ["TurnkeyApp", "TurnkeyBoot", "TurnkeyKeys"]

_POINT_BYTES: Final = 65
_DIGEST_BYTES: Final = 32
_INTEGER_BYTES: Final = 32
_MANIFEST_PCRS: Final = (0, 1, 2, 3)


@dataclass(frozen=True, slots=True)
class TurnkeyKeys:
    """The two keys of an enclave, and the digest of its manifest.

    Attributes:
        octets: ``public_key`` of the document: two uncompressed points, 130 bytes.
        manifest_digest: SHA-256 of the manifest, 32 bytes.
        encryption_key: The first point: the P-256 key to encrypt to.
        signing_key: The second point: the P-256 key that signs app proofs.
    """

    octets: bytes
    manifest_digest: bytes
    encryption_key: EllipticCurvePublicKey = field(compare=False, repr=False)
    signing_key: EllipticCurvePublicKey = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class TurnkeyBoot:
    """Checks a boot proof: that an enclave runs the application of a manifest (B-7).

    PCR0 to PCR2 measure QuorumOS, which is the same for every application. The application is named
    by the manifest: ``user_data`` is its SHA-256, so pass a manifest that you have reviewed, not
    one that came with the document. The manifest lists PCR0 to PCR3 of the enclave, which are
    compared too.

    Attributes:
        manifest: The expected manifest, as QuorumOS serializes it: ``qosManifestB64`` of Turnkey's
            boot proof, decoded.

    Raises:
        InputError: ``input.expected``: the manifest is not bytes, or empty.
    """

    manifest: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.manifest, bytes) or not self.manifest:
            raise InputError(
                "input.expected", f"manifest: expected bytes, found {size_or_type(self.manifest)}"
            )

    @staticmethod
    def read(attestation: Attestation) -> TurnkeyKeys:
        """Reads the keys and the digest, without comparing the digest.

        Args:
            attestation: The verified document.

        Returns:
            The keys of some QuorumOS enclave, with the digest of its manifest.

        Raises:
            InputError: ``input.document``: not a verified document of an enclave.
            PolicyError: ``policy.binding``: ``public_key`` is not two P-256 points, or
                ``user_data`` does not have 32 bytes.
        """
        check_attestation(attestation)
        octets = require_size("public_key", attestation.public_key, 2 * _POINT_BYTES)
        digest = require_size("user_data", attestation.user_data, _DIGEST_BYTES)
        return TurnkeyKeys(
            octets,
            digest,
            encryption_key=bare_key(octets[:_POINT_BYTES], "p256"),
            signing_key=bare_key(octets[_POINT_BYTES:], "p256"),
        )

    def check(self, attestation: Attestation) -> TurnkeyKeys:
        """Checks that the document is of an enclave with this manifest.

        Args:
            attestation: The verified document.

        Returns:
            The enclave's keys, which say nothing about any connection.

        Raises:
            InputError: ``input.document``: not a verified document of an enclave.
            PolicyError: ``policy.binding``: the digest is that of a different manifest, the
                manifest does not have the document's PCR0 to PCR3, or the document does not have
                the form of Turnkey.
        """
        keys = self.read(attestation)
        compare(
            "manifest digest in user_data",
            expected=sha256(self.manifest).digest(),
            found=keys.manifest_digest,
        )
        if not _has_pcrs(self.manifest, attestation.pcrs):
            raise mismatch(
                "the manifest does not have PCR0 to PCR3 of the document",
                expected="PCR0 to PCR3 in the manifest",
                found=", ".join(attestation.pcrs[index].hex() for index in (0, 1, 2)),
            )
        return keys


@dataclass(frozen=True, slots=True)
class TurnkeyApp:
    """Checks an app proof: that the enclave of a boot proof signed a statement (B-8).

    Attributes:
        boot: The boot proof's binding, with the expected manifest.
        payload: The statement: ``proofPayload`` of Turnkey's app proof, exactly as received, in
            UTF-8.
        signature: Its ECDSA signature with SHA-256: r and s, 32 bytes each.

    Raises:
        InputError: ``input.expected``: an argument has the wrong type, or the signature does not
            have 64 bytes.
    """

    boot: TurnkeyBoot
    payload: bytes
    signature: bytes

    def __post_init__(self) -> None:
        if not isinstance(self.boot, TurnkeyBoot):
            raise InputError(
                "input.expected", f"boot: expected TurnkeyBoot, found {type(self.boot).__name__}"
            )
        if not isinstance(self.payload, bytes):
            raise InputError(
                "input.expected", f"payload: expected bytes, found {type(self.payload).__name__}"
            )
        if not isinstance(self.signature, bytes) or len(self.signature) != 2 * _INTEGER_BYTES:
            raise InputError(
                "input.expected",
                f"signature: expected {2 * _INTEGER_BYTES} bytes, found "
                f"{size_or_type(self.signature)}",
            )

    def check(self, attestation: Attestation) -> TurnkeyKeys:
        """Checks the boot proof, and the signature by the enclave's signing key.

        Args:
            attestation: The verified document of the boot proof.

        Returns:
            The enclave's keys; the statement is authentic.

        Raises:
            InputError: ``input.document``: not a verified document of an enclave.
            PolicyError: ``policy.binding``: the boot proof does not match (as for
                ``TurnkeyBoot.check``), or its key did not sign the payload.
        """
        keys = self.boot.check(attestation)
        r = int.from_bytes(self.signature[:_INTEGER_BYTES], "big")
        s = int.from_bytes(self.signature[_INTEGER_BYTES:], "big")
        try:
            keys.signing_key.verify(encode_dss_signature(r, s), self.payload, ECDSA(SHA256()))
        except InvalidSignature:
            raise mismatch(
                "the signature of the payload was not made by the enclave's signing key",
                expected="a signature by the second key in public_key",
                found=self.signature.hex(),
            ) from None
        return keys


def _has_pcrs(manifest: bytes, pcrs: Mapping[int, bytes]) -> bool:
    """Tells whether a manifest lists PCR0 to PCR3 in a row.

    It lists each as Borsh does: its size in four bytes, little-endian, before its bytes.
    """
    listed = [pcrs[index] for index in _MANIFEST_PCRS if index in pcrs]
    row = b"".join(len(value).to_bytes(4, "little") + value for value in listed)
    return len(listed) == len(_MANIFEST_PCRS) and row in manifest
