"""The attested public key as a key object (P-22)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, get_args, overload

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

from nitro_attest._internal.wording import plural
from nitro_attest.errors import InputError, PolicyError, PolicyFailure
from nitro_attest.verification.attestation import Attestation, NitroTpmAttestation

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

__all__ = ["CurveName", "RawKey", "decode_public_key", "load_public_key"]

CurveName = Literal["p256", "p384", "p521", "secp256k1"]
"""Curves whose points enclaves send as bare octets."""

RawKey = Literal["x25519", "ed25519", CurveName]
"""Kinds of key that enclaves send as bare octets, which do not identify their kind."""

_CURVES: Final[dict[str, ec.EllipticCurve]] = {
    "p256": ec.SECP256R1(),
    "p384": ec.SECP384R1(),
    "p521": ec.SECP521R1(),
    "secp256k1": ec.SECP256K1(),
}
_Result = Attestation | NitroTpmAttestation
_UNCOMPRESSED: Final = 0x04


@overload
def load_public_key(attestation: _Result, kind: None = None) -> PublicKeyTypes: ...
@overload
def load_public_key(attestation: _Result, kind: Literal["x25519"]) -> X25519PublicKey: ...
@overload
def load_public_key(attestation: _Result, kind: Literal["ed25519"]) -> Ed25519PublicKey: ...
@overload
def load_public_key(attestation: _Result, kind: CurveName) -> ec.EllipticCurvePublicKey: ...
def load_public_key(
    attestation: Attestation | NitroTpmAttestation, kind: RawKey | None = None
) -> PublicKeyTypes:
    """Loads the ``public_key`` of a verified document as a key object (P-22).

    Args:
        attestation: The result of a verification. The key of an unverified document cannot be
            trusted, so it cannot be loaded.
        kind: None for a SubjectPublicKeyInfo in DER or PEM (RFC 5280 section 4.1.2.7). Otherwise
            the kind of key that the enclave's code writes as bare octets: 32 for ``x25519``
            (RFC 7748) or ``ed25519`` (RFC 8032); an uncompressed point (SEC 1 section 2.3.3) for
            ``p256``, ``p384``, ``p521`` or ``secp256k1``. The kind is never guessed: 32 octets are
            valid for two kinds, and points of P-256 and secp256k1 are both 65 octets long.

    Returns:
        A key object of the ``cryptography`` package.

    Raises:
        PolicyError: ``policy.public_key``: the document has no public key, or one that does not
            have the form of its kind or is not on its curve. The enclave chose it.
        InputError: ``input.expected``: the argument is not the result of a verification, or the
            kind is unknown.

    Example:
        >>> import nitro_attest
        >>> from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
        >>> enclave_key = X25519PrivateKey.generate()
        >>> octets = enclave_key.public_key().public_bytes_raw()
        >>> attestation = nitro_attest.verify(nitro.document(public_key=octets), root_pem)
        >>> nitro_attest.load_public_key(attestation, "x25519") == enclave_key.public_key()
        True
    """
    if not isinstance(attestation, (Attestation, NitroTpmAttestation)):
        raise InputError(
            "input.expected",
            "attestation: expected the result of a verification, found "
            f"{type(attestation).__name__}",
        )
    return decode_public_key(attestation.public_key, kind)


def decode_public_key(data: bytes | None, kind: RawKey | None) -> PublicKeyTypes:
    """Decodes the octets of a public key.

    Args:
        data: The ``public_key`` field of a document.
        kind: As for ``load_public_key``.

    Returns:
        A key object of the ``cryptography`` package.

    Raises:
        PolicyError: As for ``load_public_key``.
        InputError: ``input.expected``: the data are not bytes, or the kind is unknown.
    """
    if data is not None and not isinstance(data, bytes):
        raise InputError(
            "input.expected", f"public_key: expected bytes, found {type(data).__name__}"
        )
    if kind is not None and (not isinstance(kind, str) or kind not in get_args(RawKey)):
        raise InputError(
            "input.expected",
            f"unknown kind {kind!r}; expected one of: {', '.join(get_args(RawKey))}",
        )
    form = _form(kind)
    if not data:
        raise _rejected("the document has no public_key", form, data)
    try:
        if kind is None:
            pem = data.startswith(b"-----BEGIN")
            return load_pem_public_key(data) if pem else load_der_public_key(data)
        if kind in _CURVES:
            if data[0] != _UNCOMPRESSED:
                raise ValueError("not an uncompressed point")
            return ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[kind], data)
        loader = X25519PublicKey if kind == "x25519" else Ed25519PublicKey
        return loader.from_public_bytes(data)
    except Exception as error:  # whatever the library raises rejects the key
        found = plural(len(data), "octet")
        message = f"public_key mismatch: expected {form}, found {found} that are no such key"
        raise _rejected(message, form, data) from error


def _form(kind: RawKey | None) -> str:
    """Describes the form that a key must have."""
    if kind is None:
        return "a SubjectPublicKeyInfo in DER or PEM (for bare octets, pass kind=)"
    if kind not in _CURVES:
        return f"32 octets of kind {kind}"
    octets = 1 + 2 * ((_CURVES[kind].key_size + 7) // 8)
    return f"an uncompressed point of kind {kind} ({octets} octets that begin with 04)"


def _rejected(message: str, expected: str, data: bytes | None) -> PolicyError:
    found = None if data is None else data.hex()
    return PolicyError(
        [PolicyFailure("policy.public_key", message, expected=expected, found=found)]
    )
