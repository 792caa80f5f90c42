"""Checks of a single certificate (X-1, X-2, X-9, X-12 to X-15, X-17)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeVar, cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from nitro_attest._internal.quiet import quietly
from nitro_attest._internal.times import to_milliseconds
from nitro_attest.errors import ChainError
from nitro_attest.limits import MAX_SERIAL_OCTETS

ECDSA_WITH_SHA384: Final = bytes.fromhex("300a06082a8648ce3d040303")
"""The whole AlgorithmIdentifier: parameters must be absent (RFC 5758 section 3.2)."""

_P384_KEY_INFO: Final = bytes.fromhex("3076301006072a8648ce3d020106052b8104002203620004")
"""A SubjectPublicKeyInfo up to the coordinates: id-ecPublicKey, the named curve secp384r1, an
uncompressed point (RFC 5480 sections 2.1.1, 2.2). Its lengths allow exactly 96 more bytes."""

_P384_KEY_INFO_BYTES: Final = len(_P384_KEY_INFO) + 96

_BEFORE_KEY_INFO: Final = (True, True, False, False, False, False, False, False)
"""The elements before it, True for those to enter: Certificate and TBSCertificate; then version,
serialNumber, signature, issuer, validity and subject are skipped (RFC 5280 section 4.1)."""

_BIT_STRING: Final = 0x03

_UNDERSTOOD: Final = frozenset({x509.BasicConstraints, x509.KeyUsage})

_PROPERTIES: Final = attrgetter(
    *("subject", "extensions", "serial_number", "not_valid_before_utc", "not_valid_after_utc")
)

_ExtensionT = TypeVar("_ExtensionT", bound=x509.ExtensionType)


class Certificate(NamedTuple):
    """A certificate that meets the rules common to CAs and the signing certificate.

    Attributes:
        label: Its name in messages, such as ``certificate 2 (intermediate CA)``.
        parsed: The object of the cryptography package.
        common_name: The subject's one common name; "" if there is none or more than one.
        not_before_ms: Start of validity in milliseconds since 1970.
        not_after_ms: End of validity, inclusive, in milliseconds since 1970.
        key_info: The SubjectPublicKeyInfo, byte for byte.
        extensions: By their class in the cryptography package, which hashes faster than an OID.
    """

    label: str
    parsed: x509.Certificate
    common_name: str
    not_before_ms: int
    not_after_ms: int
    key_info: bytes
    extensions: Mapping[type[x509.ExtensionType], x509.Extension[Any]]

    def __repr__(self) -> str:
        return f"<Certificate: {self.label}>"

    def extension(self, kind: type[_ExtensionT]) -> x509.Extension[_ExtensionT] | None:
        """Returns the extension of this kind, or None."""
        return self.extensions.get(kind)


def read_certificate(der: bytes, label: str) -> Certificate:
    """Loads a certificate and checks X-1, X-2, X-9, X-12 and X-13.

    Args:
        der: The certificate, exactly.
        label: Its name in messages.

    Returns:
        The certificate.

    Raises:
        ChainError: ``cert.malformed``, ``cert.serial``, ``cert.algorithm`` or
            ``cert.critical_extension``.
    """
    certificate, extensions, serial, (not_before, not_after) = load_certificate(der, label)
    _check_serial(serial, label)
    key_info = _checked_key_info(certificate, der, label)
    by_kind: dict[type[x509.ExtensionType], x509.Extension[Any]] = {}
    for extension in extensions:
        kind = type(extension.value)
        by_kind[kind] = extension
        if extension.critical and kind not in _UNDERSTOOD:
            raise ChainError(
                "cert.critical_extension",
                f"{label} has the unknown critical extension {extension.oid.dotted_string}; "
                "expected none but basicConstraints and keyUsage",
            )
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return Certificate(
        label,
        certificate,
        str(names[0].value) if len(names) == 1 else "",
        to_milliseconds(not_before),
        to_milliseconds(not_after),
        key_info,
        by_kind,
    )


def check_authority(certificate: Certificate) -> None:
    """Checks that a certificate may issue others (X-14, X-15).

    Raises:
        ChainError: ``cert.not_ca`` or ``cert.key_usage``.
    """
    constraints = certificate.extension(x509.BasicConstraints)
    if constraints is None or not constraints.critical or not constraints.value.ca:
        raise ChainError(
            "cert.not_ca",
            f"{certificate.label} is not a CA: expected a critical basicConstraints with cA true",
        )
    usage = certificate.extension(x509.KeyUsage)
    if usage is None or not usage.value.key_cert_sign:
        raise ChainError(
            "cert.key_usage",
            f"{certificate.label} may not sign certificates: expected keyUsage with keyCertSign",
        )


def check_signer(certificate: Certificate) -> None:
    """Checks that a certificate may sign documents and is not a CA (X-17).

    The cryptography package has checked that a certificate which is not a CA has no path length.

    Raises:
        ChainError: ``cert.leaf_usage``.
    """
    constraints = certificate.extension(x509.BasicConstraints)
    usage = certificate.extension(x509.KeyUsage)
    if constraints is None or not constraints.critical or constraints.value.ca:
        fault = "expected a critical basicConstraints with cA false"
    elif usage is None or not usage.value.digital_signature:
        fault = "expected keyUsage with digitalSignature"
    else:
        return
    raise ChainError("cert.leaf_usage", f"{certificate.label} may not sign documents: {fault}")


def load_certificate(
    der: bytes, label: str
) -> tuple[x509.Certificate, x509.Extensions, int, tuple[datetime, datetime]]:
    """Decodes a certificate, hostile ones included (X-1, X-13).

    Args:
        der: The certificate, exactly.
        label: Its name in messages.

    Returns:
        The certificate, its extensions, its serial number, and both ends of its validity.

    Raises:
        ChainError: ``cert.malformed``. The cryptography package raises many classes on hostile
            input; none of them leaves this function.
    """
    try:
        certificate = quietly(x509.load_der_x509_certificate, der)
        version = certificate.version
        # The subject is decoded at its first access; later code relies on its validity.
        _, extensions, serial, not_before, not_after = quietly(_PROPERTIES, certificate)
    except Exception as error:
        raise ChainError("cert.malformed", f"{label} cannot be read: {error}") from error
    if version is not x509.Version.v3:
        raise ChainError("cert.malformed", f"{label}: expected X.509 v3, found {version.name}")
    return certificate, extensions, serial, (not_before, not_after)


def _check_serial(serial: int, label: str) -> None:
    """Checks X-2. Genuine serials reach 21 content octets: 160 bits and a sign octet."""
    octets = serial.bit_length() // 8 + 1
    if serial <= 0:
        found = "not positive"
    elif octets > MAX_SERIAL_OCTETS:
        found = f"{octets} octets long"
    else:
        return
    raise ChainError(
        "cert.serial",
        f"serial number of {label}: expected a positive one of 1 to {MAX_SERIAL_OCTETS} octets, "
        f"found one that is {found}",
    )


class SigningKey(NamedTuple):
    """A P-384 key that the cryptography package has loaded, and so checked, and its encoding.

    Attributes:
        loaded: The object of the cryptography package.
        info: The SubjectPublicKeyInfo, 120 bytes: its last 96 are the coordinates x and y.
    """

    loaded: ec.EllipticCurvePublicKey
    info: bytes


def load_key(certificate: Certificate) -> SigningKey:
    """Loads the key of a certificate, which checks that its point is on the curve (X-9).

    Args:
        certificate: The certificate.

    Returns:
        The key.

    Raises:
        ChainError: ``cert.algorithm``.
    """
    try:
        key = certificate.parsed.public_key()
    except Exception as error:
        raise _algorithm_error(certificate.label, f"an invalid key ({error})") from error
    return SigningKey(cast("ec.EllipticCurvePublicKey", key), certificate.key_info)


def _checked_key_info(certificate: x509.Certificate, der: bytes, label: str) -> bytes:
    """Checks X-9 on the bytes, which the parsed view does not fully show; returns the key info.

    The cryptography package checks the rest when it verifies the link: that the algorithm inside
    the TBSCertificate is the same, and that the point is on the curve.
    """
    signature = certificate.signature
    tail = ECDSA_WITH_SHA384 + bytes((_BIT_STRING, len(signature) + 1 & 0x7F, 0)) + signature
    if not der.endswith(tail):
        oid = certificate.signature_algorithm_oid.dotted_string
        raise _algorithm_error(label, f"a signature with {oid} or with parameters")
    position = _position(der, _BEFORE_KEY_INFO)
    if not der.startswith(_P384_KEY_INFO, position):
        oid = certificate.public_key_algorithm_oid.dotted_string
        raise _algorithm_error(label, f"a key of another kind or encoding ({oid})")
    return der[position : position + _P384_KEY_INFO_BYTES]


class SignedFields(NamedTuple):
    """Three fields of a TBSCertificate, each the whole element as DER.

    Attributes:
        algorithm: The AlgorithmIdentifier that is signed (RFC 5280 section 4.1.2.3).
        issuer: The name of the issuer.
        subject: The name of the subject.
    """

    algorithm: bytes
    issuer: bytes
    subject: bytes


def signed_fields(tbs: bytes) -> SignedFields:
    """Cuts these fields out of the TBSCertificate of a certificate that has been parsed."""
    algorithm, issuer, validity, subject, end = [
        _position(tbs, _BEFORE_KEY_INFO[1:count]) for count in (4, 5, 6, 7, 8)
    ]
    return SignedFields(tbs[algorithm:issuer], tbs[issuer:validity], tbs[subject:end])


def _position(der: bytes, elements: tuple[bool, ...]) -> int:
    """Returns the offset after these elements of DER that has already been parsed.

    The cryptography package offers the key, but not its original encoding. Encoding it again and
    searching for the result took 27 us, and a copy elsewhere would satisfy the search. Nor does it
    offer the algorithm inside the TBSCertificate.

    Args:
        der: A certificate, or its TBSCertificate.
        elements: The elements from its start, True for those to enter.
    """
    position = 0
    for entered in elements:
        length = der[position + 1]
        position += 2
        if length & 0x80:  # long form: the length itself is in so many octets
            octets = length & 0x7F
            if not entered:
                position += int.from_bytes(der[position : position + octets], "big")
            position += octets
        elif not entered:
            position += length
    return position


def _algorithm_error(label: str, found: str) -> ChainError:
    return ChainError(
        "cert.algorithm",
        f"{label}: expected ECDSA with SHA-384 and an uncompressed, named P-384 key, found {found}",
    )
