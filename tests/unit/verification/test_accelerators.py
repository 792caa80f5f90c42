"""An accelerator may only say yes, of exactly the signature that it was asked about (C-16)."""

import ctypes
import sys
from datetime import timedelta
from types import SimpleNamespace

import pytest

from nitro_attest import ANY_ENCLAVE, InputError, Request, TrustedRoots, Verifier
from nitro_attest.verification import accelerators
from nitro_attest.verification.accelerators import libcrypto_mb
from nitro_attest.verification.signature import SignatureClaim, check_with_cryptography
from reference.claims import good_claims, signing_key
from support.errors import outcome_codes


def claim_in(arguments, place):
    """Reads one lane of the library's arguments."""
    addresses = [ctypes.cast(a, ctypes.POINTER(ctypes.c_void_p))[place] for a in arguments[:5]]
    r, s, digest, x, y = (ctypes.string_at(address, 48) for address in addresses)
    return r + s, digest, x[::-1] + y[::-1]


class FakeLibrary:
    """Stands in for libcrypto_mb: asks ``cryptography``, and keeps what it was asked."""

    def __init__(self, known=(), *, never=False):
        self.keys = {}
        self.asked = []
        self.never = never
        for key in known:
            self.keys[key.info[-96:]] = key

    def __call__(self, *arguments):
        status, digests = 0, []
        for place in range(8):
            signature, digest, point = claim_in(arguments, place)
            digests.append(digest)
            holds = check_with_cryptography(SignatureClaim(self.keys[point], signature, digest))
            status |= 0 if holds and not self.never else 8 << 4 * place
        self.asked.append(digests)
        return status


@pytest.fixture
def verifier_with(monkeypatch, fake, when):
    """Makes a Verifier over a fake library; the path of the fake's documents is known to it."""

    def make(*, never=False, cache_size=64):
        library = FakeLibrary(never=never)
        monkeypatch.setattr(libcrypto_mb, "_load", lambda: library)
        roots = TrustedRoots.from_pem(fake.root_pem)
        verifier = Verifier(
            roots, policy=ANY_ENCLAVE, accelerator="libcrypto_mb", cache_size=cache_size
        )
        key = signing_key(verifier.verify(fake.document(at=when), at=when).chain[0].public_key())
        library.keys[key.info[-96:]] = key
        return verifier, library

    return make


@pytest.fixture
def documents(fake, when):
    return [fake.document(at=when + timedelta(milliseconds=n)) for n in range(11)]


@pytest.fixture
def curve_calls(monkeypatch):
    """How often ``cryptography`` was asked about a document's signature."""
    calls = []

    def counted(claim):
        calls.append(claim)
        return check_with_cryptography(claim)

    monkeypatch.setattr(libcrypto_mb, "check_with_cryptography", counted)
    return calls


@pytest.mark.parametrize("workers", [1, 2])
def test_documents_of_a_known_path_are_confirmed_in_eights(
    verifier_with, documents, when, workers, curve_calls
):
    verifier, library = verifier_with()
    curve_calls.clear()
    found = verifier.verify_many(documents, workers=workers, at=when + timedelta(minutes=1))
    assert outcome_codes(found) == [None] * 11
    assert sorted(len(set(asked)) for asked in library.asked) == [3, 8]
    assert curve_calls == []


def test_a_request_is_confirmed_as_its_document_is(verifier_with, documents, when, curve_calls):
    verifier, _ = verifier_with()
    curve_calls.clear()
    items = [Request(document) for document in documents]
    found = verifier.verify_many(items, workers=1, at=when + timedelta(minutes=1))
    assert outcome_codes(found) == [None] * 11
    assert curve_calls == []


def test_what_was_confirmed_is_forgotten_with_the_batch(
    verifier_with, documents, when, curve_calls
):
    verifier, _ = verifier_with()
    curve_calls.clear()
    later = when + timedelta(minutes=1)
    assert outcome_codes(verifier.verify_many(documents[:8], workers=1, at=later)) == [None] * 8
    assert curve_calls == []
    assert verifier.verify(documents[0], at=later)
    assert len(curve_calls) == 1


def test_what_it_does_not_confirm_cryptography_decides(verifier_with, documents, when, curve_calls):
    verifier, library = verifier_with(never=True)
    curve_calls.clear()
    found = verifier.verify_many(documents[:8], workers=1, at=when + timedelta(minutes=1))
    assert outcome_codes(found) == [None] * 8
    assert len(library.asked) == 1
    assert len(curve_calls) == 8


def test_c16_a_document_that_was_altered_is_refused_among_confirmed_ones(
    verifier_with, fake, documents, when
):
    verifier, _ = verifier_with()
    forged = fake.document(at=when, fault="C-16.payload-swapped")
    mixed = [*documents[:3], forged, Request(documents[4], nonce=b"n" * 16), b"no document"]
    found = verifier.verify_many(
        [*mixed, *documents[5:7]], workers=1, at=when + timedelta(1 / 1440)
    )
    assert outcome_codes(found) == [
        *(None, None, None, "signature.invalid", "policy.nonce", "document.encoding", None, None)
    ]


def test_fewer_than_three_are_not_worth_a_call(verifier_with, documents, when):
    verifier, library = verifier_with()
    later = when + timedelta(minutes=1)
    assert outcome_codes(verifier.verify_many(documents[:2], workers=1, at=later)) == [None, None]
    assert library.asked == []
    assert outcome_codes(verifier.verify_many(documents[:3], workers=1, at=later)) == [None] * 3
    assert len(library.asked) == 1


def test_the_signature_under_an_unknown_path_is_not_looked_at_ahead(verifier_with, documents, when):
    verifier, library = verifier_with(cache_size=0)
    found = verifier.verify_many(documents[:8], workers=1, at=when + timedelta(minutes=1))
    assert outcome_codes(found) == [None] * 8
    assert library.asked == []


def test_a_confirmed_claim_says_nothing_of_any_other():
    (one, other, *more) = good_claims(b"confirmed", 8)
    library = FakeLibrary([claim.key for claim in (one, other, *more)])
    accelerator = object.__new__(libcrypto_mb.MultiBuffer)
    accelerator._verify = library
    check = accelerator.precheck([one, other, *more])
    assert check(one)
    assert not check(one._replace(digest=other.digest))
    assert not check(one._replace(signature=other.signature))
    assert not check(one._replace(key=other.key))


@pytest.mark.parametrize("status", [*range(1, 16)])
def test_c16_a_lane_with_any_status_but_0_is_not_confirmed(status):
    claims = list(good_claims(b"status", 8))
    for place in range(8):
        accelerator = object.__new__(libcrypto_mb.MultiBuffer)
        accelerator._verify = lambda *arguments, place=place: status << 4 * place
        confirmed = accelerator._confirmed([libcrypto_mb._lane(claim) for claim in claims])
        assert confirmed == {libcrypto_mb._lane(c) for c in claims if c is not claims[place]}


def test_a_lane_has_exactly_the_bytes_that_the_library_reads():
    (claim,) = good_claims(b"lane", 1)
    point = claim.key.loaded.public_numbers()
    assert libcrypto_mb._lane(claim) == (
        claim.signature[:48],
        claim.signature[48:],
        claim.digest,
        point.x.to_bytes(48, "little"),
        point.y.to_bytes(48, "little"),
    )


@pytest.mark.parametrize("name", ["", "openssl", None.__class__, 7, ["aws-lc"]])
def test_an_unknown_accelerator_is_an_input_error(name):
    with pytest.raises(InputError) as caught:
        Verifier(policy=ANY_ENCLAVE, accelerator=name)
    assert caught.value.code == "input.accelerator"


def test_an_accelerator_that_is_not_installed_is_an_input_error(monkeypatch):
    monkeypatch.setattr(libcrypto_mb, "_LIBRARIES", ("libcrypto_mb.so.none",))
    monkeypatch.setitem(sys.modules, "awscrt.crypto", None)
    for name in accelerators.NAMES:
        with pytest.raises(InputError) as caught:
            accelerators.load(name)
        assert caught.value.code == "input.accelerator"


@pytest.mark.parametrize(
    ("missing", "library"),
    [
        ("mbx_is_crypto_mb_applicable", ctypes.CDLL(None)),
        ("mbx_is_crypto_mb_applicable", SimpleNamespace(mbx_nistp384_ecdsa_verify_mb8=None)),
        ("mbx_nistp384_ecdsa_verify_mb8", SimpleNamespace(mbx_is_crypto_mb_applicable=None)),
    ],
)
def test_a_library_without_a_function_is_an_input_error(monkeypatch, missing, library):
    monkeypatch.setattr(libcrypto_mb, "_open", lambda: library)
    with pytest.raises(InputError, match=missing) as caught:
        accelerators.load("libcrypto_mb")
    assert caught.value.code == "input.accelerator"
    assert "library path" in caught.value.message


def test_only_versions_with_a_known_interface_are_loaded(monkeypatch):
    asked = []

    def load(name):
        asked.append(name)
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", load)
    monkeypatch.setattr("ctypes.util.find_library", lambda name: "libcrypto_mb.so.13")
    with pytest.raises(InputError, match="not installed"):
        accelerators.load("libcrypto_mb")
    assert asked == ["libcrypto_mb.so.12", "libcrypto_mb.so.11"]


def library_on_a_cpu(applicable):
    return SimpleNamespace(
        # 0: ask the CPU itself; any other number is a set of features to believe in.
        mbx_is_crypto_mb_applicable=lambda features: (
            applicable if features == 0 else 1 - applicable
        ),
        mbx_nistp384_ecdsa_verify_mb8=lambda r, s, digest, x, y, z, pool: 0,
    )


def test_the_library_is_called_as_its_header_declares_it(monkeypatch):
    found = library_on_a_cpu(applicable=1)
    monkeypatch.setattr(libcrypto_mb, "_open", lambda: found)
    assert accelerators.load("libcrypto_mb").lanes == 8
    assert libcrypto_mb.MultiBuffer()._verify is found.mbx_nistp384_ecdsa_verify_mb8
    (*pointers, z, pool) = found.mbx_nistp384_ecdsa_verify_mb8.argtypes
    assert pointers == [ctypes.c_char_p * 8] * 5
    assert (z, pool) == (ctypes.c_void_p, ctypes.c_void_p)
    assert found.mbx_nistp384_ecdsa_verify_mb8.restype is ctypes.c_uint32
    assert found.mbx_is_crypto_mb_applicable.argtypes == [ctypes.c_uint64]


def test_a_cpu_without_the_instructions_is_an_input_error(monkeypatch):
    monkeypatch.setattr(libcrypto_mb, "_open", lambda: library_on_a_cpu(applicable=0))
    with pytest.raises(InputError) as caught:
        accelerators.load("libcrypto_mb")
    assert caught.value.code == "input.accelerator"
    assert "AVX-512 IFMA" in caught.value.message


@pytest.fixture
def aws_lc(monkeypatch):
    """Stands in for awscrt: takes one digest, and fails on all others; keeps what it was asked."""

    class EC:
        taken = b""

        def verify(self, digest, signature):
            self.asked.append(digest)
            if digest != self.taken:
                raise RuntimeError("no")
            return True

        @classmethod
        def new_key_from_der_data(cls, der):
            return cls()

    EC.asked = []
    module = type(sys)("awscrt.crypto")
    module.EC = EC
    monkeypatch.setitem(sys.modules, "awscrt", type(sys)("awscrt"))
    monkeypatch.setitem(sys.modules, "awscrt.crypto", module)
    return EC


@pytest.mark.parametrize("missing", ["EC", "EC.verify", "EC.new_key_from_der_data"])
def test_an_awscrt_without_ec_keys_is_an_input_error(aws_lc, monkeypatch, missing):
    owner, _, name = missing.rpartition(".")
    monkeypatch.delattr(aws_lc if owner else sys.modules["awscrt.crypto"], name)
    with pytest.raises(InputError, match="awscrt") as caught:
        accelerators.load("aws-lc")
    assert caught.value.code == "input.accelerator"


def test_aws_lc_is_asked_first_and_cryptography_where_it_does_not_confirm(aws_lc):
    (claim,) = good_claims(b"aws-lc", 1)
    aws_lc.taken = claim.digest
    accelerator = accelerators.load("aws-lc")
    assert accelerator.check(claim)
    assert not accelerator.check(claim._replace(digest=bytes(48)))
    assert aws_lc.asked == [claim.digest, bytes(48)]
    assert accelerator.precheck([claim]) == accelerator.check


def test_a_verifier_asks_its_accelerator_about_every_document(aws_lc, fake, fake_document, when):
    roots = TrustedRoots.from_pem(fake.root_pem)
    verifier = Verifier(roots, policy=ANY_ENCLAVE, accelerator="aws-lc")
    attestation_id = verifier.verify(fake_document, at=when).attestation_id
    assert outcome_codes(verifier.verify_many([fake_document], workers=1, at=when)) == [None]
    assert aws_lc.asked == [attestation_id] * 2


def test_aws_lc_remembers_the_256_keys_used_last(aws_lc, monkeypatch):
    (claim,) = good_claims(b"aws-lc", 1)
    aws_lc.taken = claim.digest
    loaded = []
    monkeypatch.setattr(
        aws_lc, "new_key_from_der_data", lambda info: loaded.append(info) or aws_lc()
    )
    accelerator = accelerators.load("aws-lc")

    def check_with_keys(numbers):
        loaded.clear()
        for number in numbers:
            assert accelerator.check(claim._replace(key=claim.key._replace(info=number)))
        return len(loaded)

    assert check_with_keys(range(256)) == 256
    assert check_with_keys(range(256)) == 0
    assert check_with_keys([256, 0]) == 2
