"""Unusual documents that must be accepted: the counterpart of the faults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from cryptography import x509

from nitro_attest.limits import MAX_CERTIFICATE_BYTES, PCR_BYTES
from nitro_attest.testing import registers
from nitro_attest.testing.cases import Variant
from nitro_attest.testing.certificates import CertificateForm, Extension
from nitro_attest.testing.draft import BREAK, Draft, Edit, bstr
from nitro_attest.testing.faults.chain import (
    BASIC_CONSTRAINTS,
    BELOW_ROOT,
    INSTANCE,
    KEY_USAGE,
    LEAF,
    REGIONAL,
    ROLES,
    UNKNOWN_OID,
    ZONAL,
    add,
    certificate,
    issued,
    path,
    put,
)
from nitro_attest.testing.faults.payload import pcrs, value
from nitro_attest.testing.faults.policy import made_at, module
from nitro_attest.testing.pki import authority_key, basic_constraints, key_usage, root_name

_SUBJECT_KEY: Final = x509.SubjectKeyIdentifier.oid.dotted_string
_ALL_AA: Final = b"\xaa" * PCR_BYTES
_NONCE: Final = b"32 bytes that the verifier chose"
_FRESH: Final = ("policy.none", "root.custom")
_SHORT: Final = ("policy.none", "freshness.short_nonce", "root.custom")
_BOUND: Final = ("freshness.unbound", "root.custom")
_DEBUG: Final = ("policy.none", "policy.debug", "freshness.unbound", "root.custom")
_ARCHIVE: Final = ("policy.none", "freshness.unbound", "time.document", "root.custom")


def _fill(draft: Draft, form: CertificateForm) -> tuple[Extension, ...]:
    """Returns extensions that bring a certificate close to the size limit, but never above it."""
    # An ECDSA signature varies by a few octets; 16 octets allow for that and for longer lengths.
    room = MAX_CERTIFICATE_BYTES - len(form.der) - len(Extension(UNKNOWN_OID, False, b"").der) - 16
    return (*form.extensions, Extension(UNKNOWN_OID, False, bytes(room)))


def _without_key_identifiers(draft: Draft, form: CertificateForm) -> tuple[Extension, ...]:
    identifiers = (x509.SubjectKeyIdentifier.oid, x509.AuthorityKeyIdentifier.oid)
    names = {identifier.dotted_string for identifier in identifiers}
    return tuple([extension for extension in form.extensions if extension.oid not in names])


def _four_more_authorities(draft: Draft) -> None:
    """Adds four CAs between the root and the regional CA, for a bundle of eight."""
    for number in range(4):
        parent, child = draft.path[number], draft.path[number + 1]
        key = draft.ring.key(f"more {number}")
        between = replace(
            draft.path[0],
            subject=root_name(f"{number:016x}.{draft.region}.aws.nitro-enclaves"),
            issuer=parent.subject,
            key=key,
            signer=parent.key,
            serial=draft.ring.serial(f"more {number}", 16),
            extensions=(
                basic_constraints(ca=True, path_length=6 - number),
                key_usage("key_cert_sign"),
            ),
        )
        draft.path[number + 1 : number + 2] = [
            between,
            replace(child, issuer=between.subject, signer=key),
        ]


def _sorted_fields(draft: Draft) -> None:
    """Sorts the fields in the deterministic order of RFC 8949 section 4.2.1."""
    draft.fields.sort()


def _indefinite_cabundle(draft: Draft) -> bytes:
    return b"\x9f" + b"".join(map(bstr, draft.cabundle)) + BREAK


def _all_indefinite(draft: Draft) -> None:
    """Writes the PCR map and the cabundle without their counts."""
    pcrs(lambda honest: honest, b"\xbf", BREAK).apply(draft)
    value("cabundle", _indefinite_cabundle).apply(draft)


ORDINARY: Final = (
    *("C-1", "C-5", "C-6", "C-7", "C-8", "C-9", "C-10", "C-11", "C-12", "C-13", "C-14", "C-16"),
    *("P-3", "P-4", "P-5", "P-6", "P-7", "P-9", "P-13", "P-14", "P-17", "P-21", "P-25"),
    *("X-1", "X-3", "X-4", "X-5", "X-6", "X-7", "X-8", "X-9", "X-13", "X-14", "X-15", "X-18"),
    *("X-24", "M-2", "T-1", "T-3"),
)
"""Rules that allow only one form, which every ordinary document has."""

_ENVELOPE: Final = (
    Variant("C-1.ordinary", ORDINARY, "A document as enclaves have made them since mid-2025."),
    Variant(
        "C-2.large",
        ("C-2",),
        "Every field as large as it may be.",
        document={
            "pcrs": dict.fromkeys(range(16, 32), _ALL_AA),
            "nonce": bytes(1024),
            "user_data": bytes(1024),
            "public_key": bytes(1024),
        },
        edit=path(_four_more_authorities),
    ),
    Variant(
        "C-4.tag-18",
        ("C-4",),
        "The tag that the standard allows and no NSM sends.",
        document={"tagged": True},
    ),
    Variant(
        "C-15.high-s",
        ("C-14", "C-15", "C-16"),
        "As half of all genuine signatures.",
        document={"high_s": True},
    ),
    Variant(
        "C-15.low-s",
        ("C-14", "C-15", "C-16"),
        "As the other half.",
        document={"high_s": False},
    ),
)

_PAYLOAD: Final = (
    Variant(
        "P-1.counted",
        ("P-1",),
        "The map with its count, as until mid-2025.",
        document={"indefinite": False},
    ),
    Variant(
        "P-1.indefinite",
        ("P-1", "P-4"),
        "The map without its count, as since then.",
        document={"indefinite": True},
    ),
    Variant(
        "P-2.pcrs",
        ("P-2",),
        "The PCR map without its count.",
        edit=pcrs(lambda honest: honest, b"\xbf", BREAK),
    ),
    Variant(
        "P-2.cabundle",
        ("P-2",),
        "The cabundle without its count.",
        edit=value("cabundle", _indefinite_cabundle),
    ),
    Variant(
        "P-2.all-32",
        ("P-2", "P-15"),
        "All PCRs there are, without their count.",
        document={"pcrs": dict.fromkeys(range(16, 32), _ALL_AA)},
        edit=pcrs(lambda honest: honest, b"\xbf", BREAK),
    ),
    Variant(
        "P-2.only-inside",
        ("P-1", "P-2"),
        "Fields with their count; PCRs and cabundle without.",
        document={"indefinite": False},
        edit=Edit("fields", _all_indefinite),
    ),
    Variant(
        "P-2.everywhere",
        ("P-1", "P-2"),
        "No count anywhere.",
        document={"indefinite": True},
        edit=Edit("fields", _all_indefinite),
    ),
    Variant(
        "P-8.sorted",
        ("P-8",),
        "Keys in another order than the NSM's.",
        edit=Edit("fields", _sorted_fields),
    ),
    Variant(
        "P-9.absent",
        ("P-9", "P-10"),
        "Optional fields left out instead of null.",
        document={"absent": ("public_key", "user_data", "nonce")},
    ),
    Variant(
        "P-9.absent-counted",
        ("P-9",),
        "The same in a counted map of six.",
        document={"absent": ("public_key", "user_data", "nonce"), "indefinite": False},
    ),
    Variant("P-10.null", ("P-10",), "Optional fields null, as the NSM writes them."),
    Variant(
        "P-11.empty",
        ("P-11", "P-22", "P-23", "P-24"),
        "Optional fields of no bytes.",
        document={"public_key": b"", "user_data": b"", "nonce": b""},
    ),
    Variant(
        "P-12.20-digits",
        ("P-12",),
        "20 digits behind -enc, as a manual prints it.",
        document={"kind": "enclave"},
        edit=module(lambda draft: f"{draft.instance_id}-enc0123456789abcdef0123", leaf_too=True),
    ),
    Variant(
        "P-15.one-pcr-more",
        ("P-15", "P-18"),
        "17 PCRs, as after one was locked.",
        document={"pcrs": {16: _ALL_AA}},
    ),
    Variant(
        "P-15.all-32",
        ("P-15", "P-16"),
        "All PCRs there are.",
        document={"pcrs": dict.fromkeys(range(16, 32), _ALL_AA)},
    ),
    Variant(
        "P-16.pcr31",
        ("P-16",),
        "The last PCR without those before it.",
        document={"pcrs": {31: _ALL_AA}},
    ),
    Variant(
        "P-18.gaps",
        ("P-18",),
        "PCR0 to PCR15 and 20 to 22, as measured once.",
        document={"pcrs": dict.fromkeys((20, 21, 22), _ALL_AA)},
    ),
    Variant(
        "P-18.only-three",
        ("P-18",),
        "PCR0, PCR1 and PCR2 alone.",
        edit=pcrs(lambda honest: honest[:3]),
    ),
    Variant(
        "P-18.descending",
        ("P-18",),
        "PCRs from the highest index to the lowest.",
        edit=pcrs(lambda honest: honest[::-1]),
    ),
    Variant(
        "P-19.large-leaf",
        ("P-19",),
        "A leaf close to the size limit.",
        edit=certificate(LEAF, extensions=_fill),
    ),
    Variant(
        "P-20.eight",
        ("P-20", "X-16"),
        "Eight certificates in the bundle.",
        edit=path(_four_more_authorities),
    ),
    Variant(
        "P-21.large-entry",
        ("P-21",),
        "A bundle certificate close to the size limit.",
        edit=certificate(INSTANCE, extensions=_fill),
    ),
    *(
        Variant(
            f"{rule}.1024-bytes",
            (rule,),
            f"{name} of 1024 bytes, as occurs.",
            document={name: bytes(1024)},
        )
        for rule, name in (("P-22", "public_key"), ("P-23", "user_data"), ("P-24", "nonce"))
    ),
)

_CHAIN: Final = (
    Variant("X-2.one", ("X-2",), "Serial number 1.", edit=certificate(LEAF, serial=1)),
    Variant(
        "X-2.21-octets",
        ("X-2",),
        "A serial number of 20 octets and a sign octet.",
        edit=certificate(ZONAL, serial=1 << 159),
    ),
    Variant(
        "X-2.21-octets-without-sign",
        ("X-2",),
        "A serial number of 167 bits.",
        edit=certificate(ZONAL, serial=(1 << 167) - 1),
    ),
    Variant(
        "X-10.last-second",
        ("X-10",),
        "Verified in the leaf's last second.",
        edit=certificate(LEAF, not_after=lambda draft, form: issued(draft) + timedelta(seconds=1)),
        exact=True,
    ),
    Variant(
        "X-10.slow-clock",
        ("X-10",),
        "Verified 57 s before the leaf starts.",
        at_shift=timedelta(seconds=-60),
    ),
    Variant(
        "X-11.generalized-time",
        ("X-11",),
        "Dates before 2050 in the long form.",
        edit=certificate(REGIONAL, generalized=True),
    ),
    *(
        Variant(
            f"X-12.{ROLES[position]}",
            ("X-12",),
            f"An unknown extension in the {ROLES[position]} certificate, not critical.",
            edit=add(position, Extension(UNKNOWN_OID, False, b"\x05\x00")),
        )
        for position in BELOW_ROOT
    ),
    Variant(
        "X-16.no-limit",
        ("X-16",),
        "A regional CA without a pathLen.",
        edit=put(REGIONAL, BASIC_CONSTRAINTS, basic_constraints(ca=True)),
    ),
    Variant(
        "X-16.generous",
        ("X-16",),
        "A regional CA that allows more than there are.",
        edit=put(REGIONAL, BASIC_CONSTRAINTS, basic_constraints(ca=True, path_length=9)),
    ),
    Variant(
        "X-17.critical-key-usage",
        ("X-17",),
        "A leaf whose keyUsage is critical.",
        edit=put(LEAF, KEY_USAGE, key_usage("digital_signature")),
    ),
    Variant(
        "X-17.uncritical-key-usage",
        ("X-17",),
        "A leaf whose keyUsage is not, as genuine.",
    ),
    Variant(
        "X-19.none",
        ("X-19",),
        "No key identifiers on the instance CA, as until 2024.",
        edit=certificate(INSTANCE, extensions=_without_key_identifiers),
    ),
    Variant(
        "X-19.leaf",
        ("X-19",),
        "A leaf that names its issuer's key.",
        edit=certificate(
            LEAF,
            extensions=lambda draft, form: (
                *form.extensions,
                authority_key(form.signer.identifier),
            ),
        ),
    ),
    Variant(
        "X-19.issuer-silent",
        ("X-19",),
        "The issuer does not say what its identifier is.",
        edit=put(ZONAL, _SUBJECT_KEY),
    ),
)

_POLICY: Final = (
    Variant(
        "X-20.archive",
        ("X-20",),
        "Judged at its own time, years later.",
        verify={"at": "document"},
        warnings=_ARCHIVE,
    ),
    Variant(
        "X-21.at-start",
        ("X-21",),
        "Made 59 s before its leaf starts, within the skew.",
        edit=certificate(
            LEAF, not_before=lambda draft, form: issued(draft) + timedelta(seconds=59)
        ),
        at_shift=timedelta(minutes=5),
    ),
    Variant(
        "X-22.within-skew",
        ("X-22",),
        "Made 60 s ahead of the verifier's clock.",
        edit=made_at(timedelta(seconds=60)),
    ),
    Variant(
        "X-23.just-in-time",
        ("X-23",),
        "As old as the limit allows.",
        verify={"max_age": timedelta(minutes=5)},
        at_shift=timedelta(minutes=5),
        exact=True,
        warnings=_FRESH,
    ),
    Variant(
        "M-2.debug-allowed",
        ("M-2",),
        "Debug mode, which the caller allows.",
        document={"debug": True},
        verify={"allow_debug": True},
        warnings=_DEBUG,
    ),
    Variant(
        "M-2.other-pcrs-zero",
        ("M-2",),
        "PCR3 zero: no role, but not debug mode.",
        document={"pcrs": {3: registers.ZERO}},
    ),
    Variant(
        "policy.pcrs",
        ("policy",),
        "The measurements that the caller requires.",
        document={"kind": "enclave"},
        verify={"policy": dict(registers.IMAGE)},
        warnings=_BOUND,
    ),
    Variant(
        "policy.nonce",
        ("policy",),
        "The nonce that the caller expects.",
        document={"nonce": _NONCE},
        verify={"nonce": _NONCE},
        warnings=_FRESH,
    ),
    Variant(
        "policy.short-nonce",
        ("policy",),
        "A nonce that could be guessed.",
        document={"nonce": b"short"},
        verify={"nonce": b"short"},
        warnings=_SHORT,
    ),
    Variant(
        "policy.user-data",
        ("policy",),
        "The user_data that the caller expects.",
        document={"user_data": b"data"},
        verify={"user_data": b"data"},
    ),
    Variant(
        "policy.public-key",
        ("policy",),
        "The public_key that the caller expects.",
        document={"public_key": b"key"},
        verify={"public_key": b"key"},
    ),
)

VARIANTS: Final[Mapping[str, Variant]] = MappingProxyType(
    {variant.id: variant for table in (_ENVELOPE, _PAYLOAD, _CHAIN, _POLICY) for variant in table}
)
"""Unusual documents that must be accepted, by id. Each variant has the warnings of its result."""
