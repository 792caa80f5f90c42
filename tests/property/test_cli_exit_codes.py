"""For any file content, the tool exits with a documented code and without a traceback."""

import io
import os
import re
from contextlib import redirect_stderr, redirect_stdout

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import FIXTURES, ROOT
from nitro_attest.__main__ import run
from nitro_attest.testing.eif import build_eif, self_signed_certificate
from nitro_attest.testing.uki import build_uki, signature_list

DOCUMENT = FIXTURES / "real/20250916_encl_us-east-1_tkhq_b1086cbb.bin"
POLICIES = FIXTURES / "vectors/policy"
KEY = ec.derive_private_key(7, ec.SECP384R1())
CERTIFICATE = self_signed_certificate(KEY)
SIGNED_EIF = build_eif(
    kernel=b"k",
    cmdline=b"c",
    ramdisks=[b"r"],
    metadata={"ImageName": "x"},
    signing_key=KEY,
    certificate_pem=CERTIFICATE,
)
VERIFY_DOCUMENT = ["verify", str(DOCUMENT), "--at", "document"]
PRINCIPAL = ["--principal", "arn:aws:iam::123456789012:role/x"]
KEY_POLICY = b"""{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": ["kms:*"],
"Condition": {"StringEquals": {"kms:RecipientAttestation:PCR0": ["00"]}}}]}"""

VERBS = {
    "verify": (["verify", "FILE", "--at", "document"], DOCUMENT.read_bytes()),
    "verify --json": (["verify", "FILE", "--json"], DOCUMENT.read_bytes().hex().encode()),
    "verify --root": ([*VERIFY_DOCUMENT, "--root", "FILE"], CERTIFICATE),
    "verify --policy": (
        [*VERIFY_DOCUMENT, "--policy", "FILE"],
        (POLICIES / "policy.json").read_bytes(),
    ),
    "verify --enclave-name": (
        [*VERIFY_DOCUMENT, "--policy", "FILE", "--enclave-name", "app_1"],
        (POLICIES / "describe-enclaves.json").read_bytes(),
    ),
    "verify --kind": (
        [*VERIFY_DOCUMENT, "--kind", "nitrotpm", "--policy", "FILE"],
        b'{"Measurements": {"PCR4": "%s", "PCR7": "%s", "PCR12": "%s"}}' % ((b"11" * 48,) * 3),
    ),
    "verify --eif": ([*VERIFY_DOCUMENT, "--eif", "FILE"], SIGNED_EIF),
    "verify --public-key": ([*VERIFY_DOCUMENT, "--public-key", "FILE"], b"key"),
    "inspect": (["inspect", "FILE"], DOCUMENT.read_bytes()),
    "eif": (["eif", "FILE"], SIGNED_EIF),
    "eif --json": (["eif", "FILE", "--ignore-crc", "--json"], SIGNED_EIF),
    "pcr certificate": (["pcr", "certificate", "FILE"], CERTIFICATE),
    "pcr uki": (["pcr", "uki", "FILE"], build_uki()),
    "pcr uki --pk": (
        ["pcr", "uki", str(FIXTURES / "vectors/uki/synthetic.efi"), "--pk", "FILE", "--db", "FILE"],
        signature_list(b"certificate"),
    ),
    "kms-policy make": (
        ["kms-policy", "make", "--policy", "FILE", *PRINCIPAL],
        (POLICIES / "build-enclave.txt").read_bytes(),
    ),
    "kms-policy make --document": (
        ["kms-policy", "make", "--document", "FILE", "--at", "document", *PRINCIPAL],
        DOCUMENT.read_bytes(),
    ),
    "kms-policy lint": (["kms-policy", "lint", "FILE"], KEY_POLICY),
}
DOCUMENTED = {0, 2, 3, 4, 5, 6, 8, 9}


@st.composite
def changed(draw, seed):
    """The seed with a few bytes changed, removed or inserted; or arbitrary bytes."""
    if draw(st.integers(0, 7)) == 0:
        return draw(st.binary(max_size=300))
    data = bytearray(seed)
    for _ in range(draw(st.integers(0, 4))):
        position = draw(st.integers(0, len(data)))
        removed = draw(st.sampled_from([0, 1, 1, 2, 8, len(data)]))
        data[position : position + removed] = draw(st.binary(max_size=3))
    return bytes(data)


@pytest.mark.parametrize("verb", VERBS)
@settings(max_examples=1000 if os.environ.get("NITRO_ATTEST_LONG") else 25, deadline=None)
@given(data=st.data())
def test_any_file_gives_a_documented_exit_code(tmp_path_factory, verb, data):
    arguments, seed = VERBS[verb]
    path = tmp_path_factory.getbasetemp() / "hostile-file"
    path.write_bytes(data.draw(changed(seed)))
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run([str(path) if argument == "FILE" else argument for argument in arguments])
    assert code in DOCUMENTED, err.getvalue()
    assert "Traceback" not in err.getvalue()
    assert (out.getvalue() + err.getvalue()).isascii()
    has_result = code in (0, 9) or "--json" in arguments
    assert bool(out.getvalue()) is has_result


def test_the_reference_lists_every_exit_code():
    page = (ROOT / "docs/reference/cli.md").read_text()
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert codes == DOCUMENTED | {7, 70, 74, 130}
