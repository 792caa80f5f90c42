"""Expected PCR values from what they measure (spec section 4.1).

Two formulas exist, and mixing them up gives values that never match. PCR3, PCR4 and the PCRs that
an application extends hash their data once: ``extend(old, data)``. PCR0, PCR1, PCR2 and PCR8 hash
it twice: ``image_measurement(SHA-384(data))``.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from typing import Final

from nitro_attest._internal.pcrs import ZERO_PCR
from nitro_attest.errors import InputError
from nitro_attest.limits import PCR_BYTES

_ROLE_ARN: Final = re.compile(
    r"arn:aws(?:-[a-z]+)*:iam::[0-9]{12}:role/(?:[!-~]+/)?[A-Za-z0-9_+=,.@-]{1,64}"
)
_ASSUMED_ROLE_ARN: Final = re.compile(
    r"arn:(aws(?:-[a-z]+)*):sts::([0-9]{12}):assumed-role/([^/\s]+)(?:/\S*)?"
)
_INSTANCE_PROFILE_ARN: Final = re.compile(
    r"arn:(aws(?:-[a-z]+)*):iam::([0-9]{12}):instance-profile/(\S+)"
)
_INSTANCE_ID: Final = re.compile(r"i-[0-9a-f]{8}(?:[0-9a-f]{9})?")
_ENCLAVE_ID: Final = re.compile(r"(i-[0-9a-f]+)-enc[0-9a-f]+")
_PEM_CERTIFICATE: Final = re.compile(
    rb"^-----BEGIN CERTIFICATE-----[ \t]*\r?\n"
    rb"((?:[ \t]*[A-Za-z0-9+/=]+[ \t]*\r?\n)+)"
    rb"-----END CERTIFICATE-----[ \t]*\r?$",
    re.M,
)


def extend(value: bytes, data: bytes) -> bytes:
    """What a PCR holds once ``data`` was extended into it: SHA-384(value || data).

    Args:
        value: The PCR before, 48 bytes.
        data: What ExtendPCR is given, as it is: the NSM does not hash it first.

    Returns:
        The PCR after, 48 bytes.

    Raises:
        InputError: ``input.expected`` if ``value`` is not 48 bytes or either is not bytes.
    """
    _require_bytes("data", data)
    return hashlib.sha384(_require_pcr("value", value) + bytes(data)).digest()


def replay(extends: Iterable[bytes], start: bytes = ZERO_PCR) -> bytes:
    """What a PCR holds after a sequence of ExtendPCR calls, such as PCR16 to PCR31.

    Args:
        extends: The data of each call, in order.
        start: The PCR before the first call, 48 bytes.

    Returns:
        The PCR after the last call, 48 bytes; ``start`` if there was none.

    Raises:
        InputError: ``input.expected`` if an argument is not of this form.
    """
    if isinstance(extends, (str, bytes, bytearray, memoryview)):
        raise InputError(
            "input.expected",
            "replay needs a sequence with the data of each extend; for a single one pass [data]",
        )
    value = _require_pcr("start", start)
    for data in extends:
        value = extend(value, data)
    return value


def image_measurement(digest: bytes) -> bytes:
    """PCR0, PCR1, PCR2 or PCR8 from the SHA-384 of what it measures: hashed once more (D20).

    Args:
        digest: SHA-384 of the measured data, 48 bytes.

    Raises:
        InputError: ``input.expected`` if it is not 48 bytes.
    """
    return extend(ZERO_PCR, _require_pcr("digest", digest))


def pcr3_from_role_arn(arn: str) -> bytes:
    """PCR3 of an enclave whose parent instance was launched with an IAM role.

    Args:
        arn: The ARN of the role itself, with its path, in any partition, such as
            ``arn:aws:iam::123456789012:role/Webserver``.

    Returns:
        The PCR, 48 bytes.

    Raises:
        InputError: ``input.expected`` for anything else: the ARN of an assumed role or of an
            instance profile (the sentence says which role ARN is likely meant), white space, text
            that is no ARN.
    """
    _require_exact_text("role ARN", arn)
    if not _ROLE_ARN.fullmatch(arn):
        raise InputError("input.expected", _why_not_a_role_arn(arn))
    return extend(ZERO_PCR, arn.encode("ascii"))


def pcr4_from_instance_id(instance_id: str) -> bytes:
    """PCR4 of an enclave on a given parent instance.

    Args:
        instance_id: ``i-`` and 17 (before 2016: 8) lower-case hex digits.

    Returns:
        The PCR, 48 bytes.

    Raises:
        InputError: ``input.expected`` if it is not of this form.
    """
    _require_exact_text("instance id", instance_id)
    if not _INSTANCE_ID.fullmatch(instance_id):
        enclave = _ENCLAVE_ID.fullmatch(instance_id)
        advice = (
            f"this is an enclave id; its instance is {enclave[1]}"
            if enclave
            else "expected i- and 17 (or 8) lower-case hex digits, such as i-1234567890abcdef0"
        )
        raise InputError("input.expected", f"{instance_id!r} is not an EC2 instance id: {advice}")
    return extend(ZERO_PCR, instance_id.encode("ascii"))


def pcr8_from_certificate(pem_or_der: bytes) -> bytes:
    """PCR8 of an image signed with a given certificate (S-4).

    Args:
        pem_or_der: The content of the certificate file. Of PEM data only the first block is
            measured, as in the enclave; it has to be a certificate.

    Returns:
        The PCR, 48 bytes: SHA-384 of the DER, hashed once more.

    Raises:
        InputError: ``input.expected`` if this is not an X.509 certificate.
    """
    from cryptography import x509

    from nitro_attest._internal.quiet import quietly

    _require_bytes("certificate", pem_or_der)
    data = bytes(pem_or_der)
    der = first_pem_certificate(data) if b"-----BEGIN " in data else data
    try:
        quietly(x509.load_der_x509_certificate, der)
    except Exception as error:  # ValueError or InvalidVersion
        raise InputError(
            "input.expected",
            f"{len(der)} bytes are not an X.509 certificate ({error}); give a PEM or DER file",
        ) from error
    return image_measurement(hashlib.sha384(der).digest())


def first_pem_certificate(data: bytes) -> bytes:
    """The DER in the first PEM block of ``data``, which has to be a ``CERTIFICATE``.

    Text before the block is allowed. Readers differ in how they skip a malformed or foreign block;
    here nothing is skipped, so that no two of them can see different certificates. An empty line
    in the block ends its headers for some readers: it is malformed, too.

    Raises:
        InputError: ``input.expected`` if there is no such block, or its base64 is malformed or not
            the one that encodes its content.
    """
    start = data.find(b"-----BEGIN ")
    block = _PEM_CERTIFICATE.match(data, start) if start >= 0 else None
    if block is None:
        raise InputError(
            "input.expected",
            "the first PEM block is not a well-formed 'BEGIN CERTIFICATE' block: lines of base64, "
            "none of them empty, were expected up to 'END CERTIFICATE'",
        )
    text = b"".join(block[1].split())
    try:
        der = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise InputError("input.expected", f"the PEM certificate is damaged: {error}") from error
    if base64.b64encode(der) != text:  # the same DER in other letters (RFC 4648 section 3.5)
        raise InputError(
            "input.expected", "the PEM certificate is damaged: stray bits or padding at its end"
        )
    return der


def _why_not_a_role_arn(arn: str) -> str:
    if assumed := _ASSUMED_ROLE_ARN.fullmatch(arn):
        partition, account, name = assumed.groups()
        return (
            f"{arn!r} names a session of an assumed role; PCR3 measures the role: "
            f"arn:{partition}:iam::{account}:role/{name} (with its path before the name, if any)"
        )
    if profile := _INSTANCE_PROFILE_ARN.fullmatch(arn):
        partition, account, name = profile.groups()
        return (
            f"{arn!r} names an instance profile; PCR3 measures the role in it, often "
            f"arn:{partition}:iam::{account}:role/{name} ('aws iam get-instance-profile' tells)"
        )
    return (
        f"{arn!r} is not the ARN of an IAM role; "
        "expected the form arn:aws:iam::123456789012:role/Name"
    )


def _require_exact_text(what: str, text: str) -> None:
    if not isinstance(text, str) or not text:
        raise InputError("input.expected", f"the {what} is empty or not text: {text!r}")
    if any(character.isspace() for character in text):
        raise InputError(
            "input.expected",
            f"the {what} {text!r} holds white space, which would be measured too; remove it",
        )


def _require_bytes(what: str, value: bytes) -> None:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise InputError("input.expected", f"{what} has to be bytes, not {type(value).__name__}")


def _require_pcr(what: str, value: bytes) -> bytes:
    _require_bytes(what, value)
    if memoryview(value).nbytes != PCR_BYTES:
        raise InputError(
            "input.expected",
            f"{what} has {memoryview(value).nbytes} bytes; a SHA-384 value has {PCR_BYTES}",
        )
    return bytes(value)
