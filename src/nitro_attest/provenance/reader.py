"""Signed statements, read: signature first, then content, then the policy that they make."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from nitro_attest._internal.wording import printable
from nitro_attest.errors import InputError
from nitro_attest.provenance.fields import load_object
from nitro_attest.provenance.identity import SigstoreIdentity, verify_bundle
from nitro_attest.provenance.key import SignerKey, verify_envelope
from nitro_attest.provenance.signer import Signer
from nitro_attest.provenance.statement import (
    PREDICATE_TYPE,
    Statement,
    parse_unverified_statement,
)
from nitro_attest.provenance.writer import image_digests
from nitro_attest.verification.measurement_set import MeasurementSet
from nitro_attest.verification.policy import Policy

_MAX_NAME_LENGTH: Final = 128
"""The limit of MeasurementSet."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """A statement and the signer whose signature was verified.

    Attributes:
        statement: The content.
        signer: The signer, who vouches for it.
    """

    statement: Statement
    signer: Signer

    @property
    def measurements(self) -> MeasurementSet:
        """The measurement set. Its name is ``image built by ... at commit ...``, or the signer."""
        return MeasurementSet(self.statement.pcrs, name=_set_name(self.signer))

    def policy(
        self,
        *,
        max_age: timedelta | None = None,
        allow_debug: bool = False,
        require_nonce: bool = False,
        module_ids: Collection[str] | None = None,
        instance_ids: Collection[str] | None = None,
        regions: Collection[str] | None = None,
    ) -> Policy:
        """Makes the policy that accepts exactly the image of the statement.

        Args:
            max_age: As for ``Policy``, like the other arguments.
            allow_debug: Accept debug mode.
            require_nonce: Every call must pass the nonce that it expects.
            module_ids: The enclaves allowed; None for any.
            instance_ids: The parent EC2 instances allowed; None for any.
            regions: The AWS regions allowed; None for any.

        Returns:
            The policy. ``attestation.matched`` names the signer.

        Raises:
            InputError: As ``Policy``.
        """
        return Policy(
            [self.measurements],
            max_age,
            allow_debug,
            require_nonce=require_nonce,
            module_ids=module_ids,
            instance_ids=instance_ids,
            regions=regions,
        )

    def check_image(self, path: str | os.PathLike[str]) -> None:
        """Compares the subject of the statement with an image file (V-8).

        Args:
            path: The file.

        Raises:
            InputError: ``provenance.subject``: the statement is about another file.
                ``input.file``: the file cannot be read.
            ImageError: ``eif.too_large``.
        """
        subject = self.statement.subject
        found = image_digests(path)
        for name, expected in (("sha256", subject.sha256), ("sha384", subject.sha384)):
            if expected is not None and found[name] != expected:
                raise InputError(
                    "provenance.subject",
                    f"{name} of the image mismatch: expected {expected}, as in the statement about "
                    f"{subject.name!r}, found {found[name]} for {os.fspath(path)!r}",
                )

    def to_dict(self) -> dict[str, Any]:
        """Returns signer and statement as JSON-ready values."""
        return {"signer": self.signer.to_dict(), "statement": self.statement.to_dict()}


def read_provenance(
    content: str | bytes,
    signer: SignerKey | SigstoreIdentity,
    *,
    predicate_type: str = PREDICATE_TYPE,
) -> Provenance:
    """Verifies a signed statement and parses it.

    Args:
        content: A DSSE envelope (for a SignerKey) or a Sigstore bundle of version 0.3 (for a
            SigstoreIdentity): JSON text or its UTF-8 encoding, of at most 1 MiB.
        signer: The signer to trust. There is no default.
        predicate_type: As for ``parse_unverified_statement``.

    Returns:
        The statement and its signer.

    Raises:
        InputError: ``provenance.format``, ``provenance.duplicate``, ``provenance.unknown_key``:
            V-1. ``provenance.payload_type``: V-2. ``provenance.signature``: V-3, V-7.
            ``provenance.predicate_type``: V-4. ``provenance.measurements``: V-5.
            ``provenance.subject``: V-6. ``provenance.signer``: the trusted root of Sigstore cannot
            be read. ``input.expected``: an argument has the wrong type. ``input.extra``: the
            package sigstore is not installed.
    """
    if not isinstance(signer, (SignerKey, SigstoreIdentity)):
        raise InputError(
            "input.expected",
            f"signer: expected a SignerKey or a SigstoreIdentity, found {type(signer).__name__}",
        )
    outer = load_object(content, "the signed statement")
    if isinstance(signer, SignerKey):
        _check_form(outer, "payloadType", "a DSSE envelope, as the signer is a key")
        payload, by = verify_envelope(signer, outer), signer.signer
    else:
        _check_form(outer, "mediaType", "a Sigstore bundle, as the signer is an identity")
        payload, by = verify_bundle(signer, outer)
    return Provenance(parse_unverified_statement(payload, predicate_type=predicate_type), by)


def _check_form(outer: dict[str, Any], member: str, expected: str) -> None:
    if member not in outer:
        raise InputError(
            "provenance.format",
            f"expected {expected}, found an object with the members: {', '.join(sorted(outer))}",
        )


def _set_name(signer: Signer) -> str:
    """Returns the name of the measurement set: printable, and shortened before the commit."""
    text = printable(f"image {signer}")
    if len(text) <= _MAX_NAME_LENGTH:
        return text
    half = (_MAX_NAME_LENGTH - 3) // 2
    return f"{text[:half]}...{text[-half:]}"
