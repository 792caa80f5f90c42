"""Policies: requirements that every verified document must meet.

A policy has one method that decides, ``evaluate``: it takes authentic content and a few facts, and
returns an Evaluation. Users can write their own policies with that interface.
"""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, Literal, Protocol, TypeVar, cast

from nitro_attest._internal.checks import check_keys
from nitro_attest._internal.pcrs import ZERO_PCR
from nitro_attest._internal.times import check_max_age
from nitro_attest._internal.values import rebuilt
from nitro_attest.errors import AttestationWarning, InputError, PolicyFailure
from nitro_attest.verification.core import Kind
from nitro_attest.verification.document import AttestationDocument, BaseDocument, NitroTpmDocument
from nitro_attest.verification.measurement_set import (
    MeasurementSet,
    NitroTpmMeasurementSet,
    check_enclave_pcrs,
    unpinned_warnings,
)

__all__ = [
    "ANY_ENCLAVE",
    "ANY_INSTANCE",
    "AnyEnclave",
    "AnyInstance",
    "DocumentFacts",
    "Evaluation",
    "NitroTpmPolicy",
    "Policy",
    "VerificationPolicy",
]

POLICY_SCHEMA: Final = "nitro-attest-policy/1"
"""Identifies the JSON form of a Policy."""

_CAVEATS: Final = {
    "policy.source_unattested": "the expected PCRs come from a document or from the parent of a "
    "running enclave, not from a build: only the parent vouches for them",
    "policy.debug_flag": "the expected PCRs come from an enclave in debug mode: its documents have "
    "zeros for PCR0, PCR1 and PCR2, and will not match",
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
_DocumentT = TypeVar("_DocumentT", bound=BaseDocument, contravariant=True)


@dataclass(frozen=True, slots=True)
class DocumentFacts:
    """Facts about an authentic document that are not fields of it.

    Attributes:
        instance_id: The EC2 instance: the parent of the enclave, or the instance itself.
        region: The AWS region in the name of the signing certificate; None if it names none.
        age: Age of the document at the verification time; negative if this machine's clock is slow.
    """

    instance_id: str
    region: str | None
    age: timedelta


@rebuilt
@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of a policy for one document.

    Attributes:
        matched: Name of the measurement set that matched; None if it has none.
        failures: Every requirement that the document does not meet; empty if it is accepted.
        warnings: Things that an accepted document leaves open.

    Raises:
        InputError: ``input.expected``: failures or warnings are not tuples of their types.
    """

    matched: str | None = None
    failures: tuple[PolicyFailure, ...] = ()
    warnings: tuple[AttestationWarning, ...] = ()

    def __post_init__(self) -> None:
        for name, items, kind in (
            ("failures", self.failures, PolicyFailure),
            ("warnings", self.warnings, AttestationWarning),
        ):
            if type(items) is not tuple or not all(isinstance(item, kind) for item in items):
                raise InputError(
                    "input.expected",
                    f"Evaluation: expected {name} as a tuple of {kind.__name__}, found {items!r}",
                )


class VerificationPolicy(Protocol[_DocumentT]):
    """The interface of policies; users may write their own.

    The verifier itself checks ``max_age``, ``require_nonce`` and debug mode (M-2). It rejects debug
    mode unless the policy has an attribute ``allow_debug`` that is True.

    Example:
        >>> class OnlyInTwoRegions:
        ...     kind: Literal["enclave"] = "enclave"
        ...     max_age: timedelta | None = None
        ...     require_nonce = False
        ...
        ...     def evaluate(self, document, facts):
        ...         if facts.region in ("eu-central-1", "us-east-1"):
        ...             return Evaluation()
        ...         return Evaluation(failures=(PolicyFailure("own.region", "another region"),))
        >>> Verifier(root_pem, policy=OnlyInTwoRegions()).verify(document).matched
    """

    @property
    def kind(self) -> Kind:
        """The kind of document that the policy is for."""

    @property
    def max_age(self) -> timedelta | None:
        """The maximum age of a document; None for no limit."""

    @property
    def require_nonce(self) -> bool:
        """True if every call must pass the nonce that it expects."""

    def evaluate(self, document: _DocumentT, facts: DocumentFacts) -> Evaluation:
        """Evaluates an authentic document.

        Args:
            document: The document, whose signature has been verified.
            facts: Facts about it.

        Returns:
            The result; the document is accepted if it has no failure.
        """


def _flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise InputError(
            "policyfile.format", f"{name}: expected true or false, found {reprlib.repr(value)}"
        )


@rebuilt
@dataclass(frozen=True, slots=True)
class AnyEnclave:
    """The policy without measurements: accepts any enclave of any AWS customer.

    Attributes:
        allow_debug: Accept debug mode, whose memory and console the parent can read (M-2).
        max_age: The maximum age of a document; None for no limit.
        explicit: False if the caller passed no policy at all; results then carry the warning
            ``policy.none``.

    Raises:
        InputError: ``policyfile.format`` or ``input.time`` for an attribute of another type.
    """

    allow_debug: bool = False
    max_age: timedelta | None = None
    explicit: bool = True

    def __post_init__(self) -> None:
        check_max_age(self.max_age)
        _flag("allow_debug", self.allow_debug)
        _flag("explicit", self.explicit)

    @property
    def kind(self) -> Literal["enclave"]:
        """The kind of document that the policy is for."""
        return "enclave"

    @property
    def require_nonce(self) -> bool:
        """False: no call has to pass a nonce."""
        return False

    def evaluate(self, document: AttestationDocument, facts: DocumentFacts) -> Evaluation:
        """Accepts every document; the verifier itself rejects debug mode (M-2).

        Arguments and result are those of ``VerificationPolicy.evaluate``.
        """
        return Evaluation()


ANY_ENCLAVE: Final = AnyEnclave()
"""The policy to pass if no measurements are required of an enclave."""


@rebuilt
@dataclass(frozen=True, slots=True)
class AnyInstance:
    """The policy without measurements for NitroTPM documents: accepts any EC2 instance.

    Attributes:
        max_age: The maximum age of a document; None for no limit.
        explicit: As in AnyEnclave.

    Raises:
        InputError: ``policyfile.format`` or ``input.time`` for an attribute of another type.
    """

    max_age: timedelta | None = None
    explicit: bool = True

    def __post_init__(self) -> None:
        check_max_age(self.max_age)
        _flag("explicit", self.explicit)

    @property
    def kind(self) -> Literal["nitrotpm"]:
        """The kind of document that the policy is for."""
        return "nitrotpm"

    @property
    def require_nonce(self) -> bool:
        """False: no call has to pass a nonce."""
        return False

    def evaluate(self, document: NitroTpmDocument, facts: DocumentFacts) -> Evaluation:
        """Accepts every document.

        Arguments and result are those of ``VerificationPolicy.evaluate``.
        """
        return Evaluation()


ANY_INSTANCE: Final = AnyInstance()
"""The policy to pass if no measurements are required of an EC2 instance."""


@dataclass(frozen=True, slots=True, init=False, repr=False, eq=False)
class _Conditions:
    """Conditions common to both kinds of policy. Private: they share no public base (T-1)."""

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
        _flag("require_nonce", require_nonce)
        _set(
            self,
            max_age=max_age,
            require_nonce=require_nonce,
            module_ids=_allowed("module_ids", module_ids),
            instance_ids=_allowed("instance_ids", instance_ids),
            regions=_allowed("regions", regions),
        )

    def _place_failures(
        self, module_id: str, instance_id: str, region: str | None
    ) -> list[PolicyFailure]:
        """Returns a failure for each name or place that is not allowed."""
        places = (
            ("module_id", module_id, self.module_ids),
            ("instance id", instance_id, self.instance_ids),
            ("region", region, self.regions),
        )
        return [
            PolicyFailure(
                "policy.module_id",
                f"{what} mismatch: expected {' or '.join(allowed)}, found {found}",
                expected=", ".join(allowed),
                found=found,
            )
            for what, found, allowed in places
            if allowed is not None and found not in allowed
        ]


@rebuilt
@dataclass(frozen=True, slots=True, init=False)
class Policy(_Conditions):
    """Requirements for enclaves: measurement sets, allowed enclaves and places, and freshness.

    Can be pickled and hashed.

    Example:
        >>> policy = Policy([{0: "ab" * 48}, {0: "cd" * 48}], max_age=timedelta(minutes=5))
        >>> [item.name for item in policy.measurements]
        ['#1', '#2']

    Attributes:
        measurements: The allowed sets; a document must match one of them in full (L-8). If there
            are several, those without a name are called ``#1``, ``#2`` by position, so that a
            result can name the one that matched.
        max_age: The maximum age of a document, positive; None for no limit (X-23).
        allow_debug: Accept debug mode (M-2). Such a document has zeros for PCR0 to PCR2, so a set
            that pins one of them still rejects it.
        require_nonce: Every call must pass the nonce that it expects. Otherwise the call raises
            ``input.nonce``: a document verified without its challenge proves no freshness.
        module_ids: The enclaves allowed, by their exact name (one run of one enclave each); None
            for any.
        instance_ids: The parent EC2 instances allowed; None for any.
        regions: The AWS regions allowed; None for any.
        caveats: Known weaknesses of the source of the measurements: ``policy.source_unattested``,
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
        measurements: Sequence[MeasurementSet | Mapping[Any, Any]],
        max_age: timedelta | None = None,
        allow_debug: bool = False,
        *,
        require_nonce: bool = False,
        module_ids: Collection[str] | None = None,
        instance_ids: Collection[str] | None = None,
        regions: Collection[str] | None = None,
        caveats: Collection[str] = (),
    ) -> None:
        known_caveats = _texts("caveats", caveats)
        check_keys(known_caveats, _CAVEATS.keys(), "the list of caveats")
        _flag("allow_debug", allow_debug)
        self._restrict(max_age, require_nonce, module_ids, instance_ids, regions)
        _set(
            self,
            measurements=_measurement_sets(measurements, MeasurementSet),
            allow_debug=allow_debug,
            caveats=known_caveats,
        )

    @property
    def kind(self) -> Literal["enclave"]:
        """The kind of document that the policy is for."""
        return "enclave"

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Policy:
        """Makes the policy from its JSON form, which ``docs/reference/policy.md`` describes.

        There is no key for archive mode, clock skew or trusted roots: a file gives the
        requirements for an enclave, not the way to verify it (X-20).

        Args:
            value: The JSON object.

        Returns:
            The policy.

        Raises:
            InputError: ``policyfile.format``, ``policyfile.unknown_key``, or as the class itself.
        """
        if not isinstance(value, Mapping) or value.get("schema") != POLICY_SCHEMA:
            raise InputError(
                "policyfile.format", f'policy: expected an object with "schema": "{POLICY_SCHEMA}"'
            )
        check_keys(value, _JSON_KEYS, "the policy")
        _reject_null(value)
        options = dict(value)
        del options["schema"]
        sets = options.pop("measurements", [])
        if not isinstance(sets, list):
            raise InputError("policyfile.format", "measurements: expected a list")
        seconds = options.pop("max_age_seconds", None)
        max_age = None if seconds is None else _max_age_of(seconds)
        return cls([_set_from_dict(item) for item in sets], max_age, **options)

    def to_dict(self) -> dict[str, Any]:
        """Returns the JSON form, which ``from_dict`` reads; conditions not set are left out."""
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
        """Returns this policy with more expected PCRs in every one of its sets.

        Args:
            pins: The additional PCRs.

        Returns:
            A new policy.

        Raises:
            InputError: ``policyfile.duplicate``: a pin contradicts one of the sets. The set is not
                dropped: you must decide which of the two values is right. Otherwise as
                MeasurementSet.
        """
        sets = tuple([item.with_pins(pins) for item in self.measurements])
        return replace(self, measurements=sets)

    def evaluate(self, document: AttestationDocument, facts: DocumentFacts) -> Evaluation:
        """Checks the measurement sets (L-8), and where the enclave runs.

        The verifier itself checks debug mode, maximum age and the nonce.

        Arguments and result are those of ``VerificationPolicy.evaluate``.

        Raises:
            InputError: ``input.document`` or ``input.expected``: an argument has the wrong type.
        """
        _check_facts(facts)
        matched, mismatches = _first_match([(s, s.failures(document)) for s in self.measurements])
        places = self._place_failures(document.module_id, facts.instance_id, facts.region)
        return Evaluation(
            matched.name if matched else None, (*mismatches, *places), tuple(self.weaknesses())
        )

    def weaknesses(self) -> list[AttestationWarning]:
        """Returns warnings about the measurement sets and their source, whatever the document."""
        return [AttestationWarning(code, _CAVEATS[code]) for code in self.caveats] + [
            warning for candidate in self.measurements for warning in candidate.weaknesses()
        ]


@rebuilt
@dataclass(frozen=True, slots=True, init=False)
class NitroTpmPolicy(_Conditions):
    """Requirements for EC2 instances. Not a Policy: the PCRs of an instance differ (T-2).

    Can be pickled and hashed.

    Attributes:
        measurements: The allowed sets, as in Policy.
        max_age: The maximum age of a document; None for no limit (X-23).
        require_nonce: Every call must pass the nonce that it expects.
        module_ids: The names allowed, ``i-...-tpm...``; None for any.
        instance_ids: The EC2 instances allowed; None for any.
        regions: The AWS regions allowed; None for any.
        from_reference: The sets come from reference files, which should have PCR4, PCR7 and PCR12.
            Each set without PCR7 or PCR12 gives the warning ``policy.unpinned`` (T-6).

    Raises:
        InputError: As Policy.
    """

    measurements: tuple[NitroTpmMeasurementSet, ...]
    from_reference: bool

    def __init__(
        self,
        measurements: Sequence[NitroTpmMeasurementSet | Mapping[int, bytes | str]],
        max_age: timedelta | None = None,
        *,
        require_nonce: bool = False,
        module_ids: Collection[str] | None = None,
        instance_ids: Collection[str] | None = None,
        regions: Collection[str] | None = None,
        from_reference: bool = False,
    ) -> None:
        _flag("from_reference", from_reference)
        self._restrict(max_age, require_nonce, module_ids, instance_ids, regions)
        _set(
            self,
            measurements=_measurement_sets(measurements, NitroTpmMeasurementSet),
            from_reference=from_reference,
        )

    @property
    def kind(self) -> Literal["nitrotpm"]:
        """The kind of document that the policy is for."""
        return "nitrotpm"

    def evaluate(self, document: NitroTpmDocument, facts: DocumentFacts) -> Evaluation:
        """Checks the measurement sets (L-8), and the names and region of the instance.

        Arguments and result are those of ``VerificationPolicy.evaluate``.

        Raises:
            InputError: ``input.document`` or ``input.expected``: an argument has the wrong type.
        """
        _check_facts(facts)
        matched, mismatches = _first_match([(s, s.failures(document)) for s in self.measurements])
        places = self._place_failures(document.module_id, facts.instance_id, facts.region)
        return Evaluation(
            matched.name if matched else None, (*mismatches, *places), tuple(self.weaknesses())
        )

    def weaknesses(self) -> list[AttestationWarning]:
        """Returns warnings about the measurement sets, whatever the document."""
        found = [warning for candidate in self.measurements for warning in candidate.weaknesses()]
        if self.from_reference:
            for candidate in self.measurements:
                found += unpinned_warnings(candidate)
        return found

    def with_pins(self, pins: Mapping[int, bytes | str]) -> NitroTpmPolicy:
        """Returns this policy with more expected PCRs in every set.

        Arguments, result and errors are those of ``Policy.with_pins``.
        """
        sets = tuple([item.with_pins(pins) for item in self.measurements])
        return replace(self, measurements=sets)


EnclavePolicy = VerificationPolicy[AttestationDocument]
"""Any policy for documents of enclaves."""

InstancePolicy = VerificationPolicy[NitroTpmDocument]
"""Any policy for documents of EC2 instances."""


def as_enclave_policy(policy: object, *, allow_debug: bool = False) -> EnclavePolicy:
    """Converts the ``policy`` argument to a policy for enclaves.

    Args:
        policy: A policy, or a mapping of PCRs: ``{0: "ab..."}``, ``{"PCR0": "ab..."}``, or what
            nitro-cli build-enclave prints, ``{"Measurements": {"PCR0": "ab..."}}``.
        allow_debug: For a policy made from a mapping.

    Returns:
        The policy.

    Raises:
        InputError: ``input.expected``: the argument is neither, or is for instances (T-1);
            ``policyfile.*``: the mapping is malformed.
    """
    if isinstance(policy, Mapping):
        return Policy([policy], allow_debug=allow_debug)
    _check_policy(policy, "enclave")
    return cast("EnclavePolicy", policy)


def as_instance_policy(policy: object) -> InstancePolicy:
    """Checks that the ``policy`` argument is a policy for instances, not a mapping (T-1).

    Raises:
        InputError: ``input.expected``: the argument is not a policy for instances.
    """
    _check_policy(policy, "nitrotpm")
    return cast("InstancePolicy", policy)


def _check_policy(policy: Any, kind: Kind) -> None:
    accepted = {
        "enclave": "a Policy, ANY_ENCLAVE or a mapping of PCRs",
        "nitrotpm": "a NitroTpmPolicy or ANY_INSTANCE",
    }[kind]
    if (
        isinstance(policy, type)
        or getattr(policy, "kind", None) != kind
        or not isinstance(getattr(policy, "require_nonce", None), bool)
        or not callable(getattr(policy, "evaluate", None))
        or not hasattr(policy, "max_age")
    ):
        raise InputError(
            "input.expected", f"policy: expected {accepted}, found {reprlib.repr(policy)}"
        )
    check_max_age(policy.max_age)


def is_debug(document: AttestationDocument) -> bool:
    """Returns True if any of PCR0, PCR1 and PCR2 is zero, the only sign of debug mode (M-2)."""
    pcrs = document.pcrs
    return ZERO_PCR in (pcrs[0], pcrs[1], pcrs[2])


def _check_facts(facts: object) -> None:
    if not isinstance(facts, DocumentFacts):
        raise InputError(
            "input.expected", f"facts: expected DocumentFacts, found {type(facts).__name__}"
        )


def _first_match(
    results: Sequence[tuple[_SetT, list[PolicyFailure]]],
) -> tuple[_SetT | None, list[PolicyFailure]]:
    """Returns the first set without a failure, or all failures of all sets."""
    if not results:  # no constructor makes such a policy, and it would accept everything
        raise InputError("policyfile.empty", "the policy has no measurement set")
    for candidate, failures in results:
        if not failures:
            return candidate, []
    return None, [failure for _, failures in results for failure in failures]


def _set(policy: _Conditions, **values: object) -> None:
    for name, value in values.items():
        object.__setattr__(policy, name, value)


def _measurement_sets(items: object, kind: type[_SetT]) -> tuple[_SetT, ...]:
    """Checks L-7 and L-8: at least one set, all of one kind, and no two of one name."""
    if isinstance(items, (Mapping, MeasurementSet, NitroTpmMeasurementSet)):
        raise InputError("policyfile.empty", "measurements: expected a list of sets, found one set")
    given = tuple(items) if isinstance(items, Sequence) and not isinstance(items, str) else ()
    if not given:  # our own copy: the caller's list may change
        raise InputError(
            "policyfile.empty",
            "measurements: expected a list of at least one measurement set; to require none, pass "
            "ANY_ENCLAVE or ANY_INSTANCE as the policy",
        )
    sets = [item if isinstance(item, kind) else _set_from_mapping(item, kind) for item in given]
    if len(sets) > 1:
        sets = [
            kind(item.pcrs, f"#{place}") if item.name is None else item
            for place, item in enumerate(sets, 1)
        ]
    names = set()
    for item in sets:
        if item.name in names:
            raise InputError(
                "policyfile.duplicate",
                f"two measurement sets are named {item.name!r}; rename one",
            )
        names.add(item.name)
    return tuple(sets)


def _set_from_mapping(item: Any, kind: type[_SetT]) -> _SetT:
    """Makes a set from PCRs by index or, for an enclave, as nitro-cli prints them (L-1)."""
    if kind is NitroTpmMeasurementSet or not isinstance(item, Mapping):
        return kind(item)
    if item.keys() == {"Measurements"} and isinstance(item["Measurements"], Mapping):
        item = item["Measurements"]
    if any(isinstance(key, str) for key in item):
        named = kind.from_named(item)
        check_enclave_pcrs(named)
        return named
    return kind(item)


def _set_from_dict(item: object) -> MeasurementSet:
    if not isinstance(item, Mapping) or not isinstance(item.get("pcrs"), Mapping):
        raise InputError(
            "policyfile.format",
            'measurement set: expected an object with "pcrs": {"PCR0": ..., ...}',
        )
    check_keys(item, _JSON_SET_KEYS, "a measurement set")
    _reject_null(item)
    return MeasurementSet.from_named(item["pcrs"], item.get("name"))


def _reject_null(value: Mapping[str, Any]) -> None:
    """Rejects null: it may come from an unfilled template, and must not mean "any"."""
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
            f"max_age_seconds: expected a positive number, found {reprlib.repr(seconds)}",
        ) from None
    return max_age


def _allowed(name: str, values: object) -> tuple[str, ...] | None:
    """Returns the allowed values, None for any. An empty list is an error: it could mean either."""
    if values is None:
        return None
    texts = _texts(name, values)
    if not texts:
        raise InputError("policyfile.empty", f"{name} is an empty list; leave it out to allow any")
    return texts


def _texts(name: str, values: object) -> tuple[str, ...]:
    if isinstance(values, (str, Mapping)) or not isinstance(values, Collection):
        raise InputError(
            "policyfile.format", f"{name}: expected a list, found {reprlib.repr(values)}"
        )
    own_copy = tuple(values)  # the caller's may change
    for value in own_copy:
        if not isinstance(value, str) or not value or not value.isprintable():
            raise InputError(
                "policyfile.format",
                f"{name}: expected printable text, found {reprlib.repr(value)}",
            )
    return tuple(sorted(set(own_copy)))
