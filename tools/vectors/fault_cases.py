"""Cases from the tables of faults and variants: all of them once, one of each sort elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from nitro_attest.testing import FAULTS, VARIANTS, Fault, Variant
from vectors.case import Case, Policy
from vectors.fakes import NITRO, WHEN

MINUTE: Final = timedelta(minutes=1)

# The tables were written for a verifier whose clock may be a minute behind; the answer to these
# depends on it.
NEEDS_SKEW: Final = {
    *("X-10.slow-clock", "X-10.before-leaf", "X-21.at-start", "X-21.just-before-leaf"),
    *("X-22.within-skew", "X-22.beyond-skew"),
}

# What an instance's document cannot break or stretch: it has no debug mode and needs no PCR. And
# what would turn it into the document of an enclave, by its names or by a second PCR map.
NOT_FOR_INSTANCES: Final = {"M-2", "P-18", "T-1", "T-3", "policy"}
ENCLAVE_ONLY: Final = {
    *("P-9.both-kinds", "P-12.20-digits", "X-24.other-enclave", "X-24.other-instance"),
}


def group_of(rule: str) -> str:
    """The file for cases about this rule."""
    family, _, number = rule.partition("-")
    if family == "C":
        return "signature" if rule in ("C-14", "C-15", "C-16") else "envelope"
    if family == "P":
        return "payload"
    if family == "X" and int(number) < 20:
        return "chain"
    return "instance" if family == "T" else "policy"


def faults() -> Iterator[Case]:
    """Every fault, in a document of an enclave."""
    for name, fault in FAULTS.items():
        yield _broken(name, fault)


def variants() -> Iterator[Case]:
    """Every variant, in a document of an enclave."""
    for name, variant in VARIANTS.items():
        yield _unusual(name, variant)


def counted() -> Iterator[Case]:
    """One fault of each rule and code where the payload map is counted, as until mid-2025."""
    for name, fault in _one_of_each(FAULTS):
        if fault.rule.startswith("P-") and "indefinite" not in fault.document:
            broken = _broken(name, fault)
            document = NITRO.document(at=WHEN, fault=name, indefinite=False)
            if document != broken.document:
                yield broken.but("counted", document=document)


def instances() -> Iterator[Case]:
    """One fault of each rule and code, and most variants, in documents of instances."""
    for name, fault in _one_of_each(filter(_for_instances, FAULTS)):
        document = NITRO.document(at=WHEN, kind="nitrotpm", fault=name)
        yield _of_instance(_broken(name, fault), document)
    for name in filter(_for_instances, VARIANTS):
        document = NITRO.document(at=WHEN, kind="nitrotpm", variant=name)
        yield _of_instance(_unusual(name, VARIANTS[name]), document)


def _for_instances(name: str) -> bool:
    return name.partition(".")[0] not in NOT_FOR_INSTANCES and name not in ENCLAVE_ONLY


def _one_of_each(names: Iterable[str]) -> Iterator[tuple[str, Fault]]:
    seen = set()
    for name in names:
        fault = FAULTS[name]
        if (fault.rule, fault.code) not in seen:
            seen.add((fault.rule, fault.code))
            yield name, fault


def _of_instance(case: Case, document: bytes) -> Case:
    asked = replace(case.policy, kind="nitrotpm")
    return case.but("nitrotpm", group="instance", document=document, policy=asked)


def _broken(name: str, fault: Fault) -> Case:
    return Case(
        id=name,
        group=group_of(fault.rule),
        rules=(fault.rule,),
        title=fault.description,
        document=NITRO.document(at=WHEN, fault=name),
        code=fault.code,
        **_judging(name, fault),
    )


def _unusual(name: str, variant: Variant) -> Case:
    rule = name.partition(".")[0]
    return Case(
        id=f"{name}-allowed" if name in FAULTS else name,
        group=group_of(rule),
        rules=(rule, *(other for other in variant.rules if other != rule)),
        title=variant.description,
        document=NITRO.document(at=WHEN, variant=name),
        warnings=variant.warnings,
        **_judging(name, variant),
    )


def _judging(name: str, case: Fault | Variant) -> dict[str, Any]:
    asked = dict(case.verify)
    time = asked.pop("at", WHEN + case.at_shift)
    pcrs = (asked.pop("policy"),) if "policy" in asked else ()
    skew = MINUTE if name in NEEDS_SKEW else timedelta(0)
    return {
        "time": time,
        "policy": Policy(pcrs=pcrs, clock_skew=skew, **asked),
        "needs_skew": name in NEEDS_SKEW,
    }
