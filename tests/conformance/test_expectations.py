"""The expectations of the cases: complete, from closed lists, and never lenient to a forgery."""

import json
from collections import Counter
from fnmatch import fnmatchcase

import pytest

from conformance_cases import CASES, FOLDER, raw
from lenient_verifier import UnreadableError, forged
from support.paths import TOOLS

IMAGES = {case["id"]: case for case in json.loads((FOLDER / "image.json").read_text())["cases"]}
ALL = CASES | IMAGES
SCHEMAS = [json.loads((FOLDER / f"{name}.json").read_text()) for name in ("schema", "image-schema")]
DOCUMENTS = {
    name: case
    for name, case in CASES.items()
    if case["class"] not in ("policy-files", "revocation")
}
"""The cases that a document and the members of its policy decide."""

OTHERWISE_FORGED = {
    # The signature is valid under a curve of the attacker's choice.
    *("X-9.leaf-explicit-curve",),
    # Of two values that AWS signed, the second is in debug mode.
    *("P-6.pcrs", "P-6.pcr-index"),
}
ONE_OF_TWO = {"P-6.expected-nonce-first", "P-6.expected-nonce-last"}
"""A decoder that keeps the first or the last of two nonces finds a mismatch in one of them; AWS
signed both, so neither is a forgery."""

MISMATCHES = {
    *("policy.pcr_mismatch", "policy.pcr_absent", "cert.revoked"),
    *("policy.nonce", "policy.user_data", "policy.public_key", "policy.debug"),
}
FORGED_SIGNATURES = {"crl.signature", "eif.signature", "eif.signature_pcr0"}

pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    from vectors import expectations

    return expectations


def verdict(case):
    """A reason why it is forged, None if nothing is, or "unreadable"."""
    root = (FOLDER / "roots" / f"{case['root']}.pem").read_bytes()
    try:
        return forged(case, raw(case), root)
    except UnreadableError:
        return "unreadable"


def test_the_schemas_have_the_lists_of_the_tables(tables):
    for schema in SCHEMAS:
        members = schema["$defs"]["case"]["properties"]
        assert set(members["flags"]["items"]["enum"]) == set(tables.FLAGS)
        assert members["importance"]["enum"] == list(tables.IMPORTANCE)
    classes = SCHEMAS[0]["$defs"]["case"]["properties"]["class"]["enum"]
    assert [*classes, "images"] == list(tables.CLASSES)
    assert {case["class"] for case in ALL.values()} == set(tables.CLASSES)


def test_the_result_is_ours_or_acceptable_and_every_choice_is_named():
    for name, case in ALL.items():
        expected = case["expected"]
        assert expected["result"] in ("acceptable", expected["ours"]), name
        assert (expected["ours"] == "accept") == (expected["code"] is None), name
        if expected["result"] == "acceptable":
            assert case["flags"], name
            assert case["importance"] == "low", name
        if expected["ours"] == "accept":
            assert case["importance"] != "critical", name
        assert case["flags"] == sorted(case["flags"]), name


def test_every_flag_and_every_importance_occurs(tables):
    assert {flag for case in ALL.values() for flag in case["flags"]} == set(tables.FLAGS)
    counted = Counter(case["importance"] for case in ALL.values())
    assert set(counted) == set(tables.IMPORTANCE)


def test_no_forgery_is_acceptable():
    """By a verifier that knows no rule about the form: signatures, path, validity, policy."""
    acceptable = [c for c in DOCUMENTS.values() if c["expected"]["result"] == "acceptable"]
    assert len(acceptable) > 100
    for case in acceptable:
        costly = "denial-of-service" in case["flags"]  # nested deeper than cbor2 reads
        assert verdict(case) in ((None, "unreadable") if costly else (None,)), case["id"]


def test_what_must_be_accepted_is_authentic():
    for name, case in DOCUMENTS.items():
        if case["expected"]["ours"] == "accept":
            assert verdict(case) is None, name


def test_critical_is_what_lets_a_forgery_or_a_mismatch_pass_and_nothing_else():
    decided = 0
    for name, case in DOCUMENTS.items():
        found = verdict(case)
        if case["expected"]["result"] == "reject" and found != "unreadable":
            base = name.partition("@")[0]
            critical = (found is not None and base not in ONE_OF_TWO) != (base in OTHERWISE_FORGED)
            assert (case["importance"] == "critical") == critical, (name, found)
            decided += 1
    assert decided > 400


def test_critical_of_documents_that_cannot_be_read_is_what_lacks_signature_or_certificate():
    found = {
        case["rules"][0]
        for case in DOCUMENTS.values()
        if case["importance"] == "critical" and verdict(case) == "unreadable"
    }
    assert found == {"C-1", "C-5", "C-10", "C-13", "C-17", "P-9", "P-10", "P-19", "X-1", "X-9"}


def test_critical_of_files_lists_and_images_is_a_forgery_or_a_mismatch():
    """Policy files, certificate revocation lists and enclave images."""
    classes = ("policy-files", "revocation", "images")
    critical = [c for c in ALL.values() if c["class"] in classes and c["importance"] == "critical"]
    assert {case["class"] for case in critical} == set(classes)
    for case in critical:
        assert case["expected"]["code"] in MISMATCHES | FORGED_SIGNATURES, case["id"]


def test_a_mismatch_is_critical_wherever_it_is_found():
    for name, case in CASES.items():
        if case["expected"]["code"] in MISMATCHES:
            assert case["importance"] == "critical", name


def test_a_case_that_no_row_is_about_is_an_error(tables):
    with pytest.raises(ValueError, match="add a row for unheard-of"):
        tables.expectation("unheard-of.new", "unheard-of", accepted=False)


def test_a_row_that_contradicts_our_result_is_an_error(tables, monkeypatch):
    monkeypatch.setitem(tables.REJECTED, "C-1", tables.ACCEPTED["C-1"])
    with pytest.raises(ValueError, match="expects accept, unlike this project's verifier"):
        tables.expectation("C-1.empty", "C-1", accepted=False)


def test_every_row_is_about_a_case(tables):
    unused_rows = {}
    for ours, rules in (("reject", tables.REJECTED), ("accept", tables.ACCEPTED)):
        names = [(c["rules"][0], name) for name, c in ALL.items() if c["expected"]["ours"] == ours]
        for rule, rows in rules.items():
            first = {
                next(pattern for pattern in rows if fnmatchcase(name, pattern))
                for of, name in names
                if of == rule
            }
            if unused := [pattern for pattern in rows if pattern not in first]:
                unused_rows[ours, rule] = unused
    assert unused_rows == {}
