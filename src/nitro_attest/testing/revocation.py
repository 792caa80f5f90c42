"""Internal: certificate revocation lists in which every part can be chosen (RFC 5280 section 5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from nitro_attest.testing import _der as der
from nitro_attest.testing.certificates import ECDSA_WITH_SHA384, Extension, Key

CRL_NUMBER: Final = "2.5.29.20"
REASON_CODE: Final = "2.5.29.21"


def crl_number(number: int) -> Extension:
    """Makes a CRLNumber, which is never critical."""
    return Extension(CRL_NUMBER, False, der.integer(number))


def reason_code(number: int) -> Extension:
    """Makes the reason of a revocation by its number (RFC 5280 section 5.3.1)."""
    return Extension(REASON_CODE, False, der.tlv(0x0A, bytes((number,))))


@dataclass(frozen=True, kw_only=True)
class Revoked:
    """One entry of a list.

    Attributes:
        serial: The serial number.
        at: Time of the revocation, whole seconds.
        extensions: The entry's extensions in order; empty: the field is omitted.
    """

    serial: int
    at: datetime
    extensions: tuple[Extension, ...] = ()

    @classmethod
    def because(cls, serial: int, at: datetime, reason: x509.ReasonFlags | None) -> Revoked:
        """Makes an entry with a reason, or with None, without one."""
        extensions = (
            () if reason is None else (Extension.of(x509.CRLReason(reason), critical=False),)
        )
        return cls(serial=serial, at=at, extensions=extensions)

    @property
    def der(self) -> bytes:
        """The entry in DER."""
        extensions = der.sequence(*(item.der for item in self.extensions))
        return der.sequence(
            der.integer(self.serial),
            der.time(self.at),
            extensions if self.extensions else b"",
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class ListForm:
    """The requested content of a revocation list.

    Attributes:
        issuer: Name in DER.
        signer: The key pair that signs.
        stranger: A key pair that is not the issuer's.
        this_update: Time of issue, whole seconds.
        next_update: Time by which the next list is issued; None: the field is omitted.
        revoked: The entries; empty: the field is omitted.
        extensions: The extensions in order; empty: the field is omitted.
        version: The encoded number, 1 for version 2; None: omitted, which means version 1.
        digest: Hash algorithm of the signature.
        inner_algorithm: AlgorithmIdentifier in the signed part.
        outer_algorithm: AlgorithmIdentifier outside the signed part.
        signature: Replacement for the signature; None: no replacement.
        trailing: Bytes after the list.
    """

    issuer: bytes
    signer: Key
    stranger: Key
    this_update: datetime
    next_update: datetime | None
    revoked: tuple[Revoked, ...] = ()
    extensions: tuple[Extension, ...] = (crl_number(1),)
    version: int | None = 1
    digest: hashes.HashAlgorithm = field(default_factory=hashes.SHA384)
    inner_algorithm: bytes = ECDSA_WITH_SHA384
    outer_algorithm: bytes = ECDSA_WITH_SHA384
    signature: bytes | None = None
    trailing: bytes = b""

    @cached_property
    def der(self) -> bytes:
        """The list in DER."""
        signature = self.signature
        if signature is None:
            signature = self.signer.sign(self.signed, self.digest)
        whole = der.sequence(self.signed, self.outer_algorithm, der.bit_string(signature))
        return whole + self.trailing

    @property
    def signed(self) -> bytes:
        """The part that the signature covers."""
        extensions = der.sequence(*(item.der for item in self.extensions))
        return der.sequence(
            b"" if self.version is None else der.integer(self.version),
            self.inner_algorithm,
            self.issuer,
            der.time(self.this_update),
            b"" if self.next_update is None else der.time(self.next_update),
            der.sequence(*(entry.der for entry in self.revoked)) if self.revoked else b"",
            der.explicit(0, extensions) if self.extensions else b"",
        )
