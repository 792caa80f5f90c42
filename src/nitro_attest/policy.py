"""What a caller may require of an authentic document: documents in, failures out, no cryptography.

Every check iterates over what is expected, never over what the document happens to hold, so that
whatever is absent fails (P-18).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from nitro_attest.document import AttestationDocument
from nitro_attest.errors import InputError, PolicyFailure
from nitro_attest.limits import MAX_PCRS, MIN_NONCE_BYTES, PCR_BYTES

_ZERO: Final = bytes(PCR_BYTES)
_IMAGE_PCRS: Final = (0, 1, 2)

EMPTY_RAMDISKS: Final = bytes.fromhex(
    "21b9efbc184807662e966d34f390821309eeac6802309798826296bf3e8bec7c10edb30948c90ba67310f7b964fc500a"
)
"""M-4. PCR2 of every image with one ramdisk: SHA-384 of 48 zeros and the SHA-384 of nothing."""


class _Unchecked(bytes):
    """The type of UNCHECKED: an argument that was not given, as opposed to None or empty."""

    def __repr__(self) -> str:
        return "UNCHECKED"


UNCHECKED: Final[bytes] = _Unchecked()
"""Default of ``nonce``, ``user_data`` and ``public_key``: nothing is expected.

Compared by identity, so that neither None nor an empty value, which a caller may pass by mistake,
can mean it.
"""


@dataclass(frozen=True)
class Notice:
    """Something that a verified result does not prove, or that its reader should know.

    Attributes:
        code: Stable identifier, such as ``policy.none``.
        message: The sentence for a person.
    """

    code: str
    message: str


@dataclass(frozen=True)
class MeasurementSet:
    """PCR values that must all match: one version of one image.

    Attributes:
        pcrs: Expected values by index (0 to 31): 48 bytes, or 96 hex digits in either case with an
            optional 0x, which become bytes here.
        name: What to call the set in results, such as ``v1.4.2``.

    Raises:
        InputError: ``policyfile.empty`` (no PCR), ``policyfile.pcr_index``, ``policyfile.hex``, or
            ``policyfile.zero_pin`` (PCR0, PCR1 or PCR2 of all zeros would demand debug mode, M-3).
    """

    pcrs: Mapping[int, bytes]
    name: str | None = None

    def __init__(self, pcrs: Mapping[int, bytes | str], name: str | None = None) -> None:
        if not isinstance(pcrs, Mapping) or not pcrs:
            raise InputError(
                "policyfile.empty",
                "a measurement set must hold at least one PCR; an empty one would accept anything",
            )
        values = {_pcr_index(index): _pcr_value(index, value) for index, value in pcrs.items()}
        object.__setattr__(self, "pcrs", MappingProxyType(dict(sorted(values.items()))))
        object.__setattr__(self, "name", name)

    def failures(self, document: AttestationDocument) -> list[PolicyFailure]:
        """Every expected PCR that the document lacks or that has another value there."""
        failures = []
        for index, expected in self.pcrs.items():
            found = document.pcrs.get(index)
            if found is not None and hmac.compare_digest(found, expected):
                continue
            code, what = (
                ("policy.pcr_absent", f"PCR{index} is not in the document")
                if found is None
                else ("policy.pcr_mismatch", f"PCR{index} is {found.hex()}")
            )
            failures.append(
                PolicyFailure(
                    code,
                    f"{what}; {expected.hex()} was expected" + self._suffix(),
                    expected=expected.hex(),
                    found=None if found is None else found.hex(),
                    pcr=index,
                    measurement_set=self.name,
                )
            )
        return failures

    def weaknesses(self) -> list[Notice]:
        """Pins that say less than they seem to (M-3, M-4)."""
        notices = []
        pins_nothing = all(
            value == _ZERO or (index == 2 and value == EMPTY_RAMDISKS)
            for index, value in self.pcrs.items()
        )
        if pins_nothing:
            notices.append(
                Notice(
                    "policy.weak",
                    "the expected PCRs are constants that many different images share; pin PCR0, "
                    "PCR1 and PCR2" + self._suffix(),
                )
            )
        for index, meaning in ((3, "no IAM role was attached"), (8, "the image is not signed")):
            if self.pcrs.get(index) == _ZERO:
                notices.append(
                    Notice(
                        "policy.weak", f"PCR{index} of all zeros means: {meaning}{self._suffix()}"
                    )
                )
        return notices

    def _suffix(self) -> str:
        return f" (measurement set {self.name!r})" if self.name is not None else ""


def _pcr_index(index: object) -> int:
    if type(index) is not int or not 0 <= index < MAX_PCRS:
        raise InputError(
            "policyfile.pcr_index",
            f"PCR index {index!r} is not an integer from 0 to {MAX_PCRS - 1}",
        )
    return index


def _pcr_value(index: int, value: object) -> bytes:
    """M-9 for text; M-3 for both."""
    if isinstance(value, str):
        digits = value[2:] if value[:2] in ("0x", "0X") else value
        if not re.fullmatch(rf"[0-9A-Fa-f]{{{2 * PCR_BYTES}}}", digits):
            raise InputError(
                "policyfile.hex",
                f"PCR{index} value has {len(digits)} digits or a character that is none; "
                f"{2 * PCR_BYTES} hex digits were expected",
            )
        value = bytes.fromhex(digits)
    if not isinstance(value, bytes) or len(value) != PCR_BYTES:
        found = f"{len(value)} bytes" if isinstance(value, bytes) else type(value).__name__
        raise InputError(
            "policyfile.hex", f"PCR{index} value is {found}; {PCR_BYTES} bytes or hex were expected"
        )
    if index in _IMAGE_PCRS and value == _ZERO:
        raise InputError(
            "policyfile.zero_pin",
            f"PCR{index} is pinned to zeros, the value of every enclave in debug mode; use the "
            "measurements that the image was built with",
        )
    return value


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
    """What an enclave must be: one of several measurement sets, and not in debug mode.

    Attributes:
        measurements: The allowed sets; a document must match one of them wholly.
        max_age: The greatest age of a document; None for no limit (X-23).
        allow_debug: Accept debug mode (M-2).

    Raises:
        InputError: ``policyfile.*`` for an empty or malformed set of measurements, ``input.time``
            for a max_age that is not positive.
    """

    measurements: tuple[MeasurementSet, ...]
    max_age: timedelta | None
    allow_debug: bool

    def __init__(
        self,
        measurements: Sequence[MeasurementSet | Mapping[int, bytes | str]],
        max_age: timedelta | None = None,
        allow_debug: bool = False,
    ) -> None:
        if isinstance(measurements, (Mapping, str)) or not measurements:
            raise InputError(
                "policyfile.empty",
                "a policy needs a list of at least one measurement set; to accept any enclave, "
                "say ANY_ENCLAVE",
            )
        check_max_age(max_age)
        sets = tuple(
            item if isinstance(item, MeasurementSet) else MeasurementSet(item)
            for item in measurements
        )
        object.__setattr__(self, "measurements", sets)
        object.__setattr__(self, "max_age", max_age)
        object.__setattr__(self, "allow_debug", allow_debug)

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

    def notices(self) -> list[Notice]:
        """What the measurement sets leave open."""
        return [notice for candidate in self.measurements for notice in candidate.weaknesses()]


@dataclass(frozen=True)
class Requirements:
    """All that one verification demands, from the policy and from the call, already checked.

    Attributes:
        policy: Measurements, or AnyEnclave.
        max_age: The stricter of the policy's and the call's.
        nonce: Expected value or UNCHECKED; so too user_data and public_key.
        user_data: See nonce.
        public_key: See nonce.
    """

    policy: Policy | AnyEnclave
    max_age: timedelta | None
    nonce: bytes
    user_data: bytes
    public_key: bytes

    @classmethod
    def of_call(
        cls,
        policy: Policy | AnyEnclave,
        max_age: timedelta | None,
        nonce: bytes,
        user_data: bytes,
        public_key: bytes,
    ) -> Requirements:
        """Checks the arguments of one call and joins them with the policy.

        Raises:
            InputError: ``input.nonce`` or ``input.expected`` for an expected value that is None,
                empty or not bytes; ``input.time`` for a max_age that is not positive.
        """
        check_max_age(max_age)
        ages = [age for age in (max_age, policy.max_age) if age is not None]
        return cls(
            policy,
            min(ages, default=None),
            _expected("nonce", "input.nonce", nonce),
            _expected("user_data", "input.expected", user_data),
            _expected("public_key", "input.expected", public_key),
        )

    def judge(
        self, document: AttestationDocument, age: timedelta
    ) -> tuple[str | None, list[PolicyFailure]]:
        """Everything that an authentic document fails, and the name of the set it matches.

        Args:
            document: The document, whose signature has been checked.
            age: How much before the verification time it was made.
        """
        failures = [*self._debug_failures(document), *self._age_failures(age)]
        matched = None
        if isinstance(self.policy, Policy):
            measurement_set, mismatches = self.policy.match(document)
            matched = measurement_set.name if measurement_set else None
            failures += mismatches
        for name in ("nonce", "user_data", "public_key"):
            failures += _value_failures(name, getattr(self, name), getattr(document, name))
        return matched, failures

    def notices(self, document: AttestationDocument, age: timedelta) -> list[Notice]:
        """What an accepted document leaves open under these requirements."""
        notices = self.policy.notices()
        if is_debug(document):
            notices.append(
                Notice("policy.debug", "the enclave runs in debug mode: the parent can read it")
            )
        if self.nonce is UNCHECKED and self.max_age is None:
            notices.append(
                Notice(
                    "freshness.unbound",
                    "neither a nonce nor a maximum age was required; the document is "
                    f"{age} old at the verification time",
                )
            )
        if self.nonce is not UNCHECKED and len(self.nonce) < MIN_NONCE_BYTES:
            notices.append(
                Notice(
                    "freshness.short_nonce",
                    f"the nonce has {len(self.nonce)} bytes; fewer than {MIN_NONCE_BYTES} can be "
                    "guessed or repeat",
                )
            )
        return notices

    def _debug_failures(self, document: AttestationDocument) -> Iterable[PolicyFailure]:
        if self.policy.allow_debug or not is_debug(document):
            return ()
        return (
            PolicyFailure(
                "policy.debug",
                "the enclave runs in debug mode: its memory and console are open to the parent; "
                "measurements are zero",
                expected="PCR0, PCR1 and PCR2 not zero",
                found="zero",
            ),
        )

    def _age_failures(self, age: timedelta) -> Iterable[PolicyFailure]:
        if self.max_age is None or age <= self.max_age:
            return ()
        return (
            PolicyFailure(
                "freshness.too_old",
                f"the document is {age} old; the limit is {self.max_age}",
                expected=f"at most {self.max_age}",
                found=str(age),
            ),
        )


def is_debug(document: AttestationDocument) -> bool:
    """M-2: any of PCR0, PCR1 and PCR2 is zero. There is no flag, and other PCRs stay non-zero."""
    return any(document.pcrs[index] == _ZERO for index in _IMAGE_PCRS)


def _expected(name: str, code: str, value: object) -> bytes:
    """An expected value as the caller gave it; None and empty would otherwise fail open."""
    if value is UNCHECKED:
        return UNCHECKED
    if not isinstance(value, (bytes, bytearray, memoryview)) or not bytes(value):
        found = "empty" if isinstance(value, (bytes, bytearray, memoryview)) else repr(value)
        raise InputError(
            code,
            f"the expected {name} is {found}; bytes were expected (leave the argument out to "
            "require none)",
        )
    return bytes(value)


def _value_failures(name: str, expected: bytes, found: bytes | None) -> list[PolicyFailure]:
    """Compared in constant time. A field that is null fails whatever was expected."""
    if expected is UNCHECKED or (found is not None and hmac.compare_digest(found, expected)):
        return []
    return [
        PolicyFailure(
            f"policy.{name}",
            f"the document's {name} is {'absent' if found is None else 'another'}; the expected "
            f"value has {len(expected)} bytes",
            expected=expected.hex(),
            found=None if found is None else found.hex(),
        )
    ]
