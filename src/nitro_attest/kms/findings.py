"""Internal: the findings of the linter: severity, problem and advice for each stable code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from nitro_attest.kms.statements import IMAGE_KEY, KEY_PREFIX

Severity = Literal["error", "warning"]
"""``error``: plaintext can be returned unattested, or the statement cannot work as written."""

FINDINGS: Final[Mapping[str, tuple[Severity, str, str]]] = {
    "keypolicy.unattested": (
        "error",
        "operations that return plaintext are allowed without an attestation document",
        f"add a Condition on {KEY_PREFIX}{IMAGE_KEY}, or remove the operations from the statement",
    ),
    "keypolicy.account_root": (
        "error",
        "the account is allowed to use the key, so any IAM policy in it can allow plaintext "
        "without an attestation document",
        "allow the account administrative actions by name, without those that return plaintext",
    ),
    "keypolicy.way_around": (
        "error",
        "kms:CreateGrant, kms:PutKeyPolicy, kms:ReplicateKey or kms:ReEncrypt* is allowed without "
        "a condition; each bypasses attestation",
        "remove it, or allow it only to a break-glass role under a condition",
    ),
    "keypolicy.conditional_way_around": (
        "warning",
        "kms:CreateGrant, kms:PutKeyPolicy, kms:ReplicateKey or kms:ReEncrypt* is allowed; whoever "
        "meets the condition can bypass attestation",
        "check who can meet it, or remove the operation",
    ),
    "keypolicy.no_document": (
        "error",
        "requests for this operation carry no attestation document, so the Allow never applies to "
        "it",
        "allow it in a statement of its own; only Decrypt, DeriveSharedSecret, GenerateDataKey, "
        "GenerateDataKeyPair and GenerateRandom carry a document",
    ),
    "keypolicy.lockout": (
        "warning",
        "kms:PutKeyPolicy requests carry no attestation document, so this Deny denies them to "
        "everyone and nobody can change the key policy again",
        "list only operations that return plaintext in this Deny",
    ),
    "keypolicy.not_action": (
        "error",
        "NotAction allows every operation that it does not list, including future ones",
        "list the operations under Action",
    ),
    "keypolicy.not_principal": (
        "error",
        "NotPrincipal applies the statement to every principal that it does not list",
        "list the roles under Principal",
    ),
    "keypolicy.any_principal": (
        "warning",
        "every principal of every AWS account is allowed, and anyone can run the same image",
        "list the roles under Principal",
    ),
    "keypolicy.no_resource": (
        "error",
        "a statement of a key policy without Resource has no effect",
        'add "Resource": "*", which means this key',
    ),
    "keypolicy.unknown_element": (
        "error",
        "key policies have no such element; a misspelt element has no effect",
        "correct or remove the name",
    ),
    "keypolicy.if_exists": (
        "error",
        "...IfExists is true for a request without an attestation document",
        "remove IfExists",
    ),
    "keypolicy.for_all_values": (
        "error",
        "ForAllValues: is true for a request without an attestation document",
        "remove the prefix: the key has only one value",
    ),
    "keypolicy.negated": (
        "error",
        "an Allow with this operator applies to a request without an attestation document",
        "use StringEqualsIgnoreCase with the expected value",
    ),
    "keypolicy.deny_equals": (
        "error",
        "a Deny with this operator does not apply to a request without an attestation document",
        "use StringNotEqualsIgnoreCase with the expected value",
    ),
    "keypolicy.deny_several": (
        "error",
        "a Deny with several of these keys applies only if all of them differ",
        "write one Deny for each key",
    ),
    "keypolicy.operator": (
        "error",
        "this operator does not compare strings, so its result here is unknown",
        "use StringEqualsIgnoreCase",
    ),
    "keypolicy.wildcard": (
        "error",
        "a value with a wildcard also matches unknown measurements",
        "write all 96 hex digits",
    ),
    "keypolicy.unknown_key": (
        "error",
        "KMS has no such condition key, so it is always absent",
        f"use {IMAGE_KEY}, PCR0 to PCR31, or NitroTPMPCR0 to NitroTPMPCR31",
    ),
    "keypolicy.hex": (
        "error",
        "the value is not 96 hex digits, so it matches no PCR",
        "write 96 hex digits without 0x",
    ),
    "keypolicy.zero_pin": (
        "error",
        "PCR0, PCR1 and PCR2 are zero in debug mode, where the parent can read all memory",
        "write the measurement of the built image",
    ),
    "keypolicy.no_image": (
        "error",
        "no required value identifies the image; PCR1 or PCR2 alone fits other images, and debug "
        "mode may match too",
        f"require {IMAGE_KEY}, preferably with PCR1 and PCR2; of an instance, NitroTPMPCR4 or "
        "NitroTPMPCR7",
    ),
    "keypolicy.sandbox": (
        "error",
        "the code in an enclave or Nitro Sandbox extends PCR17 itself, so PCR17 alone does not "
        "show which code that was",
        f"require the boot measurements of the guest image as well: {IMAGE_KEY}, PCR1 and PCR2",
    ),
    "keypolicy.mixed_kinds": (
        "error",
        "no document has registers of both an enclave and an EC2 instance, so the Allow never "
        "applies",
        "write one statement for enclaves and one for instances",
    ),
    "keypolicy.mixture": (
        "warning",
        "several values under more than one key also allow mixtures of the versions they belong to",
        "write one statement for each version",
    ),
    "keypolicy.constant_pcr2": (
        "warning",
        "every image with only one ramdisk has this PCR2",
        f"require {IMAGE_KEY} as well",
    ),
    "keypolicy.unsigned": (
        "warning",
        "PCR8 of zeros is that of every unsigned image",
        f"require {IMAGE_KEY} as well",
    ),
    "keypolicy.secure_boot_off": (
        "warning",
        "every instance that boots without Secure Boot has this NitroTPMPCR7",
        "require NitroTPMPCR4 as well",
    ),
    "keypolicy.instance_pin": (
        "warning",
        "PCR4 identifies one EC2 instance; after its replacement, decryption fails",
        "require PCR3 (the IAM role) instead",
    ),
    "keypolicy.case": (
        "warning",
        "this operator is case-sensitive, but hex digits are not",
        "use the operator that ends in IgnoreCase",
    ),
    "keypolicy.image_and_pcr0": (
        "warning",
        f"{IMAGE_KEY} and PCR0 are the same register, but have different values here",
        f"keep only {IMAGE_KEY}",
    ),
}
"""Severity, problem and advice by code."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem of a key policy.

    Attributes:
        code: Stable identifier, a key of FINDINGS.
        severity: ``error`` if plaintext can be returned unattested or the statement cannot work as
            written; otherwise ``warning``.
        where: JSON Pointer (RFC 6901) into the key policy.
        message: The problem.
        advice: The fix.
    """

    code: str
    severity: Severity
    where: str
    message: str
    advice: str

    @classmethod
    def at(cls, where: str, code: str) -> Finding:
        """Makes the finding with a given code.

        Args:
            where: JSON Pointer (RFC 6901) into the key policy.
            code: A key of FINDINGS.

        Returns:
            The finding, with the texts of FINDINGS.
        """
        severity, message, advice = FINDINGS[code]
        return cls(code, severity, where, message, advice)

    def to_dict(self) -> dict[str, str]:
        """Returns the finding as JSON-ready values, one for each attribute."""
        return {
            "code": self.code,
            "severity": self.severity,
            "where": self.where,
            "message": self.message,
            "advice": self.advice,
        }
