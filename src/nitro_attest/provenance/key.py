"""Statements in a DSSE envelope, signed with a key that the caller names (V-2, V-3).

Source: the Dead Simple Signing Envelope, ``envelope.md`` and ``protocol.md``, version 1.0.
"""

from __future__ import annotations

import base64
import binascii
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from nitro_attest._internal.values import rebuilt
from nitro_attest.errors import InputError
from nitro_attest.limits import MAX_PROVENANCE_SIGNATURES
from nitro_attest.provenance.fields import check_members, checked_object, checked_text
from nitro_attest.provenance.signer import Signer
from nitro_attest.provenance.statement import PAYLOAD_TYPE

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

_HASHES: Final[Mapping[str, hashes.HashAlgorithm]] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
}
"""The hash of ECDSA for each curve; no other curve is accepted."""


@rebuilt
@dataclass(frozen=True, slots=True, init=False)
class SignerKey:
    """The public key of the only signer to trust.

    Args:
        pem: The key in PEM, as text or bytes: P-256, P-384 or Ed25519, and nothing beside it.

    Attributes:
        der: The SubjectPublicKeyInfo of the key.
        key: The key as an object of the cryptography package.

    Raises:
        InputError: ``provenance.signer``: not exactly one key of these kinds in PEM.
    """

    der: bytes
    key: PublicKey = field(compare=False, repr=False)

    def __init__(self, pem: str | bytes) -> None:
        key = _load(pem)
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        object.__setattr__(self, "der", der)
        object.__setattr__(self, "key", key)

    def __reduce__(self) -> tuple[type[SignerKey], tuple[bytes]]:
        pem = self.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return type(self), (pem,)

    @property
    def signer(self) -> Signer:
        """The signer that a signature of this key proves."""
        return Signer(key_sha256=sha256(self.der).hexdigest())


def verify_envelope(signer: SignerKey, envelope: dict[str, Any]) -> bytes:
    """Verifies an envelope: one of its signatures must be of the signer's key (V-3).

    Args:
        signer: The signer.
        envelope: The JSON object.

    Returns:
        The payload.

    Raises:
        InputError: ``provenance.format`` or ``provenance.unknown_key``: not an envelope of the
            accepted form. ``provenance.payload_type``: V-2. ``provenance.signature``: V-3.
    """
    payload_type, payload, signatures = _open(envelope)
    message = pre_authentication_encoding(payload_type, payload)
    if not any(_signed(signer.key, message, signature) for signature in signatures):
        raise InputError(
            "provenance.signature",
            f"expected a signature of the key of SHA-256 {signer.signer.key_sha256}, found none "
            "that is valid; check that this is the key of the signer",
        )
    return payload


def _signed(key: PublicKey, message: bytes, signature: bytes) -> bool:
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, message)
        else:
            key.verify(signature, message, ec.ECDSA(_HASHES[key.curve.name]))
    except InvalidSignature:
        return False
    return True


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """Returns the bytes that the signatures of an envelope cover (PAE).

    Args:
        payload_type: The type of the payload.
        payload: The payload.
    """
    name = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(payload), payload)


def _load(pem: object) -> PublicKey:
    data = pem.encode(errors="replace") if isinstance(pem, str) else pem
    if not isinstance(data, bytes) or data.count(b"-----BEGIN") != 1:
        hint = "" if isinstance(pem, bytes) else "; pass the content of its file"
        raise InputError(
            "provenance.signer",
            "the key of the signer: expected exactly one public key in PEM, found "
            f"{reprlib.repr(pem)}{hint}",
        )
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(
            "provenance.signer",
            f"the key of the signer: expected a public key in PEM, found another object: {error}",
        ) from None
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _HASHES:
        return key
    raise InputError(
        "provenance.signer",
        "the key of the signer: expected a key of P-256, P-384 or Ed25519, found "
        f"{key.curve.name if isinstance(key, ec.EllipticCurvePublicKey) else type(key).__name__}",
    )


def _open(envelope: dict[str, Any]) -> tuple[str, bytes, list[bytes]]:
    """Returns type, payload and signatures of an envelope (V-2)."""
    check_members(envelope, "the envelope", ("payload", "payloadType", "signatures"))
    payload_type = checked_text(envelope, "payloadType", "the envelope")
    check_payload_type(payload_type)
    entries = envelope["signatures"]
    if not isinstance(entries, list) or not 0 < len(entries) <= MAX_PROVENANCE_SIGNATURES:
        raise InputError(
            "provenance.format",
            f"signatures: expected a list of 1 to {MAX_PROVENANCE_SIGNATURES}, found "
            f"{reprlib.repr(entries)}",
        )
    signatures = []
    for entry in entries:
        signature = checked_object(entry, "a signature")
        # keyid is a hint that no signature covers, so it selects nothing
        check_members(signature, "a signature", ("sig",), ("keyid",))
        signatures.append(_base64(signature, "sig", "a signature"))
    return payload_type, _base64(envelope, "payload", "the envelope"), signatures


def check_payload_type(found: str) -> None:
    """Rejects a payload that is not a statement (V-2).

    Raises:
        InputError: ``provenance.payload_type``.
    """
    if found != PAYLOAD_TYPE:
        raise InputError(
            "provenance.payload_type",
            f"payloadType: expected {PAYLOAD_TYPE}, found {reprlib.repr(found)}",
        )


def _base64(found: Mapping[str, Any], name: str, what: str) -> bytes:
    """Decodes a member in the one encoding of its bytes."""
    text = checked_text(found, name, what)
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if base64.b64encode(data).decode() != text:
        raise InputError(
            "provenance.format",
            f"{name} of {what}: expected padded standard base64, found {reprlib.repr(text)}",
        )
    return data
