"""``nitro-attest policy``: what it writes, ``verify`` reads; and the tool reads its own output."""

import json

import pytest

from conftest import FIXTURES
from nitro_attest import MeasurementSet, Policy
from nitro_attest.measurements import measure, pcr3_from_role_arn
from nitro_attest.policy_files import load_policy

FILES = FIXTURES / "vectors/policy"
EIF = FIXTURES / "vectors/eif/synthetic.eif"
ROLES = [f"arn:aws:iam::123456789012:role/{name}" for name in ("Blue", "Green")]


@pytest.fixture
def write(tool, tmp_path):
    """Runs a command and keeps what it prints, as a shell does with ``>``."""

    def call(*arguments):
        code, out, _ = tool(*arguments)
        assert code == 0
        path = tmp_path / "written"
        path.write_text(out)
        return path

    return call


def test_make_writes_the_pcrs_of_an_image_and_a_role(tool, write):
    path = write("policy", "make", "--eif", EIF, "--role", ROLES[0], "--name", "v1")
    loaded = load_policy(path)
    assert loaded.form == "policy"
    pcrs = measure(EIF).measurements() | {3: pcr3_from_role_arn(ROLES[0])}
    assert loaded.policy == Policy([MeasurementSet(pcrs, "v1")])


def test_of_several_roles_each_makes_a_measurement_set(write):
    options = [part for role in ROLES for part in ("--role", role)]
    sets = load_policy(write("policy", "make", "--pcr", "0=" + "ab" * 48, *options)).policy
    assert [item.name for item in sets.measurements] == ROLES
    assert [item.pcrs[3] for item in sets.measurements] == list(map(pcr3_from_role_arn, ROLES))
    named = load_policy(write("policy", "make", "--policy", FILES / "policy.json", *options)).policy
    old = [item.name for item in load_policy(FILES / "policy.json").policy.measurements]
    assert [item.name for item in named.measurements] == [f"{n} {r}" for n in old for r in ROLES]


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--role", ROLES[0]],
        ["--eif", EIF, "--role", ""],
        ["--eif", EIF, "--role", "Blue"],
        ["--eif", EIF, "--role", ROLES[0], "--pcr", "3=" + "ab" * 48],
        ["--policy", FILES / "policy.json", "--name", "v1"],
        ["--eif", EIF, "--name", ""],
        ["--eif", EIF, "--kind", "nitrotpm"],
        ["--policy-form", "lines", "--eif", EIF],
        ["--policy", FILES / "assigned.txt", "--policy-form", "flat"],
        ["--policy", FILES / "assigned.txt", "--policy-form", "document"],
    ],
)
def test_make_with_contradictory_or_missing_requirements_prints_nothing(tool, options):
    code, out, err = tool("policy", "make", *options)
    assert (code, out) == (2, "")
    assert err


def test_make_never_allows_debug_mode(tool, tmp_path):
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(Policy([{0: "ab" * 48}], allow_debug=True).to_dict()))
    assert json.loads(tool("policy", "make", "--policy", path)[1])["allow_debug"] is False


def test_make_prints_weaknesses_on_stderr(tool):
    code, out, err = tool("policy", "make", "--eif", EIF, "--require-unsigned")
    assert (code, json.loads(out)["schema"]) == (0, "nitro-attest-policy/1")
    assert err.startswith("warning: policy.weak: ")


@pytest.mark.parametrize("verb", ["check", "show"])
def test_check_and_show_give_the_policy_in_json(tool, verb):
    answer = json.loads(tool("policy", verb, FILES / "build-enclave.txt", "--json")[1])
    loaded = load_policy(FILES / "build-enclave.txt")
    assert answer == {
        "schema": "nitro-attest/1",
        "source": str(FILES / "build-enclave.txt"),
        "form": "image",
        "policy": loaded.policy.to_dict(),
        "warnings": [],
    }


def test_check_lists_warnings_and_may_fail_on_them(tool):
    good, running = FILES / "build-enclave.txt", FILES / "describe-enclaves.json"
    headline = f"PASSED (form image, 1 measurement set, 0 warnings): {good}\n"
    assert tool("policy", "check", good, "--fail-on-warning") == (0, headline, "")
    command = ["policy", "check", running, "--enclave-name", "app_1"]
    code, out, _ = tool(*command)
    assert (code, "  warning      policy.source_unattested: " in out) == (0, True)
    assert tool(*command, "--fail-on-warning")[0] == 6


def test_show_lists_every_requirement(tool):
    out = tool("policy", "show", FILES / "policy.json")[1]
    policy = load_policy(FILES / "policy.json").policy
    for item in policy.measurements:
        assert f"  set          {item.name}\n" in out
        for index, value in item.pcrs.items():
            assert f"  PCR{index}         {value.hex()}\n" in out
    assert "  debug mode   not allowed\n" in out
    assert f"  maximum age  {policy.max_age or 'any'}\n" in out
    assert f"  regions      {', '.join(policy.regions or ['any'])}\n" in out


@pytest.mark.parametrize("verb", ["check", "show"])
@pytest.mark.parametrize(
    ("content", "options", "code"),
    [
        ("", [], "policyfile.empty"),
        ('{"PCR0": 1}', [], "policyfile.hex"),
        ('{"PCR": "' + "ab" * 48 + '"}', [], "policyfile.pcr_index"),
        ("PCR0=" + "ab" * 48, ["--policy-form", "image"], "policyfile.format"),
        ("PCR0=" + "ab" * 48, ["--enclave-name", "app"], "policyfile.format"),
    ],
)
def test_a_file_that_is_no_policy_is_rejected(tool, tmp_path, verb, content, options, code):
    path = tmp_path / "file"
    path.write_text(content)
    found, out, err = tool("policy", verb, path, *options)
    assert (found, out, err.splitlines()[0]) == (2, "", f"REJECTED {code}: {path}")
    answer = json.loads(tool("policy", verb, path, *options, "--json")[1])
    assert answer["error"]["code"] == code


@pytest.mark.parametrize(
    ("command", "more"),
    [
        (["eif", EIF, "--json"], []),
        (["pcr", "role", ROLES[0]], []),
        (["pcr", "role", ROLES[0], "--json"], []),
        (["pcr", "instance", "i-1234567890abcdef0", "--json"], []),
        (["pcr", "extend", "0102", "--json"], ["--pcr-index", "16"]),
        (["kms-policy", "make", "--eif", EIF, "--principal", ROLES[0]], []),
        (["kms-policy", "make", "--eif", EIF, "--principal", ROLES[0], "--json"], []),
        (["kms-policy", "make", "--eif", EIF, "--condition-only"], []),
        (["kms-policy", "make", "--eif", EIF, "--condition-only", "--json"], []),
        (["policy", "make", "--eif", EIF], []),
        (["policy", "show", FILES / "policy.json", "--json"], []),
        (["policy", "check", FILES / "policy.json", "--json"], []),
    ],
)
def test_the_tool_reads_its_own_output_as_a_policy(tool, write, command, more):
    path = write(*command)
    found = json.loads(tool("policy", "show", path, *more, "--json")[1])["policy"]
    hexes = {value for item in found["measurements"] for value in item["pcrs"].values()}
    assert hexes
    assert all(value in path.read_text() for value in hexes)


@pytest.mark.parametrize("target", [["--principal", ROLES[0]], ["--condition-only"]])
@pytest.mark.parametrize(
    ("policy", "lost"),
    [
        (Policy([{0: "ab" * 48}], regions=["us-east-1"], require_nonce=True), "require_nonce"),
        (Policy([{0: "ab" * 48}], caveats=["policy.source_unattested"]), "source_unattested"),
        (Policy([{0: "ab" * 48}], caveats=["policy.debug_flag"]), "debug_flag"),
    ],
)
def test_statements_that_leave_out_a_part_of_their_policy_are_rejected(
    tool, write, tmp_path, target, policy, lost
):
    source = tmp_path / "policy.json"
    source.write_text(json.dumps(policy.to_dict()))
    path = write("kms-policy", "make", "--policy", source, *target, "--json")
    code, _, err = tool("policy", "check", path)
    assert (code, f"REJECTED policyfile.format: {path}" in err, lost in err) == (2, True, True)
    shown = write("policy", "show", source, "--json")
    assert load_policy(shown).policy == policy


def test_the_json_of_a_kernel_image_is_a_policy_for_instances(tool, write, tmp_path):
    path = write("pcr", "uki", FIXTURES / "vectors/uki/synthetic.efi", "--json")
    make = ["kms-policy", "make", "--condition-only", "--policy", path]
    assert tool(*make, "--kind", "nitrotpm")[0] == 0
    assert tool(*make)[0] == 2


def test_a_whole_result_for_a_document_is_rejected_and_its_pcrs_are_read(tool, write):
    document = FIXTURES / "real/20250916_encl_us-east-1_tkhq_b1086cbb.bin"
    path = write("verify", document, "--at", "document", "--json")
    code, _, err = tool("policy", "check", path)
    assert (code, "pcrs" in err) == (2, True)
    path.write_text(json.dumps(json.loads(path.read_text())["attestation"]["document"]["pcrs"]))
    assert tool("verify", document, "--at", "document", "--policy", path)[0] == 0
