"""``nitro-attest pcr``: the worked values, printed by the command line and accepted by it."""

import json

import pytest

from conftest import FIXTURES, ROOT
from nitro_attest.testing.uki import build_uki, signature_list

VECTORS = json.loads((FIXTURES / "vectors/measurements.json").read_text())
UKI = FIXTURES / "vectors/uki/synthetic.efi"
ROLE = VECTORS["pcr3"][0]
INSTANCE = VECTORS["pcr4"][0]
CERTIFICATE = VECTORS["pcr8"][0]
CASES = [
    (["role", ROLE["role_arn"]], 3, ROLE["pcr"]),
    (["instance", INSTANCE["instance_id"]], 4, INSTANCE["pcr"]),
    (["certificate", ROOT / CERTIFICATE["certificate"]], 8, CERTIFICATE["pcr"]),
]


@pytest.mark.parametrize(("arguments", "index", "value"), CASES)
def test_the_worked_values_are_printed_as_pins(tool, arguments, index, value):
    assert tool("pcr", *arguments) == (0, f"PCR{index}={value}\n", "")
    answer = json.loads(tool("pcr", *arguments, "--json")[1])
    assert answer == {
        "schema": "nitro-attest/1",
        "source": str(arguments[1]),
        "pcrs": {str(index): value},
    }


@pytest.mark.parametrize("vector", VECTORS["replay"], ids=lambda vector: vector["id"])
def test_extends_are_replayed(tool, vector):
    assert tool("pcr", "extend", *vector["extends"]) == (0, f"{vector['pcr']}\n", "")


def test_extends_may_start_from_any_value(tool):
    once = tool("pcr", "extend", "01")[1].strip()
    twice = tool("pcr", "extend", "02", "--start", once)[1]
    assert twice == tool("pcr", "extend", "01", "02")[1]
    answer = json.loads(tool("pcr", "extend", "01", "--json")[1])
    assert answer == {"schema": "nitro-attest/1", "value": once}


def test_the_output_is_accepted_as_pins_and_as_a_policy_file(tool, fake, when, tmp_path):
    pins = "".join(tool("pcr", *arguments)[1] for arguments, _, _ in CASES)
    values = {index: bytes.fromhex(value) for _, index, value in CASES}
    document, root, policy = (tmp_path / name for name in ("doc.bin", "root.pem", "pcrs.txt"))
    document.write_bytes(fake.document(at=when, pcrs=values))
    root.write_bytes(fake.root_pem)
    policy.write_text(pins)
    base = ["verify", document, "--root", root, "--at", when.isoformat()]
    assert tool(*base, "--policy", policy)[0] == 0
    assert tool(*base, *[f"--pcr={pin}" for pin in pins.split()])[0] == 0


def test_t7_a_kernel_image_gives_the_pcrs_of_an_instance(tool, fake, when, tmp_path):
    code, out, err = tool("pcr", "uki", UKI)
    assert (code, err) == (0, "")
    assert [line.partition("=")[0] for line in out.splitlines()] == ["PCR4", "PCR7", "PCR12"]
    printed = json.loads(tool("pcr", "uki", UKI, "--json")[1])["pcrs"]
    assert "".join(f"PCR{index}={value}\n" for index, value in printed.items()) == out
    values = {int(index): bytes.fromhex(value) for index, value in printed.items()}
    document, root, policy = (tmp_path / name for name in ("doc.bin", "root.pem", "pcrs.txt"))
    document.write_bytes(fake.document(at=when, kind="nitrotpm", pcrs=values))
    root.write_bytes(fake.root_pem)
    policy.write_text(out)
    base = ["verify", document, "--root", root, "--at", when.isoformat(), "--kind", "nitrotpm"]
    assert tool(*base, "--policy", policy)[0] == 0


def test_t7_secure_boot_changes_pcr7(tool, tmp_path):
    image, variable = tmp_path / "signed.efi", tmp_path / "variable.esl"
    image.write_bytes(build_uki(certificate_table=b"signature"))
    variable.write_bytes(signature_list(b"certificate"))
    options = ["--pk", variable, "--db", variable]
    seen = {tool("pcr", "uki", image)[1].splitlines()[1]}
    for more in ([], ["--kek", variable], ["--dbx", variable]):
        code, out, _ = tool("pcr", "uki", image, *options, *more)
        assert code == 0
        seen.add(out.splitlines()[1])
    assert len(seen) == 4


def test_a_rejected_role_arn_names_the_right_one(tool):
    arn = "arn:aws:sts::123456789012:assumed-role/Webserver/session"
    code, out, err = tool("pcr", "role", arn)
    assert (code, out) == (2, "")
    assert "arn:aws:iam::123456789012:role/Webserver" in err
    code, out, err = tool("pcr", "role", arn, "--json")
    assert (code, err) == (2, "")
    assert json.loads(out)["error"]["code"] == "input.expected"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["role"],
        ["role", ""],
        ["role", "Webserver"],
        ["instance", ""],
        ["instance", "i-123"],
        ["certificate", ""],
        ["certificate", "no-such-file"],
        ["certificate", UKI],
        ["extend"],
        ["extend", ""],
        ["extend", "0"],
        ["extend", "text"],
        ["extend", "01", "--start", ""],
        ["extend", "01", "--start", "01"],
        ["uki"],
        ["uki", ""],
        ["uki", "no-such-file"],
        ["uki", UKI, "--systemd-stub-version", "0"],
        ["uki", UKI, "--systemd-stub-version", ""],
        ["uki", UKI, "--pk", UKI],
        ["uki", UKI, "--db", UKI],
        ["uki", UKI, "--kek", UKI, "--dbx", UKI],
        ["uki", UKI, "--pk", UKI, "--db", UKI],
        ["boot"],
    ],
)
def test_a_usage_error_exits_2_and_prints_no_result(tool, arguments):
    code, out, err = tool("pcr", *arguments)
    assert (code, out) == (2, "")
    assert err


def test_a_file_that_is_no_kernel_image_exits_8(tool):
    code, out, err = tool("pcr", "uki", FIXTURES / "vectors/eif/synthetic.eif")
    assert (code, out) == (8, "")
    assert err.startswith("REJECTED pe.")


def test_a_file_that_is_no_certificate_is_described_without_the_words_of_a_parser(tool):
    code, out, err = tool("pcr", "certificate", UKI)
    assert (code, out) == (2, "")
    assert f"found {UKI.stat().st_size} bytes that begin with {UKI.read_bytes()[:8].hex()}" in err
    assert "ParseError" not in err


def test_of_several_certificates_the_first_is_measured_with_a_note(tool, tmp_path, fake):
    one, two = tmp_path / "one.pem", tmp_path / "two.pem"
    one.write_bytes(fake.root_pem)
    two.write_bytes(fake.root_pem + (ROOT / CERTIFICATE["certificate"]).read_bytes())
    code, out, err = tool("pcr", "certificate", one)
    assert (code, err) == (0, "")
    note = "note: PCR8 measures only the first of 2 certificates\n"
    assert tool("pcr", "certificate", two) == (0, out, note)
