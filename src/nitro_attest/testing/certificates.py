"""Keys, and certificates of which every part can be chosen.

A certificate is a value: `CertificateForm` holds what it shall say, `CertificateForm.der` are its
bytes. To break one part, `dataclasses.replace` it; the issuer signs whatever the form says.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from nitro_attest.testing import _der as der

ECDSA_WITH_SHA384: Final = der.sequence(der.object_identifier("1.2.840.10045.4.3.3"))
"""RFC 5758 section 3.2: the parameters are absent."""


class Key:
    """An ECDSA key pair."""

    def __init__(self, private: ec.EllipticCurvePrivateKey, *, deterministic: bool) -> None:
        self._private = private
        self._deterministic = deterministic

    @cached_property
    def spki(self) -> bytes:
        """The public key as SubjectPublicKeyInfo in DER."""
        return self._private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @cached_property
    def identifier(self) -> bytes:
        """The 20 bytes of RFC 5280 section 4.2.1.2, method 1."""
        return x509.SubjectKeyIdentifier.from_public_key(self._private.public_key()).digest

    def sign(self, message: bytes, digest: hashes.HashAlgorithm | None = None) -> bytes:
        """An ECDSA signature over the message, as a DER SEQUENCE of r and s."""
        algorithm = ec.ECDSA(digest or hashes.SHA384(), deterministic_signing=self._deterministic)
        return self._private.sign(message, algorithm)


class KeyRing:
    """Keys and numbers that follow from one secret and a label each."""

    def __init__(self, secret: bytes, *, deterministic: bool) -> None:
        self._secret = secret
        self._deterministic = deterministic

    def octets(self, label: str, length: int) -> bytes:
        """Bytes that look random and are the same for the same label."""
        return hashlib.shake_256(self._secret + b"\x00" + label.encode()).digest(length)

    def key(self, label: str, curve: ec.EllipticCurve | None = None) -> Key:
        """A key pair, on P-384 unless told otherwise."""
        curve = curve or ec.SECP384R1()
        number = int.from_bytes(self.octets(f"key {label}", 80), "big")
        private = ec.derive_private_key(1 + number % (curve.group_order - 1), curve)
        return Key(private, deterministic=self._deterministic)

    def serial(self, label: str, octets: int) -> int:
        """A positive serial number of exactly ``octets`` octets with the top bit set.

        Its INTEGER has one content octet more: the sign.
        """
        number = int.from_bytes(self.octets(f"serial {label}", octets), "big")
        return number | 1 << (8 * octets - 1)


class Extension(NamedTuple):
    """One extension of a certificate, its value already encoded."""

    oid: str
    critical: bool
    value: bytes

    @classmethod
    def of(cls, value: x509.ExtensionType, *, critical: bool) -> Extension:
        """An extension that cryptography can encode."""
        return cls(value.oid.dotted_string, critical, value.public_bytes())

    @property
    def der(self) -> bytes:
        """The Extension of RFC 5280 section 4.1; a criticality of FALSE is left out (DEFAULT)."""
        critical = der.tlv(0x01, b"\xff") if self.critical else b""
        return der.sequence(der.object_identifier(self.oid), critical, der.octet_string(self.value))


@dataclass(frozen=True, kw_only=True, eq=False)
class CertificateForm:
    """What a certificate shall say.

    Attributes:
        subject: Name in DER.
        issuer: Name in DER.
        key: The key pair of the subject.
        signer: The key pair that signs; the subject's own for a self-signed certificate.
        serial: A number, or the content octets of the INTEGER.
        not_before: Start of the validity, whole seconds.
        not_after: End of the validity, whole seconds.
        extensions: In this order; empty leaves the field out.
        version: The encoded number, 2 for version 3; None leaves it out, which says version 1.
        generalized: The form of both dates; None follows RFC 5280.
        spki: What to write in place of the key's own SubjectPublicKeyInfo.
        digest: What the signer hashes with.
        inner_algorithm: AlgorithmIdentifier in the signed part.
        outer_algorithm: AlgorithmIdentifier beside the signature.
        signature: What to write in place of the signer's signature.
    """

    subject: bytes
    issuer: bytes
    key: Key
    signer: Key
    serial: int | bytes
    not_before: datetime
    not_after: datetime
    extensions: tuple[Extension, ...]
    version: int | None = 2
    generalized: bool | None = None
    spki: bytes | None = None
    digest: hashes.HashAlgorithm = field(default_factory=hashes.SHA384)
    inner_algorithm: bytes = ECDSA_WITH_SHA384
    outer_algorithm: bytes = ECDSA_WITH_SHA384
    signature: bytes | None = None

    @cached_property
    def der(self) -> bytes:
        """The certificate in DER."""
        signed = self._to_be_signed()
        signature = self.signature
        if signature is None:
            signature = self.signer.sign(signed, self.digest)
        return der.sequence(signed, self.outer_algorithm, der.bit_string(signature))

    def _to_be_signed(self) -> bytes:
        version = b"" if self.version is None else der.explicit(0, der.integer(self.version))
        serial = self.serial
        extensions = b""
        if self.extensions:
            extensions = der.explicit(3, der.sequence(*(item.der for item in self.extensions)))
        return der.sequence(
            version,
            der.integer(serial) if isinstance(serial, int) else der.tlv(0x02, serial),
            self.inner_algorithm,
            self.issuer,
            der.sequence(
                der.time(self.not_before, generalized=self.generalized),
                der.time(self.not_after, generalized=self.generalized),
            ),
            self.subject,
            self.key.spki if self.spki is None else self.spki,
            extensions,
        )
