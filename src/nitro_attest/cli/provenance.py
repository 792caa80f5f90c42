"""The options that take measurements from a signed statement, whose signer they name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Final

import click

from nitro_attest.cli.options import EXISTING_FILE, text
from nitro_attest.cli.output import row
from nitro_attest.cli.source import read_file
from nitro_attest.limits import MAX_PROVENANCE_BYTES
from nitro_attest.provenance import (
    PREDICATE_TYPE,
    Provenance,
    SignerKey,
    SigstoreIdentity,
    read_provenance,
)

provenance_options: Final = (
    click.option(
        "--provenance",
        "provenance_file",
        type=EXISTING_FILE,
        help="Signed statement of the expected PCRs; requires a signer.",
    ),
    click.option("--signer-key", type=EXISTING_FILE, help="PEM file of the signer's public key."),
    click.option(
        "--signer-identity", type=text, metavar="ID", help="Exact identity of a Sigstore signer."
    ),
    click.option("--issuer", type=text, metavar="URL", help="Issuer of --signer-identity."),
    click.option(
        "--signer-repository", type=text, metavar="URL", help="Repository that the signer built."
    ),
    click.option(
        "--signer-ref", type=text, metavar="REF", help="Branch or tag that the signer built."
    ),
    click.option(
        "--sigstore-root",
        type=EXISTING_FILE,
        help="Trusted root of another Sigstore instance [the public one].",
    ),
    click.option(
        "--predicate-type",
        type=text,
        metavar="URI",
        help="Type of the statement [that of policy statement].",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenanceOptions:
    """The values of these options, as given."""

    provenance_file: str | None = None
    signer_key: str | None = None
    signer_identity: str | None = None
    issuer: str | None = None
    signer_repository: str | None = None
    signer_ref: str | None = None
    sigstore_root: str | None = None
    predicate_type: str | None = None

    def provenance(self) -> Provenance | None:
        """Returns the verified statement; None if none of the options is given.

        Raises:
            InputError: ``provenance.*``, ``input.file``, ``input.extra``.
            click.UsageError: The options do not name exactly one signer.
        """
        if self.provenance_file is None:
            if any(getattr(self, each.name) is not None for each in fields(ProvenanceOptions)):
                raise click.UsageError(
                    "--predicate-type and the options that name a signer require --provenance"
                )
            return None
        signer = self._signer()
        content = read_file(self.provenance_file, MAX_PROVENANCE_BYTES)
        return read_provenance(
            content, signer, predicate_type=self.predicate_type or PREDICATE_TYPE
        )

    def _signer(self) -> SignerKey | SigstoreIdentity:
        if (self.signer_key is None) == (self.signer_identity is None):
            raise click.UsageError(
                "--provenance requires either --signer-key or --signer-identity with --issuer"
            )
        if self.signer_key is not None:
            about_identities = (
                self.issuer,
                self.signer_repository,
                self.signer_ref,
                self.sigstore_root,
            )
            if any(value is not None for value in about_identities):
                raise click.UsageError(
                    "--issuer, --signer-repository, --signer-ref and --sigstore-root require "
                    "--signer-identity"
                )
            return SignerKey(read_file(self.signer_key))
        if self.signer_identity is None or self.issuer is None:
            raise click.UsageError("--signer-identity requires --issuer")
        return SigstoreIdentity(
            self.signer_identity,
            self.issuer,
            self.signer_repository,
            self.signer_ref,
            self.sigstore_root,
        )


def provenance_lines(found: Provenance) -> Iterator[str]:
    """Yields lines for a verified statement: the signer, the subject and the source."""
    signer, subject = found.signer, found.statement.subject
    yield row("provenance", str(signer))
    yield row("statement", f"about {subject.name} (SHA-256 {subject.sha256})")
    if signer.commit is not None:
        yield row(
            "built from",
            f"{signer.ref or 'unknown ref'} by {signer.workflow or 'unknown workflow'}",
        )
        yield row("signer", f"{signer.identity} ({signer.issuer})")
