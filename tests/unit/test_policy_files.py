"""Policy files, which are parsed as strictly as documents (L-1 to L-8)."""

import json
import sys
from pathlib import Path

import pytest

from nitro_attest import InputError, Policy, parse_unverified, verify
from nitro_attest._internal.pcrs import EMPTY_RAMDISKS
from nitro_attest._internal.strict_json import MAX_DEPTH
from nitro_attest.kms.statements import statements
from nitro_attest.policy_files import (
    MAX_POLICY_FILE_BYTES,
    load_policy,
    parse_nitrotpm_policy,
    parse_policy,
    policy_of_document,
)
from support.errors import code_of, code_or_none

FILES = Path(__file__).resolve().parents[2] / "fixtures/vectors/policy"
OURS = json.loads((FILES / "policy.json").read_text())
NEW, OLD = (
    {int(name[3:]): bytes.fromhex(value) for name, value in item["pcrs"].items()}
    for item in OURS["measurements"]
)
SIGNER = bytes.fromhex(json.loads((FILES / "pcr-input.json").read_text())["PCR"])
HEX = SIGNER.hex()
ONE = {"PCR0": HEX}


def pins(loaded):
    return [dict(item.pcrs) for item in loaded.policy.measurements]


def rejection(content, **options):
    if not isinstance(content, (str, bytes)):
        content = json.dumps(content)
    with pytest.raises(InputError) as caught:
        parse_policy(content, **options)
    return caught.value


def warnings_of(loaded):
    return {warning.code for warning in loaded.warnings}


@pytest.mark.parametrize(
    ("name", "form", "expected"),
    [
        ("build-enclave.txt", "image", [NEW]),
        ("sign-eif.json", "image", [{**NEW, 8: SIGNER}]),
        ("describe-eif.json", "image", [{**NEW, 8: SIGNER}]),
        ("pcr-signing-certificate.json", "flat", [{8: SIGNER}]),
        ("eif_build.txt", "flat", [NEW]),
        ("hex-first.pcrs", "lines", [NEW]),
        ("assigned.txt", "lines", [NEW]),
        ("policy.json", "policy", [NEW, OLD]),
    ],
)
def test_every_format_is_recognised(name, form, expected):
    loaded = load_policy(FILES / name)
    assert loaded.form == form
    assert pins(loaded) == expected
    assert warnings_of(loaded) == set()


def test_our_own_form_keeps_every_requirement():
    assert load_policy(str(FILES / "policy.json")).policy == Policy.from_dict(OURS)


# L-1


@pytest.mark.parametrize("name", ["PCR0", "pcr0", "Pcr0"])
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"Measurements": x}])
def test_l1_pcr_names_are_accepted_in_any_case_nested_or_flat(name, wrap):
    content = json.dumps(wrap({"hashALGORITHM": "SHA384 { .. }", name: HEX}))
    assert pins(parse_policy(content)) == [{0: SIGNER}]


@pytest.mark.parametrize(
    "name",
    [
        "PCRO",
        "PCR",
        "PCR00",
        "PCR01",
        "PCR 1",
        "PCR1 ",
        "PCR-1",
        "PCR100",
        "PCRS1",
        "PCR٣",
        "0",
        "HashAlgorithms",
        "Name",
        "",
    ],
)
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"Measurements": x}])
def test_l1_a_typo_beside_a_good_pin_does_not_weaken_the_policy(name, wrap):
    error = rejection(wrap(ONE | {name: HEX}))
    assert error.code == "policyfile.unknown_key"
    assert repr(name) in error.message


@pytest.mark.parametrize("name", ["PCR1", "Pcrs", "Comment"])
def test_l1_an_unknown_key_beside_measurements_is_rejected(name):
    error = rejection({"Measurements": ONE, name: HEX})
    assert (error.code, name in error.message) == ("policyfile.unknown_key", True)


@pytest.mark.parametrize("value", ["Sha512 { ... }", "sha256", "", "384", None, 384, ["sha384"]])
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"Measurements": x}])
def test_l1_a_different_hash_algorithm_is_rejected(value, wrap):
    code = rejection(wrap(ONE | {"HashAlgorithm": value})).code
    assert code == "policyfile.hash_algorithm"


def test_l1_an_index_beyond_the_last_pcr_is_rejected():
    assert rejection({"PCR32": HEX}).code == "policyfile.pcr_index"
    assert pins(parse_policy(json.dumps({"PCR31": HEX}))) == [{31: SIGNER}]


@pytest.mark.parametrize("value", [HEX[1:], "", None, 7, [HEX], {"PCR0": HEX}])
def test_l1_a_value_other_than_a_pcr_is_rejected(value):
    assert rejection({"PCR0": value}).code == "policyfile.hex"


# L-2


@pytest.mark.parametrize("before", ["", "Start building...\n", "[+] Building 2.1s\n [INFO] {\n"])
@pytest.mark.parametrize("after", ["", "\n", "\r\n", "\nEnclave Image successfully created.\n"])
def test_l2_progress_lines_around_the_value_are_ignored(before, after):
    content = before + json.dumps({"Measurements": ONE}, indent=2) + after
    assert pins(parse_policy(content)) == [{0: SIGNER}]
    assert pins(parse_policy(b"\xef\xbb\xbf" + content.encode())) == [{0: SIGNER}]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (json.dumps(ONE) + "\n" + json.dumps(ONE), 2),
        (json.dumps(ONE) + "\n\n{\n", 3),
        (json.dumps(ONE) + "\n[\n", 2),
        (json.dumps(ONE) + json.dumps(ONE), 1),
        (json.dumps(ONE, indent=1) + " # the new one", 3),
        (json.dumps(ONE) + f"\nPCR8={HEX}", 2),
        (f"\npcr8 = {HEX}\n" + json.dumps(ONE), 2),
        (f"{HEX} PCR8\n" + json.dumps(ONE), 1),
    ],
)
def test_l2_a_second_value_is_rejected_not_ignored(content, line):
    error = rejection(content)
    assert error.code == "policyfile.format"
    assert error.message.startswith(f"line {line}: ")


@pytest.mark.parametrize(
    "line",
    [
        f"PCR1: {HEX}",
        f"pcr1:{HEX}",
        f"PCR1 {HEX}",
        f"PCR[1] = {HEX}",
        f"PCR-1 -> {HEX}",
        f"PCR1={HEX} # the signed one",
        f"# PCR1={HEX}",
        f"1={HEX}",
        f"ImageSha384: {HEX}",
        HEX,
        HEX[:95],
        json.dumps({"PCR1": HEX}),
        f" {json.dumps(ONE)}",
        "\t{",
        "  [",
        '  [{"Measurements": 1}]',
        f'"PCR1": "{HEX}"',
        f'export POLICY={{"PCR1": "{HEX}"}}',
        '{"require_nonce": true}',
        'policy = { "regions": ["eu-central-1"]}',
        "require_nonce: true",
        "- max_age_seconds = 300",
        "HashAlgorithm: SHA512",
        "# only for the staging account",
        "#1.4.2",
        "// PCRs of release 1.4.2",
        "/* old */",
        "; comment",
        "PCR\uff11",
    ],
)
@pytest.mark.parametrize(
    "end", ["\n", "\r\n", "\r", "\x85", "\u2028", "\u2029", "\v", "\f", "\x1e"]
)
def test_l2_a_line_that_may_be_a_requirement_is_not_skipped(line, end):
    """A policy must not be weaker than its reader sees, whatever ends a line for their editor."""
    value = json.dumps({"Measurements": ONE})
    for content in (
        f"Start{end}{line}\n{value}",
        f"{value}{end}{line}",
        f"{value}\nDone{end}{line}",
    ):
        error = rejection(content)
        assert error.code == "policyfile.format"
        assert error.message.startswith("line ")


@pytest.mark.parametrize(
    "line",
    [
        'Step 3/4 : CMD ["node", "app.js"]',
        " ---> 4bcff63911fc",
        "#1 [internal] load build definition from Dockerfile",
        "#12 DONE 0.1s",
        "[+] Building 2.1s (5/5) FINISHED",
        " => => writing image sha256:" + HEX[:64],
        "Output file: app.eif",
        "nitro-tpm-pcr-compute 1.0.0",
        "Using the locally available Docker image...",
        "-----",
        "\u00e9 100 %",
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\u2028"])
def test_l2_other_lines_of_build_tools_are_skipped(line, end):
    value = json.dumps({"Measurements": ONE}, indent=2)
    for content in (f"Start{end}{line}\n{value}", f"{value}{end}{line}{end}"):
        assert pins(parse_policy(content)) == [{0: SIGNER}]


@pytest.mark.parametrize(
    "end", ["\n", "\r\n", "\r", "\x85", "\u2028", "\u2029", "\v", "\f", "\x1c"]
)
def test_l2_every_line_of_pcrs_is_read_whatever_ends_it(end):
    both = [{0: SIGNER, 1: SIGNER}]
    assert pins(parse_policy(f"PCR0={HEX}{end}{HEX} PCR1{end}")) == both
    assert pins(parse_policy(f"{end}PCR0 = {HEX}{end}{end}PCR1={HEX}")) == both
    assert pins(parse_policy(f"PCR0={HEX}{end}pcr1: {HEX}")) == both
    assert pins(parse_policy(f"0 = {HEX}{end}# both{end}1={HEX} # the kernel")) == both
    assert rejection(f"PCR0={HEX}{end}1: {HEX}").code == "policyfile.format"
    assert rejection(f"PCR0={HEX}{end}# PCR1={HEX}").code == "policyfile.format"
    assert rejection(f"PCR0={HEX}{end}PCR0={HEX}").code == "policyfile.duplicate"
    assert rejection(f"PCR0={end}{HEX}").code == "policyfile.format"


def test_l2_the_number_of_the_line_is_that_of_an_editor():
    assert rejection(f"PCR0={HEX}\n\nhello").message.startswith("line 3: ")
    value = json.dumps({"Measurements": ONE}, indent=2)
    assert rejection(f"Start\n{value}\n\n# the end").message.startswith("line 8: ")


def test_l2_long_lines_around_the_value_take_little_time():
    value = json.dumps({"Measurements": ONE})
    for part in (" ", "{ ", "pcr ", "pcr", "a" * 64 + " ", "-", "[ ", "# 1"):
        content = "x" + part * (100_000 // len(part)) + "\n" + value
        assert pins(parse_policy(content)) == [{0: SIGNER}]


@pytest.mark.parametrize(
    "content",
    [
        "hello",
        "x\n " + json.dumps(ONE),
        "x" + json.dumps(ONE),
        json.dumps(ONE)[:-1],
        "{",
        "[",
        "[ 1 ]",
        '"PCR0"',
        "[1]",
        '[{"PCR0": 1}, 2]',
        "null",
        f"{HEX}",
        f"0:{HEX}",
        f"PCR0={HEX} {HEX}",
        b"\xff\xfe{\x00}\x00",
        b"{\xff}",
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1,}',
        "{'a': 1}",
        '{"a": ' + "9" * 5000 + "}",
        '{"a": "\n"}',
        "{}" + " x",
    ],
)
def test_l2_content_other_than_a_single_value_is_rejected(content):
    error = rejection(content)
    assert error.code == "policyfile.format"


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
def test_deep_nesting_is_rejected_before_it_is_parsed(opening):
    error = rejection('{"Metadata": ' + opening * MAX_DEPTH)
    assert "deeper" in error.message
    assert error.message.startswith("line 1")


def test_brackets_in_text_and_after_the_value_are_not_nesting():
    quoted = json.dumps({"Measurements": ONE, "Metadata": '\\"[{' * 99})
    assert pins(parse_policy(quoted + "\n " + "[" * 99)) == [{0: SIGNER}]


def test_l2_one_enclave_of_several_is_selected_by_name_or_id():
    path = FILES / "describe-enclaves.json"
    ids = [enclave["EnclaveID"] for enclave in json.loads(path.read_text())]
    assert pins(load_policy(path, enclave_name="app_1")) == [NEW]
    assert pins(load_policy(path, enclave_name=ids[1])) == [OLD]
    for name in (None, "app_3", "", "APP_1"):
        error = rejection(path.read_text(), enclave_name=name)
        assert error.code == "policyfile.format"
        assert "app_1" in error.message
        assert "app_2" in error.message


def test_l2_two_enclaves_of_one_name_are_rejected():
    enclave = json.loads((FILES / "describe-enclaves.json").read_text())[0]
    assert rejection([enclave, enclave], enclave_name="app_1").code == "policyfile.format"
    assert pins(parse_policy(json.dumps([enclave]))) == [NEW]
    assert pins(parse_policy(json.dumps(enclave), enclave_name="app_1")) == [NEW]


def test_l2_an_enclave_name_for_other_formats_is_rejected():
    assert rejection(ONE, enclave_name="app_1").code == "policyfile.format"


def test_l2_an_enclave_without_measurements_is_rejected():
    enclave = {"EnclaveID": "i-1-enc1", "Flags": "NONE"}
    assert rejection(enclave).code == "policyfile.empty"
    assert rejection(enclave | {"Measurements": [ONE]}).code == "policyfile.empty"
    assert rejection(enclave | {"Measurements": ONE, "Flag": 1}).code == "policyfile.unknown_key"


def test_l2_measurements_from_the_parent_are_reported_and_those_from_a_build_are_not():
    running = load_policy(FILES / "describe-enclaves.json", enclave_name="app_1")
    assert warnings_of(running) == {"policy.source_unattested"}
    assert warnings_of(load_policy(FILES / "build-enclave.txt")) == set()


def test_l2_a_policy_made_from_a_document_is_reported(fake, fake_document, when):
    attestation = verify(fake_document, fake.root_pem, at=when)
    loaded = policy_of_document(attestation.document)
    again = verify(fake_document, fake.root_pem, at=when, policy=loaded.policy)
    assert "policy.source_unattested" in [warning.code for warning in again.warnings]
    assert pins(policy_of_document(attestation.document, [4])) == [{4: attestation.pcrs[4]}]


def test_l2_a_policy_is_not_made_from_a_debug_document_nor_from_pcrs_it_lacks(fake, when):
    document = fake.document(at=when, debug=True)
    debug = verify(document, fake.root_pem, at=when, allow_debug=True).document
    for indices, code in (((0,), "zero_pin"), ((16,), "pcr_index"), ((), "empty")):
        with pytest.raises(InputError) as caught:
            policy_of_document(debug, indices)
        assert caught.value.code == f"policyfile.{code}"


@pytest.mark.parametrize("kind", ["enclave", "nitrotpm"])
def test_t2_a_policy_is_not_made_from_an_unverified_document_of_any_kind(fake, when, kind):
    with pytest.raises(InputError) as caught:
        policy_of_document(parse_unverified(fake.document(at=when, kind=kind)))
    assert caught.value.code == "input.document"


# L-3


@pytest.mark.parametrize(
    "content",
    [
        f'{{"PCR0": "{HEX}", "PCR0": "{HEX}"}}',
        f'{{"PCR0": "{HEX}", "pcr0": "{HEX}"}}',
        f'{{"Measurements": {{"PCR0": "{HEX}"}}, "measurements": {{}}}}',
        f'{{"Measurements": {{"PCR0": "{HEX}"}}, "Metadata": {{"a": 1, "A": 1}}}}',
        f'{{"Measurements": {{"PCR0": "{HEX}"}}, "Measurements": {{"PCR0": "{HEX}"}}}}',
        json.dumps(OURS)[:-1] + ', "regions": ["us-west-2"]}',
        f"PCR0={HEX}\nPCR0={HEX}",
        f"PCR0={HEX}\n{HEX} pcr0",
    ],
)
def test_l3_a_duplicate_key_is_rejected_whatever_its_case(content):
    assert rejection(content).code == "policyfile.duplicate"


def test_l3_one_key_in_two_objects_is_not_a_duplicate():
    assert len(pins(parse_policy(json.dumps([ONE, {"PCR0": HEX[::-1]}])))) == 2


# L-4, L-5


def test_l4_an_unsigned_build_adds_no_expected_pcr8():
    policy = load_policy(FILES / "build-enclave.txt").policy
    assert 8 not in policy.measurements[0].pcrs
    unsigned = policy.with_pins({8: bytes(48)})
    assert unsigned.measurements[0].pcrs[8] == bytes(48)
    assert "policy.weak" in {warning.code for warning in unsigned.weaknesses()}


@pytest.mark.parametrize(
    ("flags", "warned"), [("DEBUG_MODE", 1), ("Debug", 1), ("NONE", 0), ("None", 0), (None, 0)]
)
def test_l5_a_debug_enclave_listed_with_the_images_pcrs_is_reported(flags, warned):
    enclave = {"EnclaveID": "i-1-enc1", "Flags": flags, "Measurements": ONE}
    loaded = parse_policy(json.dumps(enclave))
    assert ("policy.debug_flag" in warnings_of(loaded)) == bool(warned)


# L-6


def test_l6_a_pcr_without_an_index_needs_one():
    path = FILES / "pcr-input.json"
    assert pins(load_policy(path, pcr_index=16)) == [{16: SIGNER}]
    assert rejection(path.read_text()).code == "policyfile.pcr_index"
    assert rejection(path.read_text(), pcr_index=32).code == "policyfile.pcr_index"
    assert rejection(path.read_text(), pcr_index=True).code == "policyfile.pcr_index"


@pytest.mark.parametrize("name", ["pcr-signing-certificate.json", "assigned.txt", "policy.json"])
def test_l6_an_index_for_a_file_that_names_its_pcrs_is_rejected(name):
    assert rejection((FILES / name).read_text(), pcr_index=8).code == "policyfile.pcr_index"


# T-2, T-6


@pytest.mark.parametrize(
    "indices", [(4, 7, 12), (4, 7), (4, 12), (7, 12), (7,), (12,)], ids=lambda item: repr(item)
)
def test_t6_pcrs_of_an_instance_are_never_taken_for_those_of_an_enclave(indices):
    pcrs = {f"PCR{index}": HEX for index in indices}
    lines = "".join(f"{name}={value}\n" for name, value in pcrs.items())
    for content in (pcrs, {"Measurements": pcrs}, [pcrs, ONE], [{"Measurements": pcrs}]):
        error = rejection(content)
        assert error.code == "policyfile.format"
        assert f"found only {' and '.join(pcrs)}, as of an EC2 instance" in error.message
        assert "nitrotpm" in error.message
    assert rejection(lines).code == "policyfile.format"
    with pytest.raises(InputError, match="EC2 instance"):
        verify(b"", policy={"Measurements": pcrs})


def test_t6_pcr7_and_pcr12_beside_others_are_read():
    assert len(pins(parse_policy(json.dumps({"PCR4": HEX})))) == 1
    assert len(pins(parse_policy(f"PCR0={HEX}\nPCR7={HEX}"))) == 1


# L-7, L-8


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\n \n",
        "{}",
        "[]",
        "[{}]",
        '{"Measurements": {}}',
        '{"HashAlgorithm": "Sha384"}',
        '{"schema": "nitro-attest-policy/1", "measurements": []}',
        b"",
    ],
)
def test_l7_an_empty_policy_is_an_error_and_does_not_mean_any(content):
    assert rejection(content).code == "policyfile.empty"


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"Measurements": x}])
def test_l8_the_sets_of_a_list_are_alternatives(wrap):
    both = [wrap({f"PCR{i}": value.hex() for i, value in item.items()}) for item in (NEW, OLD)]
    loaded = parse_policy(json.dumps(both))
    assert pins(loaded) == [NEW, OLD]
    assert [item.name for item in loaded.policy.measurements] == ["#1", "#2"]


@pytest.mark.parametrize(
    "mixture",
    [
        [ONE, {"Measurements": ONE}],
        [ONE, {"PCR": HEX}],
        [OURS, ONE],
        [OURS, OURS],
        [{"PCR": HEX}, {"PCR": HEX}],
        [ONE, None],
        [[ONE]],
    ],
)
def test_l8_a_list_of_mixed_formats_is_rejected(mixture):
    assert rejection(mixture).code == "policyfile.format"


def test_m3_a_file_with_debug_measurements_is_rejected():
    zero = {f"PCR{index}": "0" * 96 for index in range(3)}
    assert rejection({"Measurements": zero}).code == "policyfile.zero_pin"


def test_m4_a_file_with_only_the_constant_pcr2_is_reported():
    assert warnings_of(parse_policy(f"PCR2={EMPTY_RAMDISKS.hex()}")) == {"policy.weak"}


# Files


def test_a_file_that_cannot_be_read_is_an_input_error(tmp_path):
    for path in (tmp_path / "none", tmp_path, "nul\0name"):
        with pytest.raises(InputError) as caught:
            load_policy(path)
        assert caught.value.code == "input.file"


def test_a_file_above_the_limit_is_rejected_and_not_read_whole(tmp_path):
    path = tmp_path / "big"
    line = json.dumps(ONE)
    path.write_text(line + "\n" * (MAX_POLICY_FILE_BYTES - len(line)))
    assert pins(load_policy(path)) == [{0: SIGNER}]
    with path.open("a") as file:
        file.truncate(1 << 40)
    with pytest.raises(InputError) as caught:
        load_policy(path)
    assert caught.value.code == "policyfile.format"


@pytest.mark.parametrize("value", [None, 7, FILES / "policy.json", OURS])
def test_a_path_or_object_in_place_of_content_is_rejected(value):
    with pytest.raises(InputError) as caught:
        parse_policy(value)
    assert caught.value.code == "input.expected"


def test_the_error_for_parsed_measurements_names_the_right_call():
    with pytest.raises(InputError, match=r"policy=") as caught:
        parse_policy(ONE)
    assert caught.value.code == "input.expected"


# The files that people have


RELEASES = [
    {**ONE, "PCR1": HEX, "timestamp": 1743710235, "signature": "YWJj", "commit": None},
    {"HashAlgorithm": "Sha384", "pcr0": HEX[::-1], "version": "1.4", "ok": True},
]


@pytest.mark.parametrize(
    ("content", "form", "expected"),
    [
        (" \n\t" + json.dumps(ONE), "flat", [{0: SIGNER}]),
        ("  [\n" + json.dumps(ONE) + "]", "flat", [{0: SIGNER}]),
        (json.dumps({"0": HEX, "16": HEX}), "indices", [{0: SIGNER, 16: SIGNER}]),
        (f"# release 1.4.2\nPCR0: {HEX}\n", "lines", [{0: SIGNER}]),
        (f"0={HEX}\n\npcr8 = 0x{HEX.upper()} # signer", "lines", [{0: SIGNER, 8: SIGNER}]),
        (f"# PCR0 and PCR1 of app.eif\n{HEX} PCR0", "lines", [{0: SIGNER}]),
    ],
)
def test_forms_that_people_write_are_read(content, form, expected):
    loaded = parse_policy(content)
    assert (loaded.form, pins(loaded)) == (form, expected)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (f"PCR0={HEX}\n# PCR1={HEX}", "policyfile.format"),
        (f"PCR0={HEX}\n# pcr1: to be done", "policyfile.format"),
        (f"PCR0={HEX} # was {HEX}", "policyfile.format"),
        (f"PCR0={HEX}#", "policyfile.hex"),
        (f"PCR0={HEX}\n// release", "policyfile.format"),
        (f"PCR0={HEX}\n0={HEX}", "policyfile.duplicate"),
        (f"00={HEX}", "policyfile.unknown_key"),
        (f"PCR00: {HEX}", "policyfile.unknown_key"),
        (f"32={HEX}", "policyfile.pcr_index"),
        (f"1: {HEX}", "policyfile.format"),
        ("# only a comment", "policyfile.empty"),
        (json.dumps({"0": HEX, "PCR1": HEX}), "policyfile.unknown_key"),
        (json.dumps({"00": HEX}), "policyfile.unknown_key"),
        (json.dumps({"\u0660": HEX}), "policyfile.unknown_key"),
        (json.dumps({"32": HEX}), "policyfile.pcr_index"),
        (json.dumps({"0": 5}), "policyfile.hex"),
        (json.dumps({"0": "0" * 96}), "policyfile.zero_pin"),
        (json.dumps({"4": HEX, "7": HEX}), "policyfile.format"),
        (json.dumps([{"0": HEX}, {"0": HEX}]), "policyfile.format"),
        (json.dumps({"Measurements": {"0": HEX}}), "policyfile.unknown_key"),
    ],
)
def test_what_comes_close_to_such_a_form_is_rejected(content, code):
    assert rejection(content).code == code


def result(**members):
    return json.dumps({"schema": "nitro-attest/1", "source": "-", **members})


STATEMENT = statements({0: HEX, 1: HEX}, principals=["arn:aws:iam::111122223333:role/enclaves"])[0]
CONDITION = STATEMENT["Condition"]


@pytest.mark.parametrize(
    ("content", "form", "expected", "options"),
    [
        (result(image={"pcrs": {"0": HEX}, "size": 7}), "indices", [{0: SIGNER}], {}),
        (result(pcrs={"3": HEX}), "indices", [{3: SIGNER}], {}),
        (result(value=HEX), "register", [{16: SIGNER}], {"pcr_index": 16}),
        (result(form="lines", policy=OURS, warnings=[]), "policy", [NEW, OLD], {}),
        (json.dumps([STATEMENT]), "statements", [{0: SIGNER, 1: SIGNER}], {}),
        (json.dumps([STATEMENT, STATEMENT]), "statements", [{0: SIGNER, 1: SIGNER}] * 2, {}),
        (json.dumps(CONDITION), "statements", [{0: SIGNER, 1: SIGNER}], {}),
        (
            result(statements=[STATEMENT], unenforced=[], warnings=[]),
            "statements",
            [{0: SIGNER, 1: SIGNER}],
            {},
        ),
        (
            result(statements=[STATEMENT], warnings=[{"code": "policy.weak", "message": "x"}]),
            "statements",
            [{0: SIGNER, 1: SIGNER}],
            {},
        ),
        (result(condition=CONDITION), "statements", [{0: SIGNER, 1: SIGNER}], {}),
    ],
)
def test_the_output_of_this_tool_is_read(content, form, expected, options):
    loaded = parse_policy(content, **options)
    assert (loaded.form, pins(loaded)) == (form, expected)


def changed(**members):
    return json.dumps([STATEMENT | members])


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (result(attestation={"document": {"pcrs": {"0": HEX}}}), "policyfile.format"),
        (result(unverified={"pcrs": {"0": HEX}}), "policyfile.format"),
        (result(error={"code": "eif.magic"}), "policyfile.unknown_key"),
        (result(), "policyfile.format"),
        (result(pcrs={"0": HEX}, value=HEX), "policyfile.format"),
        (result(pcrs={"0": HEX}, PCR1=HEX), "policyfile.unknown_key"),
        (result(pcrs=None), "policyfile.format"),
        (result(pcrs={}), "policyfile.empty"),
        (result(image=[]), "policyfile.format"),
        (result(image={}), "policyfile.format"),
        (result(image={"pcrs": HEX}), "policyfile.format"),
        (result(value=HEX), "policyfile.pcr_index"),
        (result(statements=[STATEMENT], unenforced=["max_age"]), "policyfile.format"),
        (result(policy=OURS, unenforced=["max_age"]), "policyfile.format"),
        (result(condition=CONDITION, unenforced=["regions"]), "policyfile.format"),
        (result(statements=[STATEMENT], unenforced=None), "policyfile.format"),
        (
            result(statements=[STATEMENT], warnings=[{"code": "policy.source_unattested"}]),
            "policyfile.format",
        ),
        (result(condition=CONDITION, warnings=["policy.debug_flag"]), "policyfile.format"),
        (result(pcrs={"0": HEX}) + "\n" + result(pcrs={"3": HEX}), "policyfile.format"),
        (f"[{result(pcrs={'0': HEX})}]", "policyfile.format"),
        (changed(Effect="Deny"), "policyfile.format"),
        (changed(NotAction="kms:*"), "policyfile.unknown_key"),
        (changed(Condition=None), "policyfile.format"),
        (changed(Condition=CONDITION | {"Bool": {"a": "b"}}), "policyfile.format"),
        (changed(Condition={"StringLike": {}}), "policyfile.format"),
        (changed(Condition={"StringEqualsIgnoreCase": {}}), "policyfile.empty"),
        (
            changed(Condition={"StringEqualsIgnoreCase": {"aws:PrincipalArn": "x"}}),
            "policyfile.unknown_key",
        ),
        (
            changed(
                Condition={"StringEqualsIgnoreCase": {"kms:RecipientAttestation:NitroTPMPCR4": HEX}}
            ),
            "policyfile.unknown_key",
        ),
        (
            changed(
                Condition={
                    "StringEqualsIgnoreCase": {
                        "kms:RecipientAttestation:ImageSha384": HEX,
                        "kms:RecipientAttestation:PCR0": HEX,
                    }
                }
            ),
            "policyfile.duplicate",
        ),
        (
            changed(
                Condition={"StringEqualsIgnoreCase": {"kms:RecipientAttestation:PCR0": [HEX, HEX]}}
            ),
            "policyfile.hex",
        ),
    ],
)
def test_other_output_and_statements_that_require_something_else_are_rejected(content, code):
    assert rejection(content).code == code


TOML = f"""# release 1.4.2
[attestation]
HashAlgorithm = "Sha384"
PCR0 = "{HEX}"  # the image
pcr8 = '{HEX}'
"""
needs_toml = pytest.mark.skipif(sys.version_info < (3, 11), reason="no TOML parser before 3.11")


@needs_toml
def test_l1_a_toml_table_of_pcrs_is_read():
    loaded = parse_policy(TOML)
    assert (loaded.form, pins(loaded)) == ("toml", [{0: SIGNER, 8: SIGNER}])
    assert pins(parse_policy(TOML.replace("[attestation]\n", ""))) == [{0: SIGNER, 8: SIGNER}]
    assert pins(parse_policy(f'PCR0 = "{HEX}"#PCR0 of 1.4.2')) == [{0: SIGNER}]
    whole = f'name = "app"\n{TOML}\n[egress]\nports = [443]\n'
    assert rejection(whole).code == "policyfile.unknown_key"
    assert "name the form toml with policy_form=" in rejection(whole).message
    assert pins(parse_policy(whole, policy_form="toml")) == [{0: SIGNER, 8: SIGNER}]


@needs_toml
@pytest.mark.parametrize(
    ("content", "code"),
    [
        (TOML + 'base_url = "x"\n', "policyfile.unknown_key"),
        (TOML + 'PCR0 = "x"\n', "policyfile.format"),
        (TOML + f'pcr0 = "{HEX}"\n', "policyfile.duplicate"),
        (TOML + f'[[old]]\nPCR0 = "{HEX}"\n', "policyfile.format"),
        (TOML + "PCR1 = 5\n", "policyfile.hex"),
        (TOML + f'# PCR1 = "{HEX}"\n', "policyfile.format"),
        (TOML + f'PCR2 = "{HEX}"#PCR1 = "{HEX}"\n', "policyfile.format"),
        (TOML + f'PCR2 = "{HEX}"#was {HEX}\n', "policyfile.format"),
        (TOML + f'#PCR1 = "{HEX}"\n', "policyfile.format"),
        (TOML + f'# old\u2028PCR1 = "{HEX}"\n', "policyfile.format"),
        (TOML + f'# old\rPCR1 = "{HEX}"\n', "policyfile.format"),
        (TOML + "max_age_seconds = 1\n", "policyfile.unknown_key"),
        ("max_age_seconds = 1\n" + TOML, "policyfile.unknown_key"),
        ("Require_Nonce = true\n" + TOML, "policyfile.unknown_key"),
        ('HashAlgorithm = "SHA512"\n' + TOML, "policyfile.unknown_key"),
        (TOML + '[where]\nregions = ["us-east-1"]\n', "policyfile.unknown_key"),
        (TOML + "[[a.b]]\nc = [[{allow_debug = false}]]\n", "policyfile.unknown_key"),
        (TOML + "[attestation.more]\nmax_age_seconds = 1\n", "policyfile.unknown_key"),
        ("[attestation]\n", "policyfile.format"),
        ("[attestation]\nx = " + "[" * 9999, "policyfile.format"),
        ("[attestation]\nx = " + "9" * 9999, "policyfile.format"),
        (f'PCR0 = "{HEX}"\nPCR1={HEX}\n', "policyfile.format"),
    ],
)
def test_l1_other_toml_is_rejected_under_the_named_form_too(content, code):
    assert rejection(content).code == code
    assert rejection(content, policy_form="toml").code == code


@needs_toml
@pytest.mark.parametrize("content", ["[{}]\n", "[a]\n{} = 1\n", "[a]\nb = {{{} = 1}}\n"])
def test_deep_keys_of_toml_are_rejected_before_they_are_parsed(content, monkeypatch):
    allowed = content.format("a" + ".a" * MAX_DEPTH) + f'[b]\nPCR0 = "{HEX}"\n'
    assert pins(parse_policy(allowed, policy_form="toml")) == [{0: SIGNER}]
    monkeypatch.setattr("tomllib.loads", None)
    error = rejection(content.format("a" + ".a" * (MAX_DEPTH + 1)) + TOML, policy_form="toml")
    assert (error.code, "dots" in error.message) == ("policyfile.format", True)


def test_without_a_toml_parser_the_error_says_what_to_use(monkeypatch):
    monkeypatch.setattr("sys.version_info", (3, 10))
    error = rejection(TOML)
    assert (error.code, "Python 3.11" in error.message) == ("policyfile.format", True)


def test_l1_a_history_is_read_only_if_it_is_named():
    content = json.dumps(RELEASES)
    assert rejection(content).code == "policyfile.unknown_key"
    loaded = parse_policy(content, policy_form="history")
    assert (loaded.form, pins(loaded)) == (
        "history",
        [{0: SIGNER, 1: SIGNER}, {0: bytes.fromhex(HEX[::-1])}],
    )
    nested = json.dumps({"Measurements": ONE, "tag": "v1", "build": [{"by": {"host": "a"}}]})
    assert pins(parse_policy(nested, policy_form="history")) == [{0: SIGNER}]


@pytest.mark.parametrize(
    ("release", "code"),
    [
        ({"timestamp": 1}, "policyfile.empty"),
        ({**ONE, "PCR01": HEX}, "policyfile.unknown_key"),
        ({**ONE, "pcrs": {"PCR1": HEX}}, "policyfile.unknown_key"),
        ({**ONE, "HashAlgorithm": "SHA512"}, "policyfile.hash_algorithm"),
        ({**ONE, "Max_Age_Seconds": 5}, "policyfile.unknown_key"),
        ({**ONE, "schema": "x"}, "policyfile.unknown_key"),
        ({**ONE, "Measurements": ONE}, "policyfile.format"),
        ({"PCR0": "0" * 96}, "policyfile.zero_pin"),
        ({"PCR4": HEX, "PCR7": HEX, "at": 1}, "policyfile.format"),
        ({"measurements": ONE, "PCR2": HEX}, "policyfile.unknown_key"),
        ({"measurements": ONE, "Measurements": {"PCR2": HEX}}, "policyfile.duplicate"),
        ({**ONE, "requirements": {"Max_Age_Seconds": 1}}, "policyfile.unknown_key"),
        ({**ONE, "signing": {"pcr8": HEX}}, "policyfile.unknown_key"),
        ({**ONE, "build": {"HashAlgorithm": "SHA512"}}, "policyfile.unknown_key"),
        ({"PCR8": HEX, "releases": [ONE]}, "policyfile.unknown_key"),
        ({"PCR8": HEX, "releases": [[{"x": {"Measurements": {}}}]]}, "policyfile.unknown_key"),
        ({"Measurements": ONE, "signing": {"PCR8": HEX}}, "policyfile.unknown_key"),
        ({**ONE, "Effect": "Deny"}, "policyfile.format"),
        ({**ONE, "StringEqualsIgnoreCase": {}}, "policyfile.format"),
        ({"EnclaveName": "app", "Measurements": ONE}, "policyfile.format"),
        ({**ONE, "EnclaveID": "i-1"}, "policyfile.format"),
        (OURS, "policyfile.unknown_key"),
    ],
)
def test_l1_no_key_of_a_release_that_may_be_a_requirement_is_ignored(release, code):
    assert rejection([ONE, release], policy_form="history").code == code


@pytest.mark.parametrize("name", ["policy.json", "build-enclave.txt", "assigned.txt"])
def test_a_named_form_is_the_only_one_that_is_read(name):
    form = load_policy(FILES / name).form
    assert load_policy(FILES / name, policy_form=form).form == form
    with pytest.raises(
        InputError, match=f"expected a file of the form enclave, found the form {form}"
    ):
        load_policy(FILES / name, policy_form="enclave")


@pytest.mark.parametrize("form", ["document", "json", "", 5, ["flat"]])
def test_a_form_that_is_not_one_of_a_file_is_rejected(form):
    assert rejection(ONE, policy_form=form).code == "input.expected"


def test_t6_the_json_of_a_kernel_image_is_for_instances_only():
    content = result(pcrs={"4": HEX, "7": HEX, "12": HEX})
    assert dict(parse_nitrotpm_policy(content).measurements[0].pcrs) == {
        4: SIGNER,
        7: SIGNER,
        12: SIGNER,
    }
    assert rejection(content).code == "policyfile.format"
    for other in ({"0": HEX}, {"4": HEX}, {"3": HEX, "4": HEX}):
        assert code_of(parse_nitrotpm_policy, result(pcrs=other)) == "policyfile.format"
    for other in (result(statements=[STATEMENT]), result(image={"pcrs": {"0": HEX}})):
        assert code_of(parse_nitrotpm_policy, other) == "policyfile.format"


def test_l2_long_comments_and_tables_take_little_time():
    for part in ("# pcr1 ", "#" * 9 + " ", " #", "[a.", "\n", "PCR1=\t", "pcr1" + "-" * 9):
        content = f"PCR0={HEX}\n" + part * (200_000 // len(part))
        expected = (None, "policyfile.format", "policyfile.unknown_key")
        assert code_or_none(parse_policy, content) in expected
