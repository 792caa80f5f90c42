"""A Sigstore instance for tests: its trusted root, and bundles that the package sigstore accepts.

Bundles of the public instance for an identity of ours cannot be made here. This instance has what
the verifier needs: a certificate authority, a log of certificates and a log of signatures.
"""

import base64
import json
from datetime import datetime, timedelta, timezone
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from support.statements import PAYLOAD_TYPE, b64, compact, envelope

ISSUER = "https://token.actions.githubusercontent.com"
REPOSITORY = "https://github.com/acme/enclave"
IDENTITY = f"{REPOSITORY}/.github/workflows/build.yml@refs/heads/main"
COMMIT = "0123456789abcdef0123456789abcdef01234567"

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
SIGNED_AT = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)

CA = ec.derive_private_key(11, ec.SECP384R1())
CERTIFICATE_LOG = ec.derive_private_key(12, ec.SECP256R1())
SIGNATURE_LOG = ec.derive_private_key(13, ec.SECP256R1())
SIGNER = ec.derive_private_key(14, ec.SECP256R1())

EXTENSIONS = {8: ISSUER, 9: IDENTITY, 12: REPOSITORY, 13: COMMIT, 14: "refs/heads/main"}
"""Extensions of a certificate for a GitHub workflow, by the last arc of their identifier."""


def spki(key):
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def log_id(key):
    return sha256(spki(key)).digest()


def name(text):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def sign(key, data):
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


def ca_certificate():
    return (
        x509.CertificateBuilder()
        .subject_name(name("test-sigstore"))
        .issuer_name(name("test-sigstore"))
        .public_key(CA.public_key())
        .serial_number(1)
        .not_valid_before(START)
        .not_valid_after(START + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(CA.public_key()), critical=False)
        .sign(CA, hashes.SHA384())
    )


def _usage(**used):
    names = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
        *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{name: used.get(name, False) for name in names})


def certificate(identity=IDENTITY, issuer=ISSUER, extensions=EXTENSIONS):
    """The signer's certificate, with the timestamp of the certificate log inside."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(name("test-sigstore"))
        .public_key(SIGNER.public_key())
        .serial_number(2)
        .not_valid_before(SIGNED_AT - timedelta(minutes=1))
        .not_valid_after(SIGNED_AT + timedelta(minutes=9))
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CODE_SIGNING]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(CA.public_key()), critical=False
        )
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)]), critical=True
        )
        .add_extension(_extension(1, issuer.encode()), critical=False)
    )
    for arc, text in extensions.items():
        builder = builder.add_extension(_extension(arc, asn1.encode_der(text)), critical=False)
    before = builder.sign(CA, hashes.SHA384()).tbs_certificate_bytes
    return builder.add_extension(_timestamp(before), critical=False).sign(CA, hashes.SHA384())


def _extension(arc, value):
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.3.6.1.4.1.57264.1.{arc}"), value)


def _timestamp(tbs):
    """A signed certificate timestamp of a certificate without it (RFC 6962 section 3.2)."""
    milliseconds = int(SIGNED_AT.timestamp() * 1000).to_bytes(8, "big")
    entry = sha256(spki(CA)).digest() + len(tbs).to_bytes(3, "big") + tbs
    data = b"\0\0" + milliseconds + b"\0\1" + entry + b"\0\0"
    signature = sign(CERTIFICATE_LOG, data)
    timestamp = b"\0" + log_id(CERTIFICATE_LOG) + milliseconds + b"\0\0" + b"\4\3"
    timestamp += len(signature).to_bytes(2, "big") + signature
    listed = len(timestamp).to_bytes(2, "big") + timestamp
    return x509.UnrecognizedExtension(
        x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2"),
        asn1.encode_der(len(listed).to_bytes(2, "big") + listed),
    )


def bundle(payload=None, payload_type=PAYLOAD_TYPE, **signer):
    """A bundle of version 0.3 as an object; the arguments are those of ``certificate``."""
    signed_by = certificate(**signer)
    enclosed = envelope(payload, (SIGNER,), payload_type)
    pem = b64(signed_by.public_bytes(Encoding.PEM))
    body = {
        "apiVersion": "0.0.1",
        "kind": "dsse",
        "spec": {
            "envelopeHash": _hash(compact(enclosed).encode()),
            "payloadHash": _hash(base64.b64decode(enclosed["payload"])),
            "signatures": [{"signature": enclosed["signatures"][0]["sig"], "verifier": pem}],
        },
    }
    return {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {
            "certificate": {"rawBytes": b64(signed_by.public_bytes(Encoding.DER))},
            "tlogEntries": [_log_entry(compact(body).encode())],
        },
        "dsseEnvelope": enclosed,
    }


def _hash(data):
    return {"algorithm": "sha256", "value": sha256(data).hexdigest()}


def _log_entry(body):
    """The entry of a log that has no other."""
    seconds = int(SIGNED_AT.timestamp())
    promise = {
        "body": b64(body),
        "integratedTime": seconds,
        "logID": log_id(SIGNATURE_LOG).hex(),
        "logIndex": 0,
    }
    root = sha256(b"\0" + body).digest()
    note = f"log.invalid - 1\n1\n{b64(root)}\n"
    by_log = log_id(SIGNATURE_LOG)[:4] + sign(SIGNATURE_LOG, note.encode())
    return {
        "logIndex": "0",
        "logId": {"keyId": b64(log_id(SIGNATURE_LOG))},
        "kindVersion": {"kind": "dsse", "version": "0.0.1"},
        "integratedTime": str(seconds),
        "inclusionPromise": {
            "signedEntryTimestamp": b64(sign(SIGNATURE_LOG, compact(promise).encode()))
        },
        "inclusionProof": {
            "logIndex": "0",
            "rootHash": b64(root),
            "treeSize": "1",
            "hashes": [],
            "checkpoint": {"envelope": f"{note}\n\u2014 log.invalid {b64(by_log)}\n"},
        },
        "canonicalizedBody": b64(body),
    }


def trusted_root():
    """The trusted root of this instance, as text."""
    start = {"start": "2026-01-01T00:00:00Z"}

    def log(key):
        return {
            "baseUrl": "https://log.invalid",
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": b64(spki(key)),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": start,
            },
            "logId": {"keyId": b64(log_id(key))},
        }

    authority = {
        "subject": {"organization": "test", "commonName": "test-sigstore"},
        "uri": "https://ca.invalid",
        "certChain": {
            "certificates": [{"rawBytes": b64(ca_certificate().public_bytes(Encoding.DER))}]
        },
        "validFor": start,
    }
    return json.dumps(
        {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(SIGNATURE_LOG)],
            "certificateAuthorities": [authority],
            "ctlogs": [log(CERTIFICATE_LOG)],
            "timestampAuthorities": [],
        }
    )
