"""Options that all verbs treat alike, and the types of their values."""

import re
from datetime import datetime, timezone

import click
import pytest

from nitro_attest.cli.options import moment, pcr_pin

TWICE = [
    ("verify", "--partition", "verify DOC --partition aws --partition aws"),
    ("verify", "--policy", "verify DOC --policy {file} --policy {file}"),
    ("verify", "--at", "verify DOC --at now --at document"),
    ("verify", "--nonce", "verify DOC --nonce=00 --nonce 01"),
    ("inspect", "--format", "inspect DOC --format raw --format hex"),
    ("fetch", "--cid", "fetch --any-enclave --cid 16 --cid 17"),
    ("eif", "--max-size", "eif {file} --max-size 1MiB --max-size 2MiB"),
    ("kms-policy make", "--document", "kms-policy make --document {file} --document {file}"),
    ("enclave serve", "--port", "enclave serve --port 1 --port 2"),
    ("enclave forward", "--to", "enclave forward --listen :1 --to vsock:16:1 --to vsock:17:1"),
]


@pytest.mark.parametrize(("verb", "option", "line"), TWICE, ids=[f"{v} {o}" for v, o, _ in TWICE])
def test_an_option_with_one_value_given_twice_is_a_usage_error(tool, tmp_path, verb, option, line):
    file = tmp_path / "file"
    file.touch()
    code, _, err = tool(*line.format(file=file).split())
    assert code == 2
    assert f"{option} is given more than once" in err


def test_an_option_that_repeats_may_be_given_twice(tool, tmp_path, fake, fake_document, clock):
    (tmp_path / "doc").write_bytes(fake_document)
    (tmp_path / "root").write_bytes(fake.root_pem)
    zero = "00" * 48
    pins = ["--pcr", f"5={zero}", "--pcr", f"6={zero}", "--json", "--json"]
    assert tool("verify", tmp_path / "doc", "--root", tmp_path / "root", *pins)[0] == 0


@pytest.mark.parametrize("group", ["", "pcr", "crl", "kms-policy"])
def test_the_help_of_a_group_shows_every_line_whole(tool, group):
    code, out, _ = tool(*group.split(), "--help")
    listed = out.partition("Commands:\n")[2]
    sentences = re.sub(r"\n {6,}", " ", listed).splitlines()
    assert code == 0
    assert len(sentences) > 1
    assert all(line.endswith(".") and not line.endswith("...") for line in sentences)


@pytest.mark.parametrize(
    "text",
    [
        "2025-09-16T12:00:00Z",
        "2025-09-16t12:00:00z",
        "2025-09-16 14:00:00+02:00",
        "2025-09-16T12:00:00.000000Z",
        "2025-09-16T12:00:00.0-00:00",
    ],
)
def test_a_time_of_rfc_3339_is_read_alike_by_every_python(text):
    assert moment(text) == datetime(2025, 9, 16, 12, tzinfo=timezone.utc)
    assert moment(text.replace("00:00", "00:01", 1)) != moment(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2025-09-16Z", "without a time of day"),
        ("2025-09-16", "without a time of day and zone"),
        ("2025-09-16T12:00:00", "without a zone"),
        ("2025-09-31T12:00:00Z", ": day "),
        ("2025-09-16T12:60:00Z", ": minute must be"),
        ("2025-09-16T24:00:00Z", "found '2025-09-16T24:00:00Z'"),
        ("2025-09-16T12:00Z", "found '2025-09-16T12:00Z'"),
        ("20250916T120000Z", "found '20250916T120000Z'"),
        ("2025-W38-2T12:00:00Z", "found '2025-W38-2T12:00:00Z'"),
        ("2025-09-16T12:00:00.1234567Z", "found "),
        ("2025-09-16T12:00:00+0200", "found "),
        ("\u0662025-09-16T12:00:00Z", "found "),
        ("yesterday", "found 'yesterday'"),
    ],
)
def test_any_other_time_is_rejected_with_what_is_missing(text, reason):
    with pytest.raises(click.BadParameter, match="such as 2026-01-31T12:00:00Z") as caught:
        moment(text)
    assert reason in caught.value.message


@pytest.mark.parametrize("name", ["0", "PCR0", "pcr0", "Pcr0"])
def test_a_pin_names_its_pcr_in_any_case(name):
    assert pcr_pin(f"{name}=ab") == (0, "ab")


@pytest.mark.parametrize("text", ["PCR=ab", "00=ab", "PCR 0=ab", "0:ab", "0=", "=ab"])
def test_any_other_pin_is_rejected(text):
    with pytest.raises(click.BadParameter):
        pcr_pin(text)


@pytest.mark.parametrize(
    "line",
    [
        "verify - -",
        "verify - --policy -",
        "verify DOC --root - --root -",
        "verify DOC --eif - --public-key -",
        "verify --batch - --crl -",
        "kms-policy make --condition-only --document - --root -",
        "pcr uki - --pk - --db DB",
    ],
)
def test_standard_input_cannot_be_read_twice(tool, line):
    code, out, err = tool(*line.split())
    assert (code, out) == (2, "")
    assert "- (standard input) is given more than once" in err
