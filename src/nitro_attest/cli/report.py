"""``nitro-attest report``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final, Literal

import click

from nitro_attest.cli.expected import expected_options, expected_values
from nitro_attest.cli.options import (
    EXISTING_FILE,
    Verb,
    allow_debug_option,
    any_enclave_option,
    any_instance_option,
    at_option,
    consistency_option,
    format_option,
    json_field_option,
    unknown_fields_option,
)
from nitro_attest.cli.output import emit, reject, row, shown_name, styled
from nitro_attest.cli.render import Result, headline
from nitro_attest.cli.requirements import (
    RequirementOptions,
    policy_of,
    requirement_options,
    verifier_of,
)
from nitro_attest.cli.source import Encoding, read_document
from nitro_attest.cli.trust import list_options, revocation_lists, root_options, trusted_roots
from nitro_attest.errors import InputError, NitroAttestError
from nitro_attest.report import Report
from nitro_attest.verification.batch import Request
from nitro_attest.verification.core import UnknownFields

_FORMS: Final[dict[str, Callable[[Report], str]]] = {
    ".html": Report.to_html,
    ".htm": Report.to_html,
    ".md": Report.to_markdown,
}
"""The form of a report by the suffix of its file."""


@click.command("report", cls=Verb)
@click.argument("document", type=EXISTING_FILE, metavar="DOC")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The report: FILE.html or FILE.md.",
)
@root_options
@list_options
@requirement_options
@any_enclave_option
@any_instance_option
@expected_options("Expected nonce.")
@at_option("DOC")
@allow_debug_option
@consistency_option
@unknown_fields_option
@format_option
@json_field_option
def command(
    document: str,
    output: Path,
    root: tuple[str, ...],
    partition: str | None,
    crls: tuple[str, ...],
    crl_max_age: timedelta | None,
    any_enclave: bool,
    any_instance: bool,
    nonce: bytes | None,
    user_data: bytes | None,
    public_key: str | None,
    max_age: timedelta | None,
    at: datetime | Literal["now", "document"],
    allow_debug: bool,
    consistency: Literal["refuse", "warn"] | None,
    unknown_fields: UnknownFields,
    encoding: Encoding | None,
    json_field: str | None,
    **requirements: Any,
) -> int:
    """Verify a document and write a report for people.

    The report shows what was checked and what was not, the certificates, the PCRs and every byte.
    It is written for a rejected document too, and then shows why. The exit code is that of verify.
    A usage error writes nothing.
    """
    if output.suffix not in _FORMS:
        raise click.UsageError(f"--output: expected FILE.html or FILE.md, found {output.name!r}")
    if document != "-" and output.exists() and output.samefile(document):
        raise click.UsageError("--output is the document; the report would replace it")
    if max_age is not None and at == "document":
        raise click.UsageError("--max-age cannot be combined with --at document")
    options = expected_values(nonce=nonce, user_data=user_data, public_key=public_key)
    policy, _ = policy_of(
        RequirementOptions(**requirements), any_enclave, any_instance, allow_debug
    )
    lists = revocation_lists(crls, crl_max_age)
    verifier = verifier_of(
        policy,
        trusted_roots(root, partition),
        consistency=consistency,
        unknown_fields=unknown_fields,
        revocation=lists,
    )
    now = datetime.now(timezone.utc)
    request = None
    result: Result | NitroAttestError
    try:
        data = read_document(document, encoding, json_field)
        request = Request(data, **options, at=at, max_age=max_age)
        result = verifier.verify(data, **options, at=at, max_age=max_age)
    except InputError:  # no document was rejected
        raise
    except NitroAttestError as error:
        result = error
    report = Report.of(
        result, request, policy=policy, revocation=lists, verified_at=now, source=document
    )
    output.write_text(_FORMS[output.suffix](report), encoding="utf-8")
    if isinstance(result, NitroAttestError):
        return reject(document, result, as_json=False)
    emit(
        [
            styled(*headline(result)),
            row("document", document, shown_name),
            row("report", str(output), shown_name),
        ]
    )
    return 0
