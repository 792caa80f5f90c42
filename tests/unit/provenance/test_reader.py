"""The name under which a result shows the signer."""

import pytest

from nitro_attest.provenance import Provenance, Signer, parse_unverified_statement
from support.statements import compact, statement

STATEMENT = parse_unverified_statement(compact(statement()))
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("signer", "name"),
    [
        (Signer(key_sha256="ab" * 32), f"image signed by the key of SHA-256 {'ab' * 32}"),
        (Signer(identity="a@b.example", issuer="c"), "image signed by a@b.example (c)"),
        (
            Signer(identity="i", issuer="c", repository="https://git.example/r", commit=COMMIT),
            f"image built by https://git.example/r at commit {COMMIT}",
        ),
        (Signer(identity="i", issuer="c", commit=COMMIT), f"image built by i at commit {COMMIT}"),
        (Signer(identity="a\nb\u202e", issuer="c"), "image signed by a\\nb\\u202e (c)"),
    ],
)
def test_a_measurement_set_is_named_after_its_signer(signer, name):
    assert Provenance(STATEMENT, signer).measurements.name == name


def test_a_long_name_keeps_its_begin_and_the_commit():
    signer = Signer(identity="i", issuer="c", repository="https://" + "r" * 500, commit=COMMIT)
    name = Provenance(STATEMENT, signer).measurements.name
    assert len(name) <= 128
    assert name.startswith("image built by https://rrr")
    assert name.endswith(f"rrr at commit {COMMIT}")


def test_the_json_has_signer_and_statement():
    found = Provenance(STATEMENT, Signer(key_sha256="ab" * 32)).to_dict()
    assert found["signer"]["key_sha256"] == "ab" * 32
    assert found["statement"] == STATEMENT.to_dict()
