"""An accelerator may only say yes, of exactly the signature that it was asked about (C-16)."""

import ctypes
import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from nitro_attest import ANY_ENCLAVE, InputError, Request, Verifier
from nitro_attest.testing import FakeNitro
from nitro_attest.testing import _der as der
from nitro_attest.testing.certificates import ECDSA_WITH_SHA384
from nitro_attest.testing.faults.chain import ECDSA_WITH_SHA256, UNKNOWN_OID
from nitro_attest.verification import accelerators
from nitro_attest.verification import path as path_module
from nitro_attest.verification.accelerators import base, libcrypto_mb
from nitro_attest.verification.certificate import read_certificate
from nitro_attest.verification.signature import (
    P384_ORDER,
    SignatureClaim,
    check_with_cryptography,
    der_signature,
)
from reference.claims import good_claims, signing_key
from reference.paths import document
from support.errors import outcome_codes


def claim_in(arguments, place):
    """Reads one lane of the library's arguments."""
    addresses = [ctypes.cast(a, ctypes.POINTER(ctypes.c_void_p))[place] for a in arguments[:5]]
    r, s, digest, x, y = (ctypes.string_at(address, 48) for address in addresses)
    return r + s, digest, x[::-1] + y[::-1]


def key_at(point):
    """The key with these coordinates; cryptography checks that it is on the curve."""
    x, y = (int.from_bytes(half, "big") for half in (point[:48], point[48:]))
    return signing_key(ec.EllipticCurvePublicNumbers(x, y, ec.SECP384R1()).public_key())


class FakeLibrary:
    """Stands in for libcrypto_mb: asks ``cryptography``, and keeps what it was asked."""

    def __init__(self, status=None):
        self.asked = []
        self.status = status

    def __call__(self, *arguments):
        lanes = [claim_in(arguments, place) for place in range(8)]
        self.asked.append([digest for _, digest, _ in lanes])
        if self.status is not None:
            return self.status
        status = 0
        for place, (signature, digest, point) in enumerate(lanes):
            holds = check_with_cryptography(SignatureClaim(key_at(point), signature, digest))
            status |= 0 if holds else 8 << 4 * place
        return status


def multi_buffer(library, monkeypatch):
    monkeypatch.setattr(libcrypto_mb, "_load", lambda: library)
    return libcrypto_mb.MultiBuffer()


@pytest.fixture
def verifier_with(monkeypatch, roots, fake, when):
    """Makes a Verifier over a fake library; the path of the fake's documents is known to it."""

    def make(status=None, *, known=True):
        library = FakeLibrary(status)
        monkeypatch.setattr(libcrypto_mb, "_load", lambda: library)
        verifier = Verifier(roots, policy=ANY_ENCLAVE, accelerator="libcrypto_mb")
        if known:
            verifier.verify(fake.document(at=when), at=when)
            library.asked.clear()
        return verifier, library

    return make


@pytest.fixture
def documents(fake, when):
    return [fake.document(at=when + timedelta(milliseconds=n)) for n in range(11)]


@pytest.fixture
def curve_calls(monkeypatch):
    """The claims of documents and the issued certificates that ``cryptography`` checked."""
    calls = []

    def counted(claim):
        calls.append(claim)
        return check_with_cryptography(claim)

    real = path_module._check_signature
    monkeypatch.setattr(base, "check_with_cryptography", counted)
    monkeypatch.setattr(
        path_module, "_check_signature", lambda *of: calls.append(of[1]) or real(*of)
    )
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


def test_the_five_signatures_of_a_new_path_are_one_call(
    verifier_with, fake_document, when, curve_calls
):
    verifier, library = verifier_with(known=False)
    assert verifier.verify(fake_document, at=when)
    assert [len(set(asked)) for asked in library.asked] == [5]
    assert curve_calls == []


def test_a_batch_of_new_paths_fills_the_lanes_and_shares_links(
    verifier_with, fake, when, curve_calls
):
    documents = [fake.document(at=when + timedelta(seconds=n)) for n in range(8)]
    verifier, library = verifier_with(known=False)
    found = verifier.verify_many(documents, workers=1, at=when + timedelta(minutes=1))
    assert outcome_codes(found) == [None] * 8
    assert [len(set(asked)) for asked in library.asked] == [8, 8, 3]  # 3 issuers, 8 leaves
    assert curve_calls == []


def test_under_known_issuers_two_signatures_are_checked(verifier_with, fake, when, curve_calls):
    verifier, library = verifier_with()
    curve_calls.clear()
    documents = [fake.document(at=when + timedelta(seconds=n)) for n in range(1, 5)]
    found = verifier.verify_many(documents, workers=1, at=when + timedelta(minutes=1))
    assert outcome_codes(found) == [None] * 4
    assert [len(set(asked)) for asked in library.asked] == [8]
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
    verifier, library = verifier_with(0x88888888, known=False)
    found = verifier.verify_many(documents[:8], workers=1, at=when + timedelta(minutes=1))
    assert outcome_codes(found) == [None] * 8
    assert len(library.asked) == 2
    assert len(curve_calls) == 4 + 8


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


def test_a_confirmed_claim_says_nothing_of_any_other(monkeypatch):
    (one, other, *more) = good_claims(b"confirmed", 8)
    accelerator = multi_buffer(FakeLibrary(), monkeypatch)
    assert not accelerator.confirm(one)
    accelerator.prepare([one, other, *more])
    assert accelerator.confirm(one)
    assert not accelerator.confirm(one._replace(digest=other.digest))
    assert not accelerator.confirm(one._replace(signature=other.signature))
    assert not accelerator.confirm(one._replace(key=other.key))
    accelerator.prepare([])
    assert not accelerator.confirm(one)


def test_what_one_thread_prepared_another_does_not_see(monkeypatch):
    claims = list(good_claims(b"threads", 3))
    accelerator = multi_buffer(FakeLibrary(), monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(accelerator.prepare, claims).result()
        assert not accelerator.confirm(claims[0])
        assert pool.submit(accelerator.confirm, claims[0]).result()


@pytest.mark.parametrize("status", [*range(1, 16)])
def test_c16_a_lane_with_any_status_but_0_is_not_confirmed(status, monkeypatch):
    claims = list(good_claims(b"status", 8))
    for place in range(8):
        library = FakeLibrary(status << 4 * place)
        accelerator = multi_buffer(library, monkeypatch)
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


def test_a_verifier_asks_its_accelerator_about_every_signature(aws_lc, roots, fake_document, when):
    verifier = Verifier(roots, policy=ANY_ENCLAVE, accelerator="aws-lc")
    attestation_id = verifier.verify(fake_document, at=when).attestation_id
    assert len(set(aws_lc.asked)) == 5
    assert outcome_codes(verifier.verify_many([fake_document], workers=1, at=when)) == [None]
    assert aws_lc.asked[4:] == [attestation_id] * 2


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


# ---- Links of certificates ----------------------------------------------------------------------


@pytest.fixture
def forms(fake, when):
    """The forms of the five certificates of a document, root first."""
    return fake._pki.path(when, fake.module_id)


def read(form):
    return read_certificate(form.der, "a certificate")


def test_the_claim_of_a_link_is_that_the_parents_key_signed_the_tbs_certificate(forms):
    for parent, child in pairwise(map(read, forms)):
        claim = base.link_claim(parent, child)
        assert claim.key.info == parent.key_info
        assert claim.digest == hashlib.sha384(child.parsed.tbs_certificate_bytes).digest()
        assert der_signature(claim.signature) == child.parsed.signature
        assert check_with_cryptography(claim)


WRAPPED = der.sequence(der.object_identifier(UNKNOWN_OID), ECDSA_WITH_SHA384)
UNCLAIMED = {
    "another name": {"issuer": b"0\0"},
    "another algorithm in the signed part": {"inner_algorithm": ECDSA_WITH_SHA256},
    "another algorithm outside": {"outer_algorithm": WRAPPED},
    "no numbers": {"signature": b"no DER"},
    "a negative number": {"signature": der.sequence(der.integer(-1), der.integer(1))},
    "zero": {"signature": der.sequence(der.integer(0), der.integer(1))},
    "the order": {"signature": der.sequence(der.integer(1), der.integer(P384_ORDER))},
    "a number of 49 bytes": {"signature": der.sequence(der.integer(1 << 384), der.integer(1))},
}


@pytest.mark.parametrize("change", UNCLAIMED.values(), ids=UNCLAIMED)
def test_a_link_with_another_fault_has_no_claim(forms, change):
    parent, child = forms[:2]
    assert base.link_claim(read(parent), read(child))
    assert base.link_claim(read(parent), read(replace(child, **change))) is None


def off_curve(form):
    return replace(form, spki=form.key.spki[:-1] + bytes([form.key.spki[-1] ^ 1]))


def test_x9_a_parent_whose_point_is_not_on_the_curve_has_no_claim(forms):
    assert base.link_claim(read(off_curve(forms[0])), read(forms[1])) is None


def test_documents_of_a_batch_whose_path_is_rejected_are_rejected_alone(
    verifier_with, fake, documents, when
):
    issuers = [form.der for form in fake._pki.path(when, fake.module_id)]
    leaf = off_curve(fake._pki.path(when, fake.module_id)[-1])
    broken = document(fake, when, cabundle=issuers[:-1], certificate=leaf.der)
    verifier, library = verifier_with(known=False)
    stranger = FakeNitro(seed=b"stranger").document(at=when)
    found = verifier.verify_many([broken, stranger, documents[0]], workers=1, at=when)
    assert outcome_codes(found) == ["cert.algorithm", "chain.untrusted_root", None]
    assert len(library.asked) == 1
