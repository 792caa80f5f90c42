"""Internal: keys, and certificates in which every part can be chosen.

`CertificateForm` has the requested content of a certificate, `CertificateForm.der` its bytes. To
break one part, use `dataclasses.replace`; the issuer signs any content.
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
"""The AlgorithmIdentifier, without parameters (RFC 5758 section 3.2)."""


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
        """The key identifier, 20 bytes (RFC 5280 section 4.2.1.2, method 1)."""
        return x509.SubjectKeyIdentifier.from_public_key(self._private.public_key()).digest

    def sign(self, message: bytes, digest: hashes.HashAlgorithm | None = None) -> bytes:
        """Signs a message with ECDSA; returns a DER SEQUENCE of r and s."""
        algorithm = ec.ECDSA(digest or hashes.SHA384(), deterministic_signing=self._deterministic)
        return self._private.sign(message, algorithm)


class KeyRing:
    """A source of keys and numbers, each derived from one secret and a label."""

    def __init__(self, secret: bytes, *, deterministic: bool) -> None:
        self._secret = secret
        self._deterministic = deterministic

    def octets(self, label: str, length: int) -> bytes:
        """Derives pseudorandom bytes; equal labels give equal bytes."""
        return hashlib.shake_256(self._secret + b"\x00" + label.encode()).digest(length)

    def key(self, label: str, curve: ec.EllipticCurve | None = None) -> Key:
        """Derives a key pair, by default on P-384."""
        curve = curve or ec.SECP384R1()
        number = int.from_bytes(self.octets(f"key {label}", 80), "big")
        private = ec.derive_private_key(1 + number % (curve.group_order - 1), curve)
        return Key(private, deterministic=self._deterministic)

    def serial(self, label: str, octets: int) -> int:
        """Derives a positive serial number of ``octets`` octets with the top bit set.

        Its INTEGER has one more content octet, for the sign.
        """
        number = int.from_bytes(self.octets(f"serial {label}", octets), "big")
        return number | 1 << (8 * octets - 1)


class Extension(NamedTuple):
    """One extension of a certificate, with its encoded value."""

    oid: str
    critical: bool
    value: bytes

    @classmethod
    def of(cls, value: x509.ExtensionType, *, critical: bool) -> Extension:
        """Encodes an extension that cryptography supports."""
        return cls(value.oid.dotted_string, critical, value.public_bytes())

    @property
    def der(self) -> bytes:
        """The Extension of RFC 5280 section 4.1; a criticality of FALSE is omitted (DEFAULT)."""
        critical = der.tlv(0x01, b"\xff") if self.critical else b""
        return der.sequence(der.object_identifier(self.oid), critical, der.octet_string(self.value))


@dataclass(frozen=True, kw_only=True, eq=False)
class CertificateForm:
    """The requested content of a certificate.

    Attributes:
        subject: Name in DER.
        issuer: Name in DER.
        key: The key pair of the subject.
        signer: The key pair that signs; equal to ``key`` in a self-signed certificate.
        serial: A number, or the content octets of the INTEGER.
        not_before: Start of the validity, whole seconds.
        not_after: End of the validity, whole seconds.
        extensions: The extensions in order; empty: the field is omitted.
        version: The encoded number, 2 for version 3; None: omitted, which means version 1.
        generalized: True: both dates as GeneralizedTime. False: both as UTCTime. None: as RFC 5280
            requires.
        spki: Replacement for the SubjectPublicKeyInfo of ``key``; None: no replacement.
        digest: Hash algorithm of the signature.
        inner_algorithm: AlgorithmIdentifier in the signed part.
        outer_algorithm: AlgorithmIdentifier outside the signed part.
        signature: Replacement for the signature; None: no replacement.
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
