"""A short verification script for comparison: it checks only signatures, dates and the root."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384


def verify(document: bytes, root_der: bytes, at: datetime) -> dict[str, object]:
    """Returns the payload of an authentic document; raises an exception of any class otherwise."""
    protected, _, payload, signature = cbor2.loads(document)
    fields: dict[str, object] = cbor2.loads(payload)
    bundle = [*fields["cabundle"], fields["certificate"]]
    if bundle[0] != root_der:
        raise ValueError("untrusted root")
    path = [x509.load_der_x509_certificate(der) for der in bundle]
    for certificate in path:
        if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
            raise ValueError("a certificate is not valid at that time")
    for issuer, subject in pairwise(path):
        subject.verify_directly_issued_by(issuer)
    r, s = (int.from_bytes(signature[i : i + 48], "big") for i in (0, 48))
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    path[-1].public_key().verify(encode_dss_signature(r, s), signed, ec.ECDSA(SHA384()))
    return fields
