"""Answers of other verifiers to a case, and the reasons why they may differ from the rules.

``path-engine`` is cryptography.x509.verification with policies that fit the certificates of AWS,
``openssl`` is ``openssl verify -attime``, ``openssl-strict`` the same with ``-x509_strict``: all
three judge the chain. ``openssl-crl`` is ``openssl verify -crl_check`` and judges revocation.
``openssl-dgst`` is ``openssl dgst -verify`` and judges the document's own signature. cbor2 takes
the document apart for them.
"""

from __future__ import annotations

import base64
import re
import ssl
import subprocess
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chain_oracles import (
    ENGINE_DOES_NOT_CHECK,
    OPENSSL_DOES_NOT_CHECK,
    engine_accepts,
    openssl_errors,
)
from vectors.case import CHAIN_ORACLES, SIGNATURE_ORACLES, Case
from vectors.der_cases import ENCODING, SIGNATURE

EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
EXPIRED: Final = "10"
NOT_YET_ISSUED: Final = "11"
LIST_IN_PEM: Final = b"-----BEGIN X509 CRL-----\n%b-----END X509 CRL-----\n"
KEY_IDENTIFIERS: Final = {"85", "86"}
"""OpenSSL's numbers for missing authority and subject key identifiers."""


LISTS_NOT_CHECKED: Final = {
    "R-1": "bytes after the list are not read",
    "R-2": "other hash functions are known",
    "R-3": "the version, a missing nextUpdate and the age are not looked at",
    "R-4": "the CRLNumber is not looked at",
    "R-5": "neither the form of entries nor a scope that includes the certificate is looked at",
    "R-7": "reasons are not looked at, and one list is taken for each certificate that names one",
}
"""The rules of revocation lists whose violations OpenSSL accepts, and the reason."""


NOT_CHECKED_HERE: Final = {
    **{row.id: "encodings that DER forbids are read" for row in (*ENCODING, *SIGNATURE)},
    "X-9.leaf-x-beyond-prime": "the key of the last certificate is not loaded",
}
"""The reasons that differ from that of the rule, by case."""


@dataclass(frozen=True)
class Saying:
    """The answer of one oracle to one case; errors are OpenSSL's numbers and depths."""

    oracle: str
    accepts: bool
    errors: tuple[str, ...] = ()

    @property
    def only_key_identifiers(self) -> bool:
        """True if missing key identifiers are the only errors."""
        return bool(self.errors) and self.numbers <= KEY_IDENTIFIERS

    @property
    def numbers(self) -> set[str]:
        """OpenSSL's numbers of the errors."""
        return {text.split()[0] for text in self.errors}

    @property
    def other_reason(self) -> bool:
        """True if it rejects for a reason that would also refuse what must be accepted."""
        return self.only_key_identifiers or NOT_YET_ISSUED in self.numbers


def versions() -> dict[str, str]:
    """Returns the versions of the oracles."""
    run = subprocess.run(["openssl", "version"], capture_output=True, check=True, text=True)
    return {"cryptography": version("cryptography"), "openssl": run.stdout.split()[1]}


def ask(case: Case, roots: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """Returns the answers of the oracles that support this case, as the case files have them.

    Raises:
        KeyError: One differs from what is expected, and nothing here explains it.
    """
    if case.code is not None and not case.judged_by:
        return []
    message = cbor2.loads(case.document)
    items = message.value if isinstance(message, cbor2.CBORTag) else message
    payload = cbor2.loads(items[2])
    sayings = []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if case.revocation is not None:
            return [
                _record(case, _of_lists(case, case.revocation.lists, payload, roots, Path(folder)))
            ]
        if case.code is None or case.judged_by == CHAIN_ORACLES:
            sayings += _of_chain(case, payload, roots, Path(folder))
        if case.code is None or case.judged_by == SIGNATURE_ORACLES:
            sayings.append(_of_signature(items, payload, Path(folder)))
    return [_record(case, saying) for saying in sayings]


def _of_chain(
    case: Case, payload: Mapping[str, Any], roots: Mapping[str, bytes], folder: Path
) -> list[Saying]:
    at = case.time
    if not isinstance(at, datetime):
        at = EPOCH + timedelta(milliseconds=payload["timestamp"])
    root = x509.load_pem_x509_certificate(roots[case.root])
    asked = (payload["cabundle"], payload["certificate"], root, at)
    sayings = [Saying("path-engine", engine_accepts(*asked))]
    for oracle, strict in (("openssl", False), ("openssl-strict", True)):
        errors = openssl_errors(folder, *asked, strict=strict)
        sayings.append(Saying(oracle, not errors, tuple(errors)))
    return sayings


def _of_lists(
    case: Case,
    lists: tuple[bytes, ...],
    payload: Mapping[str, Any],
    roots: Mapping[str, bytes],
    folder: Path,
) -> Saying:
    """Asks about the two certificates that name a list. OpenSSL knows only whole seconds."""
    at = case.time
    if not isinstance(at, datetime):
        raise TypeError(f"{case.id}: expected a time")
    _, regional, zonal, *_ = payload["cabundle"]
    (folder / "root.pem").write_bytes(roots[case.root])
    for name, der in (("regional", regional), ("zonal", zonal)):
        (folder / f"{name}.pem").write_text(ssl.DER_cert_to_PEM_cert(der))
    command = ["openssl", "verify", "-crl_check", "-attime", str(int(at.timestamp()))]
    command += ["-no-CAfile", "-no-CApath", "-no-CAstore", "-trusted", "root.pem"]
    for number, one in enumerate(lists):
        armoured = one.startswith(b"-----BEGIN")
        text = one if armoured else LIST_IN_PEM % base64.encodebytes(one)
        (folder / f"{number}.crl").write_bytes(text)
        command += ["-CRLfile", f"{number}.crl"]
    errors: list[str] = []
    accepted = True
    for certificate in (["regional.pem"], ["-untrusted", "regional.pem", "zonal.pem"]):
        run = subprocess.run([*command, *certificate], cwd=folder, capture_output=True, check=False)
        accepted &= run.returncode == 0
        errors += re.findall(r"^error (\d+ at \d+) ", run.stderr.decode(), re.M)
    return Saying("openssl-crl", accepted, tuple(errors))


def _of_signature(items: list[Any], payload: Mapping[str, Any], folder: Path) -> Saying:
    leaf = x509.load_der_x509_certificate(payload["certificate"])
    public = leaf.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    r, s = (int.from_bytes(items[3][start : start + 48], "big") for start in (0, 48))
    (folder / "key.pem").write_bytes(public)
    (folder / "signature").write_bytes(encode_dss_signature(r, s))
    (folder / "message").write_bytes(cbor2.dumps(["Signature1", items[0], b"", items[2]]))
    command = ["openssl", "dgst", "-sha384", "-verify", folder / "key.pem"]
    command += ["-signature", folder / "signature", folder / "message"]
    run = subprocess.run(command, capture_output=True, check=False)
    return Saying("openssl-dgst", run.returncode == 0)


def _record(case: Case, saying: Saying) -> dict[str, Any]:
    expected = case.code is None
    says = {"oracle": saying.oracle, "result": "accept" if saying.accepts else "reject"}
    if saying.accepts == expected and not saying.other_reason:
        return says | {"agrees": True}
    rule, why = _difference(case, saying)
    return says | {"agrees": False, "rule": rule, "why": why}


def _difference(case: Case, saying: Saying) -> tuple[str, str]:
    """The rule that sets us apart, and how."""
    rule = case.rules[0]
    if saying.oracle == "openssl-crl":
        return rule, _about_lists(rule, saying)
    if saying.only_key_identifiers:
        return "X-19", "refuses every chain without key identifiers, which is every genuine one"
    if saying.accepts:
        return rule, f"accepts this: {_not_checked(case, saying.oracle)}"
    if case.needs_skew:
        return "X-20", "has no tolerance for slow clocks"
    if EXPIRED in saying.numbers:
        return "X-10", "counts the instant of notAfter itself as past"
    return rule, {("path-engine", "X-11"): "refuses dates before 2050 in the long form"}[
        saying.oracle, rule
    ]


def _not_checked(case: Case, oracle: str) -> str:
    """The reason why an oracle accepts what must be rejected."""
    if case.id in NOT_CHECKED_HERE:
        return NOT_CHECKED_HERE[case.id]
    tables = {"path-engine": ENGINE_DOES_NOT_CHECK, "openssl": OPENSSL_DOES_NOT_CHECK}
    rule = case.rules[0]
    return tables[oracle]["X-10" if rule == "X-11" else rule]


def _about_lists(rule: str, saying: Saying) -> str:
    if saying.accepts:
        return f"accepts this: {LISTS_NOT_CHECKED[rule]}"
    if NOT_YET_ISSUED in saying.numbers:
        return "knows no list that was issued after the verification time"
    return {"R-3": "counts the instant of nextUpdate itself as past"}[rule]
