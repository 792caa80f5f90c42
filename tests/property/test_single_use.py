"""No interleaving of callers, and no passing of time, accepts a challenge or a document twice.

Every call runs in a thread of its own that stops at each step of the store until the state machine
lets it go on. So a call can be held between its verification and its step for as long, and across
as many other calls, as hypothesis cares to try.
"""

import queue
import threading
from collections import Counter
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from nitro_attest import (
    ANY_ENCLAVE,
    Challenger,
    InputError,
    MemoryStore,
    NitroAttestError,
    ReplayGuard,
    TrustedRoots,
    Verifier,
)
from nitro_attest._internal.times import from_milliseconds
from nitro_attest.testing import FakeNitro

NITRO = FakeNitro(seed=b"single use")
VERIFIER = Verifier(TrustedRoots.from_pem(NITRO.root_pem), policy=ANY_ENCLAVE)
START_MS = 1_772_366_400_000
TTL, MAX_AGE = timedelta(minutes=2), timedelta(minutes=1)


class GatedStore:
    """Holds every step of a call's thread until the machine opens the gate."""

    def __init__(self, store):
        self.store = store
        self.here = threading.local()

    def add(self, key, expires_ms):
        self._wait()
        return self.store.add(key, expires_ms)

    def take(self, key):
        self._wait()
        return self.store.take(key)

    def _wait(self):
        call = getattr(self.here, "call", None)
        if call is not None:
            call.events.put("waiting")
            call.gate.acquire()


class Call:
    """One call in flight; returns from its constructor at the gate, or done if rejected before."""

    def __init__(self, store, function, what):
        self.what = what
        self.accepted = False
        self.events = queue.SimpleQueue()
        self.gate = threading.Semaphore(0)
        self.thread = threading.Thread(target=self._run, args=(store, function))
        self.thread.start()
        self.done = self.events.get() == "done"

    def _run(self, store, function):
        store.here.call = self
        try:
            function()
            self.accepted = True
        except NitroAttestError:
            pass
        finally:
            self.events.put("done")

    def go_on(self):
        self.gate.release()
        assert self.events.get() == "done"
        self.done = True
        self.thread.join()


class SingleUse(RuleBasedStateMachine):
    challenges = Bundle("challenges")
    documents = Bundle("documents")

    def __init__(self):
        super().__init__()
        self.now_ms = START_MS
        self.store = GatedStore(MemoryStore(6, clock=lambda: self.now_ms))
        self.challenger = Challenger(VERIFIER, self.store, ttl=TTL)
        self.guard = ReplayGuard(VERIFIER, self.store, max_age=MAX_AGE)
        self.calls = []
        self.accepted = Counter()

    @property
    def now(self):
        return from_milliseconds(self.now_ms)

    @rule(seconds=st.sampled_from([1, 30, 60, 119, 120, 360, 3600, -1, -60, -3600]))
    def time_passes_or_the_clock_is_set_back(self, seconds):
        self.now_ms += seconds * 1000

    @rule(target=challenges)
    def issue(self):
        try:
            challenge = self.challenger.issue(at=self.now)
        except InputError:
            return None
        return challenge

    @rule(target=documents, challenge=challenges)
    def attest(self, challenge):
        return NITRO.document(at=self.now, nonce=challenge.nonce if challenge else None)

    @rule(challenge=challenges, document=documents, tagged=st.booleans())
    def answer(self, challenge, document, tagged):
        if challenge is not None:
            now = self.now
            self._begin(
                ("challenge", challenge.nonce),
                lambda: self.challenger.answer(challenge, b"\xd2" * tagged + document, at=now),
            )

    @rule(document=documents, tagged=st.booleans())
    def accept(self, document, tagged):
        now = self.now
        self._begin(
            ("document", document),
            lambda: self.guard.verify(b"\xd2" * tagged + document, at=now),
        )

    @rule(data=st.data())
    def one_goes_on(self, data):
        waiting = [call for call in self.calls if not call.done]
        if waiting:
            self._finish(data.draw(st.sampled_from(waiting)))

    @invariant()
    def nothing_was_accepted_twice(self):
        assert all(count <= 1 for count in self.accepted.values())

    def teardown(self):
        for call in self.calls:
            if not call.done:
                self._finish(call)
        self.nothing_was_accepted_twice()

    def _begin(self, what, function):
        if len([call for call in self.calls if not call.done]) < 4:
            self.calls.append(Call(self.store, function, what))

    def _finish(self, call):
        call.go_on()
        self.accepted[call.what] += call.accepted


TestSingleUse = SingleUse.TestCase
TestSingleUse.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
