"""Key policy statements that let KMS give plaintext to what is expected only (K-1, K-4).

KMS compares PCRs and nothing else: ``unenforced`` names what of a policy it cannot check. What
these statements do not close, ``kms.lint`` finds: a key policy is as open as its widest statement.

Enclaves and EC2 instances have condition keys of their own, and functions of their own here, so
that what is expected of the one kind cannot become a condition on the other (T-2).
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from nitro_attest.errors import InputError
from nitro_attest.verification.measurement_set import MeasurementSet, NitroTpmMeasurementSet
from nitro_attest.verification.policy import NitroTpmPolicy, Policy

KEY_PREFIX: Final = "kms:RecipientAttestation:"
"""What the names of all condition keys on attestation documents begin with."""

IMAGE_KEY: Final = "ImageSha384"
"""K-4. The name of PCR0 among the condition keys; ``PCR0`` is the same value."""

PLAINTEXT_ACTIONS: Final = (
    "kms:Decrypt",
    "kms:DeriveSharedSecret",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyPair",
)
"""The operations with a key that return plaintext, or its encryption to an attested public key.

GenerateRandom takes an attestation document too, but uses no key, so no key policy governs it.
"""


def condition_block(
    measurements: MeasurementSet | Mapping[int, bytes | str],
) -> dict[str, dict[str, str]]:
    """The ``Condition`` that one measurement set of an enclave becomes.

    Args:
        measurements: Expected PCRs; all of them must match.

    Returns:
        96 lower-case hex digits for each, compared without regard to case (K-1).

    Raises:
        InputError: ``policyfile.*``, as MeasurementSet; ``input.expected``: this is none.
    """
    if isinstance(measurements, Mapping):
        measurements = MeasurementSet(measurements)
    if not isinstance(measurements, MeasurementSet):
        raise _wrong_kind(measurements, "MeasurementSet")
    return _equals({_key(index): value for index, value in measurements.pcrs.items()})


def nitrotpm_condition_block(measurements: NitroTpmMeasurementSet) -> dict[str, dict[str, str]]:
    """The ``Condition`` that one measurement set of an EC2 instance becomes; else as the above.

    Raises:
        InputError: ``input.expected``: this is not a NitroTpmMeasurementSet.
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
    """The statements of a key policy that allow use of the key by the expected enclaves.

    Args:
        policy: What an enclave must be. Each measurement set becomes a statement of its own:
            alternatives in one condition would also allow mixtures of them.
        principals: ARNs of the roles that the parent instances use.
        actions: Some of PLAINTEXT_ACTIONS.
        sid: What the statements are called: letters and digits; of several, a number follows.

    Raises:
        InputError: ``policyfile.*``, as MeasurementSet; ``input.expected`` for principals, actions
            or a sid of another form.
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
    """The same for EC2 instances: ``principals`` are the roles that the instances themselves use.

    Raises:
        InputError: ``input.expected``: this is not a NitroTpmPolicy; or as ``statements``.
    """
    if not isinstance(policy, NitroTpmPolicy):
        raise _wrong_kind(policy, "NitroTpmPolicy")
    blocks = [nitrotpm_condition_block(item) for item in policy.measurements]
    return _allow(blocks, principals, actions, sid)


def unenforced(policy: Policy | NitroTpmPolicy) -> list[str]:
    """The names of the policy's demands that KMS does not check; whoever is served must."""
    demands = ("max_age", "require_nonce", "module_ids", "instance_ids", "regions")
    return [name for name in demands if getattr(policy, name)]


def _key(index: int) -> str:
    return KEY_PREFIX + (IMAGE_KEY if index == 0 else f"PCR{index}")


def _equals(values: Mapping[str, bytes]) -> dict[str, dict[str, str]]:
    """K-1."""
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
        f"this is of type {type(found).__name__}, not {expected}: the registers of an enclave and "
        "of an instance are different things",
    )


def _check(principals: object, actions: object, sid: object) -> None:
    for principal in _listed("principals", principals):
        if not isinstance(principal, str) or not principal.startswith("arn:"):
            raise InputError(
                "input.expected",
                f"principal {reprlib.repr(principal)} is not an ARN; with '*' whoever runs the "
                "same image in another account could use the key",
            )
    for action in _listed("actions", actions):
        if action not in PLAINTEXT_ACTIONS:
            raise InputError(
                "input.expected",
                f"action {reprlib.repr(action)} takes no attestation document; "
                f"{', '.join(PLAINTEXT_ACTIONS)} do",
            )
    if not isinstance(sid, str) or not re.fullmatch(r"[A-Za-z0-9]{1,64}", sid):
        raise InputError("input.expected", f"sid {reprlib.repr(sid)} is not letters and digits")


def _listed(what: str, values: object) -> Sequence[object]:
    if isinstance(values, str) or not isinstance(values, Sequence) or not values:
        raise InputError("input.expected", f"{what} is not a list of at least one")
    return values
