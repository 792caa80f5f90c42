"""What an enclave must be: what a user writes down once and every verification is held against."""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from nitro_attest.document import AttestationDocument
from nitro_attest.errors import InputError, Notice, PolicyFailure
from nitro_attest.measurement_set import MeasurementSet
from nitro_attest.strict_json import check_keys

POLICY_SCHEMA: Final = "nitro-attest-policy/1"
"""Marks the JSON form of a Policy."""

_CAVEATS: Final = {
    "policy.source_unattested": "the expected PCRs were read from a running enclave's parent or "
    "from a document, not from a build: nobody but the parent says that they are right",
    "policy.debug_flag": "the enclave that the expected PCRs were read from runs in debug mode: "
    "its documents say zero for PCR0, PCR1 and PCR2 and will not match",
}
_JSON_KEYS: Final = frozenset(
    {
        "schema",
        "measurements",
        "max_age_seconds",
        "allow_debug",
        "require_nonce",
        "module_ids",
        "instance_ids",
        "regions",
        "caveats",
    }
)
_JSON_SET_KEYS: Final = frozenset({"name", "pcrs"})


def check_max_age(max_age: timedelta | None) -> None:
    """Refuses a maximum age that no document could meet or that is not a duration.

    Raises:
        InputError: ``input.time``.
    """
    if max_age is not None and (
        not isinstance(max_age, timedelta) or max_age <= timedelta(milliseconds=0)
    ):
        raise InputError("input.time", f"max_age is {max_age!r}; a positive timedelta was expected")


@dataclass(frozen=True)
class AnyEnclave:
    """The policy that asks for no measurements: any enclave of any AWS customer will do.

    Attributes:
        allow_debug: Accept debug mode, whose memory and console the parent can read (M-2).
        max_age: The greatest age of a document; None for no limit.
        spelled_out: False where the caller named no policy at all; results then warn
            ``policy.none``.
    """

    allow_debug: bool = False
    max_age: timedelta | None = None
    spelled_out: bool = True

    def __post_init__(self) -> None:
        check_max_age(self.max_age)

    def notices(self) -> list[Notice]:
        """That nothing was required, unless the caller said so."""
        if self.spelled_out:
            return []
        return [
            Notice(
                "policy.none",
                "no measurements were required: this may be any enclave of any AWS customer",
            )
        ]


ANY_ENCLAVE: Final = AnyEnclave()
"""Spelled out where no measurements are required."""


@dataclass(frozen=True)
class Policy:
    """What an enclave must be: one of several measurement sets, where it may run, how fresh.

    Attributes:
        measurements: The allowed sets; a document must match one of them wholly (L-8). Of several,
            those without a name are called ``#1``, ``#2`` by their place, so that a result can say
            which one matched.
        max_age: The greatest age of a document; None for no limit (X-23).
        allow_debug: Accept debug mode (M-2). Such a document says zero for PCR0 to PCR2, so a set
            that pins one of them still refuses it.
        require_nonce: Every call must bring the nonce that it expects. A call that does not is
            ``input.nonce``, not a refused document: it is the caller who forgot, and a document
            judged without the challenge that it should answer would prove nothing fresh.
        module_ids: The enclaves allowed, by their exact name (one run of one enclave each); None
            for any.
        instance_ids: The parent EC2 instances allowed; None for any.
        regions: The AWS regions allowed; None for any.
        caveats: What is known against the source of the measurements: ``policy.source_unattested``,
            ``policy.debug_flag``. Each is a warning on every result.

    Raises:
        InputError: ``policyfile.*`` for an empty or malformed set, list of names or caveat,
            ``policyfile.duplicate`` for two sets of one name, ``input.time`` for a max_age that is
            not positive.
    """

    measurements: tuple[MeasurementSet, ...]
    max_age: timedelta | None
    allow_debug: bool
    require_nonce: bool
    module_ids: tuple[str, ...] | None
    instance_ids: tuple[str, ...] | None
    regions: tuple[str, ...] | None
    caveats: tuple[str, ...]

    def __init__(
        self,
        measurements: Sequence[MeasurementSet | Mapping[int, bytes | str]],
        max_age: timedelta | None = None,
        allow_debug: bool = False,
        *,
        require_nonce: bool = False,
        module_ids: Collection[str] | None = None,
        instance_ids: Collection[str] | None = None,
        regions: Collection[str] | None = None,
        caveats: Collection[str] = (),
    ) -> None:
        check_max_age(max_age)
        known_against = _texts("caveats", caveats)
        check_keys(known_against, _CAVEATS.keys(), "the list of caveats")
        values = {
            "measurements": _measurement_sets(measurements),
            "max_age": max_age,
            "allow_debug": _flag("allow_debug", allow_debug),
            "require_nonce": _flag("require_nonce", require_nonce),
            "module_ids": _allowed("module_ids", module_ids),
            "instance_ids": _allowed("instance_ids", instance_ids),
            "regions": _allowed("regions", regions),
            "caveats": known_against,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Policy:
        """The policy that a JSON object describes; the form is in ``docs/reference/policy.md``.

        There is no key for archive mode, for the clock or for trusted roots: a file says what an
        enclave must be, not how to judge it (X-20).

        Raises:
            InputError: ``policyfile.format``, ``policyfile.unknown_key``, or as the class itself.
        """
        if not isinstance(value, Mapping) or value.get("schema") != POLICY_SCHEMA:
            raise InputError(
                "policyfile.format", f'a policy is an object with "schema": "{POLICY_SCHEMA}"'
            )
        check_keys(value, _JSON_KEYS, "the policy")
        for name in _JSON_KEYS:
            if name in value and value[name] is None:
                raise InputError("policyfile.format", f"{name} is null; leave it out instead")
        options = dict(value)
        del options["schema"]
        sets = options.pop("measurements", [])
        if not isinstance(sets, list):
            raise InputError("policyfile.format", "measurements is not a list")
        seconds = options.pop("max_age_seconds", None)
        max_age = None if seconds is None else _max_age_of(seconds)
        return cls([_set_from_dict(item) for item in sets], max_age, **options)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, which ``from_dict`` reads back: what is not restricted is left out."""
        form: dict[str, Any] = {
            "schema": POLICY_SCHEMA,
            "measurements": [
                ({} if item.name is None else {"name": item.name}) | {"pcrs": item.to_named()}
                for item in self.measurements
            ],
            "allow_debug": self.allow_debug,
            "require_nonce": self.require_nonce,
        }
        if self.max_age is not None:
            seconds = self.max_age.total_seconds()
            form["max_age_seconds"] = int(seconds) if seconds.is_integer() else seconds
        for name in ("module_ids", "instance_ids", "regions"):
            if getattr(self, name) is not None:
                form[name] = list(getattr(self, name))
        if self.caveats:
            form["caveats"] = list(self.caveats)
        return form

    def with_pins(self, pins: Mapping[int, bytes | str]) -> Policy:
        """This policy with more expected PCRs in every one of its sets.

        Where two places name measurements, a document must satisfy both.

        Raises:
            InputError: ``policyfile.duplicate``: a pin contradicts one of the sets. The set is not
                dropped for it: two places that disagree are a mistake that somebody must settle.
                Otherwise as MeasurementSet.
        """
        sets = tuple([item.with_pins(pins) for item in self.measurements])
        return replace(self, measurements=sets)

    def match(
        self, document: AttestationDocument
    ) -> tuple[MeasurementSet | None, list[PolicyFailure]]:
        """The first set that the document meets, or all failures of all sets."""
        failures: list[PolicyFailure] = []
        for candidate in self.measurements:
            found = candidate.failures(document)
            if not found:
                return candidate, []
            failures += found
        return None, failures

    def place_failures(
        self, module_id: str, instance_id: str, region: str | None
    ) -> list[PolicyFailure]:
        """What is wrong with where the enclave runs.

        Args:
            module_id: The enclave's name.
            instance_id: Its parent instance.
            region: The AWS region that the signing certificate names; None if it names none.
        """
        places = (
            ("module_id", module_id, self.module_ids),
            ("instance id", instance_id, self.instance_ids),
            ("region", region, self.regions),
        )
        return [
            PolicyFailure(
                "policy.module_id",
                f"the enclave's {what} is {found!r}; allowed are {', '.join(allowed)}",
                expected=", ".join(allowed),
                found=found,
            )
            for what, found, allowed in places
            if allowed is not None and found not in allowed
        ]

    def notices(self) -> list[Notice]:
        """What the measurement sets and their source leave open."""
        return [Notice(code, _CAVEATS[code]) for code in self.caveats] + [
            notice for candidate in self.measurements for notice in candidate.weaknesses()
        ]


def _measurement_sets(items: object) -> tuple[MeasurementSet, ...]:
    """L-7, L-8: at least one, and no two of one name."""
    if not isinstance(items, Sequence) or isinstance(items, str) or not items:
        raise InputError(
            "policyfile.empty",
            "a policy needs a list of at least one measurement set; to accept any enclave, say "
            "ANY_ENCLAVE",
        )
    sets = [item if isinstance(item, MeasurementSet) else MeasurementSet(item) for item in items]
    if len(sets) > 1:
        sets = [
            MeasurementSet(item.pcrs, f"#{place}") if item.name is None else item
            for place, item in enumerate(sets, 1)
        ]
    names = set()
    for item in sets:
        if item.name in names:
            raise InputError(
                "policyfile.duplicate", f"two measurement sets are called {item.name!r}; rename one"
            )
        names.add(item.name)
    return tuple(sets)


def _set_from_dict(item: object) -> MeasurementSet:
    if not isinstance(item, Mapping) or not isinstance(item.get("pcrs"), Mapping):
        raise InputError(
            "policyfile.format", 'a measurement set is an object with "pcrs": {"PCR0": ..., ...}'
        )
    check_keys(item, _JSON_SET_KEYS, "a measurement set")
    return MeasurementSet.from_named(item["pcrs"], item.get("name"))


def _max_age_of(seconds: object) -> timedelta:
    try:
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
            raise TypeError
        max_age = timedelta(seconds=seconds)
        check_max_age(max_age)
    except (TypeError, ValueError, OverflowError, InputError):
        raise InputError(
            "policyfile.format",
            f"max_age_seconds is {reprlib.repr(seconds)}; a positive number was expected",
        ) from None
    return max_age


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InputError(
            "policyfile.format", f"{name} is {reprlib.repr(value)}; true or false was expected"
        )
    return value


def _allowed(name: str, values: object) -> tuple[str, ...] | None:
    """Any, or one of these. An empty list is an error: it may have been meant as either."""
    if values is None:
        return None
    texts = _texts(name, values)
    if not texts:
        raise InputError(
            "policyfile.empty", f"{name} is an empty list; leave it out to allow any, or name some"
        )
    return texts


def _texts(name: str, values: object) -> tuple[str, ...]:
    if isinstance(values, (str, Mapping)) or not isinstance(values, Collection):
        raise InputError("policyfile.format", f"{name} is {reprlib.repr(values)}, not a list")
    for value in values:
        if not isinstance(value, str) or not value or not value.isprintable():
            raise InputError(
                "policyfile.format",
                f"{name} holds {reprlib.repr(value)}; printable text was expected",
            )
    return tuple(sorted(set(values)))
