"""Faults of authentic documents: time, consistency, kind, debug mode, what the caller requires."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from nitro_attest.limits import PCR_BYTES
from nitro_attest.testing import registers
from nitro_attest.testing.cases import Fault
from nitro_attest.testing.draft import Draft, Edit
from nitro_attest.testing.faults.chain import LEAF, REGIONAL, ZONAL, certificate, issued, path
from nitro_attest.testing.pki import host_name, root_name

OTHER_ENCLAVE: Final = "0123456789abcdef"
OTHER_INSTANCE: Final = "i-0fedcba9876543210"
OTHER_REGION: Final = "eu-west-1"
OTHER_PCR: Final = b"\xaa" * PCR_BYTES


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
        edit=module(lambda draft: f"{draft.instance_id}-enc{OTHER_ENCLAVE}", leaf_too=False),
    ),
    Fault(
        "X-24.other-instance",
        "consistency.module_id",
        "A leaf for an enclave of one instance, issued by the CA of another.",
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
            f"M-2.pcr{index}-zero",
            "policy.debug",
            f"Only PCR{index} is zero.",
            document={"pcrs": {index: registers.ZERO}},
        )
        for index in range(3)
    ),
)

_REQUIRED: Final = (
    *(
        Fault(
            f"policy.{name}-{how}",
            f"policy.{name}",
            description.format(name),
            document=document,
            verify={name: b"expected by the caller"},
        )
        for name in ("nonce", "user_data", "public_key")
        for how, description, document in (
            (
                "other",
                "Another {} than the caller expects: a replayed document.",
                {name: b"expected by another one"},
            ),
            ("null", "Null where the caller expects a {}.", {}),
            ("absent", "No {} where the caller expects one.", {"absent": (name,)}),
            ("empty", "An empty {} where the caller expects one.", {name: b""}),
            ("prefix", "A {} that only begins as expected.", {name: b"expected by the"}),
            (
                "longer",
                "A {} that goes on after what is expected.",
                {name: b"expected by the caller\x00"},
            ),
        )
    ),
    Fault(
        "policy.pcr0-other",
        "policy.pcr_mismatch",
        "Another image than the caller requires.",
        verify={"policy": {0: OTHER_PCR}},
    ),
    Fault(
        "policy.pcr8-zero",
        "policy.pcr_mismatch",
        "An unsigned image where a signer is required.",
        verify={"policy": {8: OTHER_PCR}},
    ),
    Fault(
        "policy.pcr16-absent",
        "policy.pcr_absent",
        "A PCR that the enclave did not lock: absence is not zero.",
        verify={"policy": {16: registers.ZERO}},
    ),
)

FAULTS: Final = (*_TIME, *_CONSISTENCY, *_DEBUG, *_REQUIRED)
