"""examples/terraform: the key policy that the files describe. Terraform itself is not run."""

import json

import pytest

from nitro_attest.kms.lint import lint
from support import terraform
from support.paths import EXAMPLES

FOLDER = EXAMPLES / "terraform"
ROLES = {
    "var.administrators": ["arn:aws:iam::123456789012:role/Administrator"],
    "var.policy_editors": ["arn:aws:iam::123456789012:role/PolicyEditor"],
}
MAKE = ["kms-policy", "make", "--principal", "arn:aws:iam::123456789012:role/Webserver"]


@pytest.fixture
def image(tool, tmp_path):
    assert tool("demo", tmp_path / "desk")[0] == 0
    return tmp_path / "desk" / "app.eif"


@pytest.fixture
def key_policy():
    """The key policy of main.tf, which takes over the statements of attested.tf."""
    attested = terraform.documents(terraform.load((FOLDER / "attested.tf").read_text()))
    main = terraform.load((FOLDER / "main.tf").read_text())
    key = terraform.documents(main)["key"]
    (source,) = key["source_policy_documents"]
    assert source.strip("${}") == "data.aws_iam_policy_document.attested.json"
    (resource,) = (item['"aws_kms_key"']['"attested"'] for item in main["resource"])
    assert resource["policy"].strip("${}") == "data.aws_iam_policy_document.key.json"
    return {
        "Version": "2012-10-17",
        "Statement": [
            *terraform.statements(attested["attested"]),
            *terraform.statements(key, ROLES),
        ],
    }


def test_the_file_is_what_the_command_of_the_readme_writes(tool, image):
    out = tool(*MAKE, "--eif", image, "--format", "hcl")[1]
    assert (FOLDER / "attested.tf").read_text() == out


def test_the_statements_are_those_of_the_json_form(tool, image, key_policy):
    expected = json.loads(tool(*MAKE, "--eif", image)[1])
    assert key_policy["Statement"][: len(expected)] == expected
    (condition,) = (item["Condition"].values() for item in expected)
    (pcrs,) = condition
    assert [key.rpartition(":")[2] for key in pcrs] == ["ImageSha384", "PCR1", "PCR2"]


def codes(key_policy):
    return [(finding.severity, finding.code) for finding in lint(json.dumps(key_policy))]


def test_the_only_finding_is_the_warning_that_the_readme_names(key_policy):
    assert codes(key_policy) == [("warning", "keypolicy.conditional_way_around")]
    assert "`keypolicy.conditional_way_around`" in (FOLDER / "README.md").read_text()


@pytest.mark.parametrize("operator", ["Null", "StringEqualsIfExists"])
def test_a_looser_condition_would_be_found(key_policy, operator):
    statement = key_policy["Statement"][0]
    (value,) = statement["Condition"].values()
    statement["Condition"] = {operator: value}
    assert "error" in dict(codes(key_policy))
