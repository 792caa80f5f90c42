"""The parts that every target has."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from nitro_attest.errors import NitroAttestError

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "fixtures/vectors"


class Target(NamedTuple):
    """One parser of foreign bytes, and what must hold of it whatever the bytes are.

    Attributes:
        check: Takes the bytes; true where they were accepted. Raises what is wrong.
        seeds: Inputs to start from, some of which are accepted.
        covers: What this target is about: modules of ``nitro_attest``, or functions, classes and
            methods as ``module:name,name``. Of the lines of each, the inputs of this target alone
            must reach the floor.
        dictionary: Name of the file with words for libFuzzer.
        longest: Bytes of the longest input that is tried.
    """

    check: Callable[[bytes], bool]
    seeds: Callable[[], Iterable[bytes]]
    covers: tuple[str, ...]
    dictionary: str = "cbor.dict"
    longest: int = 4096


def outcome(
    size: int,
    errors: type[NitroAttestError] | tuple[type[NitroAttestError], ...],
    call: Callable[..., Any],
    *arguments: Any,
    **options: Any,
) -> Any:
    """Returns the result of a call, or the error that it raises.

    Every other exception passes through and is a finding. So is a warning: it would reach the
    user's stderr.

    Args:
        size: Bytes of the input; no error may point beyond.
        errors: The classes that the call documents.
        call: What is called with the rest.
        arguments: By position.
        options: By name.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = call(*arguments, **options)
        except errors as rejection:
            found = rejection
    assert not caught, [str(warning.message) for warning in caught]
    if isinstance(found, NitroAttestError):
        assert found.code.partition(".")[0] in found.families, found.code
        assert found.offset is None or 0 <= found.offset <= size, found.offset
        assert found.message
    return found


def refused(found: Any) -> bool:
    """Returns True if an outcome is an error."""
    return isinstance(found, NitroAttestError)


def rejection(found: Any) -> tuple[str, int | None] | None:
    """Code and offset of an outcome that is an error; None for any other."""
    return (found.code, found.offset) if refused(found) else None
