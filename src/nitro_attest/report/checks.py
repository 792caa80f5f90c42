"""The verdict, and which checks passed, failed, or were not made."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final, Literal, NamedTuple

from nitro_attest._internal.wording import plural
from nitro_attest.errors import ChainError, FormatError, PolicyError, PolicyFailure, SignatureError
from nitro_attest.report.facts import Facts
from nitro_attest.report.wording import utc
from nitro_attest.verification.attestation import Attestation
from nitro_attest.verification.policy import (
    AnyEnclave,
    AnyInstance,
    NitroTpmPolicy,
    Policy,
)
from nitro_attest.verification.requirements import UNCHECKED

Status = Literal["passed", "warning", "failed", "not checked", "not reached", "not recorded"]
"""``warning``: passed, but with a warning. ``not reached``: an earlier check failed."""


class Check(NamedTuple):
    """One check of a verification.

    Attributes:
        name: Name of the check.
        status: The result.
        detail: The compared values, or the reason why nothing was compared.
        rules: Ids of the rules, as in docs/reference/rules.md.
    """

    name: str
    status: Status
    detail: str
    rules: str


class Verdict(NamedTuple):
    """The result of a verification in a few words.

    Attributes:
        word: VERIFIED, AUTHENTIC or REJECTED, with its limits.
        reason: One sentence.
        code: The code of the error; None if the document was accepted.
    """

    word: str
    reason: str
    code: str | None = None

    def __str__(self) -> str:
        return f"{self.title}: {self.reason}"

    @property
    def title(self) -> str:
        """The word, with the code if there is one."""
        return self.word if self.code is None else f"{self.word} {self.code}"


_STEPS: Final = (
    ("Form", "every byte has the one accepted form", "C-1 to C-13, P-1 to P-25, T-1"),
    ("Certificates", "they lead from a trusted root to the signing certificate", "X-1 to X-19"),
    ("Validity", "every certificate is valid at the verification time", "X-10"),
    ("Signature", "the signing certificate's key made it", "C-14, C-16"),
    ("Revocation", "no revocation list revokes a certificate", "R-1 to R-9"),
)
"""The checks before the requirements, in order, with the fact that each one establishes."""

_FORM, _PATH, _VALIDITY, _SIGNATURE, _REVOCATION = range(len(_STEPS))

_OF_VALIDITY: Final = frozenset({"cert.expired", "cert.not_yet_valid"})
_OF_REVOCATION: Final = frozenset({"cert.revoked", "cert.revocation_unknown"})

_AGREEMENT: Final = frozenset(
    {
        "consistency.module_id",
        "consistency.kind",
        "freshness.future",
        "freshness.timestamp_outside_certificate",
    }
)
_DEBUG: Final = frozenset({"policy.debug"})
_MEASUREMENTS: Final = frozenset({"policy.pcr_mismatch", "policy.pcr_absent"})
_PLACE: Final = frozenset({"policy.module_id"})
_FRESHNESS: Final = frozenset({"policy.nonce", "freshness.too_old"})
_KNOWN: Final = _AGREEMENT | _DEBUG | _MEASUREMENTS | _PLACE | _FRESHNESS

_EARLIER: Final = "an earlier check failed"
_ARCHIVED: Final = "archive mode: verified as of the document's own timestamp"
_NO_CONTENT: Final = "the document is not recorded"
_NO_LISTS: Final = "no revocation lists were given"


def verdict(facts: Facts) -> Verdict:
    """Returns the verdict of a verification."""
    if facts.error is not None:
        messages = [each.message for each in _failures(facts)] or [facts.error.message]
        return Verdict("REJECTED", _summary(messages), facts.error.code)
    measured = _measured(facts)
    if facts.archived:
        return Verdict(
            "AUTHENTIC AT SIGNING TIME", f"archive mode; freshness was not checked; {measured}"
        )
    if isinstance(facts.policy, (Policy, NitroTpmPolicy)):
        return Verdict("VERIFIED", measured)
    if isinstance(facts.policy, (AnyEnclave, AnyInstance)):
        is_enclave = isinstance(facts.attestation, Attestation)
        return Verdict(f"AUTHENTIC, ANY {'ENCLAVE' if is_enclave else 'INSTANCE'}", measured)
    return Verdict("AUTHENTIC, CUSTOM POLICY", measured)


def _measured(facts: Facts) -> str:
    """Returns a phrase for the required measurements of an accepted document."""
    if isinstance(facts.policy, (AnyEnclave, AnyInstance)):
        return "no measurements were required"
    for matched in facts.measurement_sets:
        indices = ", ".join(f"PCR{index}" for index in matched.pcrs)
        name = f"measurement set {matched.name}: " if matched.name is not None else ""
        return f"the measurements match ({name}{indices})"
    return (
        f"accepted by the policy {type(facts.policy).__name__}, which is not part of nitro-attest"
    )


def checks(facts: Facts) -> list[Check]:
    """Returns all checks in the order in which they are made."""
    return [*_steps(facts), *_requirements(facts), _RELAY]


_RELAY: Final = Check(
    "Sender",
    "not checked",
    "anyone can pass on a document: bind the session to the public_key in it",
    "",
)


def _steps(facts: Facts) -> Iterator[Check]:
    failed = _failed_step(facts)
    order = list(range(len(_STEPS)))
    if facts.archived:  # the time of an archived document counts only once it is verified
        order = [_FORM, _PATH, _SIGNATURE, _VALIDITY, _REVOCATION]
    reached = order.index(failed) if failed in order else -1
    for step, (name, _, rules) in enumerate(_STEPS):
        if facts.authentic or order.index(step) < reached:
            yield _passed_step(facts, step)
        elif step == failed and facts.error is not None:
            yield Check(name, "failed", facts.error.message, rules)
        else:
            yield Check(name, "not reached", _EARLIER, rules)


def _failed_step(facts: Facts) -> int | None:
    match facts.error:
        case FormatError():
            return _FORM
        case SignatureError():
            return _SIGNATURE
        case ChainError(code=code) if code in _OF_VALIDITY:
            return _VALIDITY
        case ChainError(code=code) if code in _OF_REVOCATION or code.startswith("crl."):
            return _REVOCATION
        case ChainError():
            return _PATH
    return None


def _passed_step(facts: Facts, step: int) -> Check:
    name, shown, rules = _STEPS[step]
    if step == _PATH and facts.attestation is not None:
        root = facts.attestation.root
        shown = f"{shown}; the root is {root.name} (SHA-256 {root.sha256})"
    if step == _VALIDITY and facts.verified_at is not None:
        shown = f"{shown}, {utc(facts.verified_at)}"
    if step == _REVOCATION:
        return _revocation(facts)
    return Check(name, "passed", shown, rules)


def _revocation(facts: Facts) -> Check:
    name, shown, rules = _STEPS[_REVOCATION]
    lists = facts.lists if facts.attestation is None else facts.attestation.revocation_lists
    if lists is None:
        return Check(name, "not checked", _NO_LISTS, rules)
    used = "; ".join(f"{one}, issued {utc(one.this_update)}" for one in lists)
    return Check(name, _with_warnings(facts, {"cert.revoked_later"}), f"{shown}: {used}", rules)


def _requirements(facts: Facts) -> Iterator[Check]:
    yield _agreement(facts)
    yield _debug(facts)
    yield _measurements(facts)
    yield _place(facts)
    yield _freshness(facts)
    yield _expected_value(facts, "user_data")
    yield _expected_value(facts, "public_key")
    codes = {failure.code for failure in _failures(facts)} - _KNOWN
    other = codes - {"policy.user_data", "policy.public_key"}
    if other:
        yield Check("Custom policy", "failed", _messages(facts, other), "")


def _agreement(facts: Facts) -> Check:
    name, rules = "Agreement", "X-21 to X-24, T-3"
    shown = "the document's time, kind and names agree with its certificates"
    if blocked := _blocked(facts, name, _AGREEMENT, rules):
        return blocked
    status = _with_warnings(facts, _AGREEMENT)
    if status == "warning":
        return Check(name, status, _warning_messages(facts, _AGREEMENT), rules)
    if facts.attestation is None:
        shown = "no failure; the warnings of a rejected document are not recorded"
    return Check(name, status, shown, rules)


def _debug(facts: Facts) -> Check:
    name, rules = "Debug mode", "M-2"
    if facts.kind == "nitrotpm" and facts.authentic:
        return Check(name, "not checked", "an EC2 instance has no debug mode", rules)
    if blocked := _blocked(facts, name, _DEBUG, rules):
        return blocked
    if facts.content is None:
        return Check(name, "not recorded", _NO_CONTENT, rules)
    status = _with_warnings(facts, _DEBUG)
    if status == "warning":
        return Check(name, status, _warning_messages(facts, _DEBUG), rules)
    if facts.attestation is None and facts.debug:
        return Check(name, "warning", "the enclave is in debug mode, which was allowed", rules)
    return Check(name, status, "the enclave is not in debug mode", rules)


def _measurements(facts: Facts) -> Check:
    name, rules = "Measurements", "L-8, M-9, P-18"
    if blocked := _blocked(facts, name, _MEASUREMENTS, rules):
        return blocked
    if isinstance(facts.policy, (AnyEnclave, AnyInstance)):
        what = "enclave" if isinstance(facts.policy, AnyEnclave) else "instance"
        detail = f"none were required: this may be any {what} of any AWS customer"
        return Check(name, "not checked", detail, rules)
    if isinstance(facts.policy, (Policy, NitroTpmPolicy)):
        status = _with_warnings(facts, {"policy.weak", "policy.unpinned"})
        detail = _measured(facts) if facts.attestation else "one measurement set matches"
        return Check(name, status, detail, rules)
    return Check(name, "not recorded", _policy_not_known(facts), rules)


def _policy_not_known(facts: Facts) -> str:
    if facts.policy is None:
        return "the policy is not recorded"
    return f"left to the policy {type(facts.policy).__name__}, which is not part of nitro-attest"


def _place(facts: Facts) -> Check:
    name, rules = "Names and region", ""
    if blocked := _blocked(facts, name, _PLACE, rules):
        return blocked
    allowed = [
        f"{attribute}: {' or '.join(values)}"
        for attribute in ("module_ids", "instance_ids", "regions")
        if (values := getattr(facts.policy, attribute, None))
    ]
    if not isinstance(facts.policy, (Policy, NitroTpmPolicy, AnyEnclave, AnyInstance)):
        return Check(name, "not recorded", _policy_not_known(facts), rules)
    if allowed:
        return Check(name, "passed", "; ".join(allowed), rules)
    return Check(name, "not checked", "the policy allows any", rules)


def _freshness(facts: Facts) -> Check:
    name, rules = "Freshness", "X-23"
    if blocked := _blocked(facts, name, _FRESHNESS, rules):
        return blocked
    if facts.archived:
        return Check(name, "not checked", _ARCHIVED, rules)
    codes = _warning_codes(facts)
    if "freshness.unbound" in codes:
        return Check(name, "not checked", _warning_messages(facts, {"freshness.unbound"}), rules)
    if facts.request is None:
        known = facts.attestation is not None
        detail = "a nonce or a maximum age was required; which is not recorded"
        return Check(name, "passed" if known else "not recorded", detail if known else "", rules)
    required = []
    if facts.request.nonce is not UNCHECKED:
        required.append(f"the nonce is the expected one ({_size(facts.request.nonce)})")
    ages = [facts.request.max_age, getattr(facts.policy, "max_age", None)]
    if limits := [age for age in ages if age is not None]:
        required.append(f"the document is at most {min(limits)} old")
    if not required and facts.policy is None:
        return Check(name, "not recorded", _policy_not_known(facts), rules)
    if not required:
        return Check(name, "not checked", "neither a nonce nor a maximum age was required", rules)
    return Check(name, _with_warnings(facts, {"freshness.short_nonce"}), "; ".join(required), rules)


def _expected_value(facts: Facts, field: Literal["user_data", "public_key"]) -> Check:
    if blocked := _blocked(facts, field, {f"policy.{field}"}, ""):
        return blocked
    if facts.request is None:
        return Check(field, "not recorded", "the expectations of the call are not recorded", "")
    expected: bytes = getattr(facts.request, field)
    if expected is UNCHECKED:
        return Check(field, "not checked", "no value was expected", "")
    return Check(field, "passed", f"the value is the expected one ({_size(expected)})", "")


def _blocked(facts: Facts, name: str, codes: Collection[str], rules: str) -> Check | None:
    """Returns the check as failed or as not reached; None if it passed or was not made."""
    if not facts.authentic:
        return Check(name, "not reached", _EARLIER, rules)
    messages = _messages(facts, codes)
    return Check(name, "failed", messages, rules) if messages else None


def _failures(facts: Facts) -> tuple[PolicyFailure, ...]:
    return facts.error.failures if isinstance(facts.error, PolicyError) else ()


def _messages(facts: Facts, codes: Collection[str]) -> str:
    return _summary([each.message for each in _failures(facts) if each.code in codes])


def _summary(messages: Sequence[str]) -> str:
    """Returns the only message; of several, which the report lists, the number."""
    if len(messages) > 1:
        return f"{len(messages)} requirements are not met; they are listed below"
    return messages[0] if messages else ""


def _warning_codes(facts: Facts) -> set[str]:
    return {each.code for each in facts.attestation.warnings} if facts.attestation else set()


def _warning_messages(facts: Facts, codes: Collection[str]) -> str:
    warnings = facts.attestation.warnings if facts.attestation else ()
    return "; ".join(each.message for each in warnings if each.code in codes)


def _with_warnings(facts: Facts, codes: Collection[str]) -> Status:
    return "warning" if _warning_codes(facts) & set(codes) else "passed"


def _size(value: bytes) -> str:
    return plural(len(bytes(value)), "byte")
