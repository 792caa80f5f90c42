"""``--fields``: the members of a JSON result that describe an attestation."""

from __future__ import annotations

from typing import Any, Final

import click

from nitro_attest.verification.attestation import Attestation, NitroTpmAttestation

_OF_DOCUMENT: Final = (
    *("module_id", "digest", "timestamp_ms", "timestamp", "pcrs", "nitrotpm_pcrs"),
    *("certificate", "cabundle", "public_key", "user_data", "nonce", "unknown_fields"),
)
_OF_ATTESTATION: Final = (
    *("document", "chain", "root", "verified_at", "time_source", "attestation_id", "instance_id"),
    *("region", "measurements_required", "matched", "revocation_lists", "warnings"),
)
_CERTIFICATES: Final = frozenset({"document", "chain", "certificate", "cabundle"})

ALL: Final = frozenset((*_OF_ATTESTATION, *_OF_DOCUMENT))

WITHOUT_CERTIFICATES: Final = ALL - _CERTIFICATES
"""The fields of a batch by default: certificates are most of the size of a result."""


def fields(value: str) -> frozenset[str]:
    """Converts ``all``, or names of fields with commas between them."""
    if value == "all":
        return ALL
    names = value.split(",")
    for name in names:
        if name not in ALL:
            expected = ", ".join((*_OF_ATTESTATION, *_OF_DOCUMENT))
            raise click.BadParameter(f"unknown field {name!r}; expected all, or some of {expected}")
    return frozenset(names)


def selected(
    attestation: Attestation | NitroTpmAttestation, names: frozenset[str]
) -> dict[str, Any]:
    """Returns these fields of ``attestation.to_dict()``; those of the document are inside it."""
    values = attestation.to_dict(certificates=not names.isdisjoint(_CERTIFICATES))
    document = values.pop("document")
    if "document" not in names:
        document = {name: value for name, value in document.items() if name in names}
    rest = {name: value for name, value in values.items() if name in names}
    return {"document": document} | rest if document else rest
