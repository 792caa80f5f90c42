"""The attested public key as a key object, from the forms that enclaves use (P-22)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

from nitro_attest.errors import InputError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

    from nitro_attest.verification.attestation import Attestation, NitroTpmAttestation

RawKey = Literal["x25519", "ed25519", "p256", "p384", "p521", "secp256k1"]
"""Kinds of key that come as bare octets, which do not identify their kind."""

_CURVES: Final[dict[str, ec.EllipticCurve]] = {
    "p256": ec.SECP256R1(),
    "p384": ec.SECP384R1(),
    "p521": ec.SECP521R1(),
    "secp256k1": ec.SECP256K1(),
}
_RAW_BYTES: Final = 32
_UNCOMPRESSED: Final = 0x04


def load_public_key(
    attestation: Attestation | NitroTpmAttestation, kind: RawKey | None = None
) -> PublicKeyTypes:
    """Loads the ``public_key`` of a verified document as a key object (P-22).

    Example:
        >>> key = load_public_key(attestation, "x25519")

    Args:
        attestation: The result of a verification; a document that was not verified has no key that
            could be trusted.
        kind: None for a SubjectPublicKeyInfo in DER or PEM (RFC 5280 section 4.1.2.7). Otherwise
            the kind of key that the enclave's code puts there as bare octets: 32 for ``x25519``
            (RFC 7748) or ``ed25519`` (RFC 8032); an uncompressed point (SEC 1 section 2.3.3) for
            ``p256``, ``p384``, ``p521`` or ``secp256k1``. It is never guessed: 32 octets are valid
            for two kinds, and points of P-256 and secp256k1 are both 65 octets long.

    Returns:
        The key object of the ``cryptography`` package.

    Raises:
        InputError: ``input.expected``: the document has no public key, the key has another form or
            is not on its curve, or the kind is unknown.
    """
    return decode_public_key(attestation.public_key, kind)


def decode_public_key(data: bytes | None, kind: RawKey | None) -> PublicKeyTypes:
    """Decodes the octets of a public key; arguments and errors as for ``load_public_key``."""
    if not data:
        raise InputError("input.expected", "the document holds no public_key")
    try:
        if kind is None:
            pem = data.startswith(b"-----BEGIN")
            return load_pem_public_key(data) if pem else load_der_public_key(data)
        return _load_raw(data, kind)
    except InputError:
        raise
    except Exception as error:
        form = (
            "a DER or PEM SubjectPublicKeyInfo; if the enclave gives bare octets, say which kind"
            if kind is None
            else f"a key of kind {kind}"
        )
        raise InputError(
            "input.expected", f"public_key ({len(data)} bytes) is not {form}"
        ) from error


def _load_raw(data: bytes, kind: str) -> PublicKeyTypes:
    if kind in _CURVES:
        curve = _CURVES[kind]
        octets = 1 + 2 * ((curve.key_size + 7) // 8)
        if len(data) == octets and data[0] == _UNCOMPRESSED:
            return ec.EllipticCurvePublicKey.from_encoded_point(curve, data)
        form = f"{octets} octets that begin with 04 (compressed points are not read)"
    elif kind in ("x25519", "ed25519"):
        if len(data) == _RAW_BYTES:
            loader = X25519PublicKey if kind == "x25519" else Ed25519PublicKey
            return loader.from_public_bytes(data)
        form = f"{_RAW_BYTES} octets"
    else:
        raise InputError(
            "input.expected",
            f"kind {kind!r} is not known; x25519, ed25519, {', '.join(_CURVES)} are",
        )
    raise InputError("input.expected", f"public_key has {len(data)} bytes; {kind} expects {form}")
