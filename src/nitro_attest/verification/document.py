"""What a document says, as typed and frozen values, cut out where the C core found them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from nitro_attest._internal.frozen import Value
from nitro_attest._internal.times import from_milliseconds
from nitro_attest.errors import FormatError, InputError
from nitro_attest.limits import MAX_DOCUMENT_BYTES
from nitro_attest.verification.core import DEFAULT_LIMITS, Content, Kind, Limits, Parts, parse


class _Document(Value):
    """The fields that every kind of document has; sizes are those of rules P-12 to P-24."""

    _content: Content

    def __init__(self, content: Content) -> None:
        self.__dict__["_content"] = content

    @property
    def module_id(self) -> str:
        """The name of what attests: ``i-<instance>-enc<number>``, or ``-tpm`` for an instance."""
        return self._content.module_id

    @property
    def digest(self) -> str:
        """Always ``SHA384``."""
        return self._content.digest

    @property
    def timestamp_ms(self) -> int:
        """When the document was made, as it says itself, in milliseconds since 1970-01-01 UTC."""
        return self._content.timestamp_ms

    @property
    def timestamp(self) -> datetime:
        """When the document was made, as it says itself, in UTC."""
        return from_milliseconds(self.timestamp_ms)

    @property
    def certificate(self) -> bytes:
        """DER of the signing certificate."""
        return self._content.certificate

    @property
    def cabundle(self) -> tuple[bytes, ...]:
        """DER of its issuers, root first."""
        return self._content.cabundle

    @property
    def public_key(self) -> bytes | None:
        """0 to 1024 bytes (or the caller's ``Limits``) of the attested code's choice, or None."""
        return self._content.public_key

    @property
    def user_data(self) -> bytes | None:
        """As ``public_key``."""
        return self._content.user_data

    @property
    def nonce(self) -> bytes | None:
        """As ``public_key``."""
        return self._content.nonce

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.module_id} at {self.timestamp.isoformat()}>"

    def _fields_to_dict(self, pcrs_name: str) -> dict[str, Any]:
        pcrs = self._content.pcrs
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


class AttestationDocument(_Document):
    """What an authentic document of an enclave says."""

    @property
    def pcrs(self) -> Mapping[int, bytes]:
        """48 bytes each, by index; 0, 1 and 2 are always there."""
        return self._content.pcrs

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values: bytes as lower-case hex, absent fields as None."""
        return self._fields_to_dict("pcrs")


class NitroTpmDocument(_Document):
    """What an authentic document of a whole EC2 instance says.

    Its registers are another thing than an enclave's: the instance's own operating system can
    extend some of them to any value. So they have another name, and this is another type.
    """

    @property
    def nitrotpm_pcrs(self) -> Mapping[int, bytes]:
        """48 bytes each, by index."""
        return self._content.pcrs

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values: bytes as lower-case hex, absent fields as None."""
        return self._fields_to_dict("nitrotpm_pcrs")


class UnverifiedDocument(_Document):
    """What a document says of itself. Nobody has checked who made it."""

    _parts: Parts

    def __init__(self, parts: Parts) -> None:
        self.__dict__.update(_content=parts.content, _parts=parts)

    @property
    def kind(self) -> Kind:
        """``enclave`` or ``nitrotpm`` (an EC2 instance)."""
        return self._parts.kind

    @property
    def protected(self) -> bytes:
        """The protected header as received: 4 bytes."""
        return self._parts.protected

    @property
    def payload(self) -> bytes:
        """The signed payload as received."""
        return self._parts.payload

    @property
    def signature(self) -> bytes:
        """The values r and s, 48 bytes each."""
        return self._parts.signature

    @property
    def pcrs(self) -> Mapping[int, bytes]:
        """48 bytes each, by index, of that kind."""
        return self._content.pcrs

    def authenticated(self) -> AttestationDocument | NitroTpmDocument:
        """The same content in the type of its kind: for the verifier, once the signature holds."""
        if self.kind == "enclave":
            return AttestationDocument(self._content)
        return NitroTpmDocument(self._content)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values: bytes as lower-case hex, absent fields as None."""
        pcrs_name = "pcrs" if self.kind == "enclave" else "nitrotpm_pcrs"
        return {"kind": self.kind} | self._fields_to_dict(pcrs_name)


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
    return UnverifiedDocument(parse(_own_copy(document), limits))


def _own_copy(document: bytes | bytearray | memoryview) -> bytes:
    """One copy, after the size check: a buffer of the caller's may change while we work (C-2)."""
    if type(document) is bytes:
        size = len(document)
    else:
        view = _view_of(document)
        size = view.nbytes
    if size > MAX_DOCUMENT_BYTES:
        raise FormatError(
            "document.too_large",
            f"the document is {size} bytes; the limit is {MAX_DOCUMENT_BYTES}",
        )
    return document if type(document) is bytes else bytes(view)


def _view_of(document: bytes | bytearray | memoryview) -> memoryview:
    # Whoever calls without a type checker may give anything.
    if isinstance(document, str):
        raise FormatError(
            "document.encoding",
            "the document is text; decode it (base64 or hex) to bytes first",
        )
    try:
        return memoryview(document)
    except (TypeError, ValueError):  # ValueError: a released memoryview
        raise InputError(
            "input.document",
            f"the document is {type(document).__name__} that cannot be read; bytes were expected",
        ) from None
