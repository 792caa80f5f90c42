"""Typed, frozen documents, made from the content that the C core found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, TypeVar

from nitro_attest._internal.times import from_milliseconds
from nitro_attest.errors import FormatError, InputError
from nitro_attest.limits import MAX_DOCUMENT_BYTES
from nitro_attest.verification.core import (
    DEFAULT_LIMITS,
    Content,
    Kind,
    Limits,
    Parts,
    UnknownField,
    UnknownFields,
    check_limits,
    check_unknown_fields,
    parse,
)

__all__ = ["AttestationDocument", "NitroTpmDocument", "UnverifiedDocument", "parse_unverified"]


@dataclass(frozen=True, slots=True, repr=False)
class BaseDocument:
    """The fields of every kind of document; sizes are those of rules P-12 to P-24."""

    _content: Content
    _pcrs_name: ClassVar[str] = "pcrs"

    @property
    def module_id(self) -> str:
        """Name of the attester: ``i-<instance>-enc<number>``, or ``-tpm`` for an instance."""
        return self._content.module_id

    @property
    def digest(self) -> str:
        """Always ``SHA384``."""
        return self._content.digest

    @property
    def timestamp_ms(self) -> int:
        """Time of creation according to the document, in milliseconds since 1970-01-01 UTC."""
        return self._content.timestamp_ms

    @property
    def timestamp(self) -> datetime:
        """Time of creation according to the document, in UTC."""
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
        """Bytes chosen by the attested code, 0 to 1024 (or the caller's ``Limits``), or None."""
        return self._content.public_key

    @property
    def user_data(self) -> bytes | None:
        """Bytes chosen by the attested code, sized as ``public_key``, or None."""
        return self._content.user_data

    @property
    def nonce(self) -> bytes | None:
        """Bytes chosen by the attested code, sized as ``public_key``, or None."""
        return self._content.nonce

    @property
    def unknown_fields(self) -> tuple[UnknownField, ...]:
        """Fields that this version does not know, with ``unknown_fields="warn"`` (P-7)."""
        return self._content.unknown_fields

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.module_id} at {self.timestamp.isoformat()}>"

    def to_dict(self, *, certificates: bool = True) -> dict[str, Any]:
        """Returns JSON-ready values: bytes as lower-case hex, absent fields as None.

        ``unknown_fields`` is present only if there are any.

        Args:
            certificates: Include ``certificate`` and ``cabundle``.
        """
        chain: dict[str, Any] = {}
        if certificates:
            chain["certificate"] = self.certificate.hex()
            chain["cabundle"] = [certificate.hex() for certificate in self.cabundle]
        return {
            "module_id": self.module_id,
            "digest": self.digest,
            "timestamp_ms": self.timestamp_ms,
            "timestamp": self.timestamp.isoformat(timespec="milliseconds"),
            self._pcrs_name: {str(i): value.hex() for i, value in self._content.pcrs.items()},
            **chain,
            "public_key": _hex(self.public_key),
            "user_data": _hex(self.user_data),
            "nonce": _hex(self.nonce),
            **self._unknown_as_json(),
        }

    def _unknown_as_json(self) -> dict[str, Any]:
        fields = [
            {"name": field.name, "value": field.value.hex(), "offset": field.offset}
            for field in self.unknown_fields
        ]
        return {"unknown_fields": fields} if fields else {}


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


class AttestationDocument(BaseDocument):
    """The content of an authentic document of an enclave."""

    __slots__ = ()

    @property
    def pcrs(self) -> Mapping[int, bytes]:
        """PCRs by index, 48 bytes each; 0, 1 and 2 are always present."""
        return self._content.pcrs


class NitroTpmDocument(BaseDocument):
    """The content of an authentic document of a whole EC2 instance.

    The PCRs of an instance are not those of an enclave: the instance's own operating system can
    extend some of them to any value (T-2). So both the field and the type have their own names.
    """

    _pcrs_name = "nitrotpm_pcrs"

    __slots__ = ()

    @property
    def nitrotpm_pcrs(self) -> Mapping[int, bytes]:
        """PCRs of the instance by index, 48 bytes each."""
        return self._content.pcrs


_DocumentT = TypeVar("_DocumentT", bound=BaseDocument)


@dataclass(frozen=True, slots=True, repr=False)
class UnverifiedDocument(BaseDocument):
    """The content of a document that has not been verified: anyone may have made it."""

    _parts: Parts

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
        """PCRs by index, 48 bytes each; their meaning depends on ``kind``."""
        return self._content.pcrs

    def authenticated(self, kind: type[_DocumentT]) -> _DocumentT:
        """Converts the content, once the signature is verified; for the verifier alone.

        Args:
            kind: The class for the document's kind.

        Returns:
            The same content in that class.
        """
        return kind(self._content)

    def to_dict(self, *, certificates: bool = True) -> dict[str, Any]:
        """Returns JSON-ready values: bytes as lower-case hex, absent fields as None.

        Args:
            certificates: Include ``certificate`` and ``cabundle``.
        """
        kind = AttestationDocument if self.kind == "enclave" else NitroTpmDocument
        return {"kind": self.kind} | kind(self._content).to_dict(certificates=certificates)


def parse_unverified(
    document: bytes | bytearray | memoryview,
    limits: Limits = DEFAULT_LIMITS,
    *,
    unknown_fields: UnknownFields = "reject",
) -> UnverifiedDocument:
    """Parses a document without verifying it: anyone may have made it.

    Example:
        >>> parse_unverified(document).kind
        'enclave'

    Args:
        document: The raw document, 1 to 16384 bytes (C-1, C-2).
        limits: Caps on the optional fields.
        unknown_fields: ``reject`` rejects a field that this version does not know; ``warn`` skips
            up to 16 of them, which ``unknown_fields`` of the result then has (P-7).

    Returns:
        The content, in a type that no function accepts in place of a verified document.

    Raises:
        FormatError: The bytes are not a document of the accepted form (C-1 to C-13, P-*).
        InputError: ``input.document``: the document is not bytes. ``input.limits``: the limits are
            not Limits. ``input.expected``: unknown_fields is invalid.
    """
    check_limits(limits)
    check_unknown_fields(unknown_fields)
    parts = parse(own_copy(document), limits, unknown_fields)
    return UnverifiedDocument(parts.content, parts)


def check_kind(document: object, kind: type[BaseDocument]) -> None:
    """Rejects anything but a verified document of one kind (T-1).

    Raises:
        InputError: ``input.document``.
    """
    if not isinstance(document, kind):
        raise InputError(
            "input.document",
            f"document: expected a verified {kind.__name__}, found {type(document).__name__}",
        )


def own_copy(document: bytes | bytearray | memoryview) -> bytes:
    """Copies a document once, after checking its size: the caller's buffer may change (C-2).

    Args:
        document: The raw document. Only exactly ``bytes`` need no copy: a subclass may report
            another length or content than it has.

    Returns:
        The document, at most 16384 bytes.

    Raises:
        FormatError: ``document.too_large``, or ``document.encoding`` for text.
        InputError: ``input.document``: the argument is not bytes.
    """
    if type(document) is bytes:
        size = len(document)
    else:
        view = _view_of(document)
        size = view.nbytes
    if size > MAX_DOCUMENT_BYTES:
        raise FormatError(
            "document.too_large",
            f"document too large: expected at most {MAX_DOCUMENT_BYTES} bytes, found {size}",
        )
    return document if type(document) is bytes else bytes(view)


def _view_of(document: bytes | bytearray | memoryview) -> memoryview:
    if isinstance(document, str):
        raise FormatError(
            "document.encoding",
            "expected bytes, found text; decode it with decode_document() first",
        )
    try:
        return memoryview(document)
    except (TypeError, ValueError):  # ValueError: a released memoryview
        raise InputError(
            "input.document",
            f"document: expected bytes, found {type(document).__name__}; read the file first",
        ) from None
