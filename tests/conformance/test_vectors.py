"""The conformance vectors: what is in them, that we pass them, and the tools around them."""

import copy
import json
import re
import runpy
import shutil
import subprocess
import sys
from collections import Counter
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from jsonschema import Draft202012Validator

from conformance_cases import CASES, FILES, FOLDER, raw
from conftest import needs_openssl
from nitro_attest.testing import FAULTS, LIST_FAULTS, VARIANTS
from support.paths import ROOT, TOOLS

ADAPTER = TOOLS / "adapters/nitro_attest_adapter.py"
SCHEMA = json.loads((FOLDER / "schema.json").read_text())
IMAGE_SCHEMA = json.loads((FOLDER / "image-schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)
IMAGE_VALIDATOR = Draft202012Validator(IMAGE_SCHEMA)
IMAGES = json.loads((FOLDER / "image.json").read_text())
CHAIN_FAMILIES = ("cert", "chain")


def accepts(case):
    """True if this project's verifier accepts it; where any may do as it likes, too."""
    return case["expected"]["ours"] == "accept"


def tool(name, *arguments):
    command = [sys.executable, "-W", "error", TOOLS / name, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


# What is in them.


@pytest.mark.parametrize("schema", [SCHEMA, IMAGE_SCHEMA], ids=["documents", "images"])
def test_the_schemas_are_json_schemas(schema):
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("group", FILES)
def test_every_file_is_as_its_schema_says(group):
    assert FILES[group]["group"] == group
    assert VALIDATOR.is_valid(FILES[group])


def test_the_images_are_as_their_schema_says():
    assert IMAGE_VALIDATOR.is_valid(IMAGES)
    assert len({case["id"] for case in IMAGES["cases"]}) == len(IMAGES["cases"]) >= 80
    for name in IMAGE_SCHEMA["$defs"]["case"]["required"]:
        content = copy.deepcopy(IMAGES)
        del content["cases"][0][name]
        assert not IMAGE_VALIDATOR.is_valid(content), name


@pytest.mark.parametrize("name", SCHEMA["$defs"]["case"]["required"])
def test_the_schema_rejects_a_case_without_any_of_its_members(name):
    content = copy.deepcopy(FILES["signature"])
    del content["cases"][0][name]
    assert not VALIDATOR.is_valid(content)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", "no dot"),
        ("rules", []),
        ("features", ["unheard-of"]),
        ("root", "../../etc"),
        ("time", "2026-03-01T12:00:00Z"),
        ("time", "now"),
        ("class", "unheard-of"),
        ("importance", "urgent"),
        ("flags", ["unheard-of"]),
        ("flags", ["caps", "caps"]),
        ("links", []),
        ("links", ["http://example.com"]),
        ("expected", {"result": "accept"}),
        ("judges", ["us"]),
        ("document", {"sha256": "0" * 64}),
        ("document", {"sha256": "0" * 64, "file": "/etc/passwd"}),
        ("unknown", 1),
    ],
)
def test_the_schema_rejects_other_values(name, value):
    content = copy.deepcopy(FILES["signature"])
    content["cases"][0][name] = value
    assert not VALIDATOR.is_valid(content)


def test_no_two_cases_have_one_name():
    assert len(CASES) == sum(len(content["cases"]) for content in FILES.values()) >= 400


def test_every_fault_and_every_variant_is_a_case():
    assert FAULTS.keys() <= CASES.keys()
    for name, fault in FAULTS.items():
        assert CASES[name]["rules"] == [fault.rule]
        assert CASES[name]["expected"]["code"] == fault.code
    for name, variant in VARIANTS.items():
        case = CASES[f"{name}-allowed" if name in FAULTS else name]
        assert set(variant.rules) <= set(case["rules"])
        assert tuple(case["expected"]["warnings"]) == variant.warnings


def test_every_fault_of_revocation_lists_is_a_case_but_for_one_that_only_a_clock_shows():
    assert LIST_FAULTS.keys() - CASES.keys() == {"R-3.future"}
    for name in LIST_FAULTS.keys() & CASES.keys():
        assert CASES[name]["expected"]["code"] == LIST_FAULTS[name].code


def test_every_rule_of_revocation_lists_has_both_outcomes():
    cases = FILES["revocation"]["cases"]
    outcomes = {(case["rules"][0], accepts(case)) for case in cases}
    assert outcomes == {(f"R-{number}", good) for number in range(1, 9) for good in (True, False)}
    assert all("crl" in case["features"] for case in cases)
    assert {raw(case) for case in cases} == {raw(cases[0])}
    assert not [case for case in CASES.values() if "revocation" in case and case not in cases]


@pytest.mark.parametrize("suffix", ["", "@nitrotpm"])
@pytest.mark.parametrize("role", ["regional", "zonal", "instance", "leaf"])
def test_x10_both_edges_of_every_certificate_are_there_to_the_millisecond(role, suffix):
    edges = {
        name: CASES[f"X-10.{role}-{name}{suffix}"]
        for name in ("last-instant", "one-ms-late", "first-instant", "one-ms-early")
    }
    assert [accepts(case) for case in edges.values()] == [True, False, True, False]
    times = {name: datetime.fromisoformat(case["time"][:-1]) for name, case in edges.items()}
    millisecond = timedelta(milliseconds=1)
    assert times["one-ms-late"] - times["last-instant"] == millisecond
    assert times["first-instant"] - times["one-ms-early"] == millisecond
    assert raw(edges["last-instant"]) == raw(edges["one-ms-late"])
    assert raw(edges["first-instant"]) == raw(edges["one-ms-early"])


@pytest.mark.parametrize("root", ["X-10.root", "X-11.govcloud-root"])
def test_x10_both_edges_of_the_roots_are_there(root):
    edges = ("last-instant", "one-ms-late", "first-instant", "one-ms-early")
    assert [accepts(CASES[f"{root}-{name}"]) for name in edges] == [True, False, True, False]


def test_both_kinds_are_there_in_both_forms_of_the_payload():
    seen = Counter()
    for case in CASES.values():
        if accepts(case):
            payload = raw(case).removeprefix(b"\xd2")[10:]
            seen[case["policy"]["kind"], payload[0]] += 1
    assert set(seen) >= {(kind, head) for kind in ("enclave", "nitrotpm") for head in (0xA9, 0xBF)}


def test_genuine_documents_of_both_forms_anchor_the_suite():
    anchors = [case for case in FILES["genuine"]["cases"] if "file" in case["document"]]
    assert {raw(case)[10] for case in anchors if accepts(case)} == {0xA9, 0xBF}
    ends = {case["id"].partition("@")[2] for case in anchors if not accepts(case)}
    assert ends >= {"one-s-late", "root-fake", "root-aws-us-gov", "debug"}
    assert all("aws" in case["judges"] for case in anchors if accepts(case))


# Who else says so.


def test_every_case_about_certificates_records_what_the_oracles_say():
    for case in CASES.values():
        family = (case["expected"]["code"] or "").partition(".")[0]
        asked = {said["oracle"] for said in case["oracles"]}
        chain = {"path-engine", "openssl", "openssl-strict"}
        if "revocation" in case:
            assert asked == {"openssl-crl"}, case["id"]
        elif accepts(case):
            assert asked == chain | {"openssl-dgst"}, case["id"]
        elif family in CHAIN_FAMILIES:
            assert asked == chain, case["id"]
        else:
            assert asked == ({"openssl-dgst"} if family == "signature" else set()), case["id"]


def test_every_disagreement_names_its_rule_and_nobody_disagrees_about_signatures():
    for case in CASES.values():
        for said in case["oracles"]:
            assert said["agrees"] or {"rule", "why"} <= said.keys()
            assert said["agrees"] or said["oracle"] != "openssl-dgst"


def test_only_who_agrees_and_can_judge_the_matter_counts_as_a_judge():
    for case in CASES.values():
        agreeing = {said["oracle"] for said in case["oracles"] if said["agrees"]}
        assert set(case["judges"]) <= agreeing | {"aws"}, case["id"]
        if accepts(case) and case["rules"][0].startswith(("P-", "M-", "T-", "L-", "policy")):
            assert set(case["judges"]) <= {"aws"}, case["id"]
        if not accepts(case) and agreeing:
            assert set(case["judges"]) == agreeing, case["id"]


@needs_openssl
def test_what_the_oracles_say_is_what_they_were_asked(monkeypatch):
    """Every sixteenth case again; all of them when the files are made with --ask."""
    monkeypatch.syspath_prepend(TOOLS)
    from vectors import fakes, oracles, suite

    (asked,) = {content["asked"]["openssl"].rpartition(".")[0] for content in FILES.values()}
    here = oracles.versions()["openssl"]
    if here.rpartition(".")[0] != asked:  # another series may accept other chains
        pytest.skip(
            f"expected OpenSSL {asked}, found {here}: its recorded results are not compared"
        )
    roots = fakes.roots()
    for case in suite.all_cases()[::16]:
        assert oracles.ask(case, roots) == CASES[case.id]["oracles"], case.id


# That we pass them.


@pytest.mark.parametrize("group", [*FILES, "image"])
def test_we_answer_every_case_with_its_code(group, monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    from vectors_runner.suite import load, request

    answer = runpy.run_path(str(ADAPTER))["answer"]
    for case in load(FOLDER, [group]):
        said = answer(request(case))
        absent = {"warnings": [], "measurements": [], "ours": said["result"]}
        expected = {key: case["expected"][key] for key in case["expected"] if key != "result"}
        found = {key: said.get(key, absent.get(key)) for key in expected}
        assert found == expected, case["id"]


def test_every_rule_of_images_and_policy_files_has_both_outcomes():
    cases = [*IMAGES["cases"], *FILES["policy-file"]["cases"]]
    outcomes = {(case["rules"][0], accepts(case)) for case in cases}
    both = {
        *("L-1", "L-2", "L-3", "L-4", "L-6", "L-7", "L-8", "M-3", "M-9", "T-6"),
        *("F-1", "F-2", "F-3", "F-4", "F-5", "F-6", "S-2"),
    }
    # L-5, M-4 to M-6, F-8 and S-3 to S-5 reject nothing; what S-1 does not reject, S-2 accepts.
    accepted = {"L-5", "M-4", "M-5", "M-6", "F-8", "S-3", "S-4", "S-5"}
    assert {rule for rule, good in outcomes if good} == both | accepted
    assert {rule for rule, good in outcomes if not good} == both | {"S-1", "T-2"}


# The tools.


def test_the_files_are_what_the_tool_makes():
    run = tool("make_vectors.py", "--check")
    assert (run.returncode, run.stderr) == (0, "")


def test_one_changed_byte_in_the_files_is_noticed(tmp_path):
    copied = shutil.copytree(FOLDER, tmp_path / "vectors")
    path = copied / "signature.json"
    path.write_text(path.read_text().replace("accept", "Accept", 1))
    run = tool("make_vectors.py", "--check", "--folder", copied)
    assert run.returncode == 1
    assert run.stderr == "signature.json is not as it would be made\n"


# The page.


def test_the_page_counts_the_cases():
    page = (ROOT / "docs/reference/conformance.md").read_text()
    rows = re.findall(
        r"^\| `([\w-]+)\.json` \|.*\| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", page, re.M
    )
    counted = {
        group: (
            len(content["cases"]),
            sum(accepts(case) for case in content["cases"]),
            sum(not accepts(case) for case in content["cases"]),
            sum(not case["judges"] for case in content["cases"]),
        )
        for group, content in (FILES | {"image": IMAGES}).items()
    }
    total = tuple(map(sum, zip(*counted.values(), strict=True)))
    assert {group: tuple(map(int, row)) for group, *row in rows} == counted
    assert re.findall(r"^\| all \|.*\| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", page, re.M) == [
        tuple(map(str, total))
    ]


def test_the_page_counts_the_disagreements():
    page = (ROOT / "docs/reference/conformance.md").read_text()
    rows = re.findall(r"^\| `([a-z-]+)` \| ([XR]-\d+) \| (\w+) \| (\d+) \| (.+) \|$", page, re.M)
    counted = Counter(
        (said["oracle"], said["rule"], said["result"], said["why"])
        for case in CASES.values()
        for said in case["oracles"]
        if not said["agrees"]
    )
    assert {(*row[:3], row[4]): int(row[3]) for row in rows} == counted


def test_the_page_names_every_feature():
    page = (ROOT / "docs/reference/conformance.md").read_text()
    table = page.partition("| feature | the verifier can |\n")[2].partition("\n\n")[0]
    named = re.findall(r"^\| `([a-z-]+)` \| [^|]+ \|$", table, re.M)
    features = [
        schema["$defs"]["case"]["properties"]["features"]["items"]["enum"]
        for schema in (SCHEMA, IMAGE_SCHEMA)
    ]
    assert set(named) == {name for names in features for name in names}


def test_the_roots_of_aws_are_those_that_ship():
    for name in ("aws", "aws-us-gov"):
        shipped = (ROOT / f"src/nitro_attest/verification/aws_roots/{name}.pem").read_bytes()
        assert (FOLDER / "roots" / f"{name}.pem").read_bytes() == shipped
    for path in (FOLDER / "roots").glob("fake*.pem"):
        subject = x509.load_pem_x509_certificate(path.read_bytes()).subject.rfc4514_string()
        assert "FAKE-NOT-AWS" in subject
