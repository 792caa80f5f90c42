"""Valid documents that are rare: what a verifier can get wrong in one of some hundreds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID

from nitro_attest.testing import _der as der
from nitro_attest.testing.certificates import CertificateForm, Extension
from nitro_attest.testing.draft import BREAK, Draft, Edit, array, bstr, tstr
from nitro_attest.testing.faults.chain import (
    AUTHORITY_KEY,
    BASIC_CONSTRAINTS,
    INSTANCE,
    KEY_USAGE,
    LEAF,
    REGIONAL,
    ROLES,
    ZONAL,
    add,
    certificate,
    path,
    put,
    rekey,
    twin_signature,
)
from vectors.case import Case
from vectors.der_cases import (
    EXTENSIONS,
    GENERALIZED_TIME,
    NOT_AFTER,
    NOT_BEFORE,
    TRUE,
    UTC_TIME,
    date,
)
from vectors.expectations import X509_ACCEPTABLE, Expectation
from vectors.handmade import Element, before_signing
from vectors.table import Row
from vectors.table import cases as cases_of

GENUINE: Final = Expectation("accept", "high")
"""Genuine documents have this form too, if only some of them."""


def cases() -> Iterator[Case]:
    """All valid documents that few verifiers ever see."""
    yield from cases_of(ZEROS)
    yield from cases_of(SIGNATURES)
    yield from cases_of(FIELDS)
    yield from cases_of(DATES)
    yield from cases_of(BREAKS)


# A number that begins with a zero byte is as rare as any other byte: one in 256. So it is searched
# for, among signatures and keys that differ in a counter.


def _document_with(zero: int) -> Edit:
    """Counts in user_data until a byte of the signature is zero: 0 for that of r, 48 for s."""

    def apply(draft: Draft) -> None:
        place = draft.position("user_data")
        for number in count():
            draft.fields[place] = (tstr("user_data"), bstr(number.to_bytes(4, "big")))
            draft.payload = b"\xbf" + b"".join(map(b"".join, draft.fields)) + BREAK
            if draft.sign()[zero] == 0:
                return

    return Edit("payload", apply)


def _key_with(position: int, zero: int) -> Edit:
    """Takes the first key with a coordinate that begins with zero: 0 for x, 48 for y."""

    def apply(draft: Draft) -> None:
        keys = (draft.ring.key(f"zero {zero} {number}") for number in count())
        key = next(key for key in keys if key.spki[-96 + zero] == 0)
        if position == LEAF:
            draft.path[LEAF] = replace(draft.path[LEAF], key=key)
        else:
            rekey(draft, position, key)

    return path(apply)


def _numbers(form: CertificateForm) -> tuple[int, int]:
    return decode_dss_signature(x509.load_der_x509_certificate(form.der).signature)


def _first(form: CertificateForm, found: Callable[[CertificateForm], bool]) -> CertificateForm:
    """Counts in the serial number of a certificate until it has the property."""
    forms = (replace(form, serial=number) for number in count(1))
    return next(form for form in forms if found(form))


def _short(position: int, number: int) -> Edit:
    """Takes the first certificate whose r (0) or s (1) has fewer than 48 bytes."""

    def apply(draft: Draft) -> None:
        form = draft.path[position]
        draft.path[position] = _first(form, lambda each: _numbers(each)[number] < 1 << 376)

    return path(apply)


ZEROS: Final = (
    *(
        Row(
            f"C-16.zero-in-{name}",
            f"A signature whose {name} begins with a byte of zero.",
            _document_with(zero),
            also=("C-14",),
            expectation=GENUINE,
        )
        for name, zero in (("r", 0), ("s", 48))
    ),
    *(
        Row(
            f"X-9.{ROLES[position]}-zero-in-{name}",
            f"The {ROLES[position]} certificate has a key whose {name} begins with a byte of zero.",
            _key_with(position, zero),
            expectation=GENUINE,
        )
        for position in (LEAF, INSTANCE)
        for name, zero in (("x", 0), ("y", 48))
    ),
    *(
        Row(
            f"X-8.{ROLES[position]}-short-{name}",
            f"The {ROLES[position]} certificate has a signature whose {name} is a byte shorter.",
            _short(position, number),
            expectation=GENUINE,
        )
        for position in (LEAF, ZONAL)
        for number, name in enumerate("rs")
    ),
)

SIGNATURES: Final = tuple(
    Row(
        f"X-8.{ROLES[position]}-twin-signature",
        f"The {ROLES[position]} certificate has the other form of its signature, n - s.",
        certificate(position, signature=twin_signature),
        expectation=GENUINE,
    )
    for position in (REGIONAL, ZONAL, INSTANCE, LEAF)
)


def _unique_identifiers(tbs: Element) -> None:
    issuer, subject = Element(0x81, b"\x00\x01"), Element(0x82, b"\x00\x02")
    tbs.children[EXTENSIONS:EXTENSIONS] = [issuer, subject]


def _issuer_and_serial(draft: Draft, form: CertificateForm) -> tuple[Extension, ...]:
    """Names the issuing certificate by its issuer and serial number, instead of its key."""
    zonal = draft.path[ZONAL]
    issuer = der.tlv(0xA4, zonal.issuer)
    value = der.sequence(der.tlv(0xA1, issuer), der.tlv(0x82, der.integer(int(zonal.serial))[2:]))
    return tuple(
        each._replace(value=value) if each.oid == AUTHORITY_KEY else each
        for each in form.extensions
    )


FIELDS: Final = (
    Row(
        "X-1.unique-identifiers",
        "A leaf with the unique identifiers of its issuer and subject.",
        before_signing(LEAF, _unique_identifiers),
        expectation=X509_ACCEPTABLE,
    ),
    *(
        Row(
            f"X-1.key-usage-trailing-{name}",
            f"The {ROLES[position]} certificate has a keyUsage that ends with {what}.",
            put(position, KEY_USAGE, Extension(KEY_USAGE, critical, der.tlv(0x03, bits))),
            also=(rule,),
            expectation=X509_ACCEPTABLE,
        )
        for name, what, position, critical, bits, rule in (
            ("zero", "a bit of zero", LEAF, False, b"\x05\xc0", "X-17"),
            ("octet", "an octet of zeros", INSTANCE, True, b"\x00\x04\x00", "X-15"),
        )
    ),
    Row(
        "X-16.path-length-2-to-63",
        "A regional CA with a pathLen of 2^63, which is negative in 64 bits.",
        put(
            REGIONAL,
            BASIC_CONSTRAINTS,
            Extension(BASIC_CONSTRAINTS, True, der.sequence(TRUE, der.integer(1 << 63))),
        ),
        expectation=X509_ACCEPTABLE,
    ),
    Row(
        "X-19.issuer-and-serial",
        "An instance CA that names its issuer's certificate, not its key.",
        certificate(INSTANCE, extensions=_issuer_and_serial),
        expectation=X509_ACCEPTABLE,
    ),
    Row(
        "X-12.uncritical-extended-key-usage",
        "A leaf whose uncritical extended key usage is for TLS clients.",
        add(
            LEAF,
            Extension.of(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False),
        ),
        expectation=X509_ACCEPTABLE,
    ),
    Row(
        "X-12.uncritical-name-constraints",
        "A regional CA with an uncritical limit to names of a kind that no certificate has.",
        add(
            REGIONAL,
            Extension.of(x509.NameConstraints([x509.RFC822Name("invalid")], None), critical=False),
        ),
        expectation=Expectation("accept", "medium", ("pedantic-x509",)),
    ),
)

DATES: Final = tuple(
    Row(f"X-11.{name}", f"A regional CA that {what}.", date(REGIONAL, which, tag, text))
    for name, what, which, tag, text in (
        ("since-1950", "is valid since 1950", NOT_BEFORE, UTC_TIME, "500101000000Z"),
        ("until-2049", "is valid until the end of 2049", NOT_AFTER, UTC_TIME, "491231235959Z"),
        (
            "until-9999",
            "never expires",
            NOT_AFTER,
            GENERALIZED_TIME,
            "99991231235959Z",
        ),
    )
)


def _ends_with_ff(form: CertificateForm) -> bool:
    return form.der.endswith(BREAK)


def _last(name: str) -> Edit:
    """Moves a field with certificates to the end; its last byte is FF, as that of a break."""

    def apply(draft: Draft) -> None:
        position = LEAF if name == "certificate" else INSTANCE
        form = _first(draft.path[position], _ends_with_ff)
        content = bstr(form.der)
        if name == "cabundle":
            content = array([*map(bstr, draft.cabundle[:-1]), content])
        del draft.fields[draft.position(name)]
        draft.fields.append((tstr(name), content))

    return Edit("fields", apply)


BREAKS: Final = tuple(
    Row(
        f"P-4.ff-at-the-end-of-{name}",
        f"{name} comes last, and its last byte is FF, as that of the break after it.",
        _last(name),
        also=("P-8",),
    )
    for name in ("certificate", "cabundle")
)
