"""Documents: one copy of the caller's bytes, whatever type they come in (C-1, C-2)."""

import pytest

from nitro_attest import parse_unverified, verify
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
