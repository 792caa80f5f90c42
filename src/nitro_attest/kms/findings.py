"""What the linter of key policies can find, by stable code: severity, what is wrong, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from nitro_attest.kms.statements import IMAGE_KEY, KEY_PREFIX

Severity = Literal["error", "warning"]

FINDINGS: Final[Mapping[str, tuple[Severity, str, str]]] = {
    "keypolicy.unattested": (
        "error",
        "operations that return plaintext are allowed without an attestation document",
        f"add a Condition on {KEY_PREFIX}{IMAGE_KEY}, or take the operations out",
    ),
    "keypolicy.account_root": (
        "error",
        "the account is allowed to use the key, so any IAM policy in it can allow plaintext "
        "without an attestation document",
        "allow the account administrative actions by name, without those that return plaintext",
    ),
    "keypolicy.way_around": (
        "error",
        "kms:CreateGrant, kms:PutKeyPolicy or kms:ReEncrypt* is allowed without a condition: each "
        "leads around the attestation",
        "take it out, or allow it to a break-glass role under a condition",
    ),
    "keypolicy.not_action": (
        "error",
        "NotAction names what is left out, so new operations are let in unseen",
        "list the operations under Action",
    ),
    "keypolicy.not_principal": (
        "error",
        "NotPrincipal names who is left out, so everybody else is meant",
        "list the roles under Principal",
    ),
    "keypolicy.unknown_element": (
        "error",
        "this is not an element of a key policy; a misspelt one would be missing",
        "correct its name",
    ),
    "keypolicy.if_exists": (
        "error",
        "...IfExists is true for a request without an attestation document",
        "drop IfExists",
    ),
    "keypolicy.for_all_values": (
        "error",
        "ForAllValues: is true for a request without an attestation document",
        "drop the prefix: the key has one value",
    ),
    "keypolicy.negated": (
        "error",
        "an Allow with this operator holds for a request without an attestation document",
        "use StringEqualsIgnoreCase with the expected value",
    ),
    "keypolicy.deny_equals": (
        "error",
        "a Deny with this operator spares a request without an attestation document",
        "use StringNotEqualsIgnoreCase with the expected value",
    ),
    "keypolicy.deny_several": (
        "error",
        "a Deny with several of these keys applies only where all of them differ",
        "write one Deny for each key",
    ),
    "keypolicy.operator": (
        "error",
        "this operator does not compare text, so what it decides here is not known",
        "use StringEqualsIgnoreCase",
    ),
    "keypolicy.wildcard": (
        "error",
        "a value with a wildcard stands for measurements that nobody has seen",
        "write all 96 digits",
    ),
    "keypolicy.unknown_key": (
        "error",
        "KMS has no such condition key, so it is always absent",
        f"the keys are {IMAGE_KEY}, PCR0 to PCR31 and NitroTPMPCR0 to NitroTPMPCR31",
    ),
    "keypolicy.hex": (
        "error",
        "the value is not 96 hex digits, so it equals no PCR",
        "write 96 hex digits without 0x",
    ),
    "keypolicy.zero_pin": (
        "error",
        "zero is what PCR0, PCR1 and PCR2 are in debug mode, where the parent reads all memory",
        "write the measurement that the image was built with",
    ),
    "keypolicy.no_image": (
        "error",
        "nothing that is required says which image runs; debug mode may pass too",
        f"require {IMAGE_KEY}, best with PCR1 and PCR2",
    ),
    "keypolicy.constant_pcr2": (
        "warning",
        "this PCR2 is that of every image with one ramdisk",
        f"require {IMAGE_KEY} with it",
    ),
    "keypolicy.instance_pin": (
        "warning",
        "PCR4 names one EC2 instance; when it is replaced, nobody can decrypt",
        "require PCR3, the role, instead",
    ),
    "keypolicy.case": (
        "warning",
        "this operator tells upper from lower case, and hex does not",
        "use the operator that ends in IgnoreCase",
    ),
    "keypolicy.image_and_pcr0": (
        "warning",
        f"{IMAGE_KEY} and PCR0 are the same value, and two different ones are given",
        f"keep {IMAGE_KEY}",
    ),
}
"""Severity, what is wrong, what to do."""


@dataclass(frozen=True)
class Finding:
    """One hole, or one thing that will not work as it seems to.

    Attributes:
        code: Stable identifier, a key of FINDINGS.
        severity: ``error`` where plaintext can leave unattested or the statement cannot work.
        where: JSON Pointer (RFC 6901) into the key policy.
        message: What is wrong.
        advice: What to do.
    """

    code: str
    severity: Severity
    where: str
    message: str
    advice: str

    @classmethod
    def at(cls, where: str, code: str) -> Finding:
        """The finding of that code at that place."""
        severity, message, advice = FINDINGS[code]
        return cls(code, severity, where, message, advice)

    def to_dict(self) -> dict[str, str]:
        """The finding as JSON-ready values."""
        return {
            "code": self.code,
            "severity": self.severity,
            "where": self.where,
            "message": self.message,
            "advice": self.advice,
        }
