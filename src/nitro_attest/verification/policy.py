"""What an enclave must be: what a user writes down once and every verification is held against."""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar, Final, TypeVar

from nitro_attest._internal.checks import check_keys
from nitro_attest._internal.frozen import Value, replace
from nitro_attest._internal.pcrs import ZERO_PCR
from nitro_attest._internal.times import check_max_age
from nitro_attest.errors import AttestationWarning, InputError, PolicyFailure
from nitro_attest.verification.document import AttestationDocument, NitroTpmDocument
from nitro_attest.verification.measurement_set import (
    MeasurementSet,
    NitroTpmMeasurementSet,
)

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

_SetT = TypeVar("_SetT", MeasurementSet, NitroTpmMeasurementSet)


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InputError(
            "policyfile.format", f"{name} is {reprlib.repr(value)}; true or false was expected"
        )
    return value


class AnyEnclave(Value):
    """The policy that asks for no measurements: any enclave of any AWS customer will do.

    Attributes:
        allow_debug: Accept debug mode, whose memory and console the parent can read (M-2).
        max_age: The greatest age of a document; None for no limit.
        spelled_out: False where the caller named no policy at all; results then warn
            ``policy.none``.
    """

    allow_debug: bool
    max_age: timedelta | None
    spelled_out: bool
    require_nonce: ClassVar[bool] = False

    def __init__(
        self, allow_debug: bool = False, max_age: timedelta | None = None, spelled_out: bool = True
    ) -> None:
        check_max_age(max_age)
        self.__dict__.update(
            allow_debug=_flag("allow_debug", allow_debug),
            max_age=max_age,
            spelled_out=_flag("spelled_out", spelled_out),
        )

    def judge(
        self, document: AttestationDocument, instance_id: str, region: str | None
    ) -> tuple[None, list[PolicyFailure]]:
        """As ``Policy.judge``; there is no set that could match."""
        return None, []

    def mode_failures(self, document: AttestationDocument) -> list[PolicyFailure]:
        """Debug mode, unless it is allowed (M-2)."""
        return _debug_failures(document, self.allow_debug)

    def notices(self, document: AttestationDocument) -> list[AttestationWarning]:
        """That nothing was required, unless the caller said so; and debug mode."""
        return _unspoken("enclave", self.spelled_out) + _debug_notices(document, self.allow_debug)


ANY_ENCLAVE: Final = AnyEnclave()
"""Spelled out where no measurements are required."""


class AnyInstance(Value):
    """The policy for NitroTPM documents that asks for no measurements: any EC2 instance will do.

    Attributes:
        max_age: The greatest age of a document; None for no limit.
        spelled_out: As in AnyEnclave.
    """

    max_age: timedelta | None
    spelled_out: bool
    require_nonce: ClassVar[bool] = False

    def __init__(self, max_age: timedelta | None = None, spelled_out: bool = True) -> None:
        check_max_age(max_age)
        self.__dict__.update(max_age=max_age, spelled_out=_flag("spelled_out", spelled_out))

    def judge(
        self, document: NitroTpmDocument, instance_id: str, region: str | None
    ) -> tuple[None, list[PolicyFailure]]:
        """As ``NitroTpmPolicy.judge``; there is no set that could match."""
        return None, []

    def mode_failures(self, document: NitroTpmDocument) -> list[PolicyFailure]:
        """Nothing: an instance has no debug mode."""
        return []

    def notices(self, document: NitroTpmDocument) -> list[AttestationWarning]:
        """That nothing was required, unless the caller said so."""
        return _unspoken("instance", self.spelled_out)


ANY_INSTANCE: Final = AnyInstance()
"""Spelled out where no measurements of an EC2 instance are required."""


class _Conditions(Value):
    """What both kinds of policy can say. Private: they share no public base (T-1)."""

    max_age: timedelta | None
    require_nonce: bool
    module_ids: tuple[str, ...] | None
    instance_ids: tuple[str, ...] | None
    regions: tuple[str, ...] | None

    def _restrict(
        self,
        max_age: timedelta | None,
        require_nonce: bool,
        module_ids: Collection[str] | None,
        instance_ids: Collection[str] | None,
        regions: Collection[str] | None,
    ) -> None:
        check_max_age(max_age)
        self.__dict__.update(
            max_age=max_age,
            require_nonce=_flag("require_nonce", require_nonce),
            module_ids=_allowed("module_ids", module_ids),
            instance_ids=_allowed("instance_ids", instance_ids),
            regions=_allowed("regions", regions),
        )

    def _place_failures(
        self, module_id: str, instance_id: str, region: str | None
    ) -> list[PolicyFailure]:
        """What is wrong with where the document was made."""
        places = (
            ("module_id", module_id, self.module_ids),
            ("instance id", instance_id, self.instance_ids),
            ("region", region, self.regions),
        )
        return [
            PolicyFailure(
                "policy.module_id",
                f"the {what} is {found!r}; allowed are {', '.join(allowed)}",
                expected=", ".join(allowed),
                found=found,
            )
            for what, found, allowed in places
            if allowed is not None and found not in allowed
        ]


class Policy(_Conditions):
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
    allow_debug: bool
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
        known_against = _texts("caveats", caveats)
        check_keys(known_against, _CAVEATS.keys(), "the list of caveats")
        self._restrict(max_age, require_nonce, module_ids, instance_ids, regions)
        self.__dict__.update(
            measurements=_measurement_sets(measurements, MeasurementSet),
            allow_debug=_flag("allow_debug", allow_debug),
            caveats=known_against,
        )

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
        _refuse_null(value)
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

    def judge(
        self, document: AttestationDocument, instance_id: str, region: str | None
    ) -> tuple[MeasurementSet | None, list[PolicyFailure]]:
        """The first set that an authentic document meets, and everything that it fails.

        Args:
            document: The document.
            instance_id: The parent instance, as the document's names give it.
            region: The AWS region that its signing certificate names; None if it names none.
        """
        matched, mismatches = _first_match([(s, s.failures(document)) for s in self.measurements])
        return matched, mismatches + self._place_failures(document.module_id, instance_id, region)

    def mode_failures(self, document: AttestationDocument) -> list[PolicyFailure]:
        """Debug mode, unless it is allowed (M-2)."""
        return _debug_failures(document, self.allow_debug)

    def notices(self, document: AttestationDocument) -> list[AttestationWarning]:
        """Debug mode, and what the policy itself leaves open."""
        return _debug_notices(document, self.allow_debug) + self.weaknesses()

    def weaknesses(self) -> list[AttestationWarning]:
        """What the measurement sets and their source leave open, whatever the document."""
        return [AttestationWarning(code, _CAVEATS[code]) for code in self.caveats] + [
            notice for candidate in self.measurements for notice in candidate.weaknesses()
        ]


class NitroTpmPolicy(_Conditions):
    """What an EC2 instance must be. Not a Policy: an instance's registers are another thing (T-2).

    Attributes:
        measurements: The allowed sets, as in Policy.
        max_age: The greatest age of a document; None for no limit (X-23).
        require_nonce: Every call must bring the nonce that it expects.
        module_ids: The documents' names allowed, ``i-...-tpm...``; None for any.
        instance_ids: The EC2 instances allowed; None for any.
        regions: The AWS regions allowed; None for any.

    Raises:
        InputError: As Policy.
    """

    measurements: tuple[NitroTpmMeasurementSet, ...]

    def __init__(
        self,
        measurements: Sequence[NitroTpmMeasurementSet | Mapping[int, bytes | str]],
        max_age: timedelta | None = None,
        *,
        require_nonce: bool = False,
        module_ids: Collection[str] | None = None,
        instance_ids: Collection[str] | None = None,
        regions: Collection[str] | None = None,
    ) -> None:
        self._restrict(max_age, require_nonce, module_ids, instance_ids, regions)
        self.__dict__["measurements"] = _measurement_sets(measurements, NitroTpmMeasurementSet)

    def judge(
        self, document: NitroTpmDocument, instance_id: str, region: str | None
    ) -> tuple[NitroTpmMeasurementSet | None, list[PolicyFailure]]:
        """The first set that an authentic document meets, and everything that it fails."""
        matched, mismatches = _first_match([(s, s.failures(document)) for s in self.measurements])
        return matched, mismatches + self._place_failures(document.module_id, instance_id, region)

    def mode_failures(self, document: NitroTpmDocument) -> list[PolicyFailure]:
        """Nothing: an instance has no debug mode."""
        return []

    def notices(self, document: NitroTpmDocument) -> list[AttestationWarning]:
        """What the measurement sets leave open."""
        return self.weaknesses()

    def weaknesses(self) -> list[AttestationWarning]:
        """What the measurement sets leave open, whatever the document."""
        return [notice for candidate in self.measurements for notice in candidate.weaknesses()]

    def with_pins(self, pins: Mapping[int, bytes | str]) -> NitroTpmPolicy:
        """This policy with more expected PCRs in every one of its sets; errors as Policy's."""
        return replace(self, measurements=tuple([s.with_pins(pins) for s in self.measurements]))


def is_debug(document: AttestationDocument) -> bool:
    """M-2: any of PCR0, PCR1 and PCR2 is zero. There is no flag, and other PCRs stay non-zero."""
    pcrs = document.pcrs
    return ZERO_PCR in (pcrs[0], pcrs[1], pcrs[2])


def _debug_failures(document: AttestationDocument, allowed: bool) -> list[PolicyFailure]:
    if allowed or not is_debug(document):
        return []
    return [
        PolicyFailure(
            "policy.debug",
            "the enclave runs in debug mode: its memory and console are open to the parent; "
            "measurements are zero",
            expected="PCR0, PCR1 and PCR2 not zero",
            found="zero",
        )
    ]


def _debug_notices(document: AttestationDocument, allowed: bool) -> list[AttestationWarning]:
    """Of a document that was accepted: only where debug mode is allowed can it be in it."""
    if not (allowed and is_debug(document)):
        return []
    return [
        AttestationWarning("policy.debug", "the enclave runs in debug mode: the parent can read it")
    ]


def _unspoken(kind: str, spelled_out: bool) -> list[AttestationWarning]:
    if spelled_out:
        return []
    return [
        AttestationWarning(
            "policy.none",
            f"no measurements were required: this may be any {kind} of any AWS customer",
        )
    ]


def _first_match(
    judged: Sequence[tuple[_SetT, list[PolicyFailure]]],
) -> tuple[_SetT | None, list[PolicyFailure]]:
    """The first set without a failure, or all failures of all sets."""
    for candidate, failures in judged:
        if not failures:
            return candidate, []
    return None, [failure for _, failures in judged for failure in failures]


def _measurement_sets(items: object, kind: type[_SetT]) -> tuple[_SetT, ...]:
    """L-7, L-8: at least one, all of one kind, and no two of one name."""
    given = tuple(items) if isinstance(items, Sequence) and not isinstance(items, str) else ()
    if not given:  # our own copy: the caller's list may change
        raise InputError(
            "policyfile.empty",
            "a policy needs a list of at least one measurement set; to accept anything, say "
            "ANY_ENCLAVE or ANY_INSTANCE",
        )
    sets = [item if isinstance(item, kind) else kind(item) for item in given]
    if len(sets) > 1:
        sets = [
            kind(item.pcrs, f"#{place}") if item.name is None else item
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
    _refuse_null(item)
    return MeasurementSet.from_named(item["pcrs"], item.get("name"))


def _refuse_null(value: Mapping[str, Any]) -> None:
    """A null may come of a template that was not filled in; it must not mean 'any'."""
    for name, member in value.items():
        if member is None:
            raise InputError("policyfile.format", f"{name} is null; leave it out instead")


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
