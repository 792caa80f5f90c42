"""Documents that AWS hardware made, and documents that only look like it."""

import os
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from nitro_attest import ChainError, FormatError, NitroAttestError, parse_unverified, verify
from support.paths import FIXTURES


def test_every_genuine_enclave_document_verifies_at_its_own_time(corpus):
    seen = Counter()
    for entry, document in corpus:
        if entry["expect"] != "genuine" or entry["kind"] != "enclave":
            continue
        if entry["debug"]:
            with pytest.raises(NitroAttestError) as rejected:
                verify(document, at="document")
            assert rejected.value.code == "policy.debug"
        attestation = verify(document, at="document", allow_debug=entry["debug"])
        assert attestation.module_id == entry["module_id"]
        assert attestation.region == entry["region"]
        assert attestation.document.timestamp_ms == entry["timestamp_ms"]
        assert list(attestation.pcrs) == entry["pcr_indices"]
        assert attestation.root.name == "aws"
        seen[entry["payload_map"]] += 1
    assert set(seen) == {"definite", "indefinite"}


def test_every_genuine_enclave_document_expires_with_its_signing_certificate(corpus):
    for entry, document in corpus:
        if entry["expect"] != "genuine" or entry["kind"] != "enclave":
            continue
        end = datetime.fromisoformat(entry["leaf_not_after"])
        verify(document, at=end, allow_debug=True)
        with pytest.raises(ChainError) as rejected:
            verify(document, at=end + timedelta(seconds=1), allow_debug=True)
        assert rejected.value.code == "cert.expired"


def test_t1_every_genuine_instance_document_is_rejected_as_an_enclave(corpus):
    instances = [document for entry, document in corpus if entry["kind"] == "nitrotpm"]
    assert instances
    for document in instances:
        with pytest.raises(FormatError) as rejected:
            verify(document, at="document")
        assert rejected.value.code == "payload.kind"


def test_no_document_that_must_be_rejected_verifies(corpus):
    bad = [document for entry, document in corpus if entry["expect"] == "reject"]
    assert bad
    for document in bad:
        with pytest.raises(NitroAttestError):
            verify(document, at="document", allow_debug=True)


def test_c17_an_emulators_unsigned_document_is_rejected_by_name(fake_document):
    emulated = fake_document.replace(bytes.fromhex("44a1013822"), bytes.fromhex("43a10120"), 1)
    with pytest.raises(FormatError, match="QEMU") as rejected:
        verify(emulated)
    assert rejected.value.code == "cose.protected"
    assert rejected.value.offset == 1


@pytest.mark.parametrize("name", sorted(p.name for p in (FIXTURES / "real").glob("*.bin")))
def test_the_documents_in_this_repository_verify(name):
    document = (FIXTURES / "real" / name).read_bytes()
    attestation = verify(document, at="document", allow_debug=True)
    codes = [notice.code for notice in attestation.warnings]
    assert codes[0] == "policy.none"
    assert "time.document" in codes


def test_both_forms_of_the_payload_map_are_in_this_repository():
    heads = {
        parse_unverified(path.read_bytes()).payload[0] for path in (FIXTURES / "real").glob("*.bin")
    }
    assert heads == {0xA9, 0xBF}


def test_the_document_time_is_the_signed_one(genuine):
    document, made = genuine
    assert verify(document, at="document").verified_at == made
    assert verify(document, at=made.astimezone(timezone(timedelta(hours=9)))).verified_at == made


def test_c17_every_document_that_an_emulator_made_is_rejected_by_name():
    folder = Path(os.environ.get("NITRO_ATTEST_CORPUS", "")).parent / "emulated"
    documents = sorted(folder.glob("*.cbor")) if "NITRO_ATTEST_CORPUS" in os.environ else []
    if not documents:
        pytest.skip(
            "no documents of emulators: NITRO_ATTEST_CORPUS is not set, or has no sibling emulated/"
        )
    for path in documents:
        with pytest.raises(FormatError, match="QEMU") as rejected:
            verify(path.read_bytes(), at="document", allow_debug=True)
        assert rejected.value.code == "cose.protected"
