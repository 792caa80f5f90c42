"""The chain module against a plain reference in Python: same verdict, same code, same windows.

Over the conformance vectors, every fault and variant of both kinds, genuine documents, and chains
made up here, each at or near an end of some certificate's validity.

Any difference is a failure but for those in READ_FURTHER and PERMITTED. X-1 leaves the form of a
certificate to the library, which opens more of it than the rules ask: it may reject with
``cert.malformed`` what the reference rejects for another reason, or does not look into. Whatever
the reference rejects, we reject.
"""

import os
import random
import re
import ssl
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings

from conformance_cases import FILES, FOLDER, raw
from nitro_attest import ChainError, TrustedRoots
from nitro_attest.testing import FAULTS, VARIANTS, FakeNitro
from nitro_attest.verification import certificate
from nitro_attest.verification import path as path_module
from nitro_attest.verification.path import PathVerifier, check_windows
from reference import chain_reference, cose_reference
from reference.chains import chains, issue
from support.errors import code_or_none
from support.paths import FIXTURES

LONG = os.environ.get("NITRO_ATTEST_LONG") == "1"
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MILLISECOND = timedelta(milliseconds=1)
WHEN = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=timezone.utc)
FAKE = FakeNitro(seed=b"tests")
HONEST = FAKE._pki.path(WHEN, FAKE.module_id)
AWS_PATHS = PathVerifier(TrustedRoots.AWS, 0)
PATHS = PathVerifier(TrustedRoots.from_pem(FAKE.root_pem), 256)

pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")

# Our code and the reference's, by case: X-1, and what it says in PERMITTED.
READ_FURTHER = {
    "X-1.strange-name": ("cert.malformed", None),
    "X-1.field-after-key": ("cert.malformed", "cert.algorithm"),
    "X-1.field-after-curve": ("cert.malformed", "cert.algorithm"),
    "X-9.no-curve": ("cert.malformed", "cert.algorithm"),
    "X-9.null-parameters": ("cert.malformed", "cert.algorithm"),
    "X-9.outer-null-parameters": ("cert.malformed", "cert.algorithm"),
    "X-9.signature-unused-bits": ("cert.algorithm", "chain.signature"),
    "X-17.path-length": ("cert.malformed", "cert.leaf_usage"),
}


def milliseconds(moment):
    return (moment - EPOCH) // MILLISECOND


def windows_of(path):
    return [(each.not_before_ms, each.not_after_ms) for each in path.certificates]


def by_us(paths, cabundle, leaf, at_ms, skew_ms):
    try:
        path = paths.verify(tuple(cabundle), leaf)
    except ChainError as error:
        return error.code, None
    return code_or_none(check_windows, path, at_ms, skew_ms), windows_of(path)


def compare(name, document, root_pem, at, skew_ms=0):
    """Judges a document's chain twice; the code, or None where the document has none to judge."""
    try:
        read = cose_reference.parse(document, 1024, 1024, 1024)
    except cose_reference.RejectedError:
        return None
    at_ms = read["timestamp_ms"] if at == "document" else milliseconds(at)
    bundle, leaf = read["cabundle"], read["certificate"]
    pem = root_pem.decode()
    paths = PathVerifier(TrustedRoots.from_pem(pem), 0)
    ours = by_us(paths, bundle, leaf, at_ms, skew_ms)
    theirs = chain_reference.judge(bundle, leaf, ssl.PEM_cert_to_DER_cert(pem), at_ms, skew_ms)
    permitted = READ_FURTHER.get(name.partition("@")[0])
    assert ours == theirs or (ours[0], theirs[0]) == permitted, name
    return ours[0] or "accepted"


# ---- Cases that stand in a table ----------------------------------------------------------------


@pytest.mark.parametrize("group", sorted(FILES.keys() - {"revocation"}))  # it reads no lists
def test_the_reference_agrees_on_every_vector(group):
    for case in FILES[group]["cases"]:
        root = (FOLDER / f"roots/{case['root']}.pem").read_bytes()
        at, skew_ms = case["time"], case["policy"]["clock_skew_ms"]
        if at != "document":
            at = datetime.fromisoformat(f"{at[:-1]}+00:00")
        code = compare(case["id"], raw(case), root, at, skew_ms)
        expected = case["expected"]["code"] or "accepted"
        if expected.startswith(("cert.", "chain.")):
            assert code == expected, case["id"]
        elif code not in (None, "accepted"):
            # The form and the kind of a document are judged before its chain.
            assert expected.startswith("payload."), case["id"]


CASES = [(FAULTS, "fault"), (VARIANTS, "variant")]


@pytest.mark.parametrize("kind", ["enclave", "nitrotpm"])
def test_the_reference_agrees_on_every_fault_and_variant_and_both_give_every_code(kind):
    seen = set()
    for table, argument in CASES:
        for name, case in table.items():
            if kind == "nitrotpm" and {"debug", "kind"} & case.document.keys():
                continue  # about enclaves alone
            document = FAKE.document(at=WHEN, **{"kind": kind, argument: name})
            for skew_ms in (0, 60_000):
                at = WHEN + case.at_shift
                seen.add(compare(name, document, FAKE.root_pem, at, skew_ms))
    assert seen == {None, "accepted", *CODES}


CODES = {
    *("chain.order", "chain.loop", "chain.untrusted_root", "chain.name", "chain.key_id"),
    *("chain.signature", "cert.malformed", "cert.serial", "cert.algorithm", "cert.not_ca"),
    *("cert.critical_extension", "cert.key_usage", "cert.leaf_usage", "cert.path_length"),
    *("cert.expired", "cert.not_yet_valid"),
}


# ---- Genuine documents --------------------------------------------------------------------------


def at_every_edge(document):
    pem = (FOLDER / "roots/aws.pem").read_bytes()
    assert compare("genuine", document, pem, "document") == "accepted"
    read = cose_reference.parse(document, 1024, 1024, 1024)
    path = AWS_PATHS.verify(tuple(read["cabundle"]), read["certificate"])
    windows = windows_of(path)
    codes = set()
    for at_ms in {edge + shift for both in windows for edge in both for shift in (-1, 0, 1)}:
        codes.add(chain_reference.outside(windows, at_ms))
        assert code_or_none(check_windows, path, at_ms, 0) == chain_reference.outside(
            windows, at_ms
        )
    assert codes == {None, "cert.expired", "cert.not_yet_valid"}


@pytest.mark.parametrize("name", sorted(p.name for p in (FIXTURES / "real").glob("*.bin")))
def test_the_reference_agrees_on_every_edge_of_the_genuine_documents_here(name):
    at_every_edge((FIXTURES / "real" / name).read_bytes())


def test_the_reference_agrees_on_every_edge_of_every_genuine_document(corpus):
    for entry, document in corpus:
        if entry["expect"] == "genuine":
            at_every_edge(document)


# ---- Chains made up -----------------------------------------------------------------------------


def readable(ders):
    for der in ders:
        with suppress(chain_reference.BrokenError):
            yield chain_reference.read(der)


USUAL = {part for form in HONEST for part in chain_reference.read(form.der).unopened}


def opened_by_the_library(certificate):
    """X-1: it holds what the reference leaves unopened, or need not read to the end to reject."""
    authority, length = certificate.values.get(chain_reference.BASIC_CONSTRAINTS, (True, None))
    return (
        not certificate.unopened <= USUAL
        or set(certificate.algorithms) != {chain_reference.ECDSA_WITH_SHA384}
        or not certificate.key.startswith(chain_reference.P384_KEY)
        or (not authority and length is not None)
    )


def no_signature_of_p384(certificate):
    """X-9: we find the algorithm by what follows it, which no longer signature can."""
    spare, octets = certificate.signature
    return spare != 0 or len(octets) > 126


PERMITTED = {"cert.malformed": opened_by_the_library, "cert.algorithm": no_signature_of_p384}
"""By our code: what one of the certificates must be like for the reference to say otherwise."""


def assert_same(cabundle, leaf, at_ms, skew_ms):
    ours = by_us(PATHS, cabundle, leaf, at_ms, skew_ms)
    theirs = chain_reference.judge(cabundle, leaf, FAKE.root_der, at_ms, skew_ms)
    if ours != theirs:
        permitted = PERMITTED.get(ours[0], lambda certificate: False)
        assert any(map(permitted, readable([*cabundle, leaf]))), (ours, theirs)
        assert theirs[0] is not None or ours[0] == "cert.malformed"


@settings(max_examples=20_000 if LONG else 400)
@given(chains(HONEST, FAKE._ring))
def test_the_reference_agrees_on_chains_with_up_to_four_things_done_to_them(made):
    assert_same(*made)


@pytest.mark.parametrize("position", [3, 4])
def test_the_reference_agrees_wherever_one_octet_is_changed_before_signing(position):
    """An octet in each place, every bit of each and all at once when run long."""
    signed = HONEST[position]._to_be_signed()
    masks = [1 << bit for bit in range(8)] + [0xFF]
    chosen = random.Random(position)
    for place in range(len(signed)):
        for mask in masks if LONG else [chosen.choice(masks)]:
            changed = bytearray(signed)
            changed[place] ^= mask
            whole = [form.der for form in HONEST]
            whole[position] = issue(HONEST[position], lambda _, new=bytes(changed): new)
            *cabundle, leaf = whole
            assert_same(cabundle, leaf, milliseconds(WHEN), 0)


# ---- That the reference is one, and that a difference is seen ------------------------------------


def test_the_reference_shares_nothing_with_what_it_judges():
    source = Path(chain_reference.__file__).read_text()
    imported = re.findall(r"^ *(?:from|import) ([\w.]+)", source, re.M)
    assert {name.partition(".")[0] for name in imported} <= {
        *("cryptography", "dataclasses", "datetime", "itertools")
    }
    assert "x509" not in source


@pytest.mark.parametrize(
    ("module", "check", "case"),
    [
        (path_module, "_path_length_fault", "X-16.instance-sub-ca"),
        (path_module, "_key_identifier_fault", "X-19.leaf"),
        (path_module, "_check_signature", "X-8.leaf-by-stranger"),
        (path_module, "check_signer", "X-17.no-key-usage"),
        (certificate, "_check_serial", "X-2.zero"),
        (certificate, "_checked_key_info", "X-9.leaf-sha256"),
    ],
)
def test_a_check_that_is_gone_is_a_difference(monkeypatch, module, check, case):
    document = FAKE.document(at=WHEN, fault=case)
    compare(case, document, FAKE.root_pem, WHEN)
    monkeypatch.setattr(module, check, lambda *arguments: None)
    with pytest.raises(AssertionError):
        compare(case, document, FAKE.root_pem, WHEN)
