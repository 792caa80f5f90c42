"""The conformance vectors: what is in them, that we pass them, and the tools around them."""

import copy
import json
import re
import runpy
import shlex
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
    return case["expected"]["result"] == "accept"


def tool(name, *arguments):
    command = [sys.executable, "-W", "error", TOOLS / name, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def report_of(*arguments):
    run = tool("run_vectors.py", "--json", *arguments)
    assert run.returncode in (0, 1), run.stderr
    return json.loads(run.stdout)


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
def test_we_answer_every_case_with_its_code(group):
    answer = runpy.run_path(str(ADAPTER))["answer"]
    runner = runpy.run_path(str(TOOLS / "run_vectors.py"))
    for case in runner["load"](FOLDER, [group], None):
        said = answer(runner["question"](case))
        absent = {"warnings": [], "measurements": []}
        found = {key: said.get(key, absent.get(key)) for key in case["expected"]}
        assert found == case["expected"], case["id"]


def test_we_pass_as_an_adapter():
    report = report_of("--adapter", shlex.join([sys.executable, str(ADAPTER)]), "--codes")
    assert report["run"] == report["right"] == len(CASES) + len(IMAGES["cases"])


def test_we_pass_as_a_command():
    command = f"{sys.executable} -m nitro_attest verify {{doc}} --root {{root}} --at {{time}}"
    some = [word for rule in ("C-17", "T-2", "X-20") for word in ("--rule", rule)]
    some += [word for group in ("envelope", "instance", "policy") for word in ("--group", group)]
    report = report_of("--cmd", f"{command} --kind {{kind}}", "--features", "document-time", *some)
    assert report["cases"] == report["run"] == report["right"] >= 6


def test_we_pass_as_commands_for_images_and_policy_files():
    tool = f"{sys.executable} -m nitro_attest"
    verify = f"{tool} verify {{doc}} --root {{root}} --at {{time}} --kind {{kind}}"
    some = [word for rule in ("L-2", "M-3", "T-6", "F-4", "S-1") for word in ("--rule", rule)]
    report = report_of(
        *("--policy-cmd", f"{verify} --policy {{policy}}", "--image-cmd", f"{tool} eif {{image}}"),
        *some,
    )
    told = {"enclave-name": 6}
    assert report["right"] == report["run"] == report["cases"] - sum(told.values())
    assert report["not_run"] == told


def test_we_pass_as_a_command_for_revocation_lists():
    verify = f"{sys.executable} -m nitro_attest verify {{doc}} --root {{root}} --at {{time}}"
    report = report_of("--crl-cmd", f"{verify} --crl {{crls}}", "--rule", "R-6", "--rule", "R-8")
    assert report["right"] == report["run"] == report["cases"] == 10


def test_a_verifier_without_revocation_lists_skips_their_cases():
    cases = len(FILES["revocation"]["cases"])
    report = report_of("--cmd", "false {doc}", "--group", "revocation")
    assert report["not_run"] == {"crl cases": cases}
    report = report_of("--crl-cmd", "false {doc}", "--group", "revocation")
    assert report["not_run"] == {"crl": cases - 2, "crl, crl-max-age": 2}
    report = report_of("--crl-cmd", "false {doc} {crls}", "--group", "revocation")
    assert report["not_run"] == {"crl-max-age": 2}


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


def test_a_tool_that_measures_otherwise_is_found_out():
    lies = shlex.join([sys.executable, "-c", f"print({'00' * 48!r})"])
    report = report_of("--image-cmd", f"{lies} {{image}}", "--rule", "M-4", "--rule", "S-5")
    assert {entry["id"] for entry in report["mismeasures"]} == {
        *("M-4.one-ramdisk", "S-5.byte-strings")
    }
    assert report["run"] == 2
    said = (
        "import json; print(json.dumps({'id': json.loads(line)['id'], 'result': 'accept'}),"
        " flush=True)"
    )
    report = report_of("--adapter", answers(said), "--group", "image")
    measured = [case for case in IMAGES["cases"] if accepts(case)]
    assert len(report["mismeasures"]) == len(measured)
    assert len(report["accepts_wrongly"]) == report["cases"] - len(measured)


@pytest.mark.parametrize("arguments", [(), ("--cmd", "true", "--adapter", "true")])
def test_commands_or_an_adapter_are_needed_and_not_both(arguments):
    run = tool("run_vectors.py", *arguments)
    assert run.returncode == 2
    assert "not both" in run.stderr


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


SOME = ("--group", "signature")


@pytest.mark.parametrize(("command", "wrong"), [("true", "accepts"), ("false", "rejects")])
def test_a_command_that_always_says_the_same_is_found_out(command, wrong):
    report = report_of("--cmd", f"{command} {{doc}} {{root}} {{time}}", *SOME)
    found = {entry["id"] for entry in report[f"{wrong}_wrongly"]}
    expected = {case["id"]: accepts(case) for case in FILES["signature"]["cases"]}
    assert found == {name for name, good in expected.items() if good != (wrong == "accepts")}
    assert report["right"] == report["run"] - len(found)


def test_the_table_says_what_was_wrongly_accepted():
    run = tool("run_vectors.py", "--cmd", "true {doc}", "--rule", "C-14")
    assert run.returncode == 1
    assert "Accepts what must be rejected: 7 (0 by our reading alone)" in run.stdout
    assert re.search(r"^  C-14\.r-zero +signature\.range: ", run.stdout, re.MULTILINE)


def test_what_a_command_cannot_be_told_is_not_run_but_counted():
    report = report_of("--cmd", "false {doc}", "--group", "policy")
    untold = [case for case in FILES["policy"]["cases"] if case["features"]]
    assert report["run"] == report["cases"] - len(untold)
    assert sum(report["not_run"].values()) == len(untold)
    whole = report_of("--cmd", "false {case}", "--group", "policy")
    assert whole["run"] == whole["cases"]
    assert "policy.nonce" in {entry["id"] for entry in whole["rejects_wrongly"]}


@pytest.mark.parametrize("verifier", ["--cmd", "--adapter"])
def test_a_verifier_that_crashes_is_reported_as_crashing(verifier):
    killed = shlex.join(["sh", "-c", "kill -9 $$"])
    report = report_of(verifier, killed, *SOME)
    assert [entry["found"] for entry in report["crashes"]] == ["crash"] * report["cases"]


@pytest.mark.parametrize("verifier", ["--cmd", "--adapter"])
def test_a_verifier_that_hangs_is_reported_as_crashing(verifier):
    hangs = shlex.join([sys.executable, "-c", "import threading; threading.Event().wait()"])
    report = report_of(verifier, hangs, "--rule", "C-15", "--group", "signature", "--timeout", "1")
    assert len(report["crashes"]) == report["cases"]


@pytest.mark.parametrize("verifier", ["--cmd", "--adapter"])
def test_a_verifier_that_is_not_there_is_an_error(verifier):
    run = tool("run_vectors.py", verifier, "/nonexistent/verifier", *SOME)
    assert run.returncode == 2
    assert "cannot run the verifier" in run.stderr


def answers(text):
    return shlex.join([sys.executable, "-c", f"import sys\nfor line in sys.stdin: {text}"])


@pytest.mark.parametrize(
    "text",
    [
        "print(line, end='', flush=True)",
        "print('yes', flush=True)",
        "print('[]', flush=True)",
        'print(\'{"id": "another", "result": "reject"}\', flush=True)',
    ],
)
def test_an_adapter_that_does_not_keep_to_the_protocol_is_an_error(text):
    run = tool("run_vectors.py", "--adapter", answers(text), *SOME)
    assert run.returncode == 2
    assert "of the protocol" in run.stderr


def test_an_adapter_may_say_that_it_cannot_be_asked():
    said = (
        "import json; print(json.dumps({'id': json.loads(line)['id'], 'result': 'unsupported'}),"
        " flush=True)"
    )
    report = report_of("--adapter", answers(said), *SOME)
    assert report["run"] == 0
    assert report["not_run"] == {"unsupported": report["cases"]}


def test_a_document_that_was_changed_in_the_files_is_an_error(tmp_path):
    copied = shutil.copytree(FOLDER, tmp_path / "vectors")
    path = copied / "signature.json"
    path.write_text(re.sub('"base64": "hE', '"base64": "hF', path.read_text(), count=1))
    run = tool("run_vectors.py", "--cmd", "true", "--vectors", copied, *SOME)
    assert run.returncode == 2
    assert "is not the one that was stored" in run.stderr


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
    named = re.findall(r"^\| `([a-z-]+)` \| [^|]+ \|$", page, re.M)
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
