"""The results of verifications: their values, as JSON too, and when two are equal."""

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.hashes import SHA256

from nitro_attest import (
    ANY_ENCLAVE,
    ANY_INSTANCE,
    NitroTpmPolicy,
    Policy,
    RevocationLists,
    Verifier,
    verify,
    verify_nitrotpm,
)


def test_the_json_of_a_result_has_every_value(fake, roots, when):
    nonce = bytes(range(32))
    document = fake.document(at=when, nonce=nonce)
    lists = RevocationLists(*(fake.revocation_list(ca, at=when) for ca in ("root", "regional")))
    verifier = Verifier(roots, policy=ANY_ENCLAVE, revocation=lists)
    result = verifier.verify(document, at=when, nonce=nonce)
    assert result.to_dict() == {
        "document": result.document.to_dict(),
        "chain": [
            {
                "subject": each.subject.rfc4514_string(),
                "issuer": each.issuer.rfc4514_string(),
                "serial": f"{each.serial_number:x}",
                "not_before": each.not_valid_before_utc.isoformat(),
                "not_after": each.not_valid_after_utc.isoformat(),
                "sha256": each.fingerprint(SHA256()).hex(),
            }
            for each in result.chain
        ],
        "root": {"name": result.root.name, "sha256": result.root.sha256},
        "verified_at": "2026-03-01T12:00:00.250+00:00",
        "time_source": "given",
        "attestation_id": result.attestation_id.hex(),
        "instance_id": "i-0abcdef0123456789",
        "region": "us-east-1",
        "measurements_required": False,
        "matched": None,
        "revocation_lists": [one.to_dict() for one in lists],
        "warnings": [
            {
                "code": "root.custom",
                "message": f"the trusted root is {result.root.name}, not one published by AWS",
            }
        ],
    }
    assert len(result.chain) == 5


def test_the_json_says_whether_measurements_were_required(fake, when):
    pinned = {5: bytes(48)}
    enclave, instance = fake.document(at=when), fake.document(at=when, kind="nitrotpm")
    for policy, required in ((Policy([pinned]), True), (ANY_ENCLAVE, False)):
        result = verify(enclave, fake.root_pem, at=when, policy=policy)
        assert result.to_dict()["measurements_required"] is required
    for policy, required in ((NitroTpmPolicy([{4: b"\x04" * 48}]), True), (ANY_INSTANCE, False)):
        document = fake.document(at=when, kind="nitrotpm", pcrs={4: b"\x04" * 48})
        result = verify_nitrotpm(document, fake.root_pem, at=when, policy=policy)
        assert result.to_dict()["measurements_required"] is required
    assert verify_nitrotpm(instance, fake.root_pem, at=when).nitrotpm_pcrs


@pytest.mark.parametrize("policy", [ANY_ENCLAVE, Policy([{5: bytes(48)}])])
def test_results_are_equal_by_kind_id_policy_and_time(fake, when, policy):
    document = fake.document(at=when)
    one = verify(document, fake.root_pem, at=when, policy=policy)
    assert one == verify(document, fake.root_pem, at=when, policy=policy)
    later = verify(document, fake.root_pem, at=when + timedelta(seconds=1), policy=policy)
    other = verify(fake.document(at=when, nonce=b"n"), fake.root_pem, at=when, policy=policy)
    looser = verify(document, fake.root_pem, at=when, policy=Policy([{6: bytes(48)}]))
    for different in (later, other, looser, "a result"):
        assert one != different
    assert len({hash(one), hash(later), hash(other)}) == 3
    instance = verify_nitrotpm(fake.document(at=when, kind="nitrotpm"), fake.root_pem, at=when)
    assert hash(one) != hash(instance)


def test_a_result_has_no_room_for_further_attributes(fake, when):
    result = verify(fake.document(at=when), fake.root_pem, at=when)
    assert not hasattr(result, "__dict__")
