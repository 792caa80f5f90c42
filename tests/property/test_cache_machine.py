"""A Verifier that remembers and one that does not, asked the same in random sequences."""

from datetime import datetime, timedelta, timezone
from functools import cache

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from nitro_attest import ANY_ENCLAVE, NitroAttestError, TrustedRoots, Verifier
from nitro_attest.testing import FakeNitro
from reference.paths import certificates_of, document

WHEN = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)

ENCLAVES = (
    FakeNitro(seed=b"machine"),
    FakeNitro(seed=b"machine", enclave_id="00000000000000aa"),  # under the same issuers
    FakeNitro(seed=b"another root"),
    FakeNitro(seed=b"a root nobody trusts"),
)
TRUSTED = TrustedRoots.from_pem(ENCLAVES[0].root_pem) | TrustedRoots.from_pem(ENCLAVES[2].root_pem)

SHIFTS = [timedelta(hours=h, milliseconds=ms) for h in (0, 1, 3, 4, 24, -24) for ms in (0, 1)]
MADE = [WHEN + shift for shift in (timedelta(0), timedelta(seconds=1), timedelta(days=1))]

CHANGES = {
    "none": lambda own, other: own,
    "leaf": lambda own, other: (own[0], other[1]),
    "issuers": lambda own, other: (other[0], own[1]),
    "root": lambda own, other: ([other[0][0], *own[0][1:]], own[1]),
    "instance": lambda own, other: ([*own[0][:-1], other[0][-1]], own[1]),
    "both": lambda own, other: other,
    "reversed": lambda own, other: (own[0][::-1], own[1]),
    "without one": lambda own, other: (own[0][:2] + own[0][3:], own[1]),
    "twice": lambda own, other: ([*own[0], own[0][-1]], own[1]),
    "leaf within": lambda own, other: ([*own[0], own[1]], own[1]),
    "both rows": lambda own, other: (own[0] + other[0], own[1]),
    "broken issuer": lambda own, other: ([*own[0][:-1], flip(own[0][-1])], own[1]),
    "broken leaf": lambda own, other: (own[0], flip(own[1])),
}


def flip(der):
    """The certificate with the last bit of its signature changed."""
    return der[:-1] + bytes([der[-1] ^ 1])


@cache
def made(enclave, at, donor, donor_at, change):
    own = certificates_of(ENCLAVES[enclave], at)
    other = certificates_of(ENCLAVES[donor], donor_at)
    cabundle, certificate = CHANGES[change](own, other)
    return document(ENCLAVES[enclave], at, cabundle=cabundle, certificate=certificate)


def answer(verifier, signed, at):
    try:
        return verifier.verify(signed, at=at).to_dict()
    except NitroAttestError as error:
        return error.to_dict()


class CachedAgainstCold(RuleBasedStateMachine):
    @initialize(size=st.sampled_from([1, 2, 1024]))
    def start(self, size):
        self.size = size
        self.cached = Verifier(TRUSTED, policy=ANY_ENCLAVE, cache_size=size)
        self.cold = Verifier(TRUSTED, policy=ANY_ENCLAVE, cache_size=0)

    @rule(
        enclave=st.integers(0, 3),
        at=st.sampled_from(MADE),
        donor=st.integers(0, 3),
        donor_at=st.sampled_from(MADE),
        change=st.sampled_from(list(CHANGES)),
        broken=st.booleans(),
        times=st.lists(st.sampled_from([*SHIFTS, "document"]), min_size=1, max_size=3),
    )
    def ask_both(self, enclave, at, donor, donor_at, change, broken, times):
        """The same document several times, so that the later answers come from the cache."""
        signed = made(enclave, at, donor, donor_at, change)
        if broken:
            signed = flip(signed)
        for time in times:
            judged_at = time if time == "document" else at + time
            assert answer(self.cached, signed, judged_at) == answer(self.cold, signed, judged_at)

    @rule()
    def forget(self):
        self.cached.cache_clear()
        assert set(self.cached.cache_info().values()) == {0}

    @invariant()
    def the_cache_is_bounded(self):
        info = self.cached.cache_info()
        assert info["paths"] <= self.size
        assert info["issuers"] <= self.size
        assert self.cold.cache_info()["paths"] == 0


TestCachedAgainstCold = CachedAgainstCold.TestCase
TestCachedAgainstCold.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
