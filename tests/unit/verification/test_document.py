"""Documents: one copy of the caller's bytes, whatever type they come in (C-1, C-2)."""

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from nitro_attest import parse_unverified, verify, verify_nitrotpm
from nitro_attest.limits import MAX_DOCUMENT_BYTES
from support.errors import code_of


class Shorter(bytes):
    """Reports a length that C-2 allows, whatever it holds."""

    def __len__(self):
        return 5000


class Forged(bytes):
    """Holds one document, and shows the parts of another one."""

    shown = b""

    def __getitem__(self, place):
        return self.shown[place]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, Shorter])
def test_c2_the_size_is_that_of_the_bytes(kind):
    assert code_of(parse_unverified, kind(bytes(MAX_DOCUMENT_BYTES + 1))) == "document.too_large"


def test_what_is_verified_is_what_the_bytes_hold(fake, fake_document, when):
    forged = Forged(fake_document)
    forged.shown = fake.document(at=when, user_data=b"forged")
    assert forged[:] != fake_document
    attestation = verify(forged, fake.root_pem, at=when)
    assert attestation == verify(fake_document, fake.root_pem, at=when)
    assert attestation.user_data is None


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_document_may_come_in_any_buffer(fake_document, kind):
    assert parse_unverified(kind(fake_document)) == parse_unverified(fake_document)


@pytest.mark.parametrize(
    ("kind", "pcrs", "read"),
    [("enclave", "pcrs", verify), ("nitrotpm", "nitrotpm_pcrs", verify_nitrotpm)],
)
def test_a_document_has_the_values_it_was_made_with_and_shows_them_as_json(
    fake, when, kind, pcrs, read
):
    fields = {"public_key": b"p", "user_data": b"u", "nonce": b"n" * 16}
    received = fake.document(at=when, kind=kind, **fields)
    attestation = read(received, fake.root_pem, at=when)
    document = attestation.document
    assert {name: getattr(document, name) for name in fields} == fields
    assert document.timestamp == when
    for made in (document, parse_unverified(received)):
        assert not hasattr(made, "__dict__")
    ders = [certificate.public_bytes(Encoding.DER) for certificate in attestation.chain]
    assert [document.certificate, *reversed(document.cabundle)] == ders
    shown = {
        "module_id": attestation.module_id,
        "digest": "SHA384",
        "timestamp_ms": round(when.timestamp() * 1000),
        "timestamp": "2026-03-01T12:00:00.250+00:00",
        pcrs: {str(index): value.hex() for index, value in getattr(document, pcrs).items()},
        "certificate": ders[0].hex(),
        "cabundle": [der.hex() for der in reversed(ders[1:])],
        **{name: value.hex() for name, value in fields.items()},
    }
    assert document.to_dict() == shown
    unverified = parse_unverified(received)
    assert unverified.to_dict() == {"kind": kind} | shown
    assert unverified.pcrs == getattr(document, pcrs)
    longer = fake.document(at=when, kind=kind, **fields, fault="P-7.first")
    [field] = parse_unverified(longer, unknown_fields="warn").unknown_fields
    assert (field.name, field.value, longer[field.offset]) == ("version", b"\x02", 2)
    assert parse_unverified(longer, unknown_fields="warn").to_dict() == {
        **unverified.to_dict(),
        "timestamp_ms": shown["timestamp_ms"],
        "unknown_fields": [{"name": "version", "value": "02", "offset": field.offset}],
    }
    bare = parse_unverified(fake.document(at=when, kind=kind)).to_dict()
    assert {name: bare[name] for name in fields} == dict.fromkeys(fields)
