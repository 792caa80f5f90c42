"""Options that all verbs treat alike."""

import re

import pytest

TWICE = [
    ("verify", "--root", "verify DOC --root {file} --root {file}"),
    ("verify", "--policy", "verify DOC --policy {file} --policy {file}"),
    ("verify", "--at", "verify DOC --at now --at document"),
    ("verify", "--nonce", "verify DOC --nonce=00 --nonce 01"),
    ("inspect", "--format", "inspect DOC --format raw --format hex"),
    ("fetch", "--cid", "fetch --any-enclave --cid 16 --cid 17"),
    ("eif", "--max-size", "eif {file} --max-size 1MiB --max-size 2MiB"),
    ("kms-policy make", "--root", "kms-policy make --root {file} --root {file}"),
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
