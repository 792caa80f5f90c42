"""Key policy statements that let KMS give plaintext to the expected enclaves only (K-1, K-4).

KMS compares PCRs and nothing else: ``unenforced`` names what of a Policy it cannot check. What
these statements do not close, ``kms.lint`` finds: a key policy is as open as its widest statement.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from nitro_attest.errors import InputError
from nitro_attest.measurement_set import MeasurementSet
from nitro_attest.policy import Policy

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
    """The ``Condition`` that one measurement set becomes.

    Args:
        measurements: Expected PCRs; all of them must match.

    Returns:
        96 lower-case hex digits for each, compared without regard to case (K-1).

    Raises:
        InputError: ``policyfile.*``, as MeasurementSet.
    """
    if not isinstance(measurements, MeasurementSet):
        measurements = MeasurementSet(measurements)
    values = {_key(index): value.hex() for index, value in measurements.pcrs.items()}
    return {"StringEqualsIgnoreCase": values}


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
    if isinstance(policy, Mapping):
        policy = MeasurementSet(policy)
    sets = policy.measurements if isinstance(policy, Policy) else (policy,)
    _check(principals, actions, sid)
    return [
        {
            "Sid": sid if len(sets) == 1 else f"{sid}{number}",
            "Effect": "Allow",
            "Principal": {"AWS": list(principals)},
            "Action": list(actions),
            "Resource": "*",
            "Condition": condition_block(item),
        }
        for number, item in enumerate(sets, 1)
    ]


def unenforced(policy: Policy) -> list[str]:
    """The names of the policy's demands that KMS does not check; the enclave's peers must."""
    demands = ("max_age", "require_nonce", "module_ids", "instance_ids", "regions")
    return [name for name in demands if getattr(policy, name)]


def _key(index: int) -> str:
    return KEY_PREFIX + (IMAGE_KEY if index == 0 else f"PCR{index}")


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
