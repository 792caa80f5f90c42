"""Expected PCR values, computed from the data that they measure.

There are two formulas, and mixing them up gives values that never match. PCR3, PCR4 and the PCRs
that an application extends hash their data once: ``extend(old, data)``. PCR0, PCR1, PCR2 and PCR8
hash it twice: ``image_measurement(SHA-384(data))`` (F-8, S-4).

Source: AWS Nitro Enclaves user guide, "Where to get an enclave's measurements".
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from typing import Final

from nitro_attest._internal.pcrs import ZERO_PCR
from nitro_attest._internal.wording import plural
from nitro_attest.errors import InputError
from nitro_attest.limits import PCR_BYTES

__all__ = [
    "extend",
    "image_measurement",
    "pcr3_from_role_arn",
    "pcr4_from_instance_id",
    "pcr8_from_certificate",
    "replay",
]

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
    """Computes the value of a PCR after one ExtendPCR call: SHA-384(value || data).

    Args:
        value: The PCR before the call, 48 bytes.
        data: The argument of ExtendPCR, unchanged: the NSM does not hash it first.

    Returns:
        The PCR after the call, 48 bytes.

    Raises:
        InputError: ``input.expected``: ``value`` is not 48 bytes, or an argument is not bytes.

    Example:
        >>> from nitro_attest.measurements import extend
        >>> extend(bytes(48), b"configuration v1").hex()[:16]
        '4a91eae14bb4bf47'
    """
    _require_bytes("data", data)
    return hashlib.sha384(_require_pcr("value", value) + bytes(data)).digest()


def replay(extends: Iterable[bytes], start: bytes = ZERO_PCR) -> bytes:
    """Computes the value of a PCR, such as PCR16 to PCR31, after several ExtendPCR calls.

    Args:
        extends: The data of each call, in order.
        start: The PCR before the first call, 48 bytes; zeros by default.

    Returns:
        The PCR after the last call, 48 bytes; ``start`` if there are no calls.

    Raises:
        InputError: ``input.expected``: ``start`` is not 48 bytes, or ``extends`` is not a sequence
            of bytes.
    """
    if isinstance(extends, (str, bytes, bytearray, memoryview)):
        raise InputError(
            "input.expected",
            f"expected a sequence of bytes, found {type(extends).__name__}; pass [data] for a "
            "single call",
        )
    value = _require_pcr("start", start)
    for data in extends:
        value = extend(value, data)
    return value


def image_measurement(digest: bytes) -> bytes:
    """Computes PCR0, PCR1, PCR2 or PCR8 from the digest of its data: ext(Z, digest) (F-8, S-4).

    Args:
        digest: SHA-384 of the measured data, 48 bytes.

    Returns:
        The PCR, 48 bytes.

    Raises:
        InputError: ``input.expected``: the digest is not 48 bytes.
    """
    return extend(ZERO_PCR, _require_pcr("digest", digest))


def pcr3_from_role_arn(arn: str) -> bytes:
    """Computes PCR3 of an enclave whose parent instance has an IAM role.

    Args:
        arn: The ARN of the role itself, with its path, in any partition, such as
            ``arn:aws:iam::123456789012:role/Webserver``.

    Returns:
        The PCR, 48 bytes.

    Raises:
        InputError: ``input.expected``: not the ARN of a role. For the ARN of an assumed role or of
            an instance profile, the message suggests the ARN of the role.

    Example:
        >>> from nitro_attest.measurements import pcr3_from_role_arn
        >>> pcr3_from_role_arn("arn:aws:iam::123456789012:role/Webserver").hex()[:16]
        '78fce75db17cd4e0'
    """
    _require_exact_text("role ARN", arn)
    if not _ROLE_ARN.fullmatch(arn):
        raise InputError("input.expected", _why_not_a_role_arn(arn))
    return extend(ZERO_PCR, arn.encode("ascii"))


def pcr4_from_instance_id(instance_id: str) -> bytes:
    """Computes PCR4 of an enclave on a given parent instance.

    Args:
        instance_id: ``i-`` and 17 (before 2016: 8) lower-case hex digits.

    Returns:
        The PCR, 48 bytes.

    Raises:
        InputError: ``input.expected``: not an instance id. For an enclave id, the message names
            its instance.

    Example:
        >>> from nitro_attest.measurements import pcr4_from_instance_id
        >>> pcr4_from_instance_id("i-1234567890abcdef0").hex()[:16]
        '08f996b5d43e047a'
    """
    _require_exact_text("instance id", instance_id)
    if not _INSTANCE_ID.fullmatch(instance_id):
        enclave = _ENCLAVE_ID.fullmatch(instance_id)
        found = (
            f"the enclave id {instance_id!r}; use its instance {enclave[1]}"
            if enclave
            else repr(instance_id)
        )
        raise InputError(
            "input.expected",
            f"expected an EC2 instance id, such as i-1234567890abcdef0, found {found}",
        )
    return extend(ZERO_PCR, instance_id.encode("ascii"))


def pcr8_from_certificate(pem_or_der: bytes) -> bytes:
    """Computes PCR8 of an image signed under a given certificate (S-4).

    Args:
        pem_or_der: The content of the certificate file. In PEM data only the first block is
            measured, as in the enclave; it must be a certificate.

    Returns:
        The PCR, 48 bytes.

    Raises:
        InputError: ``input.expected``: not an X.509 certificate in PEM or DER.

    Example:
        >>> from nitro_attest.measurements import pcr8_from_certificate
        >>> len(pcr8_from_certificate(root_pem))  # here any certificate, in PEM
        48
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
            f"expected an X.509 certificate in PEM or DER, found {plural(len(der), 'byte')} that "
            f"begin with {der[:8].hex() or 'nothing'}",
        ) from error
    return image_measurement(hashlib.sha384(der).digest())


def first_pem_certificate(data: bytes) -> bytes:
    """Returns the DER in the first PEM block of ``data``, which must be a ``CERTIFICATE``.

    Text before the block is allowed. Parsers differ in how they skip a malformed block or one of
    another type. Here no block is skipped, so that no two parsers can see different certificates.
    An empty line in the block is malformed too: for some parsers it ends the headers of the block.

    Args:
        data: The content of a PEM file.

    Returns:
        The decoded block.

    Raises:
        InputError: ``input.expected``: there is no such block, or its base64 is malformed or not
            canonical.
    """
    start = data.find(b"-----BEGIN ")
    block = _PEM_CERTIFICATE.match(data, start) if start >= 0 else None
    if block is None:
        raise InputError(
            "input.expected",
            "the first PEM block is not a well-formed 'BEGIN CERTIFICATE' block: expected lines of "
            "base64, none of them empty, up to 'END CERTIFICATE'",
        )
    text = b"".join(block[1].split())
    try:
        der = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise InputError("input.expected", f"the PEM certificate is damaged: {error}") from error
    if base64.b64encode(der) != text:  # a second encoding of the same DER (RFC 4648 section 3.5)
        raise InputError(
            "input.expected", "the PEM certificate is damaged: stray bits or padding at its end"
        )
    return der


def _why_not_a_role_arn(arn: str) -> str:
    if assumed := _ASSUMED_ROLE_ARN.fullmatch(arn):
        partition, account, name = assumed.groups()
        return (
            f"expected the ARN of a role, found the session of an assumed role {arn!r}; use "
            f"arn:{partition}:iam::{account}:role/{name} (with its path before the name, if any)"
        )
    if profile := _INSTANCE_PROFILE_ARN.fullmatch(arn):
        partition, account, name = profile.groups()
        return (
            f"expected the ARN of a role, found the instance profile {arn!r}; use its role, often "
            f"arn:{partition}:iam::{account}:role/{name} (see 'aws iam get-instance-profile')"
        )
    return (
        "expected the ARN of an IAM role, such as arn:aws:iam::123456789012:role/Name, "
        f"found {arn!r}"
    )


def _require_exact_text(what: str, text: str) -> None:
    if not isinstance(text, str) or not text:
        raise InputError("input.expected", f"expected the {what} as text, found {text!r}")
    if any(character.isspace() for character in text):
        raise InputError(
            "input.expected",
            f"the {what} {text!r} contains white space, which would be measured; remove it",
        )


def _require_bytes(what: str, value: bytes) -> None:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise InputError(
            "input.expected", f"expected {what} to be bytes, found {type(value).__name__}"
        )


def _require_pcr(what: str, value: bytes) -> bytes:
    _require_bytes(what, value)
    if memoryview(value).nbytes != PCR_BYTES:
        raise InputError(
            "input.expected",
            f"expected {what} to have {PCR_BYTES} bytes, found {memoryview(value).nbytes}",
        )
    return bytes(value)
