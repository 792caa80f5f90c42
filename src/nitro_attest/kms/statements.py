"""Writes key policy statements that let only the expected enclaves or instances use a key.

KMS compares PCRs and nothing else; ``unenforced`` names the requirements of a policy that KMS does
not check. A key policy is as open as its widest statement, so check the whole policy with
``kms.lint``.

Enclaves and EC2 instances have separate condition keys, and separate functions here, so that
measurements of one kind cannot become a condition on the other (T-2).
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from nitro_attest.errors import InputError
from nitro_attest.verification.measurement_set import MeasurementSet, NitroTpmMeasurementSet
from nitro_attest.verification.policy import NitroTpmPolicy, Policy

__all__ = [
    "IMAGE_KEY",
    "KEY_PREFIX",
    "PLAINTEXT_ACTIONS",
    "condition_block",
    "nitrotpm_condition_block",
    "nitrotpm_statements",
    "statements",
    "unenforced",
]

KEY_PREFIX: Final = "kms:RecipientAttestation:"
"""Prefix of the names of all condition keys for attestation documents."""

IMAGE_KEY: Final = "ImageSha384"
"""Name of the condition key for PCR0 (K-4); ``PCR0`` is a second name for it."""

PLAINTEXT_ACTIONS: Final = (
    "kms:Decrypt",
    "kms:DeriveSharedSecret",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyPair",
)
"""Actions that return plaintext, or encrypt it to an attested public key.

GenerateRandom accepts an attestation document too, but uses no key, so no key policy applies to it.
"""


def condition_block(
    measurements: MeasurementSet | Mapping[int, bytes | str],
) -> dict[str, dict[str, str]]:
    """Writes the ``Condition`` for one measurement set of an enclave.

    Args:
        measurements: Expected PCRs by index, 48 bytes or 96 hex digits each; all must match.

    Returns:
        The ``Condition``: 96 lower-case hex digits per PCR, compared case-insensitively (K-1).

    Raises:
        InputError: ``policyfile.*``: the measurements are invalid, as for MeasurementSet.
            ``input.expected``: the argument has a different type.

    Example:
        >>> from nitro_attest.kms.statements import condition_block
        >>> block = condition_block({0: "ab" * 48, 1: "cd" * 48})
        >>> list(block["StringEqualsIgnoreCase"])
        ['kms:RecipientAttestation:ImageSha384', 'kms:RecipientAttestation:PCR1']
    """
    if isinstance(measurements, Mapping):
        measurements = MeasurementSet(measurements)
    if not isinstance(measurements, MeasurementSet):
        raise _wrong_kind(measurements, "MeasurementSet")
    return _equals({_key(index): value for index, value in measurements.pcrs.items()})


def nitrotpm_condition_block(measurements: NitroTpmMeasurementSet) -> dict[str, dict[str, str]]:
    """Writes the ``Condition`` for one measurement set of an EC2 instance.

    Args:
        measurements: Expected NitroTPM PCRs; all must match.

    Returns:
        The ``Condition``: 96 lower-case hex digits per PCR, compared case-insensitively (K-1).

    Raises:
        InputError: ``input.expected``: the argument is not a NitroTpmMeasurementSet.
    """
    if not isinstance(measurements, NitroTpmMeasurementSet):
        raise _wrong_kind(measurements, "NitroTpmMeasurementSet")
    prefix = f"{KEY_PREFIX}NitroTPMPCR"
    return _equals({f"{prefix}{index}": value for index, value in measurements.pcrs.items()})


def statements(
    policy: Policy | MeasurementSet | Mapping[int, bytes | str],
    *,
    principals: Sequence[str],
    actions: Sequence[str] = ("kms:Decrypt",),
    sid: str = "NitroEnclave",
) -> list[dict[str, Any]]:
    """Writes the key policy statements that allow the expected enclaves to use the key.

    Args:
        policy: The expected measurements. Each measurement set becomes a separate statement:
            alternatives in one condition would also match mixtures of them.
        principals: ARNs of the roles of the parent instances, at least one.
        actions: Actions to allow, at least one of PLAINTEXT_ACTIONS.
        sid: The statement's Sid, 1 to 64 letters and digits; several statements are numbered.

    Returns:
        The statements, as JSON-ready values.

    Raises:
        InputError: ``policyfile.*``: the measurements are invalid, as for MeasurementSet.
            ``input.expected``: an argument has a different type or form.

    Example:
        >>> from nitro_attest import Policy
        >>> from nitro_attest.kms.statements import statements
        >>> policy = Policy([{0: "ab" * 48}, {0: "cd" * 48}])
        >>> written = statements(policy, principals=["arn:aws:iam::111122223333:role/enclaves"])
        >>> [statement["Sid"] for statement in written]
        ['NitroEnclave1', 'NitroEnclave2']
    """
    sets = policy.measurements if isinstance(policy, Policy) else (policy,)
    return _allow([condition_block(item) for item in sets], principals, actions, sid)


def nitrotpm_statements(
    policy: NitroTpmPolicy,
    *,
    principals: Sequence[str],
    actions: Sequence[str] = ("kms:Decrypt",),
    sid: str = "NitroInstance",
) -> list[dict[str, Any]]:
    """Writes the key policy statements that allow the expected EC2 instances to use the key.

    Args:
        policy: The expected measurements. Each measurement set becomes a separate statement.
        principals: ARNs of the roles of the instances, at least one.
        actions: Actions to allow, at least one of PLAINTEXT_ACTIONS.
        sid: The statement's Sid, 1 to 64 letters and digits; several statements are numbered.

    Returns:
        The statements, as JSON-ready values.

    Raises:
        InputError: ``input.expected``: an argument has a different type or form.
    """
    if not isinstance(policy, NitroTpmPolicy):
        raise _wrong_kind(policy, "NitroTpmPolicy")
    blocks = [nitrotpm_condition_block(item) for item in policy.measurements]
    return _allow(blocks, principals, actions, sid)


def unenforced(policy: Policy | NitroTpmPolicy) -> list[str]:
    """Lists the requirements of a policy that KMS does not check.

    Args:
        policy: A policy for enclaves or instances.

    Returns:
        The names of the requirements, as in the policy; your own verifier must check these.

    Example:
        >>> from nitro_attest import Policy
        >>> from nitro_attest.kms.statements import unenforced
        >>> unenforced(Policy([{0: "ab" * 48}], regions=["us-east-1"]))
        ['regions']
    """
    requirements = ("max_age", "require_nonce", "module_ids", "instance_ids", "regions")
    return [name for name in requirements if getattr(policy, name)]


def _key(index: int) -> str:
    return KEY_PREFIX + (IMAGE_KEY if index == 0 else f"PCR{index}")


def _equals(values: Mapping[str, bytes]) -> dict[str, dict[str, str]]:
    """Writes hex values for a case-insensitive comparison (K-1)."""
    return {"StringEqualsIgnoreCase": {key: value.hex() for key, value in values.items()}}


def _allow(
    blocks: Sequence[dict[str, dict[str, str]]],
    principals: Sequence[str],
    actions: Sequence[str],
    sid: str,
) -> list[dict[str, Any]]:
    _check(principals, actions, sid)
    return [
        {
            "Sid": sid if len(blocks) == 1 else f"{sid}{number}",
            "Effect": "Allow",
            "Principal": {"AWS": list(principals)},
            "Action": list(actions),
            "Resource": "*",
            "Condition": block,
        }
        for number, block in enumerate(blocks, 1)
    ]


def _wrong_kind(found: object, expected: str) -> InputError:
    return InputError(
        "input.expected",
        f"expected {expected}, found {type(found).__name__}: PCRs of enclaves and of EC2 instances "
        "are not interchangeable",
    )


def _check(principals: object, actions: object, sid: object) -> None:
    for principal in _listed("principals", principals):
        if not isinstance(principal, str) or not principal.startswith("arn:"):
            raise InputError(
                "input.expected",
                f"invalid principal: expected an ARN, found {reprlib.repr(principal)}; with '*', "
                "anyone who runs the same image in another account could use the key",
            )
    for action in _listed("actions", actions):
        if action not in PLAINTEXT_ACTIONS:
            raise InputError(
                "input.expected",
                f"invalid action: expected one of {', '.join(PLAINTEXT_ACTIONS)}, found "
                f"{reprlib.repr(action)}",
            )
    if not isinstance(sid, str) or not re.fullmatch(r"[A-Za-z0-9]{1,64}", sid):
        raise InputError(
            "input.expected",
            f"invalid sid: expected 1 to 64 letters and digits, found {reprlib.repr(sid)}",
        )


def _listed(what: str, values: object) -> Sequence[object]:
    if isinstance(values, str) or not isinstance(values, Sequence) or not values:
        raise InputError(
            "input.expected",
            f"invalid {what}: expected a list that is not empty, found {reprlib.repr(values)}",
        )
    return values
