"""Faults of revocation lists (rules R-1 to R-7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtensionOID, NameOID

from nitro_attest.testing import _der as der
from nitro_attest.testing.certificates import Extension
from nitro_attest.testing.faults.chain import ECDSA_WITH_SHA256, ECDSA_WITH_SHA512, UNKNOWN_OID
from nitro_attest.testing.pki import authority_key, root_name
from nitro_attest.testing.revocation import CRL_NUMBER, ListForm, Revoked, crl_number, reason_code

ISSUING_POINT: Final = ExtensionOID.ISSUING_DISTRIBUTION_POINT.dotted_string
DELTA: Final = ExtensionOID.DELTA_CRL_INDICATOR.dotted_string

_SECOND: Final = timedelta(seconds=1)


class Covered(NamedTuple):
    """The certificate that a list is about.

    Attributes:
        serial: Its serial number.
        address: The address of the list that it names.
    """

    serial: int
    address: str


Edit = Callable[[ListForm, Covered], ListForm]


@dataclass(frozen=True, slots=True)
class ListFault:
    """A revocation list that breaks one rule, or revokes the certificate that it is about.

    Attributes:
        id: The rule and the change, such as ``R-3.expired``.
        code: The code of the error that the verifier must raise.
        description: The broken part.
        edit: The change to an ordinary list.
    """

    id: str
    code: str
    description: str
    edit: Edit


def parts(**changes: Any) -> Edit:
    """Replaces parts of the list."""
    return lambda form, covered: replace(form, **changes)


def shifted(**shifts: timedelta) -> Edit:
    """Moves times of the list."""
    return lambda form, covered: replace(
        form, **{name: getattr(form, name) + shift for name, shift in shifts.items()}
    )


def extended(extension: Extension) -> Edit:
    """Adds an extension."""
    return lambda form, covered: replace(form, extensions=(*form.extensions, extension))


def point(**changes: Any) -> Edit:
    """Adds an IssuingDistributionPoint with the address that the certificate names."""

    def edit(form: ListForm, covered: Covered) -> ListForm:
        value = issuing_point(covered.address, **changes)
        return extended(Extension.of(value, critical=True))(form, covered)

    return edit


def issuing_point(address: str, **changes: Any) -> x509.IssuingDistributionPoint:
    """Makes the value of an IssuingDistributionPoint."""
    values: dict[str, Any] = {
        "full_name": [x509.UniformResourceIdentifier(address)],
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**values | changes)


def entries(*extensions: Extension, other: int = 0, times: int = 1) -> Edit:
    """Adds entries for the certificate, or with ``other``, for one that is not verified."""

    def edit(form: ListForm, covered: Covered) -> ListForm:
        entry = Revoked(
            serial=covered.serial + other, at=form.this_update - _SECOND, extensions=extensions
        )
        return replace(form, revoked=(*form.revoked, *(entry,) * times))

    return edit


def forged(form: ListForm, covered: Covered) -> ListForm:
    """Keeps the signature of the list, and revokes nothing any more."""
    revoking = entries()(form, covered)
    return replace(form, signature=revoking.signer.sign(revoking.signed, revoking.digest))


_TABLE: Final = (
    ListFault(
        "R-1.trailing-bytes",
        "input.crl",
        "Bytes after the end.",
        lambda form, covered: replace(form, trailing=b"\x00"),
    ),
    ListFault(
        "R-2.emptied",
        "crl.signature",
        "The entries of a signed list are removed.",
        forged,
    ),
    ListFault(
        "R-2.other-key",
        "crl.signature",
        "Signed by a key that is not the issuer's, in the issuer's name.",
        lambda form, covered: replace(form, signer=form.stranger),
    ),
    ListFault(
        "R-2.other-issuer",
        "cert.revocation_unknown",
        "Signed by the issuer's key, in a different name.",
        parts(issuer=root_name("other")),
    ),
    ListFault(
        "R-2.sha256",
        "crl.signature",
        "ECDSA with SHA-256.",
        parts(
            digest=hashes.SHA256(),
            inner_algorithm=ECDSA_WITH_SHA256,
            outer_algorithm=ECDSA_WITH_SHA256,
        ),
    ),
    ListFault(
        "R-2.sha512",
        "crl.signature",
        "ECDSA with SHA-512.",
        parts(
            digest=hashes.SHA512(),
            inner_algorithm=ECDSA_WITH_SHA512,
            outer_algorithm=ECDSA_WITH_SHA512,
        ),
    ),
    ListFault(
        "R-2.inner-algorithm",
        "input.crl",
        "A different algorithm in the signed part.",
        parts(inner_algorithm=ECDSA_WITH_SHA256),
    ),
    ListFault(
        "R-3.version-1",
        "crl.malformed",
        "Without a version, and with extensions.",
        parts(version=None),
    ),
    ListFault("R-3.version-3", "input.crl", "Version 3, which does not exist.", parts(version=2)),
    ListFault(
        "R-3.future",
        "crl.not_yet_valid",
        "Issued after the verification time and its tolerance.",
        shifted(this_update=timedelta(minutes=2)),
    ),
    ListFault(
        "R-3.expired",
        "crl.stale",
        "The next list was due before the verification time.",
        lambda form, covered: replace(form, next_update=form.this_update - _SECOND),
    ),
    ListFault(
        "R-3.no-next-update",
        "crl.stale",
        "Without the time of the next list.",
        parts(next_update=None),
    ),
    ListFault("R-4.no-number", "crl.malformed", "Without a CRLNumber.", parts(extensions=())),
    ListFault(
        "R-4.negative-number",
        "crl.malformed",
        "The CRLNumber is negative.",
        parts(extensions=(crl_number(-1),)),
    ),
    ListFault(
        "R-4.number-of-21-octets",
        "crl.malformed",
        "The CRLNumber exceeds 20 octets.",
        parts(extensions=(crl_number(256**20),)),
    ),
    ListFault(
        "R-4.two-numbers",
        "crl.malformed",
        "Two CRLNumbers.",
        parts(extensions=(crl_number(1), crl_number(2))),
    ),
    ListFault(
        "R-4.number-of-another-type",
        "crl.malformed",
        "The CRLNumber is an OCTET STRING.",
        parts(extensions=(Extension(CRL_NUMBER, False, der.octet_string(b"\x01")),)),
    ),
    ListFault(
        "R-5.delta",
        "crl.malformed",
        "Changes to an earlier list.",
        extended(Extension(DELTA, True, der.integer(1))),
    ),
    ListFault(
        "R-5.delta-not-critical",
        "crl.malformed",
        "Changes to an earlier list, in an extension that is not critical.",
        extended(Extension(DELTA, False, der.integer(1))),
    ),
    ListFault(
        "R-5.unknown-extension",
        "crl.malformed",
        "An unknown critical extension.",
        extended(Extension(UNKNOWN_OID, True, der.tlv(0x05, b""))),
    ),
    ListFault(
        "R-5.critical-issuer-name",
        "crl.malformed",
        "A critical issuerAltName, which says nothing about revocation.",
        extended(
            Extension.of(x509.IssuerAlternativeName([x509.DNSName("crl.invalid")]), critical=True)
        ),
    ),
    ListFault(
        "R-5.other-address",
        "crl.scope",
        "For the certificates that name a different address.",
        point(full_name=[x509.UniformResourceIdentifier("http://crl.invalid/crl/other.crl")]),
    ),
    ListFault(
        "R-5.no-address",
        "crl.malformed",
        "An empty IssuingDistributionPoint.",
        extended(Extension(ISSUING_POINT, True, der.sequence())),
    ),
    ListFault(
        "R-5.relative-name",
        "crl.scope",
        "An IssuingDistributionPoint with a name relative to the issuer's.",
        point(
            full_name=None,
            relative_name=x509.RelativeDistinguishedName(
                [x509.NameAttribute(NameOID.COMMON_NAME, "list")]
            ),
        ),
    ),
    ListFault(
        "R-5.user-certificates",
        "crl.scope",
        "For end-entity certificates only.",
        point(only_contains_user_certs=True),
    ),
    ListFault(
        "R-5.ca-certificates",
        "crl.scope",
        "For CA certificates only.",
        point(only_contains_ca_certs=True),
    ),
    ListFault(
        "R-5.attribute-certificates",
        "crl.scope",
        "For attribute certificates only.",
        point(only_contains_attribute_certs=True),
    ),
    ListFault(
        "R-5.some-reasons",
        "crl.scope",
        "For some reasons only.",
        point(only_some_reasons=frozenset({x509.ReasonFlags.superseded})),
    ),
    ListFault("R-5.indirect", "crl.scope", "For several issuers.", point(indirect_crl=True)),
    ListFault(
        "R-5.entry-of-another-issuer",
        "crl.malformed",
        "An entry for a certificate of a different issuer.",
        entries(
            Extension.of(
                x509.CertificateIssuer([x509.DirectoryName(x509.Name([]))]), critical=True
            ),
            other=1,
        ),
    ),
    ListFault(
        "R-5.unknown-entry-extension",
        "crl.malformed",
        "An unknown critical extension of an entry.",
        entries(Extension(UNKNOWN_OID, True, der.tlv(0x05, b"")), other=1),
    ),
    ListFault(
        "R-5.unknown-reason",
        "crl.malformed",
        "A reason that is not assigned.",
        entries(reason_code(7), other=1),
    ),
    ListFault(
        "R-5.two-reasons",
        "crl.malformed",
        "Two reasons of one entry.",
        entries(reason_code(1), reason_code(4), other=1),
    ),
    ListFault(
        "R-5.serial-not-positive",
        "crl.malformed",
        "An entry with the serial number 0.",
        lambda form, covered: entries(other=-covered.serial)(form, covered),
    ),
    ListFault(
        "R-5.serial-twice",
        "crl.malformed",
        "The same serial number in two entries.",
        entries(other=1, times=2),
    ),
    ListFault(
        "R-7.removed",
        "crl.malformed",
        "An entry with removeFromCRL in a full list.",
        entries(reason_code(8), other=1),
    ),
    ListFault("R-7.no-reason", "cert.revoked", "Revoked without a reason.", entries()),
    ListFault(
        "R-7.key-compromise", "cert.revoked", "Revoked: keyCompromise.", entries(reason_code(1))
    ),
    ListFault("R-7.superseded", "cert.revoked", "Revoked: superseded.", entries(reason_code(4))),
    ListFault("R-7.on-hold", "cert.revoked", "Revoked: certificateHold.", entries(reason_code(6))),
    ListFault(
        "R-7.with-authority-key",
        "cert.revoked",
        "Revoked, in a list with an authorityKeyIdentifier.",
        lambda form, covered: extended(authority_key(form.signer.identifier))(
            entries()(form, covered), covered
        ),
    ),
    ListFault(
        "R-7.in-scope",
        "cert.revoked",
        "Revoked, in a list for the address that the certificate names.",
        lambda form, covered: point()(entries()(form, covered), covered),
    ),
)

LIST_FAULTS: Final[Mapping[str, ListFault]] = MappingProxyType(
    {fault.id: fault for fault in _TABLE}
)
"""Ways in which a revocation list can break a rule or revoke, by id, each with its error code."""
