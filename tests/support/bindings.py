"""Servers, documents and rejections as the tests of bindings use them."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from nitro_attest import PolicyError, verify
from nitro_attest.channel.bindings.base import Peer
from nitro_attest.verification.attestation import VERIFIED
from support.errors import rejection

ISSUER = ec.derive_private_key(7, ec.SECP256R1())
NOT_BEFORE = datetime(2026, 1, 1, tzinfo=timezone.utc)


def spki(public_key):
    return public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def peer_with(public_key):
    """A server whose certificate is for this key; its private key is not needed."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "enclave.example")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public_key)
        .serial_number(1)
        .not_valid_before(NOT_BEFORE)
        .not_valid_after(NOT_BEFORE + timedelta(days=365))
    )
    return Peer(builder.sign(ISSUER, hashes.SHA256()).public_bytes(Encoding.DER))


def attested(fake, when, **fields):
    """The attestation of a fake document with these fields."""
    document = fake.document(at=when, **fields)
    return verify(document, fake.root_pem, at=when, allow_debug=fields.get("debug", False))


def altered(attestation, **fields):
    """The attestation of a document that differs in these fields, without making the document.

    Bindings read nothing but the content, and verifying a document for each byte takes seconds.
    """
    content = attestation.document._content._replace(**fields)
    document = replace(attestation.document, _content=content)
    return replace(attestation, document=document, made_by=VERIFIED)


def unbound(check, *arguments):
    """The failure of a binding that does not match; fails the test for any other result."""
    error = rejection(check, *arguments)
    assert isinstance(error, PolicyError)
    [failure] = error.failures
    assert failure.code == "policy.binding"
    return failure


def changes(value):
    """The value with each of its bytes changed, one at a time, by its lowest and highest bit."""
    for index, byte in enumerate(value):
        for mask in (0x01, 0x80):
            yield value[:index] + bytes([byte ^ mask]) + value[index + 1 :]
