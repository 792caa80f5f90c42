"""Statements of an image file, and the policy that they make (V-8)."""

import hashlib
import json
import os

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from jsonschema import Draft202012Validator

from conftest import FIXTURES
from nitro_attest import PolicyError, Verifier, parse_unverified
from nitro_attest.measurements import measure
from nitro_attest.provenance import (
    SignerKey,
    make_statement,
    parse_unverified_statement,
    read_provenance,
)
from nitro_attest.testing.eif import build_eif, self_signed_certificate
from support.errors import code_of, rejection
from support.paths import DOCS
from support.statements import KEY, compact, pem_of, signed, statement

IMAGES = FIXTURES / "vectors/eif"
SCHEMA = json.loads((DOCS / "reference/statement.schema.json").read_text())
SIGNER = SignerKey(pem_of(KEY))


@pytest.fixture
def image(tmp_path):
    def made(name="app.eif", **changes):
        parts = {"kernel": b"kernel", "cmdline": b"quiet", "ramdisks": [b"init", b"app"]}
        path = tmp_path / name
        path.write_bytes(build_eif(**parts | changes))
        return path

    return made


@pytest.mark.parametrize("path", sorted(IMAGES.glob("*.eif")), ids=lambda path: path.name)
def test_a_statement_has_the_digests_and_measurements_of_the_file(path):
    made = make_statement(path, builder={"id": "https://ci.example/42"})
    Draft202012Validator(SCHEMA).validate(made)
    found = parse_unverified_statement(json.dumps(made))
    data = path.read_bytes()
    assert found.subject.name == path.name
    assert found.subject.sha256 == hashlib.sha256(data).hexdigest()
    assert found.subject.sha384 == hashlib.sha384(data).hexdigest()
    assert found.pcrs == measure(path).measurements()
    assert found.builder == {"id": "https://ci.example/42"}


def test_a_signed_image_has_its_certificate_in_the_statement(image):
    key = ec.derive_private_key(7, ec.SECP384R1())
    pem = self_signed_certificate(key)
    path = image(signing_key=key, certificate_pem=pem)
    found = parse_unverified_statement(json.dumps(make_statement(path)))
    der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    assert found.signing_certificate_sha256 == hashlib.sha256(der).hexdigest()
    assert found.pcrs[8] == measure(path).pcr8


def test_name_and_version_come_from_the_metadata(image):
    metadata = {"ImageName": "app", "ImageVersion": "1.4", "BuildMetadata": {}}
    made = make_statement(image(metadata=metadata))
    assert made["predicate"]["image"] == {"name": "app", "version": "1.4"}
    odd = make_statement(image(metadata={"ImageName": 5}))
    assert "image" not in odd["predicate"]


def test_what_is_no_image_is_rejected(tmp_path, image):
    (tmp_path / "text").write_text("no image")
    os.mkfifo(tmp_path / "pipe")
    assert code_of(make_statement, tmp_path / "text").startswith("eif.")
    for wrong in (tmp_path / "absent", tmp_path / "pipe", tmp_path, 5, "a\0b"):
        assert code_of(make_statement, wrong) == "input.expected"
    assert code_of(make_statement, image(), builder="me") == "input.expected"
    assert code_of(make_statement, image(), max_size=5) == "eif.too_large"


def test_the_policy_accepts_exactly_the_image_of_the_statement(image, fake, when, roots):
    app, other = image(), image("other.eif", ramdisks=[b"init", b"other"])
    found = read_provenance(signed(make_statement(app)), SIGNER)
    verifier = Verifier(roots, policy=found.policy())
    document = fake.document(at=when, pcrs=measure(app).measurements())
    attestation = verifier.verify(document, at=when)
    assert attestation.matched == f"image {found.signer}"
    assert attestation.matched.startswith("image signed by the key of SHA-256 ")
    for pcrs in (
        measure(other).measurements(),
        *({**measure(app).measurements(), index: b"\1" * 48} for index in (0, 1, 2)),
    ):
        with pytest.raises(PolicyError) as caught:
            verifier.verify(fake.document(at=when, pcrs=pcrs), at=when)
        assert caught.value.code == "policy.pcr_mismatch"
    debug = fake.document(at=when, debug=True)
    assert not any(parse_unverified(debug).pcrs[0])
    assert code_of(verifier.verify, debug, at=when) == "policy.debug"


def test_the_policy_takes_the_conditions_of_policies(image):
    found = read_provenance(signed(make_statement(image())), SIGNER)
    policy = found.policy(require_nonce=True, regions=["eu-central-1"])
    assert policy.require_nonce
    assert policy.regions == ("eu-central-1",)
    assert code_of(found.policy, regions=[]) == "policyfile.empty"


def test_the_subject_must_be_the_image_at_hand(image):
    app, other = image(), image("other.eif", ramdisks=[b"init", b"other"])
    found = read_provenance(signed(make_statement(app)), SIGNER)
    found.check_image(app)
    error = rejection(found.check_image, other)
    assert error.code == "provenance.subject"
    assert "as in the statement about 'app.eif'" in error.message
    assert code_of(found.check_image, "absent.eif") == "input.file"
    right = hashlib.sha256(app.read_bytes()).hexdigest()
    half = statement(digest={"sha256": right, "sha384": "ab" * 48})
    assert code_of(read_provenance(signed(half), SIGNER).check_image, app) == "provenance.subject"


def test_the_signer_has_no_default():
    for wrong in (None, pem_of(KEY), "any"):
        assert code_of(read_provenance, compact(statement()), wrong) == "input.expected"
