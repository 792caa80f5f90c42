"""The expectation of every case: the result that any verifier should have, and how much it matters.

A case records the strict result of this project's verifier. Where AWS's text, an RFC or genuine
documents allow both results, the expectation is ``acceptable`` and a flag names the choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Final, Literal, NamedTuple

FLAGS: Final = {
    "bundle-order": "the order and the number of certificates in cabundle",
    "caps": "limits that no public text states, or that are stricter than its limits",
    "debug-check": "debug mode, and the PCRs that show it",
    "denial-of-service": "work or memory that the sender chooses: it has bounds",
    "document-time": "verification as of the document's own timestamp",
    "empty-field": "an optional field of 0 bytes",
    "fixed-max-age": "documents that a built-in maximum age rejects",
    "limit-512": "the limit of 512 bytes in one table of AWS, which genuine documents exceed",
    "milliseconds": "times that differ only in fractions of a second, or by less than 1 second",
    "names": "names in the document: their form, and names in certificates that they equal",
    "nested-indefinite": "indefinite length of pcrs or cabundle",
    "pedantic-x509": "DER and extensions where common X.509 libraries differ",
    "strict-cbor": "CBOR that is well-formed and not in its shortest, definite form",
    "tag-18": "the CBOR tag of COSE_Sign1, which AWS allows and the NSM does not write",
    "unknown-keys": "fields that AWS's text does not name",
}
"""Choices that verifiers make differently, with their meanings."""

IMPORTANCE: Final = {
    "critical": "a forgery is accepted, or a document that does not meet the caller's requirements"
    " or is outside its validity",
    "high": "genuine documents are rejected, or a check is missing that an attack needs",
    "medium": "AWS's text or an RFC decides; neither genuine documents nor a forgery depend on it",
    "low": "a rare form, or one on which verifiers differ",
}
"""Degrees of harm that a wrong result does, with their meanings."""

Result = Literal["accept", "reject", "acceptable"]


class Expectation(NamedTuple):
    """The result that any verifier should have.

    Attributes:
        result: ``acceptable`` where both are right.
        importance: A key of IMPORTANCE.
        flags: Keys of FLAGS, in order.
    """

    result: Result
    importance: str
    flags: tuple[str, ...] = ()


Rows = Mapping[str, Expectation]
"""Expectations by a pattern of the case's id; the first that matches counts."""


def _reject(importance: str, *flags: str) -> Expectation:
    return Expectation("reject", importance, flags)


def _accept(importance: str, *flags: str) -> Expectation:
    return Expectation("accept", importance, flags)


def _either(*flags: str) -> Expectation:
    return Expectation("acceptable", "low", flags)


CRITICAL: Final = _reject("critical")
HIGH: Final = _reject("high")
MEDIUM: Final = _reject("medium")
LOW: Final = _reject("low")
CBOR_ACCEPTABLE: Final = _either("strict-cbor")
CBOR_LOW: Final = _reject("low", "strict-cbor")
X509_ACCEPTABLE: Final = _either("pedantic-x509")
X509_LOW: Final = _reject("low", "pedantic-x509")
COSTLY: Final = _reject("high", "denial-of-service")
CAP: Final = _reject("low", "caps")
TO_THE_MILLISECOND: Final = _either("milliseconds")

OUT_OF_VALIDITY: Final = {
    "*one-ms-*": TO_THE_MILLISECOND,
    "*late-by-a-slow-clock*": TO_THE_MILLISECOND,
    "*before-the-skew*": TO_THE_MILLISECOND,
    "*": CRITICAL,
}

REJECTED: Final[Mapping[str, Rows]] = {
    "C-1": {"*": CRITICAL},
    "C-2": {"*": CAP},
    "C-3": {"*": LOW},
    "C-4": {"*.tag-18-in-*": _either("strict-cbor", "tag-18"), "*": MEDIUM},
    "C-5": {
        "*.long-head*": CBOR_ACCEPTABLE,
        "*.indefinite*": CBOR_LOW,
        "*.three-items*": CRITICAL,
        "*.five-items*": HIGH,
        "*": MEDIUM,
    },
    "C-6": {
        "*.wide-label*": CBOR_LOW,
        "*.indefinite-map*": CBOR_LOW,
        "*.trailing*": MEDIUM,
        "*.bare-map*": MEDIUM,
        "*.text*": MEDIUM,
        "*": HIGH,
    },
    "C-7": {"*.crit*": HIGH, "*": MEDIUM},
    "C-8": {
        "*.long-head*": CBOR_ACCEPTABLE,
        "*.indefinite*": CBOR_LOW,
        "*.certificate*": HIGH,
        "*.algorithm*": HIGH,
        "*": MEDIUM,
    },
    "C-9": {"*.claims-*": COSTLY, "*.text*": MEDIUM, "*.bare-map*": MEDIUM, "*": HIGH},
    "C-10": {
        "*.97-bytes*": MEDIUM,
        "*.132-bytes*": MEDIUM,
        "*.der*": MEDIUM,
        "*.text*": MEDIUM,
        "*.array*": MEDIUM,
        "*": CRITICAL,
    },
    "C-11": {
        "*.short-payload-*": HIGH,
        "*-chunked*": CBOR_LOW,
        "*-reserved-*": _reject("medium", "strict-cbor"),
        "*": CBOR_ACCEPTABLE,
    },
    "C-12": {"*": MEDIUM},
    "C-13": {"*": CRITICAL},
    "C-14": {"*": CRITICAL},
    "C-16": {"*": CRITICAL},
    "C-17": {"*": CRITICAL},
    "P-1": {"*.deep-arrays*": _reject("medium", "denial-of-service"), "*": MEDIUM},
    "P-2": {
        "*.cabundle-empty*": CRITICAL,
        "*.cabundle-nine*": _either("caps", "nested-indefinite"),
        "*.pcrs-empty*": HIGH,
        "*.pcr-twice*": HIGH,
        "*": MEDIUM,
    },
    "P-3": {
        "*.map-wide@counted": MEDIUM,  # its last byte is missing, too
        "*-wide*": CBOR_ACCEPTABLE,
        "*-chunked*": CBOR_LOW,
        "*": _reject("medium", "strict-cbor"),
    },
    "P-4": {"*": HIGH},
    "P-5": {"*.known-name-*": HIGH, "*-in-*": CBOR_LOW, "*": _reject("medium", "strict-cbor")},
    "P-6": {"*": HIGH},
    "P-7": {"*": _either("unknown-keys")},
    "P-9": {
        "*.no-certificate*": CRITICAL,
        "*.no-cabundle*": CRITICAL,
        "*.empty-*": CRITICAL,
        "*": HIGH,
    },
    "P-10": {
        "*-certificate": CRITICAL,
        "*-cabundle": CRITICAL,
        "*-public_key*": LOW,
        "*-user_data*": LOW,
        "*-nonce*": LOW,
        "*": HIGH,
    },
    "P-12": {
        "*.cost": COSTLY,
        "*.empty*": MEDIUM,
        "*.too-long*": _either("caps", "names"),
        "*": _either("names"),
    },
    "P-13": {"*": MEDIUM},
    "P-14": {"*.zero*": MEDIUM, "*": _either("caps")},
    "P-15": {"*.cost-*": COSTLY, "*.claims-*": COSTLY, "*.33*": MEDIUM, "*": HIGH},
    "P-16": {"*.256*": HIGH, "*.2-to-32*": HIGH, "*.negative*": HIGH, "*": MEDIUM},
    "P-17": {
        "*.32-bytes*": _either("caps"),
        "*.64-bytes*": _either("caps"),
        "*.0-bytes*": HIGH,
        "*": MEDIUM,
    },
    "P-18": {"*.no-pcr0*": _reject("high", "debug-check"), "*": _either("debug-check")},
    "P-19": {"*.cost": COSTLY, "*.empty*": CRITICAL, "*": MEDIUM},
    "P-20": {"*.empty*": CRITICAL, "*.nine*": _either("caps"), "*": COSTLY},
    "P-21": {"*": MEDIUM},
    "P-22": {"*": MEDIUM},
    "P-23": {"*.cost": COSTLY, "*": MEDIUM},
    "P-24": {"*": MEDIUM},
    "P-25": {"*.user-data-deep-arrays*": COSTLY, "*": MEDIUM},
    "X-1": {
        "*.zeros*": CRITICAL,
        "*.cut*": CRITICAL,
        "*.broken-key-usage*": MEDIUM,
        "*": X509_LOW,
    },
    "X-2": {"*-octets*": X509_ACCEPTABLE, "*-bits*": X509_ACCEPTABLE, "*": X509_LOW},
    "X-3": {"*": _either("bundle-order")},
    "X-4": {"*.twin-signature*": X509_LOW, "*": CRITICAL},
    "X-5": {"*": _either("bundle-order")},
    "X-6": {"*.crowd*": CRITICAL, "*": _either("bundle-order")},
    "X-7": {
        "*.upper-case*": X509_ACCEPTABLE,
        "*.string-type*": X509_ACCEPTABLE,
        "*.nameless*": X509_LOW,
        "*": CRITICAL,
    },
    "X-8": {"*": CRITICAL},
    "X-9": {
        "*.leaf-explicit-curve*": CRITICAL,
        "*.leaf-infinity*": CRITICAL,
        "*.leaf-off-curve*": CRITICAL,
        "*.leaf-implicit-curve*": HIGH,
        "*-differs*": HIGH,
        "*.leaf-compressed*": X509_LOW,
        "*.compressed-*": X509_LOW,
        "*.leaf-hybrid*": X509_LOW,
        "*null-parameters*": X509_LOW,
        "*": MEDIUM,
    },
    "X-10": {"*half-a-second*": TO_THE_MILLISECOND, **OUT_OF_VALIDITY},
    "X-11": OUT_OF_VALIDITY,
    "X-12": {"*.name-constraints*": X509_ACCEPTABLE, "*.extended-key-usage*": MEDIUM, "*": HIGH},
    "X-13": {"*.basic-constraints-*": HIGH, "*.key-usage-*": MEDIUM, "*": X509_LOW},
    "X-14": {"*-not-critical*": X509_ACCEPTABLE, "*": CRITICAL},
    "X-15": {"*-silent*": X509_ACCEPTABLE, "*": CRITICAL},
    "X-16": {"*": CRITICAL},
    "X-17": {
        "*.no-*": X509_ACCEPTABLE,
        "*-not-critical*": X509_ACCEPTABLE,
        "*.ca*": HIGH,
        "*.path-length*": X509_LOW,
        "*": MEDIUM,
    },
    "X-18": {"*.signed-by-issuer*": CRITICAL, "*": _either("bundle-order")},
    "X-19": {"*": X509_ACCEPTABLE},
    "X-20": {"*": _reject("critical", "document-time")},
    "X-21": {"*": HIGH},
    "X-22": {"*.beyond-skew*": _reject("low", "milliseconds"), "*": HIGH},
    "X-23": {"*.one-millisecond*": _reject("low", "milliseconds"), "*": CRITICAL},
    "X-24": {"*": _either("names")},
    "M-2": {"*": _reject("critical", "debug-check")},
    "T-1": {"*": CRITICAL},
    "T-2": {"*.image*": HIGH, "*.running*": HIGH, "*.instance-measurements*": HIGH, "*": CRITICAL},
    "T-3": {"*": _either("names")},
    "policy": {"*": CRITICAL},
    "L-1": {"*-other": CRITICAL, "*.last-index": CRITICAL, "*": HIGH},
    "L-2": {"*.other-chosen": CRITICAL, "*": MEDIUM},
    "L-3": {"*": HIGH},
    "L-4": {"*": CRITICAL},
    "L-6": {"*.other-index": CRITICAL, "*": MEDIUM},
    "L-7": {"*": HIGH},
    "L-8": {"*.mixture*": MEDIUM, "*.array-*": MEDIUM, "*": CRITICAL},
    "M-3": {"*": HIGH},
    "M-9": {"*.last-digit": CRITICAL, "*": MEDIUM},
    "T-6": {"*": CRITICAL},
    "R-1": {"*": MEDIUM},
    "R-2": {
        "*.emptied*": CRITICAL,
        "*.other-key*": CRITICAL,
        "*.other-issuer*": HIGH,
        "*": X509_LOW,
    },
    "R-3": {"*one-ms-*": _reject("low", "milliseconds"), "*.version-*": X509_LOW, "*": HIGH},
    "R-4": {"*": X509_LOW},
    "R-5": {"*": MEDIUM},
    "R-6": {"*": HIGH},
    "R-7": {"*.removed*": MEDIUM, "*": CRITICAL},
    "R-8": {"*": CRITICAL},
    "F-1": {"*": MEDIUM},
    "F-2": {"*": HIGH},
    "F-3": {"*": HIGH},
    "F-4": {"*": HIGH},
    "F-5": {"*": MEDIUM},
    "F-6": {"*": CAP},
    "S-1": {
        "*.other-image": CRITICAL,
        "*.register-1": CRITICAL,
        "*": _reject("low", "strict-cbor"),
    },
    "S-2": {
        "*.other-key": CRITICAL,
        "*.zeros": CRITICAL,
        "*.cut": CRITICAL,
        "*.three-parts": CRITICAL,
        "*.no-*": CRITICAL,
        "*.other-curve": CRITICAL,
        "*.first-of-two": CRITICAL,
        "*": MEDIUM,
    },
}
"""Expectations of the cases that this project's verifier rejects, by rule."""

ACCEPTED: Final[Mapping[str, Rows]] = {
    "C-1": {"*": _accept("high")},
    "C-2": {"*": _either("caps", "limit-512")},
    "C-4": {"*": _either("tag-18")},
    "C-15": {"*": _accept("high")},
    "P-1": {"*": _accept("high")},
    "P-2": {"*": _either("nested-indefinite")},
    "P-10": {"*": _accept("high")},
    "P-11": {"*": _either("empty-field")},
    "P-15": {"*": _accept("high")},
    "P-18": {"*": _accept("high")},
    "P-20": {"*": _accept("medium", "caps")},
    "P-22": {"*": _accept("medium", "caps")},
    "P-23": {"*": _either("limit-512")},
    "P-24": {"*": _either("limit-512")},
    "X-2": {"*.21-octets": _accept("high"), "*": _accept("medium", "pedantic-x509")},
    "X-10": {
        "*last-instant*": _either("fixed-max-age", "milliseconds"),
        "*first-instant*": _accept("medium", "milliseconds"),
        "*": _accept("high", "fixed-max-age"),
    },
    "X-11": {
        "*last-instant*": _either("fixed-max-age", "milliseconds"),
        "*first-instant*": _accept("medium", "milliseconds"),
        "*.govcloud-*": _accept("high"),
        "*": _accept("medium"),
    },
    "X-17": {"*": _accept("high")},
    "X-19": {"*.leaf-allowed*": _accept("medium"), "*": _accept("high")},
    "X-20": {"*": _accept("medium", "document-time", "fixed-max-age")},
    "M-2": {"*.other-pcrs-zero*": _accept("high"), "*": _accept("medium", "debug-check")},
    "T-1": {"*": _accept("high")},
    "policy": {"*": _accept("high")},
    "F-1": {"*.version-4": _accept("high"), "*": _accept("medium")},
    "F-8": {"*": _accept("high")},
}
"""Expectations of the cases that this project's verifier accepts; ``medium`` for other rules."""


def expectation(name: str, rule: str, *, accepted: bool) -> Expectation:
    """Returns the expectation of a case.

    Args:
        name: The case's id.
        rule: The rule that it is about.
        accepted: The result of this project's verifier.

    Raises:
        ValueError: No row is about the case, or the row contradicts the result.
    """
    rows = ACCEPTED.get(rule, {"*": _accept("medium")}) if accepted else REJECTED.get(rule, {})
    found = next((row for pattern, row in rows.items() if fnmatchcase(name, pattern)), None)
    if found is None:
        raise ValueError(f"no expectation of {name}; add a row for {rule}")
    if found.result not in ("acceptable", "accept" if accepted else "reject"):
        raise ValueError(f"{name} expects {found.result}, unlike this project's verifier")
    return found


CLASSES: Final = {
    "envelope": "the outer COSE_Sign1",
    "signature": "the document's own signature",
    "payload": "the signed map",
    "certificates": "the form and the content of each certificate",
    "trust": "the path from the trusted root to the signing certificate",
    "time": "validity of the certificates, and age of the document",
    "names": "names in the document and in its certificates",
    "kinds": "documents of enclaves and of EC2 instances, one taken for the other",
    "requirements": "debug mode and the caller's expected values",
    "policy-files": "expected measurements in the files of AWS's tools",
    "revocation": "revocation lists (CRLs)",
    "images": "enclave images: layout, signature and PCRs",
}
"""Classes of errors, in the order of a verification; each has a page."""

_CLASS_OF_GROUP: Final = {
    "policy-file": "policy-files",
    "revocation": "revocation",
    "image": "images",
}
_CLASS_OF_RULE: Final = {
    **dict.fromkeys(("C-14", "C-15", "C-16"), "signature"),
    **dict.fromkeys(("X-1", "X-2", "X-9", "X-12", "X-13", "X-14", "X-15", "X-17"), "certificates"),
    **dict.fromkeys(("X-3", "X-4", "X-5", "X-6", "X-7", "X-8", "X-16", "X-18", "X-19"), "trust"),
    **dict.fromkeys(("X-10", "X-11", "X-20", "X-21", "X-22", "X-23"), "time"),
    **dict.fromkeys(("X-24", "T-3"), "names"),
    **dict.fromkeys(("T-1", "T-2"), "kinds"),
    **dict.fromkeys(("M-2", "policy"), "requirements"),
}
_CLASS_OF_FAMILY: Final = {"C": "envelope", "P": "payload"}


def error_class(rule: str, group: str) -> str:
    """Returns the class of errors of a case about a rule, in one of the files."""
    return _CLASS_OF_GROUP.get(group) or _CLASS_OF_RULE.get(rule) or _CLASS_OF_FAMILY[rule[0]]
