"""Many documents at a time: a pool of threads, answers in order, errors as values.

Threads serve because the curve, which is nearly all of the work, runs without the interpreter's
lock. What one verification does is the caller's function; nothing here judges anything.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Final, Generic, Literal, NamedTuple, NoReturn, TypeVar, cast

from nitro_attest._internal.frozen import Frozen
from nitro_attest._internal.times import check_max_age
from nitro_attest.errors import InputError, NitroAttestError
from nitro_attest.limits import MAX_WORKERS
from nitro_attest.verification.requirements import UNCHECKED

if TYPE_CHECKING:
    from concurrent.futures import Future

At = datetime | Literal["now", "document"]

_LARGEST_BATCH: Final = 8
"""Handing an item to another thread costs 20 us by itself; in eights it is lost beside the rest."""

_BATCHES_AHEAD: Final = 2
"""For each worker: one under way and one waiting, so that none idles while the consumer works."""


class Request(NamedTuple):
    """One document to verify, and what is expected of it alone.

    Attributes:
        document: The raw document, 1 to 16384 bytes.
        nonce: What the document's nonce must be.
        user_data: What its user_data must be.
        public_key: What its public_key must be.
        at: The time to judge at, as for ``Verifier.verify``; None: that of the whole call.
        max_age: The greatest age of the document; the strictest of this, the call's and the
            policy's holds.
    """

    document: bytes | bytearray | memoryview
    nonce: bytes = UNCHECKED
    user_data: bytes = UNCHECKED
    public_key: bytes = UNCHECKED
    at: At | None = None
    max_age: timedelta | None = None


Item = bytes | bytearray | memoryview | Request | NitroAttestError
"""What ``verify_many`` takes; an error stands for a document that could not even be read."""

_Evidence = TypeVar("_Evidence")


class Outcome(Frozen, Generic[_Evidence]):
    """What became of one document: exactly one of the two is there.

    It has no truth value: ``if outcome:`` would be true of a refusal.

    Attributes:
        attestation: The evidence; None if the document was refused.
        error: Why it was refused; None if it was verified.
    """

    attestation: _Evidence | None
    error: NitroAttestError | None

    def __init__(self, attestation: _Evidence | None, error: NitroAttestError | None) -> None:
        if (attestation is None) is (error is None):
            raise TypeError("an Outcome holds either evidence or an error")
        self.__dict__.update(attestation=attestation, error=error)

    def __bool__(self) -> NoReturn:
        raise TypeError("an Outcome is neither true nor false; call unwrap(), or look at its error")

    def unwrap(self) -> _Evidence:
        """The evidence.

        Raises:
            NitroAttestError: The document was refused; this is the error that says why.
        """
        if self.error is not None:
            raise self.error
        return cast("_Evidence", self.attestation)


def document_of(item: Item) -> bytes | bytearray | memoryview:
    """The document of an item.

    Raises:
        NitroAttestError: The item is an error that stands for one.
    """
    if isinstance(item, NitroAttestError):
        raise item
    return item.document if isinstance(item, Request) else item


def verify_all(
    verify_for: Callable[[Sequence[Item]], Callable[..., _Evidence]],
    items: Iterable[Item],
    workers: int | None,
    lanes: int,
    at: At,
    max_age: timedelta | None,
) -> Generator[Outcome[_Evidence], None, None]:
    """Verifies items on a pool of threads and yields what became of each, in their order.

    Args:
        verify_for: Given a batch, what verifies each document of it; called in any thread.
        items: The documents.
        workers: How many threads; None: one for each processor that we may run on.
        lanes: How many documents gain from one batch; 1 where none does.
        at: The time to judge at, for every item that does not name its own.
        max_age: The greatest age of each.

    Raises:
        InputError: ``input.workers``, ``input.time``, or ``input.document`` where items is a single
            document.
    """
    check_max_age(max_age)
    if isinstance(items, (bytes, bytearray, memoryview, str)):
        raise InputError(
            "input.document", "items is one document; an iterable of documents was expected"
        )

    def verify_batch(batch: Sequence[Item]) -> list[Outcome[_Evidence]]:
        verify = verify_for(batch)
        return [_outcome(verify, item, at, max_age) for item in batch]

    return _outcomes(iter(items), verify_batch, _worker_count(workers), lanes)


def _outcomes(
    items: Iterator[Item],
    verify: Callable[[Sequence[Item]], list[Outcome[_Evidence]]],
    workers: int,
    lanes: int,
) -> Generator[Outcome[_Evidence], None, None]:
    if workers == 1:
        while batch := list(islice(items, lanes)):
            yield from verify(batch)
        return
    from concurrent.futures import ThreadPoolExecutor  # 8 ms that one document need not pay

    waiting: deque[Future[list[Outcome[_Evidence]]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="nitro-attest-many") as pool:
        try:
            size = lanes  # batches begin small, so that a short list is shared out too
            while batch := list(islice(items, size)):
                waiting.append(pool.submit(verify, batch))
                size = min(size + 1, _LARGEST_BATCH)
                if len(waiting) == workers * _BATCHES_AHEAD:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:  # the consumer may have closed us, or items or verify may have failed
            pool.shutdown(wait=False, cancel_futures=True)


def _outcome(
    verify: Callable[..., _Evidence], item: Item, at: At, max_age: timedelta | None
) -> Outcome[_Evidence]:
    try:
        return Outcome(_verified(verify, item, at, max_age), None)
    except NitroAttestError as error:
        return Outcome(None, error)


def _verified(
    verify: Callable[..., _Evidence], item: Item, at: At, max_age: timedelta | None
) -> _Evidence:
    document = document_of(item)
    if not isinstance(item, Request):
        return verify(document, at=at, max_age=max_age)
    check_max_age(item.max_age)
    return verify(
        document,
        nonce=item.nonce,
        user_data=item.user_data,
        public_key=item.public_key,
        at=at if item.at is None else item.at,
        max_age=min(filter(None, (item.max_age, max_age)), default=None),
    )


def _worker_count(workers: int | None) -> int:
    if workers is None:
        return min(MAX_WORKERS, _processors())
    if type(workers) is not int or not 1 <= workers <= MAX_WORKERS:
        raise InputError(
            "input.workers",
            f"workers is {workers!r}; an integer from 1 to {MAX_WORKERS} was expected",
        )
    return workers


def _processors() -> int:
    """Those that this process may run on: a container often has fewer than the machine."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
