"""Two processes that share one store: a challenge is answered in exactly one of them."""

import multiprocessing

from nitro_attest import (
    ANY_ENCLAVE,
    Challenger,
    PolicyError,
    ReplayGuard,
    SqliteStore,
    TrustedRoots,
    Verifier,
)
from nitro_attest._internal.times import to_milliseconds
from nitro_attest.freshness.challenge import DEFAULT_TTL

ROUNDS = 40


def compete(kind, path, root_pem, when, rounds, start, results):
    """One of the two: tries every round as soon as both are ready; says which ones it won."""
    store = SqliteStore(path, clock=lambda: to_milliseconds(when))
    verifier = Verifier(TrustedRoots.from_pem(root_pem), policy=ANY_ENCLAVE)
    challenger = Challenger(verifier, store)
    guard = ReplayGuard(verifier, store, max_age=DEFAULT_TTL)
    won = []
    for number, (nonce, document) in enumerate(rounds):
        start.wait(60)
        try:
            if kind == "challenge":
                challenger.answer(nonce, document, at=when)
            else:
                guard.verify(document, at=when)
            won.append(number)
        except PolicyError as error:
            if error.code not in ("policy.nonce", "freshness.replayed"):
                raise
    results.put(won)


def race(kind, path, fake, when):
    store = SqliteStore(path, clock=lambda: to_milliseconds(when))
    verifier = Verifier(TrustedRoots.from_pem(fake.root_pem), policy=ANY_ENCLAVE)
    challenges = [Challenger(verifier, store).issue(at=when) for _ in range(ROUNDS)]
    rounds = [(c.nonce, fake.document(at=when, nonce=c.nonce)) for c in challenges]
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(2), context.Queue()
    arguments = (kind, path, fake.root_pem, when, rounds, start, results)
    processes = [context.Process(target=compete, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    won = [results.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    return won


def test_of_two_processes_exactly_one_answers_each_challenge(tmp_path, fake, when):
    first, second = race("challenge", tmp_path / "used", fake, when)
    assert sorted(first + second) == list(range(ROUNDS))


def test_of_two_processes_exactly_one_accepts_each_document(tmp_path, fake, when):
    first, second = race("document", tmp_path / "used", fake, when)
    assert sorted(first + second) == list(range(ROUNDS))
