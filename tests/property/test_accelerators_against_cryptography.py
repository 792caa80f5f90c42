"""Accelerators against ``cryptography``: signatures good and changed, and links of certificates.

Each must confirm nothing that ``cryptography`` rejects. NITRO_ATTEST_CLAIMS is the number of
signatures to compare: 4000 by default, many more for docs/explanation/assurance.md.
"""

import hashlib
import json
import os
import random
from collections import Counter
from dataclasses import replace
from datetime import datetime, timezone
from itertools import islice, pairwise, product
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from hypothesis import given, settings

from nitro_attest import (
    ANY_ENCLAVE,
    ANY_INSTANCE,
    InputError,
    NitroAttestError,
    NitroTpmVerifier,
    TrustedRoots,
    Verifier,
)
from nitro_attest.testing import FAULTS, VARIANTS, FakeNitro
from nitro_attest.testing import _der as der
from nitro_attest.testing.certificates import ECDSA_WITH_SHA384
from nitro_attest.testing.faults.chain import ECDSA_WITH_SHA256, ECDSA_WITH_SHA512, UNKNOWN_OID
from nitro_attest.verification import accelerators
from nitro_attest.verification.accelerators.base import Accelerator, link_claim
from nitro_attest.verification.certificate import read_certificate
from nitro_attest.verification.document import parse_unverified
from nitro_attest.verification.path import PathVerifier
from nitro_attest.verification.signature import SignatureClaim, check_with_cryptography
from reference.chains import chains
from reference.claims import changed, good_claims, signing_key
from support.errors import code_or_none

COUNT = int(os.environ.get("NITRO_ATTEST_CLAIMS", "4000"))
PAIRS = EXAMPLES = 2_000 if os.environ.get("NITRO_ATTEST_LONG") == "1" else 200
WHEN = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=timezone.utc)
FAKE = FakeNitro(seed=b"tests")
STRANGER = FakeNitro(seed=b"strangers")  # the same names, other keys
HONEST = FAKE._pki.path(WHEN, FAKE.module_id)
OTHER = STRANGER._pki.path(WHEN, STRANGER.module_id)
ROOTS = TrustedRoots.from_pem(FAKE.root_pem)

pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")


class Faithful(Accelerator):
    """Confirms what ``cryptography`` accepts."""

    def prepare(self, claims):
        """Does nothing."""

    def confirm(self, claim):
        return check_with_cryptography(claim)


class Lying(Faithful):
    """Confirms everything."""

    def confirm(self, claim):
        return True


def load(name):
    if name == "faithful":
        return Faithful()
    try:
        return accelerators.load(name)
    except InputError as error:
        pytest.skip(f"{name} was not compared: {error.message}")


@pytest.fixture(params=accelerators.NAMES)
def confirmed(request):
    """Returns a function that gives the claims which the accelerator alone confirms."""
    accelerator = load(request.param)

    def confirms(claims):
        accelerator.prepare(claims)
        return [accelerator._confirms(claim) for claim in claims]

    return confirms


@pytest.fixture(params=["faithful", *accelerators.NAMES], scope="module")
def accelerator(request):
    return load(request.param)


def test_c16_it_confirms_nothing_that_cryptography_rejects_and_all_that_it_accepts(confirmed):
    good = list(good_claims(b"accelerators", 64))
    chooser = random.Random("claims")
    claims = (changed(chooser.choice(good), good, chooser) for _ in range(COUNT))
    compared = accepted = 0
    while some := list(islice(claims, 1_000)):
        expected = [check_with_cryptography(claim) for claim in some]
        assert confirmed_in_eights(confirmed, some) == expected
        compared += len(some)
        accepted += sum(expected)
    assert compared == COUNT
    assert COUNT / 20 < accepted < COUNT / 2
    print(f"\n{compared} compared, {accepted} accepted by both")


def confirmed_in_eights(confirmed, claims):
    return [
        found
        for start in range(0, len(claims), 8)
        for found in confirmed(claims[start : start + 8])
    ]


def test_c16_wycheproofs_cases(confirmed):
    folder = os.environ.get("NITRO_ATTEST_VECTORS")
    name = "wycheproof_ecdsa_secp384r1_sha384_p1363.json"
    if not folder or not (Path(folder) / name).is_file():
        pytest.skip(f"NITRO_ATTEST_VECTORS is not set or has no {name}: unread")
    fillers = list(good_claims(b"fillers", 2))  # fewer than three are not looked at together
    groups = json.loads((Path(folder) / name).read_text())["testGroups"]
    compared = 0
    for group in groups:
        key = load_der_public_key(bytes.fromhex(group["publicKeyDer"]))
        assert isinstance(key.curve, ec.SECP384R1)
        for case in group["tests"]:
            signature = bytes.fromhex(case["sig"])
            if len(signature) != 96:
                continue  # C-10 rejects it before any curve is asked
            claim = SignatureClaim(
                signing_key(key), signature, hashlib.sha384(bytes.fromhex(case["msg"])).digest()
            )
            found = confirmed([claim, *fillers])
            assert found == [case["result"] == "valid", True, True], case["comment"]
            compared += 1
    assert compared > 200


# ---- Links of certificates ----------------------------------------------------------------------


def issued(parent, child):
    """Returns True if ``cryptography`` accepts one certificate as the issuer of another."""
    try:
        child.parsed.verify_directly_issued_by(parent.parsed)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def confirms_link(accelerator, parent, child):
    claim = link_claim(parent, child)
    # Fewer than three are not looked at together.
    accelerator.prepare([*filter(None, [claim]), *good_claims(b"fillers", 2)])
    return accelerator.confirms_link(parent, child)


def reading(function, *arguments):
    try:
        return function(*arguments)
    except NitroAttestError:
        return None


def outcomes(verifier, documents, at):
    """Results of one call per document, and of one call for all of them."""
    one_by_one = []
    for document in documents:
        try:
            one_by_one.append(verifier.verify(document, at=at).to_dict())
        except NitroAttestError as error:
            one_by_one.append(error.to_dict())
    verifier.cache_clear()
    found = verifier.verify_many(documents, workers=1, at=at)
    batch = [(one.error or one.attestation).to_dict() for one in found]
    return one_by_one, batch


CASES = [
    (kind, {argument: name}, case.at_shift)
    for kind in ("enclave", "nitrotpm")
    for table, argument in ((FAULTS, "fault"), (VARIANTS, "variant"))
    for name, case in table.items()
    if kind == "enclave" or not {"debug", "kind"} & case.document.keys()
]


@pytest.mark.parametrize("kind", ["enclave", "nitrotpm"])
def test_every_fault_and_variant_gives_the_same_result_with_an_accelerator(accelerator, kind):
    make = {
        "enclave": lambda: Verifier(ROOTS, policy=ANY_ENCLAVE),
        "nitrotpm": lambda: NitroTpmVerifier(ROOTS, policy=ANY_INSTANCE),
    }[kind]
    times = {}
    for each, case, shift in CASES:
        if each == kind:
            document = FAKE.document(at=WHEN, kind=kind, **case)
            times.setdefault(WHEN + shift, []).append(document)
    assert sum(map(len, times.values())) > 400
    codes = Counter()
    for at, documents in times.items():
        plain, accelerated = make(), accelerate(make(), accelerator)
        expected = outcomes(plain, documents, at)
        assert outcomes(accelerated, documents, at) == expected
        codes.update(result.get("code") for result in expected[0])
    assert {"chain.signature", "chain.name", "cert.algorithm", "signature.invalid"} < codes.keys()


@pytest.mark.parametrize(
    ("kind", "policy"), [(Verifier, ANY_ENCLAVE), (NitroTpmVerifier, ANY_INSTANCE)]
)
def test_genuine_documents_give_the_same_result(accelerator, corpus, kind, policy):
    documents = [document for _, document in corpus]
    accelerated = accelerate(kind(policy=policy), accelerator, TrustedRoots.AWS)
    assert outcomes(accelerated, documents, "document") == outcomes(
        kind(policy=policy), documents, "document"
    )


def accelerate(verifier, accelerator, roots=ROOTS):
    """Gives a new verifier an accelerator that no name loads."""
    verifier._accelerator = accelerator
    verifier._check = accelerator.check
    verifier._paths = PathVerifier(roots, 64, accelerator.confirms_link, look_ahead=True)
    return verifier


def test_no_pair_of_certificates_is_confirmed_that_cryptography_rejects(accelerator):
    """Certificates of all faults of paths, and of two PKIs with equal names, each with each."""
    ders = {form.der for form in (*HONEST, *OTHER)}
    for kind, case, _ in CASES:
        if kind == "enclave" and next(iter(case.values())).startswith("X-"):
            parsed = reading(parse_unverified, FAKE.document(at=WHEN, **case))
            ders |= {*parsed.cabundle, parsed.certificate} if parsed else set()
    read = [found for one in sorted(ders) if (found := reading(read_certificate, one, ""))]
    pairs = list(product(read, repeat=2))
    assert len(pairs) > 10_000
    asked = [pair for pair in pairs if link_claim(*pair) is not None]
    verdicts = Counter()
    for pair in random.Random("pairs").sample(asked, min(len(asked), PAIRS)):
        assert confirms_link(accelerator, *pair) == issued(*pair)
        verdicts[issued(*pair)] += 1
    assert verdicts[True] > PAIRS / 50
    assert verdicts[False] > PAIRS / 50
    rest = random.Random("rest").sample(sorted(set(range(len(pairs)))), PAIRS)
    for parent, child in map(pairs.__getitem__, rest):
        if not issued(parent, child):
            assert not confirms_link(accelerator, parent, child)


def grafts():
    """Paths that are wrong in one link, by name."""
    wrapped = der.sequence(der.object_identifier(UNKNOWN_OID), ECDSA_WITH_SHA384)
    algorithms = [ECDSA_WITH_SHA384, ECDSA_WITH_SHA256, ECDSA_WITH_SHA512, wrapped]
    for at in range(1, 5):
        form, mine = HONEST[at], list(HONEST)
        yield f"{at}: of another PKI", [*mine[:at], OTHER[at], *mine[at + 1 :]]
        yield f"{at}: of another PKI, like all below", [*mine[:at], *OTHER[at:]]
        yield f"{at}: ours, under others", [HONEST[0], *OTHER[1:at], *mine[at:]]
        yield (
            f"{at}: equal name, other key",
            [*mine[: at - 1], replace(HONEST[at - 1], key=OTHER[at - 1].key), *mine[at:]],
        )
        changes = {
            "the signature of another PKI": {"signature": signature_of(OTHER[at])},
            "the signature of its parent": {"signature": signature_of(HONEST[at - 1])},
            "signed by itself": {"signer": form.key},
            "the name in another case": {"issuer": form.issuer.upper()},
            "the name in another type": {"issuer": form.issuer.replace(b"\x0c\x03", b"\x13\x03")},
            "the name of the one above": {"issuer": HONEST[max(at - 2, 0)].subject},
            "no name": {"issuer": der.sequence()},
        }
        for inner, outer in product(range(4), repeat=2):
            changes[f"algorithms {inner} and {outer}"] = {
                "inner_algorithm": algorithms[inner],
                "outer_algorithm": algorithms[outer],
            }
        for name, change in changes.items():
            yield f"{at}: {name}", [*mine[:at], replace(form, **change), *mine[at + 1 :]]


def signature_of(form):
    return form.signer.sign(form._to_be_signed(), form.digest)


def code_of_path(paths, ders, accelerator=None):
    *cabundle, leaf = ders
    if accelerator is not None:
        links = pairwise(paths.read_ahead(tuple(cabundle), leaf))
        claims = [claim for link in links if (claim := link_claim(*link))]
        accelerator.prepare([*claims, *good_claims(b"fillers", 2)])
    return code_or_none(paths.verify, tuple(cabundle), leaf)


def test_grafts_get_the_same_code_with_an_accelerator(accelerator):
    codes = Counter()
    for name, forms in grafts():
        ders = [form.der for form in forms]
        expected = code_of_path(PathVerifier(ROOTS, 0), ders)
        accelerated = PathVerifier(ROOTS, 0, accelerator.confirms_link)
        assert code_of_path(accelerated, ders, accelerator) == expected, name
        codes[expected] += 1
        for parent, child in pairwise([reading(read_certificate, one, "") for one in ders]):
            if parent and child:
                confirmed = confirms_link(accelerator, parent, child)
                assert confirmed == issued(parent, child), name
    assert codes["chain.signature"] == 17
    assert codes["cert.algorithm"] == 4 * 15
    assert codes["chain.name"] == 15
    assert codes[None] == 6  # the algorithms 0 and 0; what names the root, and is issued by it


@settings(max_examples=EXAMPLES)
@given(chain=chains(HONEST, FAKE._ring))
def test_any_chain_gets_the_same_code_with_an_accelerator(accelerator, chain):
    cabundle, leaf, _, _ = chain
    ders = [*cabundle, leaf]
    expected = code_of_path(PathVerifier(ROOTS, 0), ders)
    accelerated = PathVerifier(ROOTS, 0, accelerator.confirms_link)
    assert code_of_path(accelerated, ders, accelerator) == expected


def test_an_accelerator_that_confirms_everything_decides_nothing_but_signatures():
    verifier = accelerate(Verifier(ROOTS, policy=ANY_ENCLAVE), Lying())
    plain = Verifier(ROOTS, policy=ANY_ENCLAVE)
    differ = set()
    for kind, case, shift in CASES:
        if kind == "enclave":
            document, at = FAKE.document(at=WHEN, **case), WHEN + shift
            expected = code_or_none(plain.verify, document, at=at)
            if code_or_none(verifier.verify, document, at=at) != expected:
                differ.add(expected)
    assert differ == {"chain.signature", "signature.invalid"}


@pytest.mark.parametrize("answer", [False, None, 1, "yes", b"\1", [True], ValueError, SystemError])
def test_only_true_is_a_confirmation(answer):
    class Odd(Faithful):
        def confirm(self, claim):
            if isinstance(answer, type):
                raise answer("no")
            return answer

    (claim,) = good_claims(b"odd", 1)
    read = [read_certificate(form.der, "") for form in HONEST]
    for parent, child in pairwise(read):
        assert not Odd().confirms_link(parent, child)
        assert Faithful().confirms_link(parent, child)
    assert Odd().check(claim)  # by cryptography
    assert not Odd().check(claim._replace(digest=bytes(48)))
