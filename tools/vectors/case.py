"""One case: a document, how it is judged, and what must come out."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from nitro_attest import errors
from vectors.expectations import Expectation, error_class, expectation
from vectors.explanations import why
from vectors.links import links

MILLISECOND: Final = timedelta(milliseconds=1)

Measurements = tuple[Mapping[int, bytes], ...]
"""Sets of PCR values."""

CHAIN_ORACLES: Final = ("path-engine", "openssl", "openssl-strict")
REVOCATION_ORACLES: Final = ("openssl-crl",)
SIGNATURE_ORACLES: Final = ("openssl-dgst",)

CLASSES: Final = {
    family: error.__name__
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, errors.NitroAttestError)
    for family in error.families
}


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The requirements of the caller.

    Attributes:
        kind: Of what a document is expected.
        pcrs: Allowed sets of PCR values; none where no measurements are demanded.
        nonce: Expected field; None where it is not looked at. The next two alike.
        user_data: As nonce.
        public_key: As nonce.
        max_age: The maximum age of the document; None for no limit.
        allow_debug: Whether debug mode is accepted.
        clock_skew: How far the verifier's clock may be behind.
    """

    kind: Literal["enclave", "nitrotpm"] = "enclave"
    pcrs: tuple[dict[int, bytes], ...] = ()
    nonce: bytes | None = None
    user_data: bytes | None = None
    public_key: bytes | None = None
    max_age: timedelta | None = None
    allow_debug: bool = False
    clock_skew: timedelta = timedelta(0)

    def to_json(self) -> dict[str, Any]:
        """Every member, also those that ask for nothing."""

        def text(octets: bytes | None) -> str | None:
            return None if octets is None else octets.hex()

        return {
            "kind": self.kind,
            "pcrs": measurements_json(self.pcrs),
            "nonce": text(self.nonce),
            "user_data": text(self.user_data),
            "public_key": text(self.public_key),
            "max_age_ms": None if self.max_age is None else self.max_age // MILLISECOND,
            "allow_debug": self.allow_debug,
            "clock_skew_ms": self.clock_skew // MILLISECOND,
        }


@dataclass(frozen=True)
class PolicyFile:
    """A file that the policy comes from.

    Attributes:
        content: The bytes of the file.
        enclave_name: Which one to take of several running enclaves.
        pcr_index: Which PCR it is about, where it does not say so.
    """

    content: bytes = field(repr=False)
    enclave_name: str | None = None
    pcr_index: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Text where it is text, so that people can read it."""
        stored = {"base64": base64.b64encode(self.content).decode()}
        if not self.content.startswith(b"\xef\xbb\xbf"):
            with suppress(UnicodeDecodeError):
                stored = {"text": self.content.decode()}
        return stored | {"enclave_name": self.enclave_name, "pcr_index": self.pcr_index}


@dataclass(frozen=True)
class Revocation:
    """The revocation lists that the caller provides.

    Attributes:
        lists: Each in DER or PEM.
        max_age: The maximum age of a list; None for no limit.
    """

    lists: tuple[bytes, ...] = field(repr=False)
    max_age: timedelta | None = None

    def to_json(self) -> dict[str, Any]:
        """Each list with its SHA-256, as documents have it."""
        return {
            "max_age_ms": None if self.max_age is None else self.max_age // MILLISECOND,
            "lists": [
                {
                    "base64": base64.b64encode(one).decode(),
                    "sha256": hashlib.sha256(one).hexdigest(),
                }
                for one in self.lists
            ],
        }


@dataclass(frozen=True, kw_only=True)
class Case:
    """One case of the suite.

    Attributes:
        id: Unique in the suite, and stable.
        group: The file that holds it.
        rules: Identifiers of docs/reference/rules.md; the first one is what the case is about.
        title: What is broken, or unusual.
        document: The raw document.
        file: Where it is stored, relative to the case files; None to write it into the case.
        root: Name of the only trusted root.
        time: When it is judged; ``document`` for its own signed time.
        policy: What is asked for.
        code: The code of the refusal; None where the document must be accepted.
        warnings: Codes of the warnings of an acceptance.
        needs_skew: The answer depends on the clock skew.
        genuine: The signature is one that AWS hardware made.
        policy_file: Where measurements are demanded by a file.
        measurements: What that file demands.
        revocation: The revocation lists; None where revocation is not checked.
        expectation: The result that any verifier should have; None: that of the tables.
    """

    id: str
    group: str
    rules: tuple[str, ...]
    title: str
    document: bytes = field(repr=False)
    file: str | None = None
    root: str = "fake"
    time: datetime | Literal["document"]
    policy: Policy = Policy()
    code: str | None = None
    warnings: tuple[str, ...] = ("policy.none", "freshness.unbound", "root.custom")
    needs_skew: bool = False
    genuine: bool = False
    policy_file: PolicyFile | None = None
    measurements: Measurements = ()
    revocation: Revocation | None = None
    expectation: Expectation | None = None

    def but(self, suffix: str, **changes: Any) -> Case:
        """The same case with changes, under a name that says so."""
        return replace(self, id=f"{self.id}@{suffix}", **changes)

    @property
    def question(self) -> tuple[object, ...]:
        """The question; two cases with equal questions have equal answers."""
        policy = str(self.policy), self.policy_file
        return self.document, self.root, self.time, *policy, self.revocation

    @property
    def features(self) -> list[str]:
        """The inputs that a verifier must support, beyond document, root and time."""
        asked, file, lists = self.policy, self.policy_file, self.revocation
        wanted = {
            "allow-debug": asked.allow_debug,
            "clock-skew": self.needs_skew,
            "crl": lists is not None,
            "crl-max-age": lists is not None and lists.max_age is not None,
            "document-time": self.time == "document",
            "enclave-name": file is not None and file.enclave_name is not None,
            "max-age": asked.max_age is not None,
            "nitrotpm": asked.kind == "nitrotpm",
            "nonce": asked.nonce is not None,
            "pcr-index": file is not None and file.pcr_index is not None,
            "pcrs": bool(asked.pcrs),
            "public-key": asked.public_key is not None,
            "user-data": asked.user_data is not None,
        }
        return [feature for feature, needed in wanted.items() if needed]

    @property
    def judged_by(self) -> tuple[str, ...]:
        """The oracles that can judge what this case is about.

        None can for the form of a document.
        """
        if self.revocation is not None:
            return REVOCATION_ORACLES
        rule, family = self.rules[0], (self.code or "").partition(".")[0]
        about_chain = self.code is None and rule[:2] == "X-" and int(rule[2:]) < 20
        if about_chain or family in ("cert", "chain"):
            return CHAIN_ORACLES
        about_signature = self.code is None and rule in ("C-14", "C-15", "C-16")
        return SIGNATURE_ORACLES if about_signature or family == "signature" else ()

    def to_json(self) -> dict[str, Any]:
        """The case as the files hold it, but for what the oracles said."""
        stored = (
            {"base64": base64.b64encode(self.document).decode()}
            if self.file is None
            else {"file": self.file}
        )
        return {
            "id": self.id,
            "class": error_class(self.rules[0], self.group),
            "rules": list(self.rules),
            "title": self.title,
            "why": why(self.rules[0], accepted=self.code is None),
            "importance": self._expectation.importance,
            "flags": list(self._expectation.flags),
            "links": links(self.id, self.rules[0]),
            "features": self.features,
            "root": self.root,
            "time": self.time if self.time == "document" else rfc3339(self.time),
            "policy": self.policy.to_json(),
            **({"policy_file": self.policy_file.to_json()} if self.policy_file else {}),
            **({"revocation": self.revocation.to_json()} if self.revocation else {}),
            "expected": self._expected(),
            "document": stored | {"sha256": hashlib.sha256(self.document).hexdigest()},
        }

    @property
    def _expectation(self) -> Expectation:
        return self.expectation or expectation(self.id, self.rules[0], accepted=self.code is None)

    def _expected(self) -> dict[str, Any]:
        expected = outcome(self._expectation, self.code, self.warnings)
        if self.policy_file is None:
            return expected
        return expected | {"measurements": measurements_json(self.measurements)}


def outcome(expected: Expectation, code: str | None, warnings: tuple[str, ...]) -> dict[str, Any]:
    """Returns the expected result, and that of this project; without a code it accepts."""
    family = None if code is None else CLASSES[code.partition(".")[0]]
    return {
        "result": expected.result,
        "ours": "accept" if code is None else "reject",
        "code": code,
        "class": family,
        "warnings": list(warnings) if code is None else [],
    }


def measurements_json(sets: Measurements) -> list[dict[str, str]]:
    """Sets of PCR values as the files hold them."""
    return [{str(index): value.hex() for index, value in one.items()} for one in sets]


def rfc3339(moment: datetime) -> str:
    """A UTC time to the millisecond; a finer one would not be what is judged."""
    if moment.microsecond % 1000 or moment.utcoffset() != timedelta(0):
        raise ValueError(f"{moment} is not a UTC time of whole milliseconds")
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"
