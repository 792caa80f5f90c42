"""Faults of authentic documents: time, consistency, kind, debug mode, what the caller requires."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from nitro_attest.limits import PCR_BYTES
from nitro_attest.testing import registers
from nitro_attest.testing.cases import Fault
from nitro_attest.testing.draft import NULL, Draft, Edit
from nitro_attest.testing.faults.chain import LEAF, REGIONAL, ZONAL, certificate, issued, path
from nitro_attest.testing.faults.payload import value
from nitro_attest.testing.pki import host_name, root_name

OTHER_ENCLAVE: Final = "0123456789abcdef"
OTHER_INSTANCE: Final = "i-0fedcba9876543210"
OTHER_REGION: Final = "eu-west-1"
OTHER_PCR: Final = b"\xaa" * PCR_BYTES
EXPECTED_VALUE: Final = b"expected by the caller"
OTHER_VALUE: Final = b"expected by another one"


def made_at(shift: timedelta) -> Edit:
    """Writes a timestamp other than the time of signing."""

    def apply(draft: Draft) -> None:
        draft.timestamp += shift // timedelta(milliseconds=1)

    return Edit("path", apply)


def module(module_id: Callable[[Draft], str], *, leaf_too: bool) -> Edit:
    """Names another module in the document, and perhaps in the leaf."""

    def apply(draft: Draft) -> None:
        draft.module_id = module_id(draft)
        if leaf_too:
            subject = host_name(f"{draft.module_id}.{draft.region}.aws")
            draft.path[LEAF] = replace(draft.path[LEAF], subject=subject)

    return Edit("path", apply)


def _regional_elsewhere(draft: Draft) -> None:
    subject = root_name(f"0123456789abcdef.{OTHER_REGION}.aws.nitro-enclaves")
    draft.path[REGIONAL] = replace(draft.path[REGIONAL], subject=subject)
    draft.path[ZONAL] = replace(draft.path[ZONAL], issuer=subject)


_TIME: Final = (
    Fault(
        "X-20.archived-after-its-issuer",
        "cert.expired",
        "Judged at its own time, when the zonal certificate had ended: back-dated with an old key.",
        edit=certificate(ZONAL, not_after=lambda draft, form: issued(draft) - timedelta(minutes=1)),
        verify={"at": "document"},
    ),
    Fault(
        "X-21.before-leaf",
        "freshness.timestamp_outside_certificate",
        "A timestamp four hours before the leaf that signed it: back-dated.",
        edit=made_at(timedelta(hours=-4)),
    ),
    Fault(
        "X-21.just-before-leaf",
        "freshness.timestamp_outside_certificate",
        "A timestamp two minutes before the leaf: more than a clock may be off.",
        edit=certificate(LEAF, not_before=lambda draft, form: issued(draft) + timedelta(minutes=2)),
        at_shift=timedelta(minutes=5),
    ),
    Fault(
        "X-22.future",
        "freshness.future",
        "A timestamp two minutes ahead: made to outlive a max age.",
        edit=made_at(timedelta(minutes=2)),
    ),
    Fault(
        "X-22.beyond-skew",
        "freshness.future",
        "A timestamp one millisecond further ahead than a clock may be off.",
        edit=made_at(timedelta(seconds=60, milliseconds=1)),
        exact=True,
    ),
    Fault(
        "X-23.too-old",
        "freshness.too_old",
        "Verified six minutes later with a limit of five.",
        verify={"max_age": timedelta(minutes=5)},
        at_shift=timedelta(minutes=6),
    ),
    Fault(
        "X-23.one-millisecond",
        "freshness.too_old",
        "One millisecond older than the limit.",
        verify={"max_age": timedelta(minutes=5)},
        at_shift=timedelta(minutes=5, milliseconds=1),
    ),
)

_CONSISTENCY: Final = (
    Fault(
        "X-24.other-enclave",
        "consistency.module_id",
        "The document names another enclave than its certificate.",
        document={"kind": "enclave"},
        edit=module(lambda draft: f"{draft.instance_id}-enc{OTHER_ENCLAVE}", leaf_too=False),
    ),
    Fault(
        "X-24.other-instance",
        "consistency.module_id",
        "A leaf for an enclave of one instance, issued by the CA of another.",
        document={"kind": "enclave"},
        edit=module(lambda draft: f"{OTHER_INSTANCE}-enc{OTHER_ENCLAVE}", leaf_too=True),
    ),
    Fault(
        "X-24.leaf-region",
        "consistency.module_id",
        "A leaf of another region than its issuers.",
        edit=certificate(
            LEAF, subject=lambda draft, form: host_name(f"{draft.module_id}.{OTHER_REGION}.aws")
        ),
    ),
    Fault(
        "X-24.leaf-suffix",
        "consistency.module_id",
        "A leaf whose name only begins with the module's.",
        edit=certificate(
            LEAF, subject=lambda draft, form: host_name(f"{draft.module_id}.{draft.region}.not")
        ),
    ),
    Fault(
        "X-24.regional-region",
        "consistency.module_id",
        "A regional CA of another region than the instance.",
        edit=path(_regional_elsewhere),
    ),
    Fault(
        "T-1.nitrotpm",
        "payload.kind",
        "A genuine EC2 instance document: its owner may set PCR8 to any enclave's value.",
        document={"kind": "nitrotpm"},
    ),
    Fault(
        "T-3.instance-module",
        "consistency.kind",
        "Enclave PCRs in a document of an instance's module.",
        document={"kind": "enclave"},
        edit=module(lambda draft: f"{draft.instance_id}-tpm{0:016x}", leaf_too=True),
    ),
)

_DEBUG: Final = (
    Fault(
        "M-2.debug",
        "policy.debug",
        "An enclave in debug mode: its parent reads console and memory.",
        document={"debug": True},
    ),
    *(
        Fault(
            fault_id,
            "policy.debug",
            f"Only PCR{index} is zero.",
            document={"kind": "enclave", "pcrs": {index: registers.ZERO}},
        )
        for fault_id, index in (("M-2.pcr0-zero", 0), ("M-2.pcr1-zero", 1), ("M-2.pcr2-zero", 2))
    ),
)

_REQUIRED: Final = (
    Fault(
        "policy.nonce-other",
        "policy.nonce",
        "Another nonce than the caller expects: a replayed document.",
        document={"nonce": OTHER_VALUE},
        verify={"nonce": EXPECTED_VALUE},
    ),
    Fault(
        "policy.nonce-null",
        "policy.nonce",
        "Null where the caller expects a nonce.",
        edit=value("nonce", NULL),
        verify={"nonce": EXPECTED_VALUE},
    ),
    Fault(
        "policy.nonce-absent",
        "policy.nonce",
        "No nonce where the caller expects one.",
        document={"absent": ("nonce",)},
        verify={"nonce": EXPECTED_VALUE},
    ),
    Fault(
        "policy.nonce-empty",
        "policy.nonce",
        "An empty nonce where the caller expects one.",
        document={"nonce": b""},
        verify={"nonce": EXPECTED_VALUE},
    ),
    Fault(
        "policy.nonce-prefix",
        "policy.nonce",
        "A nonce that only begins as expected.",
        document={"nonce": b"expected by the"},
        verify={"nonce": EXPECTED_VALUE},
    ),
    Fault(
        "policy.nonce-longer",
        "policy.nonce",
        "A nonce that goes on after what is expected.",
        document={"nonce": EXPECTED_VALUE + b"\x00"},
        verify={"nonce": EXPECTED_VALUE},
    ),
    Fault(
        "policy.user_data-other",
        "policy.user_data",
        "Another user_data than the caller expects: a replayed document.",
        document={"user_data": OTHER_VALUE},
        verify={"user_data": EXPECTED_VALUE},
    ),
    Fault(
        "policy.user_data-null",
        "policy.user_data",
        "Null where the caller expects a user_data.",
        edit=value("user_data", NULL),
        verify={"user_data": EXPECTED_VALUE},
    ),
    Fault(
        "policy.user_data-absent",
        "policy.user_data",
        "No user_data where the caller expects one.",
        document={"absent": ("user_data",)},
        verify={"user_data": EXPECTED_VALUE},
    ),
    Fault(
        "policy.user_data-empty",
        "policy.user_data",
        "An empty user_data where the caller expects one.",
        document={"user_data": b""},
        verify={"user_data": EXPECTED_VALUE},
    ),
    Fault(
        "policy.user_data-prefix",
        "policy.user_data",
        "A user_data that only begins as expected.",
        document={"user_data": b"expected by the"},
        verify={"user_data": EXPECTED_VALUE},
    ),
    Fault(
        "policy.user_data-longer",
        "policy.user_data",
        "A user_data that goes on after what is expected.",
        document={"user_data": EXPECTED_VALUE + b"\x00"},
        verify={"user_data": EXPECTED_VALUE},
    ),
    Fault(
        "policy.public_key-other",
        "policy.public_key",
        "Another public_key than the caller expects: a replayed document.",
        document={"public_key": OTHER_VALUE},
        verify={"public_key": EXPECTED_VALUE},
    ),
    Fault(
        "policy.public_key-null",
        "policy.public_key",
        "Null where the caller expects a public_key.",
        edit=value("public_key", NULL),
        verify={"public_key": EXPECTED_VALUE},
    ),
    Fault(
        "policy.public_key-absent",
        "policy.public_key",
        "No public_key where the caller expects one.",
        document={"absent": ("public_key",)},
        verify={"public_key": EXPECTED_VALUE},
    ),
    Fault(
        "policy.public_key-empty",
        "policy.public_key",
        "An empty public_key where the caller expects one.",
        document={"public_key": b""},
        verify={"public_key": EXPECTED_VALUE},
    ),
    Fault(
        "policy.public_key-prefix",
        "policy.public_key",
        "A public_key that only begins as expected.",
        document={"public_key": b"expected by the"},
        verify={"public_key": EXPECTED_VALUE},
    ),
    Fault(
        "policy.public_key-longer",
        "policy.public_key",
        "A public_key that goes on after what is expected.",
        document={"public_key": EXPECTED_VALUE + b"\x00"},
        verify={"public_key": EXPECTED_VALUE},
    ),
    Fault(
        "policy.pcr0-other",
        "policy.pcr_mismatch",
        "Another image than the caller requires.",
        document={"kind": "enclave"},
        verify={"policy": {0: OTHER_PCR}},
    ),
    Fault(
        "policy.pcr8-zero",
        "policy.pcr_mismatch",
        "An unsigned image where a signer is required.",
        document={"kind": "enclave"},
        verify={"policy": {8: OTHER_PCR}},
    ),
    Fault(
        "policy.pcr16-absent",
        "policy.pcr_absent",
        "A PCR that the enclave did not lock: absence is not zero.",
        document={"kind": "enclave"},
        verify={"policy": {16: registers.ZERO}},
    ),
)

FAULTS: Final = (*_TIME, *_CONSISTENCY, *_DEBUG, *_REQUIRED)
