"""Certificates whose DER, key or dates are not what RFC 5280 and X.690 prescribe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from nitro_attest.testing import _der as der
from nitro_attest.testing.certificates import CertificateForm, Extension
from nitro_attest.testing.draft import Draft, Edit
from nitro_attest.testing.faults.chain import (
    BASIC_CONSTRAINTS,
    INSTANCE,
    KEY_USAGE,
    LEAF,
    P384_B,
    P384_PRIME,
    REGIONAL,
    ZONAL,
    certificate,
    put,
)
from vectors.case import Case
from vectors.expectations import CRITICAL, X509_LOW
from vectors.handmade import Change, Element, after_signing, before_signing
from vectors.table import Row
from vectors.table import cases as cases_of

# The parts of a TBSCertificate of version 3 without unique identifiers, by position.
VALIDITY, KEY, EXTENSIONS = 4, 6, 7

UTC_TIME, GENERALIZED_TIME = 0x17, 0x18
TRUE: Final = b"\x01\x01\xff"
TRUE_AS_01: Final = b"\x01\x01\x01"
FALSE: Final = b"\x01\x01\x00"
NULL: Final = Element(0x05, b"")


def cases() -> Iterator[Case]:
    """All cases about certificates made by hand that must be rejected."""
    yield from cases_of(ENCODING)
    yield from cases_of(SIGNATURE)
    yield from cases_of(MEANING)
    yield from cases_of(DATES)


def _extension(number: int, change: Change) -> Change:
    """Changes one of the extensions."""
    return lambda tbs: change(tbs.at(EXTENSIONS, 0, number))


def _constraints(position: int, value: bytes) -> Edit:
    return put(position, BASIC_CONSTRAINTS, Extension(BASIC_CONSTRAINTS, True, value))


def _usage(position: int, bits: bytes, *, critical: bool) -> Edit:
    return put(position, KEY_USAGE, Extension(KEY_USAGE, critical, der.tlv(0x03, bits)))


def _append(*positions: int) -> Change:
    """Adds a NULL behind the last part of an element."""
    return lambda element: element.at(*positions).children.append(NULL)


def _padded_length(certificate: Element) -> None:
    size = sum(len(part.encoded) for part in certificate.children)
    certificate.length = b"\x83" + size.to_bytes(3, "big")


def _indefinite(element: Element) -> None:
    element.length = b"\x80"
    element.children.append(Element(0x00, b""))


ENCODING: Final = (
    Row(
        "X-1.critical-as-01",
        "A CA whose basicConstraints is critical by a BOOLEAN of 01.",
        before_signing(
            INSTANCE, _extension(0, lambda each: each.children.__setitem__(1, Element(1, b"\x01")))
        ),
        "cert.malformed",
        ("X-14",),
    ),
    Row(
        "X-1.ca-as-01",
        "A CA by a BOOLEAN of 01.",
        _constraints(INSTANCE, der.sequence(TRUE_AS_01, der.integer(0))),
        "cert.malformed",
        ("X-14",),
    ),
    Row(
        "X-1.critical-false",
        "An extension with the default of its criticality written out.",
        before_signing(
            LEAF, _extension(1, lambda each: each.children.insert(1, Element(1, b"\x00")))
        ),
        "cert.malformed",
    ),
    Row(
        "X-1.ca-false",
        "A leaf with the default of cA written out.",
        _constraints(LEAF, der.sequence(FALSE)),
        "cert.malformed",
        ("X-17",),
    ),
    Row(
        "X-1.field-in-basic-constraints",
        "A basicConstraints with a third field.",
        _constraints(INSTANCE, der.sequence(TRUE, der.integer(0), NULL.encoded)),
        "cert.malformed",
        ("X-14",),
    ),
    Row(
        "X-1.byte-after-basic-constraints",
        "A byte after the basicConstraints, inside of its extension.",
        _constraints(INSTANCE, der.sequence(TRUE, der.integer(0)) + b"\x00"),
        "cert.malformed",
        ("X-14",),
    ),
    Row(
        "X-1.key-usage-unused-bit",
        "A keyUsage with one of its unused bits set.",
        _usage(LEAF, b"\x06\xc1", critical=False),
        "cert.malformed",
        ("X-17",),
    ),
    Row(
        "X-17.key-usage-without-bits",
        "A leaf whose keyUsage allows nothing.",
        _usage(LEAF, b"\x00", critical=False),
        "cert.leaf_usage",
    ),
    Row(
        "X-15.key-usage-without-bits",
        "A CA whose keyUsage allows nothing.",
        _usage(INSTANCE, b"\x00", critical=True),
        "cert.key_usage",
    ),
    Row(
        "X-1.fourth-field-in-extension",
        "A fourth field in an extension.",
        before_signing(LEAF, _extension(0, _append())),
        "cert.malformed",
    ),
    Row(
        "X-1.field-after-extensions",
        "A field after the extensions, signed.",
        before_signing(LEAF, _append()),
        "cert.malformed",
    ),
    Row(
        "X-1.field-after-signature",
        "A field after the signature, which nothing signs.",
        after_signing(LEAF, _append()),
        "cert.malformed",
    ),
    Row(
        "X-1.field-after-key",
        "A third field in the SubjectPublicKeyInfo.",
        before_signing(LEAF, _append(KEY)),
        "cert.malformed",
        ("X-9",),
    ),
    Row(
        "X-1.field-after-curve",
        "A field after the named curve.",
        before_signing(LEAF, _append(KEY, 0)),
        "cert.malformed",
        ("X-9",),
    ),
    Row(
        "X-1.long-length",
        "A certificate whose length has a needless octet.",
        after_signing(LEAF, _padded_length),
        "cert.malformed",
    ),
    Row(
        "X-1.long-length-in-bundle",
        "A CA certificate whose length has a needless octet.",
        after_signing(ZONAL, _padded_length),
        "cert.malformed",
    ),
    Row(
        "X-1.indefinite-length",
        "A certificate of indefinite length (BER).",
        after_signing(LEAF, _indefinite),
        "cert.malformed",
    ),
    Row(
        "X-1.indefinite-length-in-bundle",
        "A CA certificate of indefinite length (BER).",
        after_signing(ZONAL, _indefinite),
        "cert.malformed",
    ),
)


def _signed(position: int, encode: Callable[[int, int], bytes]) -> Edit:
    """Encodes the numbers of a certificate's signature in another way."""

    def signature(draft: Draft, form: CertificateForm) -> bytes:
        return encode(*decode_dss_signature(x509.load_der_x509_certificate(form.der).signature))

    return certificate(position, signature=signature)


def _padded(value: int) -> bytes:
    return der.tlv(0x02, b"\x00" + der.integer(value)[2:])


def _long_form(sequence: bytes) -> bytes:
    return b"\x30\x81" + sequence[1:]


def _pair(r: int, s: int) -> bytes:
    return der.sequence(der.integer(r), der.integer(s))


def _unused_bits(certificate: Element) -> None:
    signature = certificate.at(2)
    signature.content = b"\x01" + bytes(signature.content)[1:]


SIGNATURE: Final = (
    Row(
        "X-9.signature-unused-bits",
        "A leaf whose signature does not use the last bit of its last octet.",
        after_signing(LEAF, _unused_bits),
        "cert.algorithm",
        ("X-8",),
        X509_LOW,
    ),
    *(
        Row(
            f"X-8.{name}{suffix}",
            f"{who} whose signature {what}.",
            _signed(position, encode),
            "chain.signature",
            (),
            X509_LOW,
        )
        for name, what, encode in (
            ("trailing-byte", "has a byte after its end", lambda r, s: _pair(r, s) + b"\x00"),
            (
                "padded-r",
                "has a needless zero octet before r",
                lambda r, s: der.sequence(_padded(r), der.integer(s)),
            ),
            (
                "padded-s",
                "has a needless zero octet before s",
                lambda r, s: der.sequence(der.integer(r), _padded(s)),
            ),
            ("long-length", "has a needless length octet", lambda r, s: _long_form(_pair(r, s))),
            (
                "third-integer",
                "has a third integer",
                lambda r, s: der.sequence(der.integer(r), der.integer(s), der.integer(1)),
            ),
        )
        for who, position, suffix in (("A leaf", LEAF, ""), ("A CA", ZONAL, "-of-zonal"))
    ),
)


def _drop_extensions(tbs: Element) -> None:
    del tbs.children[EXTENSIONS]


def _empty_extensions(tbs: Element) -> None:
    tbs.at(EXTENSIONS, 0).children.clear()


def _path_length(octets: bytes) -> bytes:
    return der.sequence(TRUE, der.tlv(0x02, octets))


def _key(position: int, change: Callable[[bytes], bytes]) -> Edit:
    """Writes another point in place of a certificate's key; its issuer signs that."""
    return certificate(
        position, spki=lambda draft, form: form.key.spki[:-96] + change(form.key.spki[-96:])
    )


def _beyond_prime(coordinates: bytes) -> bytes:
    """A point of the curve with the prime added to its x, which is small enough for that."""
    x = 1
    while True:
        square = (x**3 - 3 * x + P384_B) % P384_PRIME
        y = pow(square, (P384_PRIME + 1) // 4, P384_PRIME)
        if y * y % P384_PRIME == square:
            return (x + P384_PRIME).to_bytes(48, "big") + y.to_bytes(48, "big")
        x += 1


def _off_curve(coordinates: bytes) -> bytes:
    return coordinates[:-1] + bytes([coordinates[-1] ^ 1])


MEANING: Final = (
    Row(
        "X-17.without-extensions",
        "A leaf of version 3 without extensions.",
        before_signing(LEAF, _drop_extensions),
        "cert.leaf_usage",
    ),
    Row(
        "X-14.without-extensions",
        "A CA of version 3 without extensions.",
        before_signing(INSTANCE, _drop_extensions),
        "cert.not_ca",
    ),
    Row(
        "X-17.empty-extensions",
        "A leaf with an empty list of extensions.",
        before_signing(LEAF, _empty_extensions),
        "cert.leaf_usage",
        ("X-1",),
    ),
    Row(
        "X-14.empty-extensions",
        "A CA with an empty list of extensions.",
        before_signing(INSTANCE, _empty_extensions),
        "cert.not_ca",
        ("X-1",),
    ),
    Row(
        "X-1.path-length-negative",
        "A CA with a pathLen of -1, which is the largest one without a sign.",
        _constraints(REGIONAL, _path_length(b"\xff")),
        "cert.malformed",
        ("X-16",),
    ),
    Row(
        "X-1.path-length-empty",
        "A CA with a pathLen of no octets.",
        _constraints(REGIONAL, _path_length(b"")),
        "cert.malformed",
        ("X-16",),
    ),
    Row(
        "X-9.leaf-x-beyond-prime",
        "A leaf whose x is not reduced by the prime of the curve.",
        _key(LEAF, _beyond_prime),
        "cert.algorithm",
    ),
    Row(
        "X-9.instance-x-beyond-prime",
        "An instance CA whose x is not reduced by the prime of the curve.",
        _key(INSTANCE, _beyond_prime),
        "cert.algorithm",
    ),
    Row(
        "X-9.instance-off-curve",
        "An instance CA whose point is not on the curve.",
        _key(INSTANCE, _off_curve),
        "cert.algorithm",
        expectation=CRITICAL,
    ),
)

NOT_BEFORE, NOT_AFTER = range(2)


def date(position: int, which: int, tag: int, text: str) -> Edit:
    """Writes one of the dates of a certificate as this text."""

    def change(tbs: Element) -> None:
        tbs.at(VALIDITY).children[which] = Element(tag, text.encode())

    return before_signing(position, change)


def _dates(position: int, start: str, end: str) -> Edit:
    """Writes both dates of a certificate as UTCTime."""

    def change(tbs: Element) -> None:
        tbs.at(VALIDITY).content = [Element(UTC_TIME, text.encode()) for text in (start, end)]

    return before_signing(position, change)


DATES: Final = (
    *(
        Row(
            f"X-1.{name}",
            f"A regional CA whose {'notBefore' if which == NOT_BEFORE else 'notAfter'} {what}.",
            date(REGIONAL, which, tag, text),
            "cert.malformed",
            ("X-11",),
        )
        for name, what, which, tag, text in (
            ("utc-no-seconds", "has no seconds", NOT_AFTER, UTC_TIME, "3001010000Z"),
            ("utc-offset", "has an offset", NOT_AFTER, UTC_TIME, "300101000000+0000"),
            ("utc-no-zone", "has no zone", NOT_AFTER, UTC_TIME, "300101000000"),
            ("utc-fraction", "has a fraction", NOT_AFTER, UTC_TIME, "300101000000.5Z"),
            ("general-no-seconds", "has no seconds", NOT_AFTER, GENERALIZED_TIME, "203001010000Z"),
            ("general-offset", "has an offset", NOT_AFTER, GENERALIZED_TIME, "20300101000000+0000"),
            ("general-no-zone", "has no zone", NOT_AFTER, GENERALIZED_TIME, "20300101000000"),
            (
                "general-fraction",
                "has a fraction",
                NOT_AFTER,
                GENERALIZED_TIME,
                "20300101000000.5Z",
            ),
            ("second-60", "has second 60", NOT_AFTER, UTC_TIME, "300101000060Z"),
            ("hour-24", "has hour 24", NOT_AFTER, UTC_TIME, "300101240000Z"),
            ("30-february", "is 30 February", NOT_BEFORE, UTC_TIME, "260230000000Z"),
            (
                "29-february",
                "is 29 February of a non-leap year",
                NOT_BEFORE,
                UTC_TIME,
                "250229000000Z",
            ),
            ("month-13", "has month 13", NOT_AFTER, UTC_TIME, "301301000000Z"),
            ("day-0", "has day 0", NOT_AFTER, UTC_TIME, "300100000000Z"),
        )
    ),
    Row(
        "X-10.regional-ends-before-it-starts",
        "A regional CA that ends before it starts, verified after both.",
        _dates(REGIONAL, "260101000000Z", "251231000000Z"),
        "cert.expired",
    ),
    Row(
        "X-10.regional-between-swapped-ends",
        "A regional CA that ends before it starts, verified between the two.",
        _dates(REGIONAL, "300101000000Z", "250101000000Z"),
        "cert.expired",
    ),
    Row(
        "X-10.regional-before-swapped-ends",
        "A regional CA that ends before it starts, verified before both.",
        _dates(REGIONAL, "310101000000Z", "300101000000Z"),
        "cert.not_yet_valid",
    ),
)
