"""The keys that documents name in their public_key, in the bare forms that enclaves write."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, Literal, TypeVar, overload

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from nitro_attest.channel.bindings.base import mismatch
from nitro_attest.errors import PolicyError
from nitro_attest.keys.public_key import decode_public_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

__all__ = ["EnclaveKey"]

_KeyT = TypeVar("_KeyT", bound="PublicKeyTypes", covariant=True)

_X25519_END: Final = 2**255 - 19  # the coordinates are below it (RFC 7748 section 4.1)


@dataclass(frozen=True, slots=True)
class EnclaveKey(Generic[_KeyT]):
    """A key that a verified document names. It proves nothing about any connection.

    Only what is encrypted to this key, or signed by it, reaches or comes from the enclave.

    Attributes:
        binding: Name of the binding that read the key, such as ``nautilus``.
        octets: The key as it is in the document.
        key: The key as an object of the ``cryptography`` package.
    """

    binding: str
    octets: bytes
    key: _KeyT = field(compare=False, repr=False)  # the objects are unhashable; octets decide


@overload
def bare_key(octets: bytes, kind: Literal["x25519"]) -> X25519PublicKey: ...
@overload
def bare_key(octets: bytes, kind: Literal["ed25519"]) -> Ed25519PublicKey: ...
@overload
def bare_key(octets: bytes, kind: Literal["p256", "secp256k1"]) -> EllipticCurvePublicKey: ...
def bare_key(
    octets: bytes, kind: Literal["x25519", "ed25519", "p256", "secp256k1"]
) -> PublicKeyTypes:
    """Decodes a key from a document.

    Args:
        octets: 32 octets of a key on Curve25519 (RFC 7748, RFC 8032), or the 65 octets of an
            uncompressed point (SEC 1 section 2.3.3).
        kind: The kind of key, which 32 or 65 octets do not identify.

    Returns:
        The key.

    Raises:
        PolicyError: ``policy.binding``: the octets do not have this form; 65 octets are not on the
            curve. (No signature verifies under 32 octets that are no Ed25519 key.)
    """
    expected = f"a key of kind {kind}"
    try:
        key = decode_public_key(octets, kind)
    except PolicyError as error:
        raise mismatch(error.message, expected=expected, found=octets.hex()) from None
    if kind == "x25519" and int.from_bytes(octets, "little") >= _X25519_END:
        message = "public_key is not an X25519 key: out of range"
        raise mismatch(message, expected=expected, found=octets.hex())
    return key
