"""Trust anchors: what ships, what a caller may bring, and what is refused."""

import hashlib
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from conftest import FIXTURES
from nitro_attest import (
    ANY_ENCLAVE,
    InputError,
    TrustedRoots,
    Verifier,
    verify,
)
from nitro_attest.verification import roots
from nitro_attest.verification.roots import PINNED


def refused(call, *args):
    with pytest.raises(InputError) as caught:
        call(*args)
    assert caught.value.code == "input.root"
    return caught.value.message


def pem_of(roots):
    (root,) = roots
    return root.certificate.parsed.public_bytes(Encoding.PEM)


@pytest.mark.parametrize("partition", sorted(PINNED))
def test_a_shipped_root_is_the_one_that_is_pinned(partition):
    (root,) = TrustedRoots.from_partition(partition)
    assert hashlib.sha256(root.der).hexdigest() == PINNED[partition] == root.sha256
    assert root.name == partition
    assert root.pinned
    subject = root.certificate.common_name
    assert subject == f"{partition}.nitro-enclaves"


@pytest.mark.parametrize("partition", sorted(PINNED))
def test_a_shipped_root_equals_the_independent_copy(partition):
    copy = (FIXTURES / "roots" / f"{partition}.pem").read_bytes()
    assert [root.name for root in TrustedRoots.from_pem(copy)] == [partition]


@pytest.mark.parametrize("content", [None, "", "-----BEGIN\nabcde\n-----END", "the GovCloud root"])
def test_an_installation_whose_root_was_altered_is_refused(content, monkeypatch, tmp_path):
    roots._shipped_root.cache_clear()
    monkeypatch.setattr(roots, "__file__", str(tmp_path / "roots.py"))
    if content == "the GovCloud root":
        content = (FIXTURES / "roots" / "aws-us-gov.pem").read_text()
    if content is not None:
        (tmp_path / "aws_roots").mkdir()
        (tmp_path / "aws_roots" / "aws.pem").write_text(content)
    assert "altered" in refused(TrustedRoots.from_partition, "aws")


def test_a_root_is_a_key_of_a_set():
    (root,) = TrustedRoots.AWS
    assert root in {root}
    assert repr(root) == "<Root aws>"
    roots._shipped_root.cache_clear()
    roots._root_from_pem.cache_clear()


def test_x11_the_govcloud_root_with_a_generalized_time_is_read():
    (root,) = TrustedRoots.AWS_US_GOV
    assert root.certificate.parsed.not_valid_after_utc.year == 2050


def test_both_roots_can_be_trusted_together():
    both = TrustedRoots.AWS | TrustedRoots.AWS_US_GOV
    assert [root.name for root in both] == ["aws", "aws-us-gov"]
    assert repr(both) == "<TrustedRoots aws, aws-us-gov>"


def test_the_aws_root_given_as_pem_is_still_the_pinned_one(genuine):
    document, made = genuine
    attestation = verify(document, pem_of(TrustedRoots.AWS), at=made)
    assert attestation.root.name == "aws"
    assert "root.custom" not in [notice.code for notice in attestation.warnings]


def test_a_root_of_ones_own_replaces_the_shipped_one_and_is_named_by_its_hash(fake, when):
    attestation = verify(fake.document(at=when), fake.root_pem.decode(), at=when)
    digest = hashlib.sha256(fake.root_der).hexdigest()
    assert attestation.root.name == f"custom:{digest[:16]}"
    assert "root.custom" in [notice.code for notice in attestation.warnings]


def test_the_fingerprint_of_the_root_or_of_its_zip_is_recognised():
    colons = ":".join(PINNED["aws"][i : i + 2] for i in range(0, 64, 2)).upper()
    assert [root.name for root in TrustedRoots.from_sha256(colons)] == ["aws"]
    zip_hash = "8cf60e2b2efca96c6a9e71e851d00c1b6991cc09eadbe64a6a1d1b1eb9faff7c"
    assert "ZIP" in refused(TrustedRoots.from_sha256, zip_hash)
    assert "no shipped root" in refused(TrustedRoots.from_sha256, "00" * 32)


def test_an_unknown_partition_is_refused():
    assert "aws-cn" in refused(TrustedRoots.from_partition, "aws-cn")


@pytest.mark.parametrize("pem", ["", "fixtures/roots/aws.pem", b"\x30\x82", 7, b""])
def test_what_is_not_pem_text_is_refused(pem):
    assert "PEM" in refused(TrustedRoots.from_pem, pem) if pem != 7 else refused(_of_seven)


def _of_seven():
    TrustedRoots.from_pem(7)


def test_several_certificates_are_refused():
    two = pem_of(TrustedRoots.AWS) + pem_of(TrustedRoots.AWS_US_GOV)
    assert "exactly one certificate, found 2" in refused(TrustedRoots.from_pem, two)


def test_a_damaged_certificate_is_refused():
    lines = pem_of(TrustedRoots.AWS).splitlines()
    lines[3] = lines[3][::-1]
    assert "not a certificate" in refused(TrustedRoots.from_pem, b"\n".join(lines))


def test_x8_a_certificate_that_is_not_self_signed_is_no_root(fake, when):
    attestation = verify(fake.document(at=when), fake.root_pem, at=when)
    intermediate = attestation.chain[-2].public_bytes(Encoding.PEM)
    assert "self-signed" in refused(TrustedRoots.from_pem, intermediate)


def test_x14_a_certificate_that_is_no_ca_is_no_root(fake, when):
    leaf = verify(fake.document(at=when), fake.root_pem, at=when).chain[0]
    assert isinstance(leaf, x509.Certificate)
    assert "CA" in refused(TrustedRoots.from_pem, leaf.public_bytes(Encoding.PEM))


def test_x4_trusting_one_partition_does_not_trust_another(genuine):
    document, made = genuine
    with pytest.raises(Exception, match="aws") as caught:
        verify(document, pem_of(TrustedRoots.AWS_US_GOV), at=made)
    assert caught.value.code == "chain.untrusted_root"
    assert "partition aws" in caught.value.message


@pytest.mark.parametrize("form", [bytes, bytes.decode, TrustedRoots.from_pem])
def test_verify_and_verifier_take_pem_and_trusted_roots(fake, fake_document, when, form):
    roots = form(fake.root_pem)
    assert verify(fake_document, roots, at=when) == verify(fake_document, fake.root_pem, at=when)
    assert Verifier(roots, policy=ANY_ENCLAVE).verify(fake_document, at=when)


@pytest.mark.parametrize("wrong", [b"", "root.pem", 5, TrustedRoots(())])
def test_nothing_else_is_trusted(fake_document, wrong):
    assert refused(verify, fake_document, wrong)
    assert refused(lambda: Verifier(wrong, policy=ANY_ENCLAVE))


def test_sets_of_roots_are_equal_whatever_their_order(fake):
    own = TrustedRoots.from_pem(fake.root_pem)
    assert own | TrustedRoots.AWS == TrustedRoots.AWS | own | own
    assert own != TrustedRoots.AWS


@pytest.mark.parametrize("wrong", ["x", None, ("x",), iter(())])
def test_a_set_holds_roots_and_nothing_else(wrong):
    assert refused(TrustedRoots, wrong)


def test_pem_is_not_joined_to_a_set(fake):
    with pytest.raises(TypeError):
        TrustedRoots.AWS | fake.root_pem


def test_a_root_is_pinned_by_its_fingerprint_not_by_its_name(fake):
    [own] = TrustedRoots.from_pem(fake.root_pem)
    assert not replace(own, name="aws").pinned


@pytest.mark.parametrize(("pem", "hinted"), [(b"root.pem", True), (b"no\nPEM\n", False)])
def test_a_path_in_place_of_pem_is_explained(pem, hinted):
    assert refused(TrustedRoots.from_pem, pem).endswith("not its path") is hinted


@pytest.mark.parametrize("wrong", [None, [], 5, b"aws", {}, object()])
def test_a_partition_and_a_fingerprint_are_text(wrong):
    refused(TrustedRoots.from_partition, wrong)
    refused(TrustedRoots.from_sha256, wrong)


def test_a_root_is_bytes_that_nobody_can_change(fake):
    for wrong in (bytearray(fake.root_der), memoryview(fake.root_der), None, "text", 5):
        refused(TrustedRoots.from_ders, wrong)

    class Disguised(bytes):
        def __eq__(self, other):
            return True

        __hash__ = bytes.__hash__

    [root] = TrustedRoots.from_ders(Disguised(fake.root_der))
    assert type(root.der) is bytes
