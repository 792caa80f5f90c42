"""Every rule: documents that break it are rejected with its code, unusual ones are accepted."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from nitro_attest import errors, parse_unverified, verify
from nitro_attest.testing import FAULTS, VARIANTS, FakeNitro
from nitro_attest.testing.pki import basic_constraints
from reference.paths import certificates_of, document
from support.errors import rejection

# Rules that say "must reject", and those with an option that decides.
RULES = {
    *("C-1", "C-2", "C-4", "C-5", "C-6", "C-7", "C-8", "C-9", "C-10", "C-11", "C-12", "C-13"),
    *("C-14", "C-16"),
    *("P-1", "P-2", "P-3", "P-4", "P-5", "P-6", "P-7", "P-9", "P-10", "P-12", "P-13", "P-14"),
    *("P-15", "P-16", "P-17", "P-18", "P-19", "P-20", "P-21", "P-22", "P-23", "P-24", "P-25"),
    *("X-1", "X-2", "X-3", "X-4", "X-5", "X-6", "X-7", "X-8", "X-9", "X-10", "X-12", "X-13"),
    *("X-14", "X-15", "X-16", "X-17", "X-18", "X-19", "X-20", "X-21", "X-22", "X-23", "X-24"),
    *("M-2", "T-1", "T-3"),
}

CLASSES = {
    family: error
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, errors.NitroAttestError)
    for family in error.families
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_broken_rule_is_rejected_with_its_code(name, fake, when):
    fault = FAULTS[name]
    document = fake.document(at=when, fault=name)
    error = rejection(
        verify, document, fake.root_pem, **{"at": when + fault.at_shift, **fault.verify}
    )
    assert error.code == fault.code
    assert type(error) is CLASSES[fault.code.partition(".")[0]]


@pytest.mark.parametrize("name", VARIANTS)
def test_an_unusual_document_is_accepted_with_its_warnings(name, fake, when):
    variant = VARIANTS[name]
    document = fake.document(at=when, variant=name)
    attestation = verify(document, fake.root_pem, **variant.verify_arguments(when))
    assert tuple(notice.code for notice in attestation.warnings) == variant.warnings


@pytest.mark.parametrize("microsecond", [0, 999_999])
def test_the_tables_hold_for_other_keys_and_at_the_ends_of_a_second(when, microsecond):
    nitro = FakeNitro(seed=b"elsewhere", region="ap-southeast-2", instance_id="i-01234567")
    at = when.replace(hour=23, microsecond=microsecond)
    for name, fault in FAULTS.items():
        document = nitro.document(at=at, fault=name)
        error = rejection(
            verify, document, nitro.root_pem, **{"at": at + fault.at_shift, **fault.verify}
        )
        assert (name, error.code) == (name, fault.code)
    for name, variant in VARIANTS.items():
        document = nitro.document(at=at, variant=name)
        verify(document, nitro.root_pem, **variant.verify_arguments(at))


def test_every_rule_has_an_accepting_and_a_rejecting_case():
    rejecting = {fault.rule for fault in FAULTS.values()}
    accepting = {rule for variant in VARIANTS.values() for rule in variant.rules}
    assert sorted(RULES - rejecting) == []
    assert sorted(RULES - accepting) == []


def test_p4_every_truncation_of_the_payload_is_recognised(fake, when):
    document = fake.document(at=when)
    payload = parse_unverified(document).payload
    start, signature = document[:7], document[-98:]
    for size in range(256, len(payload)):
        cut = start + b"\x59" + size.to_bytes(2, "big") + payload[:size] + signature
        with pytest.raises(errors.FormatError) as rejected:
            parse_unverified(cut)
        assert rejected.value.code == "cbor.truncated"


def test_x10_every_certificate_counts_to_its_last_instant(fake, when):
    whole = when.replace(microsecond=0)
    end = whole + timedelta(hours=3)
    document = fake.document(at=whole)
    assert verify(document, fake.root_pem, at=end).verified_at == end
    error = rejection(verify, document, fake.root_pem, at=end + timedelta(milliseconds=1))
    assert error.code == "cert.expired"


def test_x10_the_root_too_must_be_valid(fake):
    last = datetime(2049, 10, 28, 14, 28, 5, tzinfo=timezone.utc)
    document = fake.document(at=last)
    verify(document, fake.root_pem, at=last)
    error = rejection(verify, document, fake.root_pem, at=last + timedelta(seconds=1))
    assert error.code == "cert.expired"
    assert "root" in error.message

    early = datetime(2019, 10, 28, 13, 20, tzinfo=timezone.utc)
    error = rejection(verify, fake.document(at=early), fake.root_pem, at=early)
    assert error.code == "cert.not_yet_valid"
    assert "root" in error.message


def test_x11_a_root_with_a_generalized_time_is_accepted(when):
    govcloud = FakeNitro(seed=b"govcloud", govcloud_dates=True)
    assert b"\x18\x0f20500910130346Z" in govcloud.root_der
    assert verify(govcloud.document(at=when), govcloud.root_pem, at=when)


def test_x4_a_document_under_one_fake_root_is_rejected_under_another(fake, when):
    other = FakeNitro(seed=b"another root of the same name")
    error = rejection(verify, fake.document(at=when), other.root_pem, at=when)
    assert error.code == "chain.untrusted_root"
    error = rejection(verify, fake.document(at=when), at=when, root_pem=None)
    assert error.code == "chain.untrusted_root"


def test_x6_a_certificate_twice_is_reported_before_what_is_wrong_with_one(fake, when):
    cabundle, _ = certificates_of(fake, when)
    doubled = document(fake, when, cabundle=[*cabundle, cabundle[1]], certificate=bytes(64))
    assert rejection(verify, doubled, fake.root_pem, at=when).code == "chain.loop"


def test_x7_a_ca_without_a_name_is_reported_before_the_length_of_its_path(fake, when):
    root, regional, zonal, instance, _ = fake._pki.path(when, fake.module_id)
    no_name = b"\x30\x00"
    shorter = (basic_constraints(ca=True, path_length=0), *regional.extensions[1:])
    nameless = replace(regional, subject=no_name, extensions=shorter)
    cabundle = [form.der for form in (root, nameless, replace(zonal, issuer=no_name), instance)]
    made = document(fake, when, cabundle=cabundle)
    assert rejection(verify, made, fake.root_pem, at=when).code == "chain.name"
