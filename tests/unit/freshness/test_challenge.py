"""Challenger and ReplayGuard: one answer to a challenge, one acceptance of a document."""

from datetime import datetime, timedelta, timezone

import pytest

from nitro_attest import (
    ANY_ENCLAVE,
    ANY_INSTANCE,
    UNCHECKED,
    Challenge,
    Challenger,
    Evaluation,
    InputError,
    MemoryStore,
    NitroTpmVerifier,
    Policy,
    ReplayGuard,
    SqliteStore,
    TrustedRoots,
    Verifier,
)
from nitro_attest._internal.times import to_milliseconds
from nitro_attest.testing import FakeNitro
from support.errors import code_of, code_or_none

TTL = timedelta(minutes=1)


@pytest.fixture
def store(when):
    return MemoryStore(4, clock=lambda: to_milliseconds(when))


@pytest.fixture
def verifier(fake):
    return Verifier(TrustedRoots.from_pem(fake.root_pem), policy=ANY_ENCLAVE)


@pytest.fixture
def challenger(verifier, store):
    return Challenger(verifier, store, ttl=TTL)


def test_a_challenge_is_32_random_bytes_with_an_expiry(when):
    first, second = Challenge.new(TTL, at=when), Challenge.new(TTL, at=when)
    assert len(first.nonce) == 32
    assert first.nonce != second.nonce
    assert first.expires_at == when + TTL
    assert Challenge.new(TTL).expires_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "ttl", [None, 60, timedelta(0), timedelta(seconds=-1), timedelta.max, timedelta.min]
)
def test_a_ttl_is_a_positive_timedelta(verifier, store, ttl):
    assert code_of(Challenge.new, ttl) == "input.time"
    assert code_of(Challenger, verifier, store, ttl=ttl) == "input.time"


@pytest.mark.parametrize(
    "at",
    [
        datetime(2026, 3, 1),
        datetime.max.replace(tzinfo=timezone.utc),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
        *("document", "yesterday", None, 0),
    ],
)
def test_a_challenge_is_made_now_or_at_an_aware_time(challenger, at):
    assert code_of(Challenge.new, TTL, at=at) == "input.time"
    assert code_of(challenger.issue, at=at) == "input.time"


def test_a_challenge_is_answered_once(challenger, fake, when):
    challenge = challenger.issue(at=when)
    document = fake.document(at=when, nonce=challenge.nonce)
    attestation = challenger.answer(challenge, document, at=when)
    assert attestation.nonce == challenge.nonce
    assert "freshness.unbound" not in [warning.code for warning in attestation.warnings]
    assert code_of(challenger.answer, challenge, document, at=when) == "policy.nonce"


def test_a_second_document_for_the_same_challenge_is_rejected(challenger, fake, when):
    challenge = challenger.issue(at=when)
    first = fake.document(at=when, nonce=challenge.nonce)
    second = fake.document(at=when + timedelta(seconds=1), nonce=challenge.nonce)
    later = when + timedelta(seconds=2)
    challenger.answer(challenge.nonce, first, at=later)
    assert code_of(challenger.answer, challenge.nonce, second, at=later) == "policy.nonce"


def test_a_challenge_that_was_never_issued_is_rejected(challenger, fake, when):
    challenge = Challenge.new(TTL, at=when)
    document = fake.document(at=when, nonce=challenge.nonce)
    assert code_of(challenger.answer, challenge, document, at=when) == "policy.nonce"


def test_the_answer_to_a_different_challenge_is_rejected_and_uses_up_neither(
    challenger, fake, when
):
    mine, other = challenger.issue(at=when), challenger.issue(at=when)
    answers = {c: fake.document(at=when, nonce=c.nonce) for c in (mine, other)}
    assert code_of(challenger.answer, mine, answers[other], at=when) == "policy.nonce"
    assert challenger.answer(mine, answers[mine], at=when)
    assert challenger.answer(other, answers[other], at=when)


@pytest.mark.parametrize("fault", ["C-16.payload-swapped", None])
def test_a_rejected_document_does_not_use_up_the_challenge(challenger, fake, when, fault):
    challenge = challenger.issue(at=when)
    if fault is None:
        forged = FakeNitro(seed=b"other root").document(at=when, nonce=challenge.nonce)
    else:
        forged = fake.document(at=when, nonce=challenge.nonce, fault=fault)
    assert code_of(challenger.answer, challenge, forged, at=when).startswith(("chain.", "signatu"))
    assert code_of(challenger.answer, challenge, b"rubbish", at=when)
    genuine = fake.document(at=when, nonce=challenge.nonce)
    assert challenger.answer(challenge, genuine, at=when)


def test_a_challenge_expires_by_the_time_of_the_verification(challenger, fake, when):
    challenge = challenger.issue(at=when)
    document = fake.document(at=when, nonce=challenge.nonce)
    assert code_of(challenger.answer, challenge, document, at=when + TTL) == "policy.nonce"
    challenge = challenger.issue(at=when)
    document = fake.document(at=when, nonce=challenge.nonce)
    just_in_time = when + TTL - timedelta(milliseconds=1)
    assert challenger.answer(challenge, document, at=just_in_time)


def test_expiry_does_not_depend_on_the_callers_copy_of_the_challenge(challenger, fake, when):
    challenge = challenger.issue(at=when)
    forever = Challenge(challenge.nonce, datetime(9999, 1, 1, tzinfo=timezone.utc))
    document = fake.document(at=when, nonce=challenge.nonce)
    assert code_of(challenger.answer, forever, document, at=when + TTL) == "policy.nonce"


@pytest.mark.parametrize("nonce", [UNCHECKED, None, b"", "text"])
def test_an_answer_without_a_challenge_never_means_any_challenge(challenger, fake, when, nonce):
    challenge = challenger.issue(at=when)
    document = fake.document(at=when, nonce=challenge.nonce)
    assert code_of(challenger.answer, nonce, document, at=when) == "input.nonce"
    assert challenger.answer(challenge, document, at=when)


class Refill:
    """Refills the caller's buffer while its document is verified."""

    kind, max_age, require_nonce = "enclave", None, False

    def __init__(self, buffer, content):
        self.buffer, self.content = buffer, content

    def evaluate(self, document, facts):
        self.buffer[:] = self.content
        return Evaluation()


def test_the_challenge_in_the_document_is_used_up_not_that_in_the_callers_buffer(
    challenger, store, fake, when
):
    mine, other = challenger.issue(at=when), challenger.issue(at=when)
    buffer = bytearray(mine.nonce)
    roots = TrustedRoots.from_pem(fake.root_pem)
    refilled = Challenger(Verifier(roots, policy=Refill(buffer, other.nonce)), store)
    document = fake.document(at=when, nonce=mine.nonce)
    assert refilled.answer(buffer, document, at=when).nonce == mine.nonce
    assert buffer == other.nonce
    assert code_of(challenger.answer, mine, document, at=when) == "policy.nonce"
    assert challenger.answer(other, fake.document(at=when, nonce=other.nonce), at=when)


def test_archive_mode_is_rejected(challenger, verifier, store, fake, when):
    challenge = challenger.issue(at=when)
    document = fake.document(at=when, nonce=challenge.nonce)
    assert code_of(challenger.answer, challenge, document, at="document") == "input.time"
    guard = ReplayGuard(verifier, store, max_age=TTL)
    assert code_of(guard.verify, document, at="document") == "input.time"


def test_expected_values_and_policy_apply_to_answers(fake, store, when):
    verifier = Verifier(
        TrustedRoots.from_pem(fake.root_pem),
        policy=Policy([{0: b"\x07" * 48}], require_nonce=True),
    )
    challenger = Challenger(verifier, store)
    challenge = challenger.issue(at=when)
    wrong = fake.document(at=when, nonce=challenge.nonce, user_data=b"a")
    right = fake.document(
        at=when, nonce=challenge.nonce, user_data=b"a", pcrs={0: b"\x07" * 48}, public_key=b"k"
    )
    options = {"user_data": b"a", "public_key": b"k", "max_age": TTL}
    assert code_of(challenger.answer, challenge, wrong, at=when) == "policy.pcr_mismatch"
    assert code_of(challenger.answer, challenge, right, user_data=b"b", at=when)
    assert code_of(challenger.answer, challenge, right, **options, at=when + 2 * TTL)
    assert challenger.answer(challenge, right, **options, at=when)


def test_a_full_store_issues_nothing(challenger, when):
    for _ in range(4):
        challenger.issue(at=when)
    assert code_of(challenger.issue, at=when) == "input.limits"


def test_a_store_whose_clock_is_ahead_issues_nothing(challenger, when):
    assert code_of(challenger.issue, at=when - TTL) == "input.nonce"


def test_without_a_time_the_clock_is_used(verifier, fake):
    challenger = Challenger(verifier, MemoryStore())
    challenge = challenger.issue()
    attestation = challenger.answer(challenge, fake.document(nonce=challenge.nonce))
    assert attestation.time_source == "now"


def test_a_replay_guard_accepts_each_attestation_once_in_any_encoding(verifier, store, fake, when):
    guard = ReplayGuard(verifier, store, max_age=TTL)
    low, high = (
        FakeNitro(seed=b"tests").document(at=when, high_s=high_s) for high_s in (False, True)
    )
    assert low != high
    assert guard.verify(low, at=when)
    for encoding in (low, high, b"\xd2" + low, b"\xd2" + high):
        assert code_of(guard.verify, encoding, at=when) == "freshness.replayed"
    assert guard.verify(fake.document(at=when, user_data=b"another"), at=when)


def test_a_replay_guard_writes_only_after_verification(verifier, store, fake, when):
    guard = ReplayGuard(verifier, store, max_age=TTL)
    document = fake.document(at=when, user_data=b"a")
    assert code_of(guard.verify, document, user_data=b"b", at=when) == "policy.user_data"
    assert code_of(guard.verify, document, at=when + 2 * TTL) == "freshness.too_old"
    assert len(store) == 0
    assert guard.verify(document, at=when)
    assert len(store) == 1


def test_a_full_replay_guard_rejects(verifier, store, fake, when):
    guard = ReplayGuard(verifier, store, max_age=TTL)
    for number in range(4):
        assert guard.verify(fake.document(at=when, user_data=bytes([number])), at=when)
    document = fake.document(at=when, user_data=b"one too many")
    assert code_of(guard.verify, document, at=when) == "input.limits"


def test_a_document_that_the_store_may_have_forgotten_is_rejected(verifier, fake, when):
    behind = MemoryStore(clock=lambda: to_milliseconds(when + timedelta(hours=1)))
    guard = ReplayGuard(verifier, behind, max_age=TTL)
    assert code_of(guard.verify, fake.document(at=when), at=when) == "freshness.replayed"


def test_a_document_is_remembered_for_the_maximum_age_and_the_largest_skew(fake, verifier, when):
    made = to_milliseconds(when)
    limit = made + 60_000 + 300_000
    guard = ReplayGuard(verifier, store := MemoryStore(clock=lambda: made), max_age=TTL)
    attestation = guard.verify(fake.document(at=when), at=when)
    assert store.take(attestation.attestation_id) == limit
    # A store that is ahead of the verification by as much still knows each document.
    for ahead_ms, code in ((limit - 1, None), (limit, "freshness.replayed")):
        ahead = MemoryStore(clock=lambda ahead_ms=ahead_ms: ahead_ms)
        guard = ReplayGuard(verifier, ahead, max_age=TTL)
        document = fake.document(at=when)
        assert code_or_none(guard.verify, document, at=when + TTL) == code
        assert code_of(guard.verify, document, at=when + TTL) == "freshness.replayed"


def test_a_maximum_age_without_end_is_that_of_the_store(verifier, store, fake, when):
    guard = ReplayGuard(verifier, store, max_age=timedelta.max)
    document = fake.document(at=when)
    assert guard.verify(document, at=when)
    assert code_of(guard.verify, document, at=when) == "freshness.replayed"


class Machine:
    """A clock and a store, in memory or as one process of several that share a file."""

    def __init__(self, when, path):
        self.when = when
        self.now = when
        if path is None:
            self.store = MemoryStore(clock=self.clock)
        else:
            self.store = SqliteStore(path, clock=self.clock)

    def clock(self):
        return to_milliseconds(self.now)


@pytest.fixture(params=["memory", "one process", "two processes"])
def machines(request, tmp_path, when):
    """The machine whose clock jumps, and the one that is used before and after."""
    first = Machine(when, None if request.param == "memory" else tmp_path / "used")
    return first, Machine(when, tmp_path / "used") if request.param == "two processes" else first


def jump(machine):
    """Lets the clock jump forward by an hour, during which a key is added, and back."""
    machine.now = machine.when + timedelta(hours=1)
    assert machine.store.add(bytes(32), to_milliseconds(machine.now) + 1)
    machine.now = machine.when


def test_a_document_is_accepted_once_though_the_clock_jumps(machines, verifier, fake, when):
    jumping, used = machines
    guard = ReplayGuard(verifier, used.store, max_age=TTL)
    document = fake.document(at=when)
    assert guard.verify(document, at=when)
    jump(jumping)
    for each in (guard, ReplayGuard(verifier, jumping.store, max_age=TTL)):
        assert code_of(each.verify, document, at=when) == "freshness.replayed"
    used.now = when + timedelta(hours=1)
    later = fake.document(at=used.now)
    assert guard.verify(later, at=used.now)


def test_a_challenge_that_had_expired_stays_expired_though_the_clock_jumps(
    machines, verifier, fake, when
):
    jumping, used = machines
    challenger = Challenger(verifier, used.store, ttl=TTL)
    challenge = challenger.issue(at=when)
    document = fake.document(at=when, nonce=challenge.nonce)
    jump(jumping)
    assert code_of(challenger.answer, challenge, document, at=when) == "policy.nonce"
    assert code_of(challenger.issue, at=when) == "input.nonce"
    used.now = when + timedelta(hours=1)
    challenge = challenger.issue(at=used.now)
    document = fake.document(at=used.now, nonce=challenge.nonce)
    assert challenger.answer(challenge, document, at=used.now)


@pytest.mark.parametrize("max_age", [None, 60, timedelta(0)])
def test_a_replay_guard_needs_a_max_age(verifier, store, max_age):
    assert code_of(ReplayGuard, verifier, store, max_age=max_age) == "input.time"


def test_t1_only_a_verifier_of_enclaves_is_taken(fake):
    of_instances = NitroTpmVerifier(fake.root_pem, policy=ANY_INSTANCE)
    for make in (
        lambda: Challenger(of_instances, MemoryStore()),
        lambda: ReplayGuard(of_instances, MemoryStore(), max_age=timedelta(minutes=1)),
    ):
        with pytest.raises(InputError, match="expected a Verifier, found NitroTpmVerifier"):
            make()


@pytest.mark.parametrize("wrong", [None, {}, MemoryStore, "store"])
def test_a_store_has_two_methods(verifier, wrong):
    assert code_of(Challenger, verifier, wrong) == "input.expected"
    assert code_of(ReplayGuard, verifier, wrong, max_age=TTL) == "input.expected"
