"""Sigstore bundles: the named identity and nothing else (V-7).

A bundle of the public instance for an identity of this project cannot be made in a test. So a
genuine bundle, published among the tests of pypi-attestations, shows that the embedded trusted root
is used and that identities are compared, and bundles of a self-made instance show the rest.
"""

import json
import pickle
import sys

import pytest

from conftest import FIXTURES
from nitro_attest.provenance import SigstoreIdentity, read_provenance
from support.errors import code_of, code_or_none, rejection
from support.statements import b64, compact, envelope, signed, statement

pytest.importorskip("sigstore", reason="the extra provenance is not installed")

from support import sigstore_instance as instance

GENUINE = (FIXTURES / "sigstore/pypi-publish.sigstore.json").read_bytes()
PUBLISHER = (
    "https://github.com/trailofbits/pypi-attestation-models/.github/workflows/release.yml"
    "@refs/tags/v0.0.4a2"
)
PYPI = "https://docs.pypi.org/attestations/publish/v1"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("sigstore") / "trusted_root.json"
    path.write_text(instance.trusted_root())
    return path


@pytest.fixture
def identity(root):
    return SigstoreIdentity(instance.IDENTITY, instance.ISSUER, sigstore_root=root)


def with_(root, **changes):
    options = {"identity": instance.IDENTITY, "issuer": instance.ISSUER, "sigstore_root": root}
    return SigstoreIdentity(**options | changes)


def code(bundle, signer):
    return code_of(read_provenance, compact(bundle), signer)


def test_a_bundle_of_the_named_identity_tells_what_was_built(identity):
    found = read_provenance(compact(instance.bundle()), identity)
    assert found.signer.to_dict() == {
        "key_sha256": None,
        "identity": instance.IDENTITY,
        "issuer": instance.ISSUER,
        "repository": instance.REPOSITORY,
        "workflow": instance.IDENTITY,
        "ref": "refs/heads/main",
        "commit": instance.COMMIT,
    }
    assert str(found.signer) == f"built by {instance.REPOSITORY} at commit {instance.COMMIT}"


def test_an_identity_that_names_no_build_is_the_signer(root):
    person = "https://people.example/ada"
    found = read_provenance(
        compact(instance.bundle(identity=person, issuer="https://id.example", extensions={})),
        with_(root, identity=person, issuer="https://id.example"),
    )
    assert str(found.signer) == f"signed by {person} (https://id.example)"
    assert found.signer.commit is None


@pytest.mark.parametrize(
    "other",
    [
        {"identity": instance.IDENTITY + "x"},
        {"identity": instance.IDENTITY[:-1]},
        {"identity": instance.REPOSITORY},
        {"issuer": "https://id.example"},
        {"repository": "https://github.com/acme/other"},
        {"repository": "https://github.com/acme"},
        {"ref": "refs/heads/other"},
    ],
)
def test_any_other_identity_repository_or_ref_is_rejected(root, other):
    same = {"repository": instance.REPOSITORY, "ref": "refs/heads/main"}
    assert read_provenance(compact(instance.bundle()), with_(root, **same))
    error = rejection(read_provenance, compact(instance.bundle()), with_(root, **same | other))
    assert error.code == "provenance.signature"


@pytest.mark.parametrize(
    "wrong",
    [
        {"identity": ""},
        {"identity": None},
        {"issuer": ""},
        {"issuer": None},
        {"issuer": b"https://id.example"},
        {"repository": ""},
        {"ref": 5},
        {"sigstore_root": b"{}"},
    ],
)
def test_no_part_of_an_identity_can_be_left_open(root, wrong):
    assert code_of(with_, root, **wrong) == "provenance.signer"


def test_a_bundle_of_another_instance_is_rejected(root):
    public = SigstoreIdentity(instance.IDENTITY, instance.ISSUER)
    assert code(instance.bundle(), public) == "provenance.signature"
    assert code_of(read_provenance, GENUINE, with_(root)) == "provenance.signature"


def test_the_signature_is_verified_before_the_content_is_read(identity):
    assert code(instance.bundle(b"no JSON"), identity) == "provenance.format"
    assert code(instance.bundle(b"{}", "text/plain"), identity) == "provenance.payload_type"
    changed = instance.bundle()
    changed["dsseEnvelope"]["payload"] = b64(compact(statement(predicateType="x")).encode())
    assert code(changed, identity) == "provenance.signature"


def test_a_genuine_bundle_verifies_under_the_embedded_root_and_is_about_something_else():
    signer = SigstoreIdentity(PUBLISHER, instance.ISSUER)
    assert code_of(read_provenance, GENUINE, signer) == "provenance.predicate_type"
    assert (
        code_of(read_provenance, GENUINE, signer, predicate_type=PYPI) == "provenance.measurements"
    )
    other = SigstoreIdentity(PUBLISHER.replace("v0.0.4a2", "v0.0.5"), instance.ISSUER)
    assert code_of(read_provenance, GENUINE, other) == "provenance.signature"


def test_no_change_of_one_byte_is_accepted_with_another_meaning(identity):
    text = compact(instance.bundle()).encode()
    original = read_provenance(text, identity)
    accepted = 0
    for place in range(0, len(text), 29):
        changed = bytearray(text)
        changed[place] ^= 1
        found = code_or_none(read_provenance, bytes(changed), identity)
        if found is None:  # the name of the log, which its signature does not cover
            assert read_provenance(bytes(changed), identity) == original
            accepted += 1
        else:
            assert found.startswith("provenance.")
    assert accepted < 3


def test_only_bundles_of_version_0_3_are_read(identity):
    for media_type in (
        "application/vnd.dev.sigstore.bundle+json;version=0.1",
        "application/vnd.dev.sigstore.bundle+json;version=0.3",
        None,
    ):
        other = instance.bundle() | {"mediaType": media_type}
        assert code(other, identity) == "provenance.format"
    assert code(envelope(), identity) == "provenance.format"
    assert code({"mediaType": instance.bundle()["mediaType"]}, identity) == "provenance.signature"


def test_a_trusted_root_that_cannot_be_read_is_named(tmp_path):
    for content in (None, "", "{}", '{"mediaType": "x"}'):
        path = tmp_path / "root.json"
        if content is not None:
            path.write_text(content)
        error = rejection(read_provenance, compact(instance.bundle()), with_(path))
        assert error.code == "provenance.signer"
        assert "pass the path of a trusted_root.json as sigstore_root=" in error.message


def test_without_the_package_one_sentence_says_how_to_install_it(identity, monkeypatch):
    monkeypatch.setitem(sys.modules, "sigstore.models", None)
    error = rejection(read_provenance, compact(instance.bundle()), identity)
    assert error.code == "input.extra"
    assert error.message.endswith("run: pip install 'sigstore>=4.5.1'")


def test_nothing_is_written_and_no_cache_is_read(identity, tmp_path, monkeypatch):
    for variable in ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    signer = SigstoreIdentity(PUBLISHER, instance.ISSUER)
    assert code_of(read_provenance, GENUINE, signer) == "provenance.predicate_type"
    assert list(tmp_path.iterdir()) == []


def test_a_signer_is_a_value(root):
    signer = with_(root, ref="refs/heads/main")
    again = pickle.loads(pickle.dumps(signer))
    assert again == signer
    assert hash(again) == hash(signer)


def test_the_form_must_be_that_of_the_signer(identity):
    error = rejection(read_provenance, signed(), identity)
    assert error.code == "provenance.format"
    assert error.message.startswith("expected a Sigstore bundle, as the signer is an identity")
    assert json.loads(signed()).keys() == {"payload", "payloadType", "signatures"}
