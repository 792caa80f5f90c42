"""Many documents at a time: a pool of threads, results in order, errors as values.

Threads are enough because the curve, nearly all of the work, runs without the interpreter's lock.
The verification itself is the caller's function.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, NoReturn, TypeAlias, TypeVar

from nitro_attest._internal.values import rebuilt
from nitro_attest.errors import InputError, NitroAttestError
from nitro_attest.limits import MAX_WORKERS
from nitro_attest.verification.document import own_copy
from nitro_attest.verification.requirements import UNCHECKED, At

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["Item", "Outcome", "Rejected", "Request", "Verified"]

_LARGEST_BATCH: Final = 8
"""Handing a batch to another thread costs 20 us; for eight documents that is negligible."""

_BATCHES_AHEAD: Final = 2
"""Per worker: one running and one waiting, so that none idles while the consumer works."""


@rebuilt
@dataclass(frozen=True, slots=True)
class Request:
    """One document to verify, and the expectations for it alone.

    Attributes:
        document: The raw document, 1 to 16384 bytes. ``verify_many`` copies it, and the three
            values below, when it takes the request: a buffer may be refilled afterwards.
        nonce: The expected nonce.
        user_data: The expected user_data.
        public_key: The expected public_key.
        at: The verification time, as for ``Verifier.verify``; None: that of the whole call.
        max_age: The maximum age of the document; the strictest of this, the call's and the
            policy's applies.
    """

    document: bytes | bytearray | memoryview
    nonce: bytes = UNCHECKED
    user_data: bytes = UNCHECKED
    public_key: bytes = UNCHECKED
    at: At | None = None
    max_age: timedelta | None = None


Item = bytes | bytearray | memoryview | Request | NitroAttestError
"""One item for ``verify_many``; an error in place of a document that could not be read."""


class Taken(NamedTuple):
    """An item whose bytes nobody else can change.

    Attributes:
        request: The request, with its own copies of every value.
        fault: The reason why ``request`` has no document; None if it has one.
    """

    request: Request
    fault: NitroAttestError | None = None


def take(item: Item) -> Taken | NitroAttestError:
    """Copies the bytes of an item: an iterator may refill one buffer for the next item.

    Args:
        item: The item. A document larger than C-2 allows is not copied.

    Returns:
        The copy, or the error that the caller passed in place of a document.
    """
    if isinstance(item, NitroAttestError):
        return item
    request = item if isinstance(item, Request) else Request(item)
    document, fault = b"", None
    try:
        document = own_copy(request.document)
    except NitroAttestError as error:
        fault = error.with_traceback(None)  # which would refer to the caller's buffer
    own = Request(
        document,
        _own_value(request.nonce),
        _own_value(request.user_data),
        _own_value(request.public_key),
        request.at,
        request.max_age,
    )
    return Taken(own, fault)


def _own_value(value: bytes) -> bytes:
    """Copies an expected value out of a buffer; Requirements checks its type and size."""
    if not isinstance(value, (bytearray, memoryview)):
        return value
    try:
        return bytes(value)
    except ValueError:  # a released memoryview
        return value


_AttestationT = TypeVar("_AttestationT")


class _NoTruthValue:
    """The base of outcomes: ``if outcome:`` raises, since it would be true for a rejection too."""

    __slots__ = ()

    def __bool__(self) -> NoReturn:
        raise TypeError("an outcome is neither true nor false; call unwrap(), or check its error")


@dataclass(frozen=True, slots=True)
class Verified(_NoTruthValue, Generic[_AttestationT]):
    """The outcome of a document that was accepted.

    Attributes:
        attestation: The result.
        error: None.
    """

    attestation: _AttestationT
    error: None = field(default=None, init=False)

    def unwrap(self) -> _AttestationT:
        """Returns the attestation."""
        return self.attestation


@dataclass(frozen=True, slots=True)
class Rejected(_NoTruthValue):
    """The outcome of a document that was rejected.

    Attributes:
        error: The reason.
        attestation: None.

    Raises:
        InputError: ``input.expected``: the error is not a NitroAttestError.
    """

    error: NitroAttestError
    attestation: None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.error, NitroAttestError):
            raise InputError(
                "input.expected", f"error: expected a NitroAttestError, found {self.error!r}"
            )

    def unwrap(self) -> NoReturn:
        """Raises the error.

        Raises:
            NitroAttestError: The error of this outcome.
        """
        raise self.error


Outcome = Verified[_AttestationT] | Rejected
"""The outcome for one document; ``outcome.error is None`` distinguishes the two kinds."""

_Result: TypeAlias = NitroAttestError | _AttestationT
_Verify = Callable[[Sequence[Taken | NitroAttestError]], list[_Result[_AttestationT]]]


def _as_outcomes(results: list[_Result[_AttestationT]]) -> list[Outcome[_AttestationT]]:
    return [
        Rejected(result) if isinstance(result, NitroAttestError) else Verified(result)
        for result in results
    ]


def in_threads(
    items: Iterable[Item],
    verify: _Verify[_AttestationT],
    workers: int | None,
    lanes: int,
) -> Generator[Outcome[_AttestationT], None, None]:
    """Verifies items in batches on a pool of threads, and yields the outcomes in order.

    Args:
        items: The items, taken and copied in the caller's thread.
        verify: Verifies a batch; called in any thread.
        workers: The number of threads; None: one for each processor that this process may use.
        lanes: The number of documents that gain from one batch; 1 if none does.

    Returns:
        A generator of one outcome for each item.

    Raises:
        InputError: ``input.workers``, or ``input.document`` if items is a single document.
    """
    if isinstance(items, (bytes, bytearray, memoryview, str)):
        raise InputError("input.document", "items: expected an iterable of documents, found one")
    if not isinstance(items, Iterable):
        raise InputError(
            "input.document",
            f"items: expected an iterable of documents, found {type(items).__name__}",
        )
    return _outcomes(iter(items), verify, worker_count(workers), lanes)


def _outcomes(
    items: Iterator[Item],
    verify: _Verify[_AttestationT],
    workers: int,
    lanes: int,
) -> Generator[Outcome[_AttestationT], None, None]:
    if workers == 1:
        while batch := [take(item) for item in islice(items, lanes)]:
            yield from _as_outcomes(verify(batch))
        return
    from concurrent.futures import ThreadPoolExecutor  # 8 ms, not needed for one document

    waiting: deque[Future[list[_Result[_AttestationT]]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="nitro-attest-many") as pool:
        try:
            size = lanes  # batches begin small, so that a short list is distributed too
            while batch := [take(item) for item in islice(items, size)]:
                waiting.append(pool.submit(verify, batch))
                size = min(size + 1, _LARGEST_BATCH)
                if len(waiting) == workers * _BATCHES_AHEAD:
                    yield from _as_outcomes(waiting.popleft().result())
            while waiting:
                yield from _as_outcomes(waiting.popleft().result())
        finally:  # the consumer may have closed the generator, or items or verify have failed
            pool.shutdown(wait=False, cancel_futures=True)


def worker_count(workers: int | None) -> int:
    """Returns the number of workers; None is one for each processor that this process may use.

    Raises:
        InputError: ``input.workers``.
    """
    if workers is None:
        return min(MAX_WORKERS, _processors())
    if type(workers) is not int or not 1 <= workers <= MAX_WORKERS:
        raise InputError(
            "input.workers",
            f"workers: expected an integer from 1 to {MAX_WORKERS}, found {workers!r}",
        )
    return workers


def _processors() -> int:
    """Counts the processors that this process may use: a container often has only some."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
