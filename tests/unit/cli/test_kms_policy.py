"""``nitro-attest kms-policy``: statements from every source, and the findings on a key policy."""

import json

import pytest

from conftest import FIXTURES

IMAGE = FIXTURES / "vectors/eif/synthetic.eif"
FILES = FIXTURES / "vectors/policy"
ONES = "11" * 48
PREFIX = "kms:RecipientAttestation:"
ROLE = ["--principal", "arn:aws:iam::123456789012:role/parent"]


@pytest.fixture
def written(tmp_path):
    """Writes a key policy of these statements and gives its path."""

    def write(*statements, **more):
        path = tmp_path / "key-policy.json"
        path.write_text(json.dumps({"Version": "2012-10-17", "Statement": statements} | more))
        return path

    return write


def conditions(out):
    return [item["Condition"]["StringEqualsIgnoreCase"] for item in json.loads(out)]


def test_an_image_becomes_a_statement_without_findings(tool, written):
    code, out, err = tool("kms-policy", "make", "--eif", IMAGE, *ROLE)
    assert (code, err) == (0, "")
    [statement] = json.loads(out)
    assert statement["Principal"] == {"AWS": [ROLE[1]]}
    assert statement["Action"] == ["kms:Decrypt"]
    assert set(conditions(out)[0]) == {f"{PREFIX}ImageSha384", f"{PREFIX}PCR1", f"{PREFIX}PCR2"}
    code, out, _ = tool("kms-policy", "lint", written(statement))
    assert (code, out.startswith("PASSED (0 errors, 0 warnings)")) == (0, True)


def test_l8_each_set_becomes_a_statement_and_unenforced_requirements_are_listed(tool):
    code, out, err = tool("kms-policy", "make", "--policy", FILES / "policy.json", *ROLE)
    assert code == 0
    assert [item["Sid"] for item in json.loads(out)] == ["NitroEnclave1", "NitroEnclave2"]
    assert "KMS does not check: max_age, require_nonce, regions" in err
    options = ["--policy", FILES / "policy.json", "--condition-only"]
    code, out, err = tool("kms-policy", "make", *options)
    assert (code, out) == (2, "")
    assert "mixtures" in err


def test_l2_the_weaknesses_of_the_policy_are_shown(tool):
    options = ["--policy", FILES / "describe-enclaves.json", "--enclave-name", "app_1"]
    code, out, err = tool("kms-policy", "make", *options, "--condition-only")
    assert code == 0
    assert f"{PREFIX}ImageSha384" in json.loads(out)["StringEqualsIgnoreCase"]
    assert err.startswith("warning: policy.source_unattested")
    code, out, err = tool("kms-policy", "make", *options, "--condition-only", "--json")
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert set(answer) == {"schema", "condition", "unenforced", "warnings"}
    assert [warning["code"] for warning in answer["warnings"]] == ["policy.source_unattested"]


@pytest.mark.parametrize("form", [ROLE, ["--condition-only"]])
def test_k11_make_warns_of_what_lint_would_find(tool, form):
    code, out, err = tool("kms-policy", "make", "--pcr", f"1={ONES}", *form)
    assert (code, bool(out)) == (0, True)
    assert "warning: keypolicy.no_image: " in err
    code, out, err = tool("kms-policy", "make", "--pcr", f"17={ONES}", *form, "--json")
    assert "keypolicy.sandbox" in [item["code"] for item in json.loads(out)["warnings"]]
    pins = ["--pcr", f"1={ONES}", "--pcr", f"2={ONES}"]
    assert tool("kms-policy", "make", *pins, *form)[::2] == (0, "")


def test_pins_and_actions_appear_in_the_statement(tool):
    options = ["--pcr", f"0={ONES}", "--pcr", f"3={ONES}", *ROLE]
    actions = ["--action", "kms:GenerateDataKey", "--action", "kms:Decrypt"]
    [statement] = json.loads(tool("kms-policy", "make", *options, *actions)[1])
    assert statement["Action"] == ["kms:GenerateDataKey", "kms:Decrypt"]
    assert set(statement["Condition"]["StringEqualsIgnoreCase"]) == {
        f"{PREFIX}ImageSha384",
        f"{PREFIX}PCR3",
    }


@pytest.mark.parametrize(
    ("form", "first"),
    [("json", "["), ("yaml", '- Sid: "NitroEnclave"'), ("hcl", 'data "aws_iam_policy_document" ')],
)
def test_the_format_of_the_output_is_chosen(tool, form, first):
    options = ["--pcr", f"1={ONES}", *ROLE, "--format", form]
    code, out, err = tool("kms-policy", "make", *options)
    assert (code, out.startswith(first)) == (0, True)
    assert err.startswith("warning: keypolicy.no_image")


def test_text_that_a_format_cannot_keep_is_a_usage_error(tool):
    options = ["--pcr", f"0={ONES}", "--principal", ROLE[1] + "${x}", "--format", "hcl"]
    code, out, err = tool("kms-policy", "make", *options)
    assert (code, out) == (2, "")
    assert "input.expected" in err


def test_the_form_of_the_document_has_an_option_of_its_own(tool, fake, when, tmp_path):
    document, root = tmp_path / "doc.hex", tmp_path / "root.pem"
    document.write_text(fake.document(at=when).hex())
    root.write_bytes(fake.root_pem)
    source = ["--document", document, "--at", when.isoformat(), "--root", root]
    make = ["kms-policy", "make", "--condition-only", *source, "--document-format"]
    assert tool(*make, "hex")[0] == 0
    assert tool(*make, "base64")[:2] == (3, "")
    document.write_text("# not a document")
    code, out, err = tool(*make[:-1])
    assert (code, out) == (3, "")
    assert "hint: set the form with --document-format raw, hex or base64" in err


def test_a_document_is_verified_before_its_pcrs_are_used(tool, fake, when, tmp_path):
    document, root = tmp_path / "doc.bin", tmp_path / "root.pem"
    document.write_bytes(fake.document(at=when, pcrs={0: bytes.fromhex(ONES)}))
    root.write_bytes(fake.root_pem)
    source = ["--document", document, "--at", when.isoformat()]
    code, out, err = tool("kms-policy", "make", *source, "--root", root, *ROLE)
    assert code == 0
    assert conditions(out)[0][f"{PREFIX}ImageSha384"] == ONES
    assert "policy.source_unattested" in err
    assert tool("kms-policy", "make", *source, *ROLE)[:2] == (4, "")
    document.write_bytes(fake.document(at=when, debug=True))
    assert tool("kms-policy", "make", *source, "--root", root, *ROLE)[:2] == (6, "")
    document.write_bytes(fake.document(at=when, kind="nitrotpm"))
    assert tool("kms-policy", "make", *source, "--root", root, *ROLE)[:2] == (3, "")


def test_t2_instances_have_separate_condition_keys(tool, written):
    options = ["--kind", "nitrotpm", "--pcr", f"4={ONES}", *ROLE]
    code, out, err = tool("kms-policy", "make", *options)
    assert (code, err) == (0, "")
    assert conditions(out) == [{f"{PREFIX}NitroTPMPCR4": ONES}]
    assert tool("kms-policy", "lint", written(*json.loads(out)))[0] == 0
    options = ["--kind", "nitrotpm", "--pcr", f"8={ONES}", "--condition-only"]
    code, out, err = tool("kms-policy", "make", *options)
    assert json.loads(out) == {"StringEqualsIgnoreCase": {f"{PREFIX}NitroTPMPCR8": ONES}}
    assert err.startswith("warning: policy.weak")


@pytest.mark.parametrize("missing", ["PCR7", "PCR12", None])
def test_t6_a_reference_file_of_an_instance_needs_its_kind(tool, tmp_path, missing):
    path = tmp_path / "pcrs"
    pcrs = {name: ONES for name in ("PCR4", "PCR7", "PCR12") if name != missing}
    lines = "\n".join(f"{name}={value}" for name, value in pcrs.items())
    for content in (json.dumps({"Measurements": pcrs}), lines):
        path.write_text(content)
        code, out, err = tool("kms-policy", "make", "--policy", path, *ROLE)
        assert (code, out) == (2, "")
        assert "policyfile.format" in err
        assert "nitrotpm" in err
        code, out, err = tool("kms-policy", "make", "--kind", "nitrotpm", "--policy", path, *ROLE)
        assert (code, set(conditions(out)[0])) == (0, {f"{PREFIX}NitroTPM{name}" for name in pcrs})
        assert ("policy.unpinned" in err) == (missing is not None and content != lines)


@pytest.mark.parametrize(
    "options",
    [
        [],
        ROLE,
        ["--eif", IMAGE],
        ["--eif", IMAGE, "--principal", ""],
        ["--eif", IMAGE, "--principal", "*"],
        ["--eif", IMAGE, *ROLE, "--action", ""],
        ["--eif", IMAGE, *ROLE, "--action", "kms:*"],
        ["--eif", IMAGE, *ROLE, "--condition-only"],
        ["--eif", IMAGE, "--condition-only", "--action", "kms:Decrypt"],
        ["--eif", IMAGE, "--at", "document", *ROLE],
        ["--eif", IMAGE, "--partition", "aws", *ROLE],
        ["--eif", IMAGE, "--document", IMAGE, *ROLE],
        ["--document", "", *ROLE],
        ["--document", IMAGE, "--kind", "nitrotpm", *ROLE],
        ["--pcr", "0=" + "00" * 48, *ROLE],
        ["--kind", "nitrotpm", "--eif", IMAGE, *ROLE],
        ["--eif", IMAGE, "--document-format", "raw", *ROLE],
        ["--eif", IMAGE, "--format", "hcl", "--json", *ROLE],
        ["--eif", IMAGE, "--format", "toml", *ROLE],
        ["--kind", "nitrotpm", "--policy", FILES / "policy.json", *ROLE],
    ],
)
def test_a_usage_error_of_make_exits_2_and_prints_no_result(tool, options):
    code, out, err = tool("kms-policy", "make", *options)
    assert (code, out) == (2, "")
    assert err


OPEN = {"Effect": "Allow", "Principal": {"AWS": ROLE[1]}, "Action": "kms:Decrypt", "Resource": "*"}
CASE = {"Condition": {"StringEquals": {f"{PREFIX}ImageSha384": ONES}}}


def test_k3_errors_are_listed_and_exit_9(tool, written):
    code, out, err = tool("kms-policy", "lint", written(OPEN))
    assert (code, err) == (9, "")
    assert out.startswith("FAILED (1 error, 0 warnings)")
    assert "  error keypolicy.unattested at /Statement/0\n" in out
    code, out, _ = tool("kms-policy", "lint", written(OPEN), "--json")
    [finding] = json.loads(out)["findings"]
    assert (code, finding["code"]) == (9, "keypolicy.unattested")


def test_k1_warnings_alone_exit_0(tool, written):
    code, out, _ = tool("kms-policy", "lint", written(OPEN | CASE))
    assert code == 0
    assert out.startswith("PASSED (0 errors, 1 warning)")
    assert "warning keypolicy.case" in out


def test_a_key_policy_cannot_control_a_terminal(tool, written):
    code, out, _ = tool("kms-policy", "lint", written(OPEN, **{"\x1b[2J\u202e": 1}))
    assert code == 9
    assert out.isascii()
    assert "\x1b" not in out


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"Statement": []}', "x" * 70000])
def test_a_malformed_key_policy_exits_2(tool, tmp_path, content):
    path = tmp_path / "policy"
    path.write_text(content)
    code, out, err = tool("kms-policy", "lint", path)
    assert (code, out) == (2, "")
    assert err.startswith("REJECTED ")
    code, out, err = tool("kms-policy", "lint", path, "--json")
    assert (code, err) == (2, "")
    assert json.loads(out)["error"]["code"] in ("policyfile.format", "input.file")


@pytest.mark.parametrize("arguments", [[], ["lint"], ["lint", ""], ["lint", "absent"], ["verify"]])
def test_a_usage_error_exits_2_and_prints_no_result(tool, arguments):
    code, out, err = tool("kms-policy", *arguments)
    assert (code, out) == (2, "")
    assert err
