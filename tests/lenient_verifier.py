"""The least that a verifier must check, written for these tests alone: signatures, path and policy.

It uses cbor2 and the keys of cryptography, and no rule about the form of documents or certificates.
"""

import io
from datetime import datetime, timedelta, timezone

import cbor2
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
SECOND = timedelta(seconds=1)
"""Nothing here depends on less than a second."""

UNREADABLE = (
    *(KeyError, TypeError, ValueError, AttributeError),
    *(UnsupportedAlgorithm, x509.DuplicateExtension),
)


class UnreadableError(Exception):
    """The document has no payload, certificate or signature that can be read."""


def forged(case, document, root_pem):
    """The reason why a document must not pass; None if it is signed, trusted and as required.

    Raises:
        UnreadableError: Its parts cannot be read.
    """
    protected, payload, signature = _parts(document)
    fields = _decoded(payload)
    try:
        leaf = _certificate(fields["certificate"])
        bag = [_certificate(one) for one in fields["cabundle"]]
        path = _path(leaf, bag, x509.load_pem_x509_certificate(root_pem))
        time = case["time"]
        at = _made(fields) if time == "document" else datetime.fromisoformat(f"{time[:-1]}+00:00")
        message = cbor2.dumps(["Signature1", protected, b"", payload])
        if not any(_verifies(leaf, one, message, hashes.SHA384()) for one in _forms(signature)):
            return "the document's signature"
        if path is None:
            return "no path to the trusted root"
        skew = timedelta(milliseconds=case["policy"]["clock_skew_ms"])
        if not all(_valid(one, at, skew) for one in path):
            return "not valid at the time"
        return _unmet(case["policy"], fields, at)
    except UNREADABLE as error:
        raise UnreadableError from error


def _made(fields):
    return EPOCH + timedelta(milliseconds=fields["timestamp"])


def _parts(document):
    message = _decoded(document)
    while isinstance(message, cbor2.CBORTag):
        message = message.value
    try:
        protected, _, payload, signature = message
    except (TypeError, ValueError) as error:
        raise UnreadableError from error
    if not all(isinstance(part, bytes) for part in (protected, payload, signature)):
        raise UnreadableError
    return protected, payload, signature


def _decoded(octets):
    try:
        return cbor2.load(io.BytesIO(octets))
    except (cbor2.CBORDecodeError, ValueError, TypeError, OverflowError) as error:
        raise UnreadableError from error


def _certificate(der):
    try:
        return x509.load_der_x509_certificate(der)
    except (ValueError, TypeError, x509.InvalidVersion) as error:
        raise UnreadableError from error


def _forms(signature):
    """The signature as DER, whatever its form: r and s, even with bytes behind them, or BER."""
    numbers = (int.from_bytes(signature[at : at + 48], "big") for at in (0, 48))
    raw = [encode_dss_signature(*numbers)] if len(signature) >= 96 else []
    return [*raw, *_from_ber(signature), signature]


def _from_ber(signature):
    """The first two integers of a sequence, padded or not, whatever its length and its end."""
    integers = []
    rest = signature[3 if signature[1:2] == b"\x81" else 2 :]
    while len(rest) > 1 and rest[0] == 0x02:
        end = 2 + rest[1]
        integers.append(int.from_bytes(rest[2:end], "big"))
        rest = rest[end:]
    return [encode_dss_signature(*integers[:2])] if len(integers) >= 2 else []


def _verifies(signer, signature, message, digest):
    key = signer.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp384r1":
        raise UnreadableError
    try:
        key.verify(signature, message, ec.ECDSA(digest))
    except (InvalidSignature, ValueError):
        return False
    return True


def _path(certificate, bag, root):
    """The certificates up to the root, which is known by its key; in any order of the bag."""
    path = [certificate]
    while path[-1].public_key() != root.public_key():
        issuer = next(
            (one for one in [root, *bag] if one not in path and _issued(path[-1], one, path)), None
        )
        if issuer is None:
            return None
        path.append(issuer)
    return [*path[:-1], root]


def _issued(certificate, issuer, path):
    extensions = {type(one.value): one.value for one in issuer.extensions}
    constraints = extensions.get(x509.BasicConstraints)
    usage = extensions.get(x509.KeyUsage)
    return (
        constraints is not None
        and constraints.ca
        and (constraints.path_length is None or constraints.path_length >= len(path) - 1)
        and (usage is None or usage.key_cert_sign)
        and certificate.issuer.rfc4514_string().lower() == issuer.subject.rfc4514_string().lower()
        and any(
            _verifies(issuer, form, certificate.tbs_certificate_bytes, digest)
            for form in _forms(certificate.signature)
            for digest in (hashes.SHA256(), hashes.SHA384(), hashes.SHA512())
        )
    )


def _valid(certificate, time, skew):
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return start < time + skew + SECOND and time - SECOND < end  # end may be the last of all times


def _unmet(policy, fields, at):
    """The requirement that a document does not meet, or None."""
    ours, other = ("pcrs", "nitrotpm_pcrs")[:: 1 if policy["kind"] == "enclave" else -1]
    if ours not in fields and other in fields:
        return "the kind"
    pcrs = fields.get(ours) or {}
    if policy["pcrs"] and not any(
        all(pcrs.get(int(index)) == bytes.fromhex(value) for index, value in one.items())
        for one in policy["pcrs"]
    ):
        return "the PCRs"
    for name in ("nonce", "user_data", "public_key"):
        if policy[name] is not None and fields.get(name) != bytes.fromhex(policy[name]):
            return name
    debug = ours == "pcrs" and any(pcrs.get(index) == bytes(48) for index in range(3))
    if debug and not policy["allow_debug"]:
        return "debug mode"
    limit = policy["max_age_ms"]
    if limit is not None and at - _made(fields) >= timedelta(milliseconds=limit) + SECOND:
        return "the age"
    return None
