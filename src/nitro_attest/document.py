"""What a document says, as typed and frozen values, cut out where the C core found them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any, Final

from nitro_attest._core import DEFAULT_LIMITS, Kind, Limits, parse
from nitro_attest.errors import FormatError, InputError
from nitro_attest.limits import MAX_DOCUMENT_BYTES

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


def from_milliseconds(milliseconds: int) -> datetime:
    """The UTC time that lies so many milliseconds after 1970."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def to_milliseconds(moment: datetime) -> int:
    """Milliseconds from 1970 to an aware time, rounded down."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


@dataclass(frozen=True)
class _Fields:
    """The fields that every kind of document has; sizes are those of rules P-12 to P-24."""

    module_id: str
    digest: str
    timestamp_ms: int
    certificate: bytes = field(repr=False)
    cabundle: tuple[bytes, ...] = field(repr=False)
    public_key: bytes | None = field(repr=False)
    user_data: bytes | None = field(repr=False)
    nonce: bytes | None = field(repr=False)

    @property
    def timestamp(self) -> datetime:
        """When the document was made, as it says itself, in UTC."""
        return from_milliseconds(self.timestamp_ms)

    def _fields_to_dict(self, pcrs_name: str, pcrs: Mapping[int, bytes]) -> dict[str, Any]:
        return {
            "module_id": self.module_id,
            "digest": self.digest,
            "timestamp_ms": self.timestamp_ms,
            "timestamp": self.timestamp.isoformat(timespec="milliseconds"),
            pcrs_name: {str(index): value.hex() for index, value in pcrs.items()},
            "certificate": self.certificate.hex(),
            "cabundle": [certificate.hex() for certificate in self.cabundle],
            "public_key": _hex(self.public_key),
            "user_data": _hex(self.user_data),
            "nonce": _hex(self.nonce),
        }


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


@dataclass(frozen=True)
class AttestationDocument(_Fields):
    """What an authentic document of an enclave says.

    Attributes:
        module_id: The enclave's name: ``i-<instance>-enc<number>``.
        digest: Always ``SHA384``.
        timestamp_ms: Milliseconds since 1970-01-01 UTC.
        certificate: DER of the signing certificate.
        cabundle: DER of its issuers, root first.
        public_key: 0 to 1024 bytes (or the caller's ``Limits``) of the enclave's choice, or None.
        user_data: As ``public_key``.
        nonce: As ``public_key``.
        pcrs: 48 bytes each, by index; 0, 1 and 2 are always there.
    """

    pcrs: Mapping[int, bytes] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values: bytes as lower-case hex, absent fields as None."""
        return self._fields_to_dict("pcrs", self.pcrs)


@dataclass(frozen=True)
class NitroTpmDocument(_Fields):
    """What an authentic document of a whole EC2 instance says.

    Its registers are another thing than an enclave's: the instance's own operating system can
    extend some of them to any value. So they have another name, and this is another type.

    Attributes:
        nitrotpm_pcrs: 48 bytes each, by index. The other attributes: see AttestationDocument.
    """

    nitrotpm_pcrs: Mapping[int, bytes] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values: bytes as lower-case hex, absent fields as None."""
        return self._fields_to_dict("nitrotpm_pcrs", self.nitrotpm_pcrs)


@dataclass(frozen=True)
class UnverifiedDocument(_Fields):
    """What a document says of itself. Nobody has checked who made it.

    Attributes:
        kind: ``enclave`` or ``nitrotpm`` (an EC2 instance).
        pcrs: 48 bytes each, by index, of that kind.
        protected: The protected header as received: 4 bytes.
        payload: The signed payload as received.
        signature: r and s, 48 bytes each.
    """

    kind: Kind
    pcrs: Mapping[int, bytes] = field(repr=False)
    protected: bytes = field(repr=False)
    payload: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    def authenticated(self) -> AttestationDocument | NitroTpmDocument:
        """The same content in the type of its kind: for the verifier, once the signature holds."""
        common = (
            self.module_id,
            self.digest,
            self.timestamp_ms,
            self.certificate,
            self.cabundle,
            self.public_key,
            self.user_data,
            self.nonce,
        )
        if self.kind == "enclave":
            return AttestationDocument(*common, self.pcrs)
        return NitroTpmDocument(*common, self.pcrs)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values: bytes as lower-case hex, absent fields as None."""
        pcrs_name = "pcrs" if self.kind == "enclave" else "nitrotpm_pcrs"
        return {"kind": self.kind} | self._fields_to_dict(pcrs_name, self.pcrs)


def parse_unverified(
    document: bytes | bytearray | memoryview, limits: Limits = DEFAULT_LIMITS
) -> UnverifiedDocument:
    """Parses a document and checks nothing else: not who made it, not when, not for whom.

    Args:
        document: The raw document, 1 to 16384 bytes (C-1, C-2).
        limits: Caps on the optional fields.

    Returns:
        What the document says, in a type that no function accepts where a verified one is due.

    Raises:
        FormatError: The bytes are not a document of the accepted form (C-1 to C-13, P-*).
        InputError: ``input.document``: the argument is not bytes.
    """
    found = parse(_own_copy(document), limits)
    return UnverifiedDocument(  # by position: by name it took 4 us more
        found.module_id.decode("ascii"),
        found.digest.decode("ascii"),
        found.timestamp_ms,
        found.certificate,
        found.cabundle,
        found.public_key,
        found.user_data,
        found.nonce,
        found.kind,
        MappingProxyType(found.pcrs),
        found.protected,
        found.payload,
        found.signature,
    )


def _own_copy(document: bytes | bytearray | memoryview) -> bytes:
    """One copy, after the size check: a buffer of the caller's may change while we work (C-2)."""
    if isinstance(document, str):
        raise FormatError(
            "document.encoding",
            "the document is text; decode it (base64 or hex) to bytes first",
        )
    try:
        view = memoryview(document)
    except (TypeError, ValueError):  # ValueError: a released memoryview
        raise InputError(
            "input.document",
            f"the document is {type(document).__name__} that cannot be read; bytes were expected",
        ) from None
    if view.nbytes > MAX_DOCUMENT_BYTES:
        raise FormatError(
            "document.too_large",
            f"the document is {view.nbytes} bytes; the limit is {MAX_DOCUMENT_BYTES}",
        )
    return document if type(document) is bytes else bytes(view)
