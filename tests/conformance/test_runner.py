"""The runner of the conformance vectors: what it reports about any verifier."""

import base64
import hashlib
import json
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from jsonschema import Draft202012Validator

from conformance_cases import CASES, FILES, FOLDER, raw
from support.paths import ROOT, TOOLS

ADAPTER = shlex.join([sys.executable, str(TOOLS / "adapters/nitro_attest_adapter.py")])
STUB = ROOT / "tests/support/stub_verifier.py"
IMAGES = {case["id"]: case for case in json.loads((FOLDER / "image.json").read_text())["cases"]}
RESULTS = Draft202012Validator(json.loads((FOLDER / "results-schema.json").read_text()))
SOME = ("--group", "signature")

ACCEPTED = ("C-1.ordinary", "P-1.counted", "genuine.20250916", "L-1.build-enclave", "R-2.ordinary")
REJECTED = ("C-16.payload-swapped", "C-16.one-bit", "X-8.leaf-by-stranger")
REJECTED += ("L-1.build-enclave-other", "R-7.no-reason")


def tool(*arguments):
    command = [sys.executable, "-W", "error", TOOLS / "run_vectors.py", "--timeout", "120"]
    command += arguments
    return subprocess.run(command, capture_output=True, text=True, check=False)


def report_of(*arguments):
    run = tool("--json", *arguments)
    assert run.stdout, run.stderr
    report = json.loads(run.stdout)
    assert run.returncode == (1 if differs(report) else 0 if report["run"] else 2)
    return report


def differs(report):
    keys = ("accepts_wrongly", "rejects_wrongly", "mismeasures", "crashes", "unsupported")
    return any(report[key] for key in (*keys, "other_code"))


def passed(report):
    return report["right"] + sum(report["acceptable"].values())


def copy_of_the_files(folder):
    """The folder of the case files in a copy of all fixtures, to which they refer."""
    fixtures = FOLDER.parents[1]
    return shutil.copytree(fixtures, folder / "fixtures") / FOLDER.relative_to(fixtures)


def accepts(case):
    return case["expected"]["result"] == "accept"


def adapter(lines, *, controls=True):
    """An adapter that answers the control cases correctly, and each other as these lines do."""
    program = f"""
import json, sys
accepted, rejected = {ACCEPTED}, {REJECTED}
for line in sys.stdin:
    asked = json.loads(line)
    name = asked["id"]
    said = {{"id": name}}
    if {controls} and name in accepted + rejected:
        said["result"] = "accept" if name in accepted else "reject"
    else:
        {lines}
    print(json.dumps(said), flush=True)
"""
    return shlex.join([sys.executable, "-c", program])


@pytest.fixture
def stub(tmp_path):
    """A command that answers the control cases of documents correctly, and all others alike."""

    def command(default, *rejected, placeholders="{doc}"):
        inputs = {raw(CASES[name]): 0 for name in ACCEPTED[:3]}
        inputs |= {raw(CASES[name]): 1 for name in REJECTED[:3]}
        for case in [IMAGES[name] for name in rejected]:
            inputs[base64.b64decode(case["image"]["base64"])] = 1
        codes = {hashlib.sha256(one).hexdigest(): code for one, code in inputs.items()}
        if "{crls}" in placeholders:
            for name, code in ((ACCEPTED[4], 0), (REJECTED[4], 1)):
                lists = CASES[name]["revocation"]["lists"]
                content = b"".join(base64.b64decode(one["base64"]) for one in lists)
                codes[hashlib.sha256(raw(CASES[name]) + content).hexdigest()] = code
        known = tmp_path / "known.json"
        known.write_text(json.dumps(codes))
        words = [sys.executable, str(STUB), str(known), str(default)]
        return f"{shlex.join(words)} {placeholders}"

    return command


# That this project's verifier passes.


def test_we_pass_as_an_adapter():
    report = report_of("--adapter", ADAPTER)
    assert report["run"] == passed(report) == len(CASES) + len(IMAGES)
    assert sum(report["acceptable"].values()) > 100
    report = report_of("--adapter", ADAPTER, "--codes")
    assert report["run"] == report["right"] == len(CASES) + len(IMAGES)


def test_we_pass_as_a_command():
    command = f"{sys.executable} -m nitro_attest verify {{doc}} --root {{root}} --at {{time}}"
    some = [word for rule in ("C-17", "T-2", "X-20") for word in ("--rule", rule)]
    some += [word for group in ("envelope", "instance", "policy") for word in ("--group", group)]
    report = report_of("--cmd", f"{command} --kind {{kind}}", "--features", "document-time", *some)
    assert report["cases"] == report["run"] == passed(report) >= 6


def test_we_pass_as_commands_for_images_and_policy_files():
    program = f"{sys.executable} -m nitro_attest"
    verify = f"{program} verify {{doc}} --root {{root}} --at {{time}} --kind {{kind}}"
    some = [word for rule in ("L-2", "M-3", "T-6", "F-4", "S-1") for word in ("--rule", rule)]
    report = report_of(
        *("--policy-cmd", f"{verify} --policy {{policy}}"),
        *("--image-cmd", f"{program} eif {{image}}"),
        *some,
    )
    told = {"enclave-name": 6}
    assert passed(report) == report["run"] == report["cases"] - sum(told.values())
    assert report["not_run"] == told


def test_we_pass_as_a_command_for_revocation_lists():
    verify = f"{sys.executable} -m nitro_attest verify {{doc}} --root {{root}} --at {{time}}"
    report = report_of("--crl-cmd", f"{verify} --crl {{crls}}", "--rule", "R-6", "--rule", "R-8")
    assert passed(report) == report["run"] == report["cases"] == 10


# The control: a program that is not a verifier has no score.


@pytest.mark.parametrize("verifier", ["--cmd", "--adapter"])
@pytest.mark.parametrize(
    ("command", "adapted", "said"),
    [
        ("true", 'said["result"] = "accept"', "accepts everything"),
        ("false", 'said["result"] = "reject"', "rejects everything"),
        ("sh -c 'kill -6 $$'", "import os; os.abort()", "aborts (ended by SIGABRT)"),
        ("sh -c 'kill -11 $$'", "sys.exit(3)", "aborts (ended "),
    ],
)
def test_a_program_that_is_no_verifier_has_no_score(verifier, command, adapted, said, tmp_path):
    program = command if verifier == "--cmd" else adapter(adapted, controls=False)
    out = tmp_path / "results.json"
    run = tool(verifier, program, *SOME, "--json", "--out", out)
    assert (run.returncode, run.stdout) == (2, "")
    assert f"no score: the verifier {said}" in run.stderr
    assert not out.exists()


def test_an_adapter_that_prints_nothing_has_no_score():
    run = tool("--adapter", "true", *SOME)
    assert run.returncode == 2
    assert "no score: the verifier prints nothing" in run.stderr
    run = tool("--adapter", shlex.join([sys.executable, "-c", "input()"]), *SOME)
    assert "no score: the verifier prints nothing" in run.stderr


@pytest.mark.parametrize("verifier", ["--cmd", "--adapter"])
def test_a_program_that_hangs_has_no_score(verifier):
    hangs = shlex.join([sys.executable, "-c", "import threading; threading.Event().wait()"])
    run = tool(verifier, hangs, *SOME, "--timeout", "0.5")
    assert run.returncode == 2
    assert "no score: the verifier never answers in time" in run.stderr


@pytest.mark.parametrize("verifier", ["--cmd", "--adapter"])
@pytest.mark.parametrize("program", ["/nonexistent/verifier", "sh -c 'exit 127'"])
def test_a_program_that_cannot_start_has_no_score(verifier, program):
    run = tool(verifier, program, *SOME)
    assert run.returncode == 2
    assert "cannot run the verifier" in run.stderr or "no score" in run.stderr
    assert run.stdout == ""


@pytest.mark.parametrize(
    ("group", "option"),
    [("policy-file", "--policy-cmd"), ("revocation", "--crl-cmd"), ("image", "--image-cmd")],
)
def test_each_kind_of_command_has_its_control(group, option):
    placeholders = {"--policy-cmd": "{policy}", "--crl-cmd": "{crls}", "--image-cmd": "{image}"}
    run = tool(option, f"false {placeholders[option]}", "--group", group)
    assert run.returncode == 2
    assert "no score: the verifier rejects everything" in run.stderr


def test_an_adapter_that_supports_nothing_has_no_score():
    program = adapter('said["result"] = "unsupported"', controls=False)
    run = tool("--json", "--adapter", program)
    assert (run.returncode, run.stdout) == (2, "")
    assert "no score: the verifier answers unsupported" in run.stderr


def test_a_kind_whose_controls_are_unsupported_is_not_run(tmp_path):
    out = tmp_path / "results.json"
    controls = ("F-1.version-4", "F-1.elf", "S-2.other-key")
    lines = f'said["result"] = "unsupported" if name in {controls} else "reject"'
    run = tool("--json", "--adapter", adapter(lines), "--group", "image", "--out", out)
    assert run.returncode == 2
    assert "no score: no case was run" in run.stderr
    assert json.loads(run.stdout)["not_run"] == {"unsupported": len(IMAGES)}
    assert not out.exists()


MIXTURES = {
    "answers unsupported": ("uuurrr", "aaauuu", "aaaaru", "uccccc"),
    "rejects no wrong case": ("aaaccc", "mmmccc", "aaaaca"),
    "accepts no valid case": ("cccrrr", "rrraaa", "rrrarr", "cccaaa", "ccrrrc"),
    "accepts everything": ("aaaaaa", "mmmaaa"),
    "rejects everything": ("rrrrrr",),
    None: ("aaarrr", "arcrac", "mrrraa"),
}


@pytest.mark.parametrize(("reason", "answers"), MIXTURES.items())
def test_each_side_of_the_control_counts(reason, answers, monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    from vectors_runner.control import diagnosis
    from vectors_runner.verifiers import Answer

    names = {"a": "accept", "r": "reject", "u": "unsupported", "c": "crash", "m": "mismeasure"}
    for letters in answers:
        outcomes = [Answer(names[letter]) for letter in letters]
        assert diagnosis(outcomes[:3], outcomes[3:]) == reason, letters


def test_unsupported_is_a_fault_where_no_feature_is_needed():
    lines = 'said["result"] = "unsupported"'
    report = report_of("--adapter", adapter(lines), "--group", "policy")
    cases = FILES["policy"]["cases"]
    bare = {case["id"] for case in cases if not case["features"]}
    assert bare
    assert {entry["id"] for entry in report["unsupported"]} == bare
    assert report["run"] == len(bare)
    assert report["not_run"] == {"unsupported": len(cases) - len(bare)}


def test_a_suite_without_the_control_cases_is_an_error(tmp_path):
    copied = copy_of_the_files(tmp_path)
    (copied / "envelope.json").unlink()
    run = tool("--cmd", "true", "--vectors", copied, *SOME)
    assert run.returncode == 2
    assert "the control case 'C-1.ordinary' is not in the suite" in run.stderr


# What is reported.


@pytest.mark.parametrize(("code", "wrong"), [(0, "accepts"), (1, "rejects")])
def test_a_command_that_answers_all_but_the_control_alike_is_found_out(stub, code, wrong):
    report = report_of("--cmd", stub(code), *SOME)
    found = {entry["id"] for entry in report[f"{wrong}_wrongly"]}
    expected = {case["id"]: accepts(case) for case in FILES["signature"]["cases"]}
    known = {raw(CASES[name]) for name in ACCEPTED[:3] + REJECTED[:3]}
    assert found == {
        name
        for name, good in expected.items()
        if good == bool(code) and raw(CASES[name]) not in known
    }
    assert report["right"] == report["run"] - len(found)


def test_acceptable_cases_count_neither_as_right_nor_as_wrong():
    either = {name for name, case in CASES.items() if case["expected"]["result"] == "acceptable"}
    chosen = ("--group", "payload")
    of_group = [case["id"] in either for case in FILES["payload"]["cases"]]
    for result in ("accept", "reject"):
        report = report_of("--adapter", adapter(f'said["result"] = "{result}"'), *chosen)
        assert report["acceptable"] == {result: sum(of_group)}
        wrong = report["accepts_wrongly"] + report["rejects_wrongly"]
        assert not either & {entry["id"] for entry in wrong}
        assert report["run"] == report["right"] + sum(of_group) + len(wrong)


def test_the_table_counts_forgeries_by_class_and_lists_them_first(stub):
    chosen = [word for rule in ("C-14", "C-7", "C-15") for word in ("--rule", rule)]
    run = tool("--cmd", stub(0), "--group", "signature", "--group", "envelope", *chosen)
    assert run.returncode == 1
    rows = {line.split("  ")[0]: re.split(" {2,}", line) for line in run.stdout.splitlines()}
    assert rows["class"][1:4] == ["forgeries accepted", "other faults accepted", "valid rejected"]
    assert rows["signature"][1:4] == ["7 of 7", "-", "0 of 2"]
    assert rows["envelope"][1:4] == ["-", "3 of 3", "-"]
    assert "Accepts what must be rejected: 10 (7 critical, 3 by our reading alone)" in run.stdout
    listed = re.findall(r"^  (C-\d+)\.\S+ +(\w+) +\S+: ", run.stdout, re.MULTILINE)
    assert listed == [("C-14", "critical")] * 7 + [("C-7", "high")] + [("C-7", "medium")] * 2


def test_the_needs_of_a_case_that_a_command_lacks_are_counted(stub):
    report = report_of("--cmd", stub(1), "--group", "policy")
    untold = [case for case in FILES["policy"]["cases"] if case["features"]]
    assert report["run"] == report["cases"] - len(untold)
    assert sum(report["not_run"].values()) == len(untold)


def test_a_verifier_without_revocation_lists_skips_their_cases(stub):
    cases = len(FILES["revocation"]["cases"])
    report = report_of("--cmd", "false {doc}", "--group", "revocation")
    assert report["not_run"] == {"crl cases": cases}
    report = report_of("--crl-cmd", "false {doc}", "--group", "revocation")
    assert report["not_run"] == {"crl": cases - 2, "crl, crl-max-age": 2}
    command = stub(1, placeholders="{doc} {crls}")
    report = report_of("--crl-cmd", command, "--group", "revocation", "--rule", "R-3")
    assert report["not_run"] == {"crl-max-age": 2}


def test_a_tool_that_measures_otherwise_is_found_out(stub):
    lies = stub(0, "F-1.elf", "S-2.other-key", placeholders="{image}")
    report = report_of("--image-cmd", lies, "--rule", "M-4", "--rule", "S-5")
    assert {entry["id"] for entry in report["mismeasures"]} == {
        *("M-4.one-ramdisk", "S-5.byte-strings")
    }
    assert report["run"] == 2
    said = 'said["result"] = "reject" if name in ("F-1.elf", "S-2.other-key") else "accept"'
    report = report_of("--adapter", adapter(said), "--group", "image")
    measured = [case for case in IMAGES.values() if accepts(case)]
    assert len(report["mismeasures"]) == len(measured)
    assert len(report["accepts_wrongly"]) == report["cases"] - len(measured) - 2


CRASH = 'os = __import__("os"); name == "C-15.low-s" and os.abort(); said["result"] = "reject"'
HANG = CRASH.replace("os.abort()", "__import__('threading').Event().wait()")


def test_a_crash_is_reported_and_the_adapter_is_started_again():
    report = report_of("--adapter", adapter(CRASH), *SOME)
    [entry] = report["crashes"]
    assert (entry["id"], entry["found"]) == ("C-15.low-s", "crash")
    assert entry["message"] == "ended by SIGABRT"
    assert report["run"] == report["cases"]


def test_a_hang_is_reported_as_a_timeout():
    report = report_of("--adapter", adapter(HANG), *SOME, "--timeout", "20")
    [entry] = report["crashes"]
    assert (entry["found"], entry["message"]) == ("timeout", "no answer within 20 s")


HOG = """
import subprocess, sys
claims = bytes([255]) * 8 in open(sys.argv[-1], "rb").read()
memory = claims and b"x" * (100 << 20)
sys.exit(subprocess.run(sys.argv[1:]).returncode)
"""


@pytest.mark.parametrize("verifier", ["--cmd", "--adapter"])
def test_an_answer_that_takes_too_much_memory_is_listed(verifier, stub, tmp_path):
    (tmp_path / "hog.py").write_text(HOG)
    programs = {
        "--cmd": f"{shlex.join([sys.executable, str(tmp_path / 'hog.py')])} {stub(1)}",
        "--adapter": adapter(
            'memory = name == "P-12.cost" and b"x" * (100 << 20); said["result"] = "reject"'
        ),
    }
    out = tmp_path / "results.json"
    report = report_of(verifier, programs[verifier], "--rule", "P-12", "--out", out)
    [entry] = report["crashes"]
    assert (entry["id"], entry["found"]) == ("P-12.cost", "excess")
    assert re.fullmatch(r"took \d+ MiB more than usual, 64 allowed", entry["message"])
    RESULTS.validate(json.loads(out.read_text()))


def test_abort_as_reject_takes_an_abort_for_a_rejection_and_no_other_crash(tmp_path):
    out = tmp_path / "results.json"
    for ending, found in (("abort()", "reject"), ("kill(os.getpid(), 11)", "crash")):
        program = adapter(CRASH.replace("abort()", ending))
        report = report_of("--adapter", program, *SOME, "--abort-as-reject", "--out", out)
        outcomes = {case["id"]: case["outcome"] for case in json.loads(out.read_text())["cases"]}
        assert outcomes["C-15.low-s"] == found
        assert bool(report["crashes"]) == (found == "crash")
    run = tool("--cmd", "sh -c 'kill -6 $$'", "--abort-as-reject", *SOME)
    assert "no score: the verifier rejects everything" in run.stderr


@pytest.mark.parametrize(
    "lines",
    [
        "print(line, end='', flush=True)",
        "print('yes', flush=True)",
        "print('[]', flush=True)",
        'print(\'{"id": "another", "result": "reject"}\', flush=True)',
    ],
)
def test_an_adapter_that_does_not_follow_the_protocol_is_an_error(lines):
    program = f"import sys\nfor line in sys.stdin: {lines}"
    run = tool("--adapter", shlex.join([sys.executable, "-c", program]), *SOME)
    assert run.returncode == 2
    assert "malformed answer to C-1.ordinary" in run.stderr


def test_the_request_has_the_features_of_the_case():
    lines = 'said["result"] = "accept" if "nonce" in asked["features"] else "reject"'
    report = report_of("--adapter", adapter(lines), "--rule", "policy", "--group", "policy")
    accepted = {entry["id"] for entry in report["accepts_wrongly"]}
    assert accepted == {
        case["id"]
        for case in FILES["policy"]["cases"]
        if case["rules"][0] == "policy"
        and "nonce" in case["features"]
        and case["expected"]["result"] == "reject"
    }


def test_a_document_that_was_changed_in_the_files_is_an_error(tmp_path):
    copied = copy_of_the_files(tmp_path)
    path = copied / "signature.json"
    path.write_text(re.sub('"base64": "hE', '"base64": "hF', path.read_text(), count=1))
    run = tool("--cmd", "true", "--vectors", copied, *SOME)
    assert run.returncode == 2
    assert "is not the one that was stored" in run.stderr


@pytest.mark.parametrize("arguments", [(), ("--cmd", "true", "--adapter", "true")])
def test_commands_or_an_adapter_are_needed_and_not_both(arguments):
    run = tool(*arguments)
    assert run.returncode == 2
    assert "not both" in run.stderr


# Files of results.


def test_the_results_have_every_case_and_are_as_their_schema_says(tmp_path):
    out = tmp_path / "results.json"
    name = ("--tool", "verifier", "--tool-version", "1.2")
    report_of("--adapter", adapter(CRASH), *SOME, "--out", out, *name)
    content = json.loads(out.read_text())
    Draft202012Validator.check_schema(RESULTS.schema)
    assert RESULTS.is_valid(content)
    assert (content["tool"], content["tool_version"]) == ("verifier", "1.2")
    assert content["harness"] == "run_vectors.py"
    assert re.search(rf"^## {content['suite_version']}$", (FOLDER / "CHANGES.md").read_text(), re.M)
    assert [case["id"] for case in content["cases"]] == [
        case["id"] for case in FILES["signature"]["cases"]
    ]
    for member in RESULTS.schema["required"]:
        assert not RESULTS.is_valid({key: content[key] for key in content if key != member})


def test_two_results_are_compared(tmp_path):
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    report_of("--adapter", adapter('said["result"] = "reject"'), *SOME, "--out", before)
    report_of("--adapter", adapter(CRASH), *SOME, "--out", after)
    run = tool("--compare", before, after)
    assert run.returncode == 1
    assert "1 case differs" in run.stdout
    assert run.stdout.splitlines()[-1] == "  C-15.low-s  reject -> crash (expected accept)"
    run = tool("--compare", before, before)
    assert (run.returncode, run.stdout) == (0, "no case differs\n")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": "other"}'])
def test_what_is_no_file_of_results_is_not_compared(tmp_path, content):
    path = tmp_path / "results.json"
    path.write_text(content)
    run = tool("--compare", path, path)
    assert run.returncode == 2
    assert "cannot read the results" in run.stderr
