"""The public key in a document, in the forms that enclaves give it (P-22)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

from nitro_attest.errors import InputError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

RawKey = Literal["x25519", "ed25519", "p256", "p384", "p521", "secp256k1"]
"""Kinds of key that come as bare octets, which do not say themselves what they are."""

_CURVES: Final[dict[str, ec.EllipticCurve]] = {
    "p256": ec.SECP256R1(),
    "p384": ec.SECP384R1(),
    "p521": ec.SECP521R1(),
    "secp256k1": ec.SECP256K1(),
}
_RAW_BYTES: Final = 32
_UNCOMPRESSED: Final = 0x04


def load_public_key(data: bytes | None, kind: RawKey | None) -> PublicKeyTypes:
    """A key object from the octets in a document.

    Args:
        data: The field ``public_key``.
        kind: None for a SubjectPublicKeyInfo in DER or PEM (RFC 5280 section 4.1.2.7). Otherwise
            which key the octets are: 32 of X25519 (RFC 7748) or Ed25519 (RFC 8032), or an
            uncompressed point of a curve (SEC 1 section 2.3.3). It is never guessed: 32 octets are
            a key of both kinds, and P-256 and secp256k1 have points of the same 65.

    Raises:
        InputError: ``input.expected``: the key is absent, has another form, or is not on its curve;
            or there is no such kind.
    """
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
