"""Requirements for enclaves and for instances, and documents of the other kind."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from nitro_attest.testing import registers
from nitro_attest.testing.draft import Draft, Edit
from nitro_attest.testing.faults.policy import module
from vectors.case import MILLISECOND, Case, Policy
from vectors.expectations import Expectation
from vectors.fakes import GOVCLOUD, NITRO, WHEN

EMPTY_MATCHES: Final = Expectation("acceptable", "low", ("empty-field",))
EMPTY_MISSING: Final = Expectation("reject", "critical", ("empty-field",))
FIELDS: Final = ("nonce", "user_data", "public_key")
AGE: Final = timedelta(minutes=5)
OTHER: Final = b"\xaa" * 48
WANTED: Final = b"32 bytes that the verifier chose"
IMAGE: Final = dict(registers.IMAGE)
NOBODY_ASKED: Final = ("policy.none", "freshness.unbound", "root.custom")
MEASURED: Final = ("freshness.unbound", "root.custom")
BOUND: Final = ("policy.none", "root.custom")


def _case(name: str, title: str, document: bytes, asked: Policy, **more: Any) -> Case:
    rule = name.partition(".")[0]
    more = {"group": "policy", "time": WHEN, "rules": (rule,)} | more
    return Case(id=name, title=title, document=document, policy=asked, **more)


def enclaves() -> Iterator[Case]:
    """Sets of measurements, and documents under other roots."""
    document = NITRO.document(at=WHEN)
    sets: Mapping[str, tuple[str, tuple[dict[int, bytes], ...], str | None]] = {
        "second-set": ("The second of two allowed sets fits.", ({0: OTHER}, IMAGE), None),
        "no-set": (
            "Two allowed sets, and neither fits.",
            ({0: OTHER}, {1: OTHER}),
            "policy.pcr_mismatch",
        ),
        "half-a-set": (
            "One PCR of the set fits, the other does not.",
            ({0: IMAGE[0], 1: OTHER},),
            "policy.pcr_mismatch",
        ),
        "halves-of-two-sets": (
            "Each set fits in half: two halves are not a whole.",
            ({0: IMAGE[0], 1: OTHER}, {0: OTHER, 1: IMAGE[1]}),
            "policy.pcr_mismatch",
        ),
        "last-byte": (
            "The expected PCR0 differs in its last bit.",
            ({0: IMAGE[0][:-1] + bytes([IMAGE[0][-1] ^ 1])},),
            "policy.pcr_mismatch",
        ),
        "fits-and-absent": (
            "PCR0 fits, and PCR31 is not there.",
            ({0: IMAGE[0], 31: OTHER},),
            "policy.pcr_absent",
        ),
    }
    for name, (title, pcrs, code) in sets.items():
        asked = Policy(pcrs=pcrs)
        yield _case(f"policy.{name}", title, document, asked, code=code, warnings=MEASURED)
    debug = NITRO.document(at=WHEN, debug=True)
    yield _case(
        "M-2.debug-with-measurements",
        "Debug mode, where only the parent instance is pinned.",
        debug,
        Policy(pcrs=({4: registers.enclave("i-0abcdef0123456789")[4]},)),
        code="policy.debug",
    )
    yield _case(
        "X-4.other-root-of-this-name",
        "The verifier trusts a root of the same name and another key.",
        document,
        Policy(),
        group="chain",
        root="fake-other",
        code="chain.untrusted_root",
    )
    yield _case(
        "X-4.aws-root",
        "The verifier trusts AWS, the document is not from there.",
        document,
        Policy(),
        group="chain",
        root="aws",
        code="chain.untrusted_root",
    )
    for kind in ("enclave", "nitrotpm"):
        yield _case(
            f"X-11.govcloud-dates{'' if kind == 'enclave' else '@nitrotpm'}",
            "A root that ends after 2049, as that of GovCloud.",
            GOVCLOUD.document(at=WHEN, kind=kind),
            Policy(kind=kind),
            group="chain" if kind == "enclave" else "instance",
            root="fake-govcloud",
        )


def _instance(name: str, title: str, document: bytes, asked: Policy, **more: Any) -> Case:
    rule = name.partition(".")[0]
    case = _case(name, title, document, replace(asked, kind="nitrotpm"), group="instance", **more)
    return case if rule == "T-1" else case.but("nitrotpm")


def instances() -> Iterator[Case]:
    """Yields the cases with documents of instances."""
    document = NITRO.document(at=WHEN, kind="nitrotpm")
    boot = {4: registers.nitrotpm()[4]}
    yield _instance("T-1.instance", "An instance's document.", document, Policy())
    counted = NITRO.document(at=WHEN, kind="nitrotpm", indefinite=False)
    yield _instance("T-1.instance-counted", "With a counted payload map.", counted, Policy())
    yield _instance(
        "policy.pcrs",
        "The boot chain that the caller requires.",
        document,
        Policy(pcrs=({4: OTHER}, boot)),
        warnings=MEASURED,
    )
    yield _instance(
        "policy.pcr4-other",
        "Another boot chain than the caller requires.",
        document,
        Policy(pcrs=({4: OTHER},)),
        code="policy.pcr_mismatch",
    )
    yield _instance(
        "policy.pcr24-absent",
        "A PCR that is not in the document.",
        document,
        Policy(pcrs=({**boot, 24: registers.ZERO},)),
        code="policy.pcr_absent",
    )
    zeros = dict.fromkeys(range(3), registers.ZERO)
    yield _instance(
        "M-2.zeros-of-an-instance",
        "PCR0, PCR1 and PCR2 zero: instances have no debug mode.",
        NITRO.document(at=WHEN, kind="nitrotpm", pcrs=zeros),
        Policy(),
    )
    yield _instance(
        "X-23.one-millisecond",
        "One millisecond older than the limit.",
        document,
        Policy(max_age=AGE),
        time=WHEN + AGE + MILLISECOND,
        code="freshness.too_old",
    )
    for name in FIELDS:
        said = NITRO.document(at=WHEN, kind="nitrotpm", **{name: WANTED})
        asked = Policy(**{name: WANTED})
        warnings = BOUND if name == "nonce" else NOBODY_ASKED
        text = f"The {name} that the caller expects."
        yield _instance(f"policy.{name}", text, said, asked, warnings=warnings)
        text = f"Null where the caller expects a {name}."
        yield _instance(f"policy.{name}-null", text, document, asked, code=f"policy.{name}")


def confused() -> Iterator[Case]:
    """Documents of one kind where the other is expected, and documents that are half of each."""
    enclave, instance = NITRO.document(at=WHEN), NITRO.document(at=WHEN, kind="nitrotpm")
    yield _instance(
        "T-1.enclave",
        "An enclave's document where an instance's is expected.",
        enclave,
        Policy(),
        code="payload.kind",
    )
    yield _instance(
        "T-3.enclave-module",
        "Registers of an instance in a document of an enclave's module.",
        NITRO.edited(module(lambda draft: NITRO.module_id, leaf_too=True), kind="nitrotpm"),
        Policy(),
        code="consistency.kind",
    )
    certificate = hashlib.sha384(b"the certificate that signs the victim's images").digest()
    forged = {8: registers.extend(registers.ZERO, certificate)}
    yield _case(
        "T-1.forged-pcr8",
        "An instance extended its PCR8 to the value that the caller requires of an enclave.",
        NITRO.document(at=WHEN, kind="nitrotpm", pcrs=forged),
        Policy(pcrs=(forged,)),
        group="instance",
        code="payload.kind",
    )
    yield _case(
        "T-2.relabelled",
        "An instance's registers under the enclave's name, after signing.",
        NITRO.edited(Edit("items", _relabel), kind="nitrotpm"),
        Policy(),
        group="instance",
        code="signature.invalid",
    )
    yield _case(
        "T-1.counted",
        "An instance's document with a counted map where an enclave's is expected.",
        NITRO.document(at=WHEN, kind="nitrotpm", indefinite=False),
        Policy(pcrs=({4: registers.nitrotpm()[4]},)),
        group="instance",
        code="payload.kind",
    )
    yield _case(
        "T-1.aws-root",
        "The kind is judged before the chain.",
        instance,
        Policy(),
        group="instance",
        root="aws",
        code="payload.kind",
    )


def degenerate() -> Iterator[Case]:
    """Requirements that a missing or a meaningless value would meet."""
    yield from _values_without_content()
    yield from _registers_of_others()


def _values_without_content() -> Iterator[Case]:
    """A nonce, user data or a public key of no bytes, or of zeros."""
    nulls, empty = NITRO.document(at=WHEN), NITRO.document(at=WHEN, **dict.fromkeys(FIELDS, b""))
    absent = NITRO.document(at=WHEN, absent=FIELDS)
    for field in FIELDS:
        for form, document in (("null", nulls), ("empty", empty), ("absent", absent)):
            code = "input.nonce" if field == "nonce" else "input.expected"
            yield _case(
                f"policy.{field}-of-no-bytes-{form}",
                f"A {field} of no bytes is expected, and the field is {form}.",
                document,
                Policy(**{field: b""}),
                code=code,
                expectation=EMPTY_MATCHES if form == "empty" else EMPTY_MISSING,
            )
        yield _case(
            f"policy.{field}-of-zeros",
            f"A {field} of 32 bytes of zero is expected, and the field is null.",
            nulls,
            Policy(**{field: bytes(32)}),
            code=f"policy.{field}",
        )


def _registers_of_others() -> Iterator[Case]:
    """The PCR0 of every enclave in debug mode, and an instance's PCR8 that an enclave has too."""
    debug = NITRO.document(at=WHEN, debug=True)
    zeros = {0: registers.ZERO}
    about = {"rules": ("M-2", "M-3"), "code": "policyfile.zero_pin"}
    title = "Debug mode, where a PCR0 of zeros is required"
    asked = Policy(pcrs=(zeros,))
    yield _case("M-2.zero-pin", f"{title}.", debug, asked, **about)
    yield _case(
        "M-2.zero-pin-and-debug-allowed",
        f"{title} and debug mode is allowed.",
        debug,
        replace(asked, allow_debug=True),
        expectation=Expectation("acceptable", "low", ("debug-check",)),
        **about,
    )
    signed = {8: registers.extend(registers.ZERO, hashlib.sha384(b"a certificate").digest())}
    yield _instance(
        "T-1.enclave-of-a-signer",
        "An enclave whose PCR8 is the one that the caller requires of an instance.",
        NITRO.document(at=WHEN, pcrs=signed),
        Policy(pcrs=(signed,)),
        code="payload.kind",
    )


def _relabel(draft: Draft) -> None:
    renamed = draft.payload.replace(b"\x6dnitrotpm_pcrs", b"\x64pcrs")
    draft.items[2] = b"\x59" + len(renamed).to_bytes(2, "big") + renamed
