"""A statement of the measurements of one image, as text and as a typed value (V-1, V-4 to V-6)."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from nitro_attest._internal.pcrs import IMAGE_PCRS, ZERO_PCR
from nitro_attest.errors import InputError
from nitro_attest.limits import PCR_BYTES
from nitro_attest.provenance.fields import (
    check_members,
    checked_object,
    checked_text,
    load_object,
)

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"

PREDICATE_TYPE: Final = "https://nitro-attest.readthedocs.io/enclave-measurements/v1"
"""The type of the statements of this project: a name, which nothing fetches. Version 1;
``docs/reference/statement.schema.json`` is its JSON Schema."""

HASH_ALGORITHM: Final = "SHA384"

_HEX: Final = re.compile("[0-9a-f]*")
_DIGEST_BYTES: Final = {"sha256": 32, "sha384": 48}
_IMAGE_NAMES: Final = tuple(f"PCR{index}" for index in IMAGE_PCRS)


@dataclass(frozen=True, slots=True)
class Subject:
    """The file that a statement is about.

    Attributes:
        name: Name of the file, chosen by the signer.
        sha256: SHA-256 of the file, as lower-case hex.
        sha384: SHA-384 of the file, as lower-case hex; None if the statement has none.
    """

    name: str
    sha256: str
    sha384: str | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """The content of a statement. Whoever signed it vouches for all of it.

    Attributes:
        subject: The image file.
        predicate_type: The type of the predicate.
        pcrs: PCR0, PCR1 and PCR2, and PCR8 if the image is signed: 48 bytes each.
        signing_certificate_sha256: SHA-256 of the certificate that signed the image, as lower-case
            hex; None if the statement has none.
        builder: The description of the builder, a JSON object of any content; None if there is
            none.
        image_name: Name of the image; None if the statement has none.
        image_version: Version of the image; None if the statement has none.
    """

    subject: Subject
    predicate_type: str
    pcrs: Mapping[int, bytes] = field(hash=False)
    signing_certificate_sha256: str | None = None
    builder: Mapping[str, Any] | None = field(default=None, hash=False)
    image_name: str | None = None
    image_version: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns the statement as JSON-ready values, with PCRs in lower-case hex."""
        return {
            "subject": {
                "name": self.subject.name,
                "sha256": self.subject.sha256,
                "sha384": self.subject.sha384,
            },
            "predicate_type": self.predicate_type,
            "pcrs": {str(index): value.hex() for index, value in self.pcrs.items()},
            "signing_certificate_sha256": self.signing_certificate_sha256,
            "builder": self.builder,
            "image_name": self.image_name,
            "image_version": self.image_version,
        }


def parse_unverified_statement(
    payload: str | bytes, *, predicate_type: str = PREDICATE_TYPE
) -> Statement:
    """Parses a statement whose signature was not checked here.

    Use ``read_provenance`` for a signed statement. This function is for the payload that another
    tool has verified.

    Args:
        payload: The JSON text, or its UTF-8 encoding, of at most 1 MiB.
        predicate_type: The type that the predicate must have. The default is ours. Of another type,
            the predicate must be ``{"PCR0": hex, "PCR1": hex, "PCR2": hex}`` or
            ``{"registers": [hex, hex, hex]}`` (V-5).

    Returns:
        The content of the statement.

    Raises:
        InputError: ``provenance.format``, ``provenance.duplicate``, ``provenance.unknown_key``:
            V-1. ``provenance.predicate_type``: V-4. ``provenance.measurements``: V-5.
            ``provenance.subject``: V-6. ``input.expected``: an argument has the wrong type.
    """
    if not isinstance(predicate_type, str) or not predicate_type:
        raise InputError(
            "input.expected", f"predicate_type: expected text, found {predicate_type!r}"
        )
    content = load_object(payload, "the statement")
    check_members(content, "the statement", ("_type", "subject", "predicateType", "predicate"))
    if content["_type"] != STATEMENT_TYPE:
        raise InputError(
            "provenance.format",
            f"_type of the statement: expected {STATEMENT_TYPE}, found "
            f"{reprlib.repr(content['_type'])}",
        )
    if content["predicateType"] != predicate_type:
        raise InputError(
            "provenance.predicate_type",
            f"predicateType: expected {predicate_type}, found "
            f"{reprlib.repr(content['predicateType'])}; to read another type, pass predicate_type=",
        )
    subject = _subject(content["subject"])
    predicate = checked_object(content["predicate"], "the predicate")
    if predicate_type == PREDICATE_TYPE:
        return _own(subject, predicate)
    return Statement(subject, predicate_type, MappingProxyType(_foreign_pcrs(predicate)))


def _subject(found: object) -> Subject:
    """Returns the one subject of a statement (V-6)."""
    if not isinstance(found, list) or len(found) != 1:
        raise InputError(
            "provenance.subject",
            f"subject: expected a list of one image, found {reprlib.repr(found)}",
        )
    subject = checked_object(found[0], "the subject")
    check_members(subject, "the subject", ("name", "digest"))
    digest = checked_object(subject["digest"], "the digest of the subject")
    check_members(digest, "the digest of the subject", ("sha256",), ("sha384",))
    for algorithm, value in digest.items():
        _check_hex(
            value, _DIGEST_BYTES[algorithm], f"{algorithm} of the subject", "provenance.subject"
        )
    return Subject(
        checked_text(subject, "name", "the subject"), digest["sha256"], digest.get("sha384")
    )


def _own(subject: Subject, predicate: dict[str, Any]) -> Statement:
    """Reads a predicate of our type."""
    check_members(
        predicate,
        "the predicate",
        ("hashAlgorithm", "pcrs"),
        ("signingCertificate", "builder", "image"),
    )
    _check_hash_algorithm(predicate["hashAlgorithm"])
    pcrs = checked_object(predicate["pcrs"], "pcrs")
    _check_present(pcrs, [str(index) for index in IMAGE_PCRS])
    check_members(pcrs, "pcrs", (), ("0", "1", "2", "8"))
    image = checked_object(predicate.get("image", {}), "image")
    check_members(image, "image", (), ("name", "version"))
    return Statement(
        subject,
        PREDICATE_TYPE,
        MappingProxyType({int(index): _pcr(f"PCR{index}", pcrs[index]) for index in sorted(pcrs)}),
        _certificate(predicate, signed="8" in pcrs),
        _builder(predicate["builder"]) if "builder" in predicate else None,
        checked_text(image, "name", "image") if "name" in image else None,
        checked_text(image, "version", "image") if "version" in image else None,
    )


def _foreign_pcrs(predicate: dict[str, Any]) -> dict[int, bytes]:
    """Reads a predicate of another type: named PCRs, or the list of three (V-5)."""
    if "registers" in predicate:
        check_members(predicate, "the predicate", ("registers",))
        values = predicate["registers"]
        if not isinstance(values, list) or len(values) != len(IMAGE_PCRS):
            raise InputError(
                "provenance.measurements",
                f"registers: expected PCR0, PCR1 and PCR2, found {reprlib.repr(values)}",
            )
        predicate = dict(zip(_IMAGE_NAMES, values, strict=True))
    _check_present(predicate, _IMAGE_NAMES)
    check_members(predicate, "the predicate", (), (*_IMAGE_NAMES, "HashAlgorithm"))
    _check_hash_algorithm(predicate.get("HashAlgorithm", HASH_ALGORITHM))
    return {
        index: _pcr(name, predicate[name])
        for index, name in zip(IMAGE_PCRS, _IMAGE_NAMES, strict=True)
    }


def _check_present(found: Mapping[str, Any], required: Collection[str]) -> None:
    missing = [name for name in required if name not in found]
    if missing:
        raise InputError(
            "provenance.measurements",
            f"expected PCR0, PCR1 and PCR2, found no {' and no '.join(map(repr, missing))}",
        )


def _check_hash_algorithm(found: object) -> None:
    if found != HASH_ALGORITHM:
        raise InputError(
            "provenance.measurements",
            f"hash algorithm: expected {HASH_ALGORITHM}, found {reprlib.repr(found)}",
        )


def _pcr(name: str, found: object) -> bytes:
    """Returns the value of a PCR, which is never zeros: that is debug mode, or no signature."""
    value = bytes.fromhex(_check_hex(found, PCR_BYTES, name, "provenance.measurements"))
    if value == ZERO_PCR:
        raise InputError(
            "provenance.measurements",
            f"{name}: expected the measurement from building the image, found zeros",
        )
    return value


def _certificate(predicate: Mapping[str, Any], *, signed: bool) -> str | None:
    if "signingCertificate" not in predicate:
        return None
    certificate = checked_object(predicate["signingCertificate"], "signingCertificate")
    check_members(certificate, "signingCertificate", ("sha256",))
    if not signed:
        raise InputError(
            "provenance.measurements",
            "signingCertificate: expected PCR8 beside it, which measures it, found none",
        )
    return _check_hex(
        certificate["sha256"], _DIGEST_BYTES["sha256"], "signingCertificate", "provenance.format"
    )


def _builder(found: object) -> dict[str, Any]:
    builder = checked_object(found, "builder")
    try:
        json.dumps(builder, allow_nan=False)
    except ValueError:
        raise InputError(
            "provenance.format", "builder: expected finite numbers, found a larger one"
        ) from None
    return builder


def _check_hex(found: object, size: int, what: str, code: str) -> str:
    if not isinstance(found, str) or len(found) != 2 * size or not _HEX.fullmatch(found):
        raise InputError(
            code,
            f"{what}: expected {2 * size} lower-case hex digits, found {reprlib.repr(found)}",
        )
    return found
