"""Verifier.verify_many: order, laziness, flat memory, errors as values."""

import threading
import tracemalloc
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import islice, repeat

import pytest

from nitro_attest import (
    ANY_ENCLAVE,
    ANY_INSTANCE,
    AnyEnclave,
    FormatError,
    InputError,
    NitroAttestError,
    NitroTpmVerifier,
    Policy,
    Request,
    Verifier,
)
from nitro_attest.limits import MAX_DOCUMENT_BYTES
from nitro_attest.verification import batch
from nitro_attest.verification.batch import Rejected, Verified, take
from support.errors import code_of, outcome_codes

BOTH = pytest.mark.parametrize("workers", [1, 2])


@pytest.fixture
def verifier(roots):
    return Verifier(roots, policy=ANY_ENCLAVE)


@pytest.fixture
def counted(monkeypatch, verifier):
    """A Verifier whose verify() answers at once, for what is about the pool and not the curve."""
    answer = Verified(object())
    monkeypatch.setattr(
        Verifier, "_verify_batch", lambda self, at, age, items: [answer] * len(items)
    )
    return verifier


def no_threads_left():
    return not [t for t in threading.enumerate() if t.name.startswith("nitro-attest-many")]


@BOTH
def test_outcomes_come_in_the_order_of_the_items(verifier, fake, when, workers):
    nonces = [bytes([n]) * 16 for n in range(40)]
    documents = [fake.document(at=when, nonce=nonce) for nonce in nonces]
    found = verifier.verify_many(documents, workers=workers, at=when)
    assert [outcome.unwrap().nonce for outcome in found] == nonces
    assert no_threads_left()


@BOTH
def test_a_refusal_is_a_value_and_stops_nothing(verifier, fake_document, when, workers):
    items = [b"", fake_document, b"\x84", "text", None, 7, fake_document[:-1], fake_document]
    assert outcome_codes(verifier.verify_many(items, workers=workers, at=when)) == [
        "document.empty",
        None,
        "cbor.truncated",
        "document.encoding",
        "input.document",
        "input.document",
        "cbor.truncated",
        None,
    ]


@BOTH
def test_an_error_among_the_items_is_its_own_outcome(verifier, fake_document, when, workers):
    unread = InputError("input.file", "cannot read it")
    first, second = verifier.verify_many([unread, fake_document], workers=workers, at=when)
    assert first.error is unread
    assert second.unwrap().module_id


@BOTH
def test_a_bug_propagates_and_ends_the_threads(monkeypatch, verifier, workers):
    def broken(self, at, max_age, items):
        if any(item.request.document == b"bad" for item in items):
            raise ZeroDivisionError
        return [object()] * len(items)

    monkeypatch.setattr(Verifier, "_verify_batch", broken)
    found = verifier.verify_many([b"good", b"bad", b"good"], workers=workers)
    assert next(found).unwrap()
    with pytest.raises(ZeroDivisionError):
        next(found)
    assert no_threads_left()


@BOTH
def test_what_the_items_raise_propagates_and_ends_the_threads(counted, workers):
    def failing():
        yield b""
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="gone"):
        deque(counted.verify_many(failing(), workers=workers), 0)
    assert no_threads_left()


@BOTH
def test_nothing_is_taken_before_the_first_outcome_is_asked_for(counted, workers):
    taken = []
    found = counted.verify_many((taken.append(n) or b"" for n in range(9)), workers=workers)
    assert taken == []
    assert no_threads_left()
    assert next(found).error is None
    assert taken


@pytest.mark.parametrize(("workers", "ahead"), [(1, 0), (2, 32), (4, 64)])
def test_a_slow_consumer_bounds_what_is_taken_ahead(counted, workers, ahead):
    taken = 0

    def items():
        nonlocal taken
        for _ in range(1000):
            taken += 1
            yield b""

    for yielded, _ in enumerate(counted.verify_many(items(), workers=workers), 1):
        assert taken <= yielded + ahead
    assert yielded == taken == 1000


def test_closing_stops_the_work_and_ends_the_threads(monkeypatch, verifier):
    begun = []
    monkeypatch.setattr(
        Verifier,
        "_verify_batch",
        lambda _, at, age, items: begun.extend(items) or [Verified(object())] * len(items),
    )
    found = verifier.verify_many(repeat(b""), workers=2)  # endless
    deque(islice(found, 5), 0)
    found.close()
    assert no_threads_left()
    assert len(begun) <= 5 + 32


@BOTH
def test_memory_is_flat_over_100000_documents(counted, workers):
    document = bytes(4096)

    def peak(count):
        tracemalloc.reset_peak()
        items = (bytes(bytearray(document)) for _ in range(count))
        deque(counted.verify_many(items, workers=workers), 0)
        return tracemalloc.get_traced_memory()[1]

    tracemalloc.start()
    try:
        few, many_times = peak(1000), peak(100_000)
    finally:
        tracemalloc.stop()
    assert many_times < few + 64 * len(document)


def test_a_request_says_what_is_expected_of_it_alone(verifier, fake, when):
    fields = {"nonce": b"n" * 16, "user_data": b"u", "public_key": b"p"}
    document = fake.document(at=when, **fields)
    wrong = [Request(document, **fields | {name: b"x" * 16}) for name in fields]
    none = [Request(document, **fields | {name: None}) for name in fields]
    found = verifier.verify_many([Request(document, **fields), document, *wrong, *none], at=when)
    assert outcome_codes(found) == [
        *(None, None, "policy.nonce", "policy.user_data", "policy.public_key"),
        *("input.nonce", "input.expected", "input.expected"),
    ]


def refilled(contents, buffer):
    """Yields one buffer again and again, filled with the next content each time."""
    for content in contents:
        buffer[:] = content
        yield buffer


@pytest.fixture
def late(monkeypatch):
    """Holds the threads until the last item has been taken; call it as the last item's iterator."""
    taken = threading.Event()
    verify_batch = Verifier._verify_batch

    def verify_later(self, *arguments):
        assert taken.wait(60)
        return verify_batch(self, *arguments)

    monkeypatch.setattr(Verifier, "_verify_batch", verify_later)

    def until_the_end(items):
        yield from items
        taken.set()

    return until_the_end


@pytest.mark.parametrize("kind", [lambda buffer: buffer, memoryview, Request])
def test_a_buffer_that_is_refilled_is_verified_as_it_was_taken(verifier, fake, when, late, kind):
    forged = fake.document(at=when, fault="C-16.payload-swapped")
    items = refilled([forged, fake.document(at=when), forged], bytearray(len(forged)))
    found = verifier.verify_many(late(map(kind, items)), workers=2, at=when)
    assert outcome_codes(found) == ["signature.invalid", None, "signature.invalid"]


@pytest.mark.parametrize("name", ["nonce", "user_data", "public_key"])
@pytest.mark.parametrize("kind", [lambda buffer: buffer, memoryview])
def test_an_expected_value_that_is_refilled_is_that_of_its_own_request(
    verifier, fake, when, late, name, kind
):
    document = fake.document(at=when, **{name: b"1" * 16})
    values = refilled([b"2" * 16, b"1" * 16], bytearray(16))
    items = (Request(document, **{name: kind(value)}) for value in values)
    found = verifier.verify_many(late(items), workers=2, at=when)
    assert outcome_codes(found) == [f"policy.{name}", None]


def test_a_document_that_is_too_large_is_not_copied(verifier, fake_document, when, late):
    buffer = bytearray(MAX_DOCUMENT_BYTES + 1)
    assert take(buffer).request.document == b""

    def items():
        yield buffer
        buffer[:] = fake_document
        yield buffer

    found = verifier.verify_many(late(items()), workers=2, at=when)
    assert outcome_codes(found) == ["document.too_large", None]


def test_a_wrong_expectation_is_reported_before_an_unreadable_document(verifier, when):
    items = [Request(bytearray(MAX_DOCUMENT_BYTES + 1), nonce=None), Request(None, nonce=b"")]
    assert outcome_codes(verifier.verify_many(items, at=when)) == ["input.nonce"] * 2


def test_a_released_memoryview_is_an_error_of_its_item(verifier, fake_document, when):
    view = memoryview(b"n" * 16)
    view.release()
    items = [view, Request(fake_document, nonce=view), Request(view)]
    found = list(verifier.verify_many(items, at=when))
    assert outcome_codes(found) == ["input.document", "input.nonce", "input.document"]
    assert "expected bytes, found <released memory" in found[1].error.message


def test_the_reason_for_a_missing_document_does_not_refer_to_the_item():
    assert take("text").fault.__traceback__ is None


def test_a_request_may_name_its_own_time(verifier, fake_document, when):
    late = when + timedelta(hours=4)
    items = [
        Request(fake_document),
        Request(fake_document, at=late),
        Request(fake_document, at="document"),
        Request(fake_document, at=late.replace(tzinfo=None)),
        Request(fake_document, at=0),
    ]
    found = list(verifier.verify_many(items, at=when))
    assert outcome_codes(found) == [None, "cert.expired", None, "input.time", "input.time"]
    assert found[0].unwrap().verified_at == when
    assert found[2].unwrap().time_source == "document"


def test_the_strictest_of_three_maximum_ages_holds(roots, fake_document, when):
    late = when + timedelta(minutes=2)
    short, long = timedelta(minutes=1), timedelta(hours=1)
    for of_policy, of_call, of_item in [
        (short, long, long),
        (long, short, long),
        (long, long, short),
        (long, short, None),
        (long, None, short),
    ]:
        judge = Verifier(roots, policy=AnyEnclave(max_age=of_policy))
        items = [Request(fake_document, max_age=of_item)]
        assert outcome_codes(judge.verify_many(items, at=late, max_age=of_call)) == [
            "freshness.too_old"
        ]
    bad_ages = [Request(fake_document, max_age=age) for age in (timedelta(0), 60, "10m")]
    assert outcome_codes(judge.verify_many(bad_ages, at=when, max_age=long)) == ["input.time"] * 3


@BOTH
def test_the_clock_is_read_when_each_verification_begins(
    monkeypatch, verifier, fake, when, workers
):
    ticks = iter(range(10))
    start = int(when.timestamp() * 1e9)
    monkeypatch.setattr(
        "nitro_attest.verification.verifier.time.time_ns",
        lambda: start + next(ticks) * 1_000_000_000,
    )
    found = verifier.verify_many([fake.document(at=when)] * 5, workers=workers)
    times = {outcome.unwrap().verified_at for outcome in found}
    assert len(times) == 5


@pytest.mark.usefixtures("clock")
def test_instances_have_a_verifier_of_their_own(roots, fake, fake_document, when):
    instance = fake.document(at=when, kind="nitrotpm")
    verifier = NitroTpmVerifier(roots, policy=ANY_INSTANCE)
    found = verifier.verify_many([instance, fake_document], at=when, workers=2)
    assert outcome_codes(found) == [None, "payload.kind"]
    (evidence,) = verifier.verify_many([instance])  # at the time of the stopped clock
    assert evidence.unwrap().verified_at == when


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"workers": 0}, "input.workers"),
        ({"workers": 65}, "input.workers"),
        ({"workers": True}, "input.workers"),
        ({"workers": "2"}, "input.workers"),
        ({"at": datetime(2026, 1, 1)}, "input.time"),
        ({"at": None}, "input.time"),
        ({"max_age": timedelta(0)}, "input.time"),
        ({"max_age": timedelta(1), "at": "document"}, "input.time"),
    ],
)
def test_a_wrong_argument_is_refused_at_the_call_not_at_the_first_outcome(verifier, options, code):
    with pytest.raises(InputError) as caught:
        verifier.verify_many([], **options)
    assert caught.value.code == code


def test_x20_a_time_without_a_zone_is_refused_at_the_call_for_instances_too(roots):
    verifier = NitroTpmVerifier(roots, policy=ANY_INSTANCE)
    with pytest.raises(InputError) as caught:
        verifier.verify_many([], at=datetime(2026, 1, 1))
    assert caught.value.code == "input.time"


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, bytes.hex])
def test_one_document_is_not_taken_for_many(verifier, fake_document, kind):
    with pytest.raises(InputError, match="iterable of documents, found one") as caught:
        verifier.verify_many(kind(fake_document))
    assert caught.value.code == "input.document"


def test_batches_grow_by_one_document_up_to_eight():
    sizes = []

    def verify(taken):
        sizes.append(len(taken))
        return [object()] * len(taken)

    deque(batch.in_threads(repeat(b"", 60), verify, workers=2, lanes=1), 0)
    assert sorted(sizes) == [1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8]


def test_closing_cancels_the_batches_that_have_not_begun(monkeypatch):
    closed = threading.Event()
    shutdown = ThreadPoolExecutor.shutdown
    begun = []

    def shutdown_then_release(self, wait=True, *, cancel_futures=False):
        shutdown(self, wait=False, cancel_futures=cancel_futures)
        closed.set()
        shutdown(self, wait=wait)

    def verify(taken):
        begun.append(len(taken))
        assert len(taken) == 1 or closed.wait(60)
        return [object()] * len(taken)

    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", shutdown_then_release)
    found = batch.in_threads(repeat(b""), verify, workers=2, lanes=1)
    next(found)  # by now batches of 1 to 4 are submitted, and those of 2 and 3 keep both threads
    found.close()
    assert 4 not in begun
    assert no_threads_left()


def test_the_threads_of_the_pool_have_names_of_their_own():
    """Without them, no_threads_left() would find none however many were left."""
    names = set()

    def verify(taken):
        names.add(threading.current_thread().name)
        return [object()] * len(taken)

    deque(batch.in_threads(repeat(b"", 9), verify, workers=2, lanes=1), 0)
    assert names
    assert all(name.startswith("nitro-attest-many_") for name in names)


def test_by_default_there_is_a_worker_for_each_processor_up_to_the_most(monkeypatch):
    monkeypatch.setattr(batch, "_processors", lambda: 200)
    assert batch.worker_count(None) == 64
    monkeypatch.undo()
    assert 1 <= batch.worker_count(None) <= 64
    monkeypatch.delattr(batch.os, "sched_getaffinity", raising=False)
    assert batch.worker_count(None) >= 1


def test_an_outcome_is_neither_true_nor_false():
    rejected = Rejected(FormatError("cose.tag", "it is not one"))
    for outcome in (rejected, Verified("attestation")):
        with pytest.raises(TypeError, match="unwrap"):
            bool(outcome)
    with pytest.raises(NitroAttestError, match="not one"):
        rejected.unwrap()
    assert Verified("attestation").unwrap() == "attestation"
    assert (
        repr(rejected)
        == "Rejected(error=FormatError('cose.tag', 'it is not one', None), attestation=None)"
    )


def test_an_error_in_place_of_a_document_is_its_own_outcome_whatever_the_policy_requires(roots):
    unread = FormatError("document.encoding", "this is text")
    policy = AnyEnclave(max_age=timedelta(minutes=1))
    [outcome] = Verifier(roots, policy=policy).verify_many([unread], workers=1)
    assert outcome.error is unread
    [outcome] = Verifier(roots, policy=Policy([{0: b"1" * 48}], require_nonce=True)).verify_many(
        [unread], workers=1
    )
    assert outcome.error is unread


@pytest.mark.parametrize("items", [None, 5, Request(b"document")])
def test_what_is_no_list_of_items_is_rejected(verifier, items):
    assert code_of(verifier.verify_many, items) == "input.document"


def test_an_outcome_holds_an_attestation_or_an_error():
    assert code_of(Rejected, None) == "input.expected"
    with pytest.raises(TypeError):
        Verified("attestation", FormatError("cose.tag", "it is not one"))


def test_a_rejected_item_does_not_keep_the_others_of_its_batch(verifier, fake_document, when):
    [outcome] = verifier.verify_many([b"no document"], workers=1)
    assert outcome.error.__traceback__ is None
