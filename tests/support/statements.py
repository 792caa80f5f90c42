"""Signed statements as tests need them: DSSE envelopes of self-made keys."""

import base64
import json

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nitro_attest.provenance import PREDICATE_TYPE

PAYLOAD_TYPE = "application/vnd.in-toto+json"
PCRS = {"0": "a0" * 48, "1": "a1" * 48, "2": "a2" * 48}
KEYS = {
    "P-256": ec.derive_private_key(2, ec.SECP256R1()),
    "P-384": ec.derive_private_key(3, ec.SECP384R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))),
}
KEY = KEYS["P-256"]
OTHER_KEY = ec.derive_private_key(5, ec.SECP256R1())


def pem_of(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def predicate(**changes):
    """A complete predicate; a change to None removes a member."""
    whole = {
        "hashAlgorithm": "SHA384",
        "pcrs": PCRS | {"8": "a8" * 48},
        "signingCertificate": {"sha256": "cd" * 32},
        "builder": {"id": "https://ci.example/build/42"},
        "image": {"name": "app", "version": "1.4"},
    } | changes
    return {name: value for name, value in whole.items() if value is not None}


def statement(*, of=None, digest=None, **changes):
    whole = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "app.eif", "digest": digest or {"sha256": "ab" * 32}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": predicate() if of is None else of,
    } | changes
    return {name: value for name, value in whole.items() if value is not None}


def compact(value):
    return json.dumps(value, separators=(",", ":"))


def b64(data):
    return base64.b64encode(data).decode()


def signature(key, message):
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    sizes = {256: hashes.SHA256(), 384: hashes.SHA384()}
    return key.sign(message, ec.ECDSA(sizes[key.curve.key_size]))


def envelope(payload=None, keys=(KEY,), payload_type=PAYLOAD_TYPE):
    """An envelope as an object; the payload is bytes or a statement."""
    if not isinstance(payload, bytes):
        payload = compact(statement() if payload is None else payload).encode()
    message = f"DSSEv1 {len(payload_type)} {payload_type} {len(payload)} ".encode() + payload
    return {
        "payload": b64(payload),
        "payloadType": payload_type,
        "signatures": [{"sig": b64(signature(key, message))} for key in keys],
    }


def signed(payload=None, **options):
    """An envelope as text."""
    return compact(envelope(payload, **options))
