"""``nitro-attest audit``."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from nitro_attest.cli.completion import complete_file
from nitro_attest.cli.exit_codes import (
    EXIT_INTERRUPTED,
    EXIT_OUTPUT,
    EXIT_REQUIREMENT,
    exit_code_of_code,
)
from nitro_attest.cli.expected import WarningOptions, warning_options
from nitro_attest.cli.options import (
    EXISTING_FILE,
    Verb,
    allow_debug_option,
    any_enclave_option,
    any_instance_option,
    at_option,
    consistency_option,
    duration,
    json_option,
    new_file,
    text,
    unknown_fields_option,
)
from nitro_attest.cli.output import emit, row, shown_name, styled, to_json
from nitro_attest.cli.progress import Progress
from nitro_attest.cli.requirements import (
    RequirementOptions,
    policy_of,
    requirement_options,
    verifier_of,
)
from nitro_attest.cli.trust import list_options, revocation_lists, root_options, trusted_roots
from nitro_attest.limits import MAX_WORKERS
from nitro_attest.verification.core import UnknownFields

if TYPE_CHECKING:  # needs pyarrow, which --help does not
    from nitro_attest.archive import Summary


@click.command("audit", cls=Verb)
@click.argument("sources", type=EXISTING_FILE, metavar="SOURCE...", nargs=-1, required=True)
@click.option(
    "--out",
    type=new_file,
    metavar="FILE",
    shell_complete=complete_file,
    help="Parquet file for the results, one row per document.",
)
@click.option("--summary-only", is_flag=True, help="Only count; write no results.")
@click.option(
    "--document",
    type=text,
    metavar="COLUMN",
    default="document",
    help="Column with the documents [document].",
)
@click.option(
    "--id",
    "ids",
    type=text,
    metavar="COLUMN",
    multiple=True,
    help="Column to copy to the results; repeat for more.",
)
@click.option("--at-column", type=text, metavar="COLUMN", help="Column with verification times.")
@at_option("every document")
@click.option("--nonce-column", type=text, metavar="COLUMN", help="Column with expected nonces.")
@click.option(
    "--max-age", type=duration, metavar="AGE", help="Maximum age of a document, such as 10m."
)
@root_options
@list_options
@requirement_options
@any_enclave_option
@any_instance_option
@allow_debug_option
@consistency_option
@unknown_fields_option
@warning_options
@click.option(
    "--workers",
    type=click.IntRange(1, MAX_WORKERS),
    metavar="N",
    help="Number of processes [one per processor].",
)
@click.option(
    "--accelerator",
    type=click.Choice(["libcrypto_mb", "aws-lc"]),
    help="Installed library that checks the signatures of many documents faster.",
)
@click.option("--resume", is_flag=True, help="Continue an audit that did not finish.")
@json_option("Print the counts as one JSON object.")
def command(
    sources: tuple[str, ...],
    out: Path | None,
    summary_only: bool,
    document: str,
    ids: tuple[str, ...],
    at_column: str | None,
    at: datetime | Literal["now", "document"],
    nonce_column: str | None,
    max_age: timedelta | None,
    root: tuple[str, ...],
    partition: str | None,
    crls: tuple[str, ...],
    crl_max_age: timedelta | None,
    any_enclave: bool,
    any_instance: bool,
    allow_debug: bool,
    consistency: Literal["refuse", "warn"] | None,
    unknown_fields: UnknownFields,
    fail_on_warning: bool,
    accepted: tuple[str, ...],
    workers: int | None,
    accelerator: str | None,
    resume: bool,
    as_json: bool,
    **requirements: Any,
) -> int:
    """Verify an archive of documents and write a table of results.

    SOURCE is a file or a folder of files: Parquet, Arrow IPC, CSV or JSONL with a column of
    documents; every other file is one document. The exit code is 0 only if every document was
    verified, else that of verify for the first rejected one. An audit that did not finish leaves
    no FILE; --resume continues it.
    """
    if (out is None) != summary_only:
        raise click.UsageError("expected either --out FILE or --summary-only")
    if resume and summary_only:
        raise click.UsageError("--resume requires --out")
    if at != "now" and at_column is not None:
        raise click.UsageError("--at cannot be combined with --at-column")
    if max_age is not None and at == "document":
        raise click.UsageError("--max-age cannot be combined with --at document")
    warnings = WarningOptions(fail_on_warning, accepted)
    from nitro_attest.archive import Columns, verify_dataset

    policy, _ = policy_of(
        RequirementOptions(**requirements), any_enclave, any_instance, allow_debug
    )
    verifier = verifier_of(
        policy,
        trusted_roots(root, partition),
        consistency=consistency,
        unknown_fields=unknown_fields,
        accelerator=accelerator,
        revocation=revocation_lists(crls, crl_max_age),
    )
    columns = Columns(document, at=at_column, nonce=nonce_column, keep=ids)
    try:
        with Progress("verifying") as progress:
            found = verify_dataset(
                sources,
                out,
                verifier,
                columns,
                at=at,
                max_age=max_age,
                workers=workers,
                resume=resume,
                progress=lambda done, total: progress.show(done.rows, total, _rejected(done)),
            )
    except OSError as error:
        emit([f"nitro-attest: the audit did not finish: {error}{_hint(out)}"], to_stderr=True)
        return EXIT_OUTPUT
    except KeyboardInterrupt:
        emit([f"nitro-attest: the audit was interrupted{_hint(out)}"], to_stderr=True)
        return EXIT_INTERRUPTED
    failed_on = warnings.failures(sorted(found.warnings))
    _report(found, out, as_json, failed_on)
    if found.first_rejected is not None:
        return exit_code_of_code(found.first_rejected)
    return EXIT_REQUIREMENT if failed_on else 0


def _rejected(found: Summary) -> str:
    """Returns the counts by error code, the most frequent first."""
    counts = sorted(found.rejected.items(), key=lambda item: -item[1])
    return ", ".join(f"{number} {code}" for code, number in counts)


def _hint(out: Path | None) -> str:
    return "" if out is None else "; --resume continues it"


def _report(found: Summary, out: Path | None, as_json: bool, failed_on: tuple[str, ...]) -> None:
    if as_json:
        members: dict[str, Any] = {"rows": found.rows, "verified": found.verified}
        members |= {"rejected": dict(found.rejected), "warnings": dict(found.warnings)}
        members |= {"failed_on": failed_on} if failed_on else {}
        emit([to_json(**members, results=None if out is None else str(out))])
        return
    passed = found.verified == found.rows and not failed_on
    verdict = f"{found.verified} of {found.rows} verified"
    if failed_on:
        verdict += f"; FAILED ON WARNING {', '.join(failed_on)}"
    lines = [styled(verdict, "accepted" if passed else "rejected")]
    if out is not None:
        lines.append(row("results", str(out), shown_name))
    lines += _table("rejected", found.rejected) + _table("warnings", found.warnings)
    emit(lines)


def _table(label: str, counts: Any) -> list[str]:
    """Returns a line for each code, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    width = max((len(str(number)) for _, number in ordered), default=0)
    return [row(label, f"{number:>{width}} {code}") for code, number in ordered]
