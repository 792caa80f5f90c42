"""The rules that one certificate must meet by itself (X-1, X-2, X-9, X-12 to X-15, X-17)."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar, cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtensionOID, NameOID

from nitro_attest.document import to_milliseconds
from nitro_attest.errors import ChainError
from nitro_attest.limits import MAX_SERIAL_OCTETS

_ECDSA_WITH_SHA384: Final = bytes.fromhex("300a06082a8648ce3d040303")
"""The whole AlgorithmIdentifier: parameters must be absent (RFC 5758 section 3.2)."""

_UNDERSTOOD: Final = frozenset({ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE})

_ExtensionT = TypeVar("_ExtensionT", bound=x509.ExtensionType)


@dataclass(frozen=True, eq=False)
class Certificate:
    """A certificate that was read and meets the rules common to CAs and the signing certificate.

    Attributes:
        label: What sentences call it, such as ``certificate 2 (intermediate CA)``.
        parsed: The library's object.
        key: Its P-384 key.
        common_name: The subject's one common name; None where there is none or there are several.
        not_before_ms: Start of validity in milliseconds since 1970.
        not_after_ms: End of validity, inclusive, in milliseconds since 1970.
    """

    label: str
    parsed: x509.Certificate
    key: ec.EllipticCurvePublicKey
    common_name: str | None
    not_before_ms: int
    not_after_ms: int
    _extensions: dict[x509.ObjectIdentifier, x509.Extension[x509.ExtensionType]] = field(repr=False)

    def extension(self, kind: type[_ExtensionT]) -> x509.Extension[_ExtensionT] | None:
        """The extension of this kind, or None."""
        return cast("x509.Extension[_ExtensionT] | None", self._extensions.get(kind.oid))


def read_certificate(der: bytes, label: str) -> Certificate:
    """Reads a certificate and checks X-1, X-2, X-9, X-12 and X-13.

    Args:
        der: The certificate, exactly.
        label: What to call it in sentences.

    Raises:
        ChainError: A rule is broken; the code says which.
    """
    certificate, extensions, serial = load_certificate(der, label)
    _check_serial(serial, label)
    key = _read_key(certificate, der, label)
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    by_oid = {extension.oid: extension for extension in extensions}
    for extension in extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            raise ChainError(
                "cert.critical_extension",
                f"{label} has unknown critical extension {extension.oid.dotted_string}; only "
                "basicConstraints and keyUsage are understood",
            )
    return Certificate(
        label=label,
        parsed=certificate,
        key=key,
        common_name=str(names[0].value) if len(names) == 1 else None,
        not_before_ms=to_milliseconds(certificate.not_valid_before_utc),
        not_after_ms=to_milliseconds(certificate.not_valid_after_utc),
        _extensions=by_oid,
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
            f"{certificate.label} is not a CA: a critical basicConstraints with cA true was "
            "expected",
        )
    usage = certificate.extension(x509.KeyUsage)
    if usage is None or not usage.value.key_cert_sign:
        raise ChainError(
            "cert.key_usage",
            f"{certificate.label} may not sign certificates: keyUsage with keyCertSign was "
            "expected",
        )


def check_signer(certificate: Certificate) -> None:
    """Checks that a certificate may sign documents and nothing more (X-17).

    Raises:
        ChainError: ``cert.leaf_usage``.
    """
    constraints = certificate.extension(x509.BasicConstraints)
    usage = certificate.extension(x509.KeyUsage)
    if constraints is None or not constraints.critical or constraints.value.ca:
        fault = "a critical basicConstraints with cA false was expected"
    elif constraints.value.path_length is not None:
        fault = "its basicConstraints has a path length"
    elif usage is None or not usage.value.digital_signature:
        fault = "it lacks keyUsage digitalSignature"
    else:
        return
    raise ChainError("cert.leaf_usage", f"{certificate.label} may not sign documents: {fault}")


def load_certificate(der: bytes, label: str) -> tuple[x509.Certificate, x509.Extensions, int]:
    """Decodes a certificate, its extensions and serial number, hostile ones included (X-1, X-13).

    Args:
        der: The certificate, exactly.
        label: What to call it in sentences.

    Raises:
        ChainError: ``cert.malformed``. The library raises many classes on hostile input; none of
            them leaves this function.
    """
    try:
        with _quiet_library():
            certificate = x509.load_der_x509_certificate(der)
            # Both are parsed on access; the rest of this module relies on their being sound.
            _ = certificate.subject, certificate.issuer, certificate.signature_algorithm_oid
            extensions = certificate.extensions
            version, serial = certificate.version, certificate.serial_number
    except Exception as error:
        raise ChainError("cert.malformed", f"{label} cannot be read: {error}") from error
    if version is not x509.Version.v3:
        raise ChainError("cert.malformed", f"{label} is X.509 {version.name}; v3 was expected")
    return certificate, extensions, serial


_filters_lock: Final = threading.Lock()


@contextmanager
def _quiet_library() -> Iterator[None]:
    """Keeps what a hostile certificate makes the library warn of off the caller's stderr.

    The warning filters belong to the process, so only one thread of ours touches them at a time.
    """
    with _filters_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        yield


def _check_serial(serial: int, label: str) -> None:
    """X-2. Genuine serials reach 21 content octets: 160 bits and a sign octet."""
    octets = serial.bit_length() // 8 + 1
    if serial <= 0 or octets > MAX_SERIAL_OCTETS:
        found = "not positive" if serial <= 0 else f"{octets} octets long"
        raise ChainError(
            "cert.serial",
            f"the serial number of {label} is {found}; 1 to {MAX_SERIAL_OCTETS} octets and "
            "positive were expected",
        )


def _read_key(certificate: x509.Certificate, der: bytes, label: str) -> ec.EllipticCurvePublicKey:
    """X-9: ECDSA with SHA-384, parameters absent, and a named-curve, uncompressed P-384 key."""
    signed_part = certificate.tbs_certificate_bytes
    after = der.index(signed_part) + len(signed_part)
    if not der.startswith(_ECDSA_WITH_SHA384, after) or _ECDSA_WITH_SHA384 not in signed_part:
        oid = certificate.signature_algorithm_oid.dotted_string
        raise _algorithm_error(label, f"is signed with {oid} or with parameters")
    try:
        key = certificate.public_key()
    except Exception as error:
        raise _algorithm_error(label, f"has a key that cannot be read ({error})") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        kind = key.curve.name if isinstance(key, ec.EllipticCurvePublicKey) else type(key).__name__
        raise _algorithm_error(label, f"has a key of kind {kind}")
    if key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) not in signed_part:
        raise _algorithm_error(label, "encodes its P-384 key in another form")
    return key


def _algorithm_error(label: str, found: str) -> ChainError:
    return ChainError(
        "cert.algorithm",
        f"{label} {found}; ECDSA with SHA-384 and an uncompressed, named P-384 key were expected",
    )
