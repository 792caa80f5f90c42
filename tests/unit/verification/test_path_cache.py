"""The cache of verified paths: what it saves, and that it accepts no more than a first run."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from nitro_attest import ANY_ENCLAVE, InputError, NitroAttestError, TrustedRoots, Verifier
from nitro_attest.testing import FakeNitro
from nitro_attest.verification import path as path_module
from reference.paths import certificates_of, document

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def other_root():
    return FakeNitro(seed=b"another root")


@pytest.fixture(scope="module")
def neighbour():
    """Another enclave under the same issuers."""
    return FakeNitro(seed=b"tests", enclave_id="00000000000000aa")


@pytest.fixture
def verifier(roots):
    return Verifier(roots, policy=ANY_ENCLAVE)


@pytest.fixture
def links(monkeypatch):
    """The signature checks of certificates, one entry each."""
    made = []
    real = path_module._check_signature
    monkeypatch.setattr(path_module, "_check_signature", lambda *of: made.append(of) or real(*of))
    return made


def code_of(verifier, document, at, **options):
    try:
        verifier.verify(document, at=at, **options)
    except NitroAttestError as error:
        return error.code
    return None


def entries(verifier):
    info = verifier.cache_info()
    return info["paths"], info["issuers"]


def test_a_known_path_costs_no_signature_check_and_a_known_row_of_issuers_one(
    verifier, fake, neighbour, when, links
):
    for make, at, expected in [
        (fake, when, 4),
        (fake, when, 0),
        (neighbour, when, 1),
        (fake, when + timedelta(seconds=1), 1),  # the same enclave with a new leaf
        (fake, when, 0),
    ]:
        links.clear()
        assert code_of(verifier, document(make, at), at) is None
        assert len(links) == expected
    assert verifier.cache_info() == {
        "path_hits": 2,
        "path_misses": 3,
        "paths": 3,
        "issuer_hits": 2,
        "issuer_misses": 1,
        "issuers": 1,
    }


def test_a_hit_and_a_first_run_give_the_same_evidence(verifier, fake_document, when):
    first, second = (verifier.verify(fake_document, at=when).to_dict() for _ in range(2))
    assert verifier.cache_info()["path_hits"] == 1
    assert first == second


def test_clearing_forgets_all(verifier, fake_document, when, links):
    verifier.verify(fake_document, at=when)
    verifier.cache_clear()
    assert set(verifier.cache_info().values()) == {0}
    links.clear()
    verifier.verify(fake_document, at=when)
    assert len(links) == 4


def test_x10_a_known_path_that_has_expired_since_is_refused(verifier, fake_document, when):
    end = verifier.verify(fake_document, at=when).chain[0].not_valid_after_utc
    assert code_of(verifier, fake_document, end) is None
    assert code_of(verifier, fake_document, end + timedelta(milliseconds=1)) == "cert.expired"


def test_x10_a_known_path_is_judged_at_the_time_asked_for_not_at_the_one_it_came_in_at(
    verifier, fake_document, when
):
    """Accepted in archive mode or at a time long past, it is no more valid now than before."""
    assert code_of(verifier, fake_document, "document") is None
    assert code_of(verifier, fake_document, when - HOUR) == "cert.not_yet_valid"
    assert code_of(verifier, fake_document, "now") == "cert.expired"
    assert code_of(verifier, fake_document, when + 300 * 24 * HOUR) == "cert.expired"
    assert verifier.cache_info()["path_hits"] == 3


def test_x10_a_path_that_was_refused_for_its_time_is_judged_anew(verifier, fake_document, when):
    assert code_of(verifier, fake_document, when + 24 * HOUR) == "cert.expired"
    assert code_of(verifier, fake_document, when) is None
    assert code_of(verifier, fake_document, when + 24 * HOUR) == "cert.expired"


def test_each_verifier_remembers_by_itself(verifier, fake_document, when, other_root):
    assert code_of(verifier, fake_document, when) is None
    others = Verifier(TrustedRoots.from_pem(other_root.root_pem), policy=ANY_ENCLAVE)
    assert code_of(others, fake_document, when) == "chain.untrusted_root"
    assert entries(others) == (0, 0)


def test_known_issuers_under_another_trusted_root_are_refused(roots, fake, when, other_root):
    both = roots | TrustedRoots.from_pem(other_root.root_pem)
    verifier = Verifier(both, policy=ANY_ENCLAVE)
    for make in (fake, other_root):
        assert code_of(verifier, document(make, when), when) is None
    (_, *below), _ = certificates_of(fake, when)
    swapped = document(fake, when, cabundle=[other_root.root_der, *below])
    assert code_of(verifier, swapped, when) in ("chain.name", "chain.key_id", "chain.signature")


def test_known_certificates_in_another_order_are_refused(verifier, fake, when):
    assert code_of(verifier, document(fake, when), when) is None
    (root, regional, zonal, instance), leaf = certificates_of(fake, when)
    for cabundle in (
        [instance, zonal, regional, root],
        [root, zonal, regional, instance],
        [root, instance, zonal, regional],
    ):
        assert code_of(verifier, document(fake, when, cabundle=cabundle), when) == "chain.order"
    for cabundle in ([root, regional, zonal, instance, instance], [root, root, regional, zonal]):
        assert code_of(verifier, document(fake, when, cabundle=cabundle), when) == "chain.loop"
    within = document(fake, when, cabundle=[root, regional, zonal, instance, leaf])
    assert code_of(verifier, within, when) == "chain.order"


@pytest.mark.parametrize("gone", range(4))
def test_known_issuers_with_one_left_out_are_refused(verifier, fake, when, gone):
    assert code_of(verifier, document(fake, when), when) is None
    cabundle, _ = certificates_of(fake, when)
    short = document(fake, when, cabundle=cabundle[:gone] + cabundle[gone + 1 :])
    assert code_of(verifier, short, when).startswith("chain.")


def test_a_known_leaf_under_other_known_issuers_is_refused(roots, fake, when, other_root):
    verifier = Verifier(roots | TrustedRoots.from_pem(other_root.root_pem), policy=ANY_ENCLAVE)
    for make in (fake, other_root):
        assert code_of(verifier, document(make, when), when) is None
    _, leaf = certificates_of(other_root, when)
    assert code_of(verifier, document(fake, when, certificate=leaf), when).startswith("chain.")


def test_a_known_leaf_does_not_vouch_for_what_another_key_signed(verifier, fake, neighbour, when):
    for make in (fake, neighbour):
        assert code_of(verifier, document(make, when), when) is None
    _, leaf = certificates_of(neighbour, when)
    forged = document(fake, when, certificate=leaf)
    assert code_of(verifier, forged, when) == "signature.invalid"
    assert verifier.cache_info()["path_hits"] == 1


def test_no_byte_of_a_known_leaf_may_change(verifier, fake, when):
    assert code_of(verifier, document(fake, when), when) is None
    _, leaf = certificates_of(fake, when)
    for position in range(0, len(leaf), 7):
        other = bytearray(leaf)
        other[position] ^= 1
        changed = document(fake, when, certificate=bytes(other))
        assert code_of(verifier, changed, when) is not None
    assert entries(verifier) == (1, 1)


def test_the_signature_and_the_policy_are_judged_every_time(verifier, fake, when):
    good = fake.document(at=when, nonce=b"n" * 16)
    assert code_of(verifier, good, when, nonce=b"n" * 16) is None
    assert code_of(verifier, good, when, nonce=b"m" * 16) == "policy.nonce"
    late = {"at": when + HOUR, "max_age": timedelta(minutes=1)}
    assert code_of(verifier, good, **late) == "freshness.too_old"
    assert code_of(verifier, good[:-1] + bytes([good[-1] ^ 1]), when) == "signature.invalid"
    assert code_of(verifier, fake.document(at=when, debug=True), when) == "policy.debug"


def test_what_is_refused_is_not_remembered(verifier, fake, when, other_root):
    for _ in range(2):
        assert code_of(verifier, document(other_root, when), when) == "chain.untrusted_root"
        assert code_of(verifier, fake.document(at=when, fault="X-17.ca"), when) == "cert.leaf_usage"
    assert entries(verifier) == (0, 0)


def test_x4_a_ca_that_was_sent_once_issues_nothing_later(verifier, fake, when):
    """A store that keeps what documents bring would accept the second one."""
    *issuers, leaf = fake._pki.path(when, fake.module_id)
    stranger = fake._ring.key("stranger")
    namesake = replace(issuers[-1], key=stranger, signer=stranger)
    cabundle = [form.der for form in issuers]
    forged = document(fake, when, certificate=replace(leaf, signer=stranger).der)
    assert code_of(verifier, document(fake, when), when) is None
    for bringing in ([*cabundle, namesake.der], [cabundle[0], namesake.der], [namesake.der]):
        assert code_of(verifier, document(fake, when, cabundle=bringing), when) is not None
        assert code_of(verifier, forged, when) == "chain.signature"
    assert entries(verifier) == (1, 1)


def test_x4_a_root_that_was_sent_once_is_not_trusted_later(verifier, fake, when, other_root):
    strange = document(other_root, when)
    both = [other_root.root_der, *certificates_of(fake, when)[0]]
    for _ in range(2):
        assert code_of(verifier, document(fake, when, cabundle=both), when) == "chain.order"
        assert code_of(verifier, strange, when) == "chain.untrusted_root"
        assert code_of(verifier, document(fake, when), when) is None


def test_a_bad_leaf_under_good_issuers_leaves_only_the_issuers(verifier, fake, when):
    _, leaf = certificates_of(fake, when)
    bad = document(fake, when, certificate=leaf[:-1] + bytes([leaf[-1] ^ 1]))
    for _ in range(2):
        assert code_of(verifier, bad, when) == "chain.signature"
    assert entries(verifier) == (0, 1)


def test_the_cache_is_bounded_and_forgets_what_was_used_longest_ago(roots, fake, when, links):
    verifier = Verifier(roots, policy=ANY_ENCLAVE, cache_size=2)
    first, second, third = (document(fake, when + timedelta(seconds=n)) for n in range(3))
    late = when + timedelta(minutes=1)
    for made in (first, second, first, third):
        assert code_of(verifier, made, late) is None
        assert entries(verifier)[0] <= 2
    for made, expected in ((first, 0), (third, 0), (second, 1)):
        links.clear()
        assert code_of(verifier, made, late) is None
        assert len(links) == expected


def test_rows_of_issuers_are_bounded_too(roots, fake, when):
    verifier = Verifier(roots, policy=ANY_ENCLAVE, cache_size=2)
    for days in range(5):
        at = when + timedelta(days=days)
        assert code_of(verifier, document(fake, at), at) is None
    assert entries(verifier) == (2, 2)


def test_a_cache_of_size_0_remembers_nothing(roots, fake_document, when, links):
    verifier = Verifier(roots, policy=ANY_ENCLAVE, cache_size=0)
    for _ in range(2):
        assert code_of(verifier, fake_document, when) is None
    assert len(links) == 8
    assert entries(verifier) == (0, 0)


@pytest.mark.parametrize("size", [-1, 65537, None, True, "1", 1.0])
def test_a_cache_size_out_of_range_is_refused(roots, size):
    with pytest.raises(InputError):
        Verifier(roots, policy=ANY_ENCLAVE, cache_size=size)


def test_threads_share_the_cache_and_agree_with_first_runs(roots, fake, neighbour, when):
    """A cache of two entries, so that four threads evict under each other's hands."""
    cold = Verifier(roots, policy=ANY_ENCLAVE, cache_size=0)
    shared = Verifier(roots, policy=ANY_ENCLAVE, cache_size=2)
    cabundle, _ = certificates_of(fake, when)
    documents = [
        document(fake, when),
        document(neighbour, when),
        document(fake, when + HOUR),
        document(fake, when, certificate=certificates_of(neighbour, when)[1]),
        document(fake, when, cabundle=cabundle[::-1]),
        document(fake, when - 4 * HOUR),
    ]
    at = when + HOUR
    expected = [code_of(cold, made, at) for made in documents]
    assert set(expected) == {None, "signature.invalid", "chain.order", "cert.expired"}
    wrong = []

    def work(step):
        for turn in range(20):
            number = (turn * step) % len(documents)
            if code_of(shared, documents[number], at) != expected[number]:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(step,)) for step in (1, 5, 7, 11)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert max(entries(shared)) <= 2
