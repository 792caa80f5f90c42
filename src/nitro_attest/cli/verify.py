"""``nitro-attest verify``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal, NamedTuple

import click
from click.core import ParameterSource

from nitro_attest.cli.batch import (
    Job,
    counts,
    from_batch,
    from_files,
    line_count,
    outcomes,
    summary,
)
from nitro_attest.cli.display import Display, display_options
from nitro_attest.cli.exit_codes import EXIT_REQUIREMENT, exit_code_of
from nitro_attest.cli.expected import (
    WarningOptions,
    expected_options,
    expected_values,
    warning_options,
)
from nitro_attest.cli.fields import ALL, WITHOUT_CERTIFICATES
from nitro_attest.cli.fields import fields as fields_type
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
from nitro_attest.cli.output import Kind, emit, reject, styled, to_json
from nitro_attest.cli.render import report
from nitro_attest.cli.requirements import (
    RequirementOptions,
    policy_of,
    requirement_options,
    verifier_of,
)
from nitro_attest.cli.source import Encoding
from nitro_attest.cli.trust import list_options, revocation_lists, root_options, trusted_roots
from nitro_attest.errors import AttestationWarning, NitroAttestError, PolicyError
from nitro_attest.provenance import Provenance
from nitro_attest.verification.batch import Outcome, Request
from nitro_attest.verification.core import UnknownFields
from nitro_attest.verification.policy import NitroTpmPolicy, Policy


@click.command("verify", cls=Verb)
@click.argument("documents", type=EXISTING_FILE, metavar="DOC...", nargs=-1)
@click.option(
    "--batch",
    "batch_file",
    type=EXISTING_FILE,
    help="File with one JSON object per line: document, nonce, ...; also compressed with gzip.",
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
@warning_options
@format_option
@json_field_option
@click.option(
    "--accelerator",
    type=click.Choice(["libcrypto_mb", "aws-lc"]),
    help="Installed library that checks the signatures of many documents faster.",
)
@click.option(
    "--summary",
    "summary_only",
    is_flag=True,
    help="Print only the number of documents by result.",
)
@click.option(
    "--fields",
    type=fields_type,
    metavar="NAME,...",
    help="With --json: fields of an attestation to print [all; with --batch, no certificates].",
)
@display_options("Print one JSON object per document.")
def command(
    documents: tuple[str, ...],
    batch_file: str | None,
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
    fail_on_warning: bool,
    accepted: tuple[str, ...],
    encoding: Encoding | None,
    json_field: str | None,
    accelerator: str | None,
    summary_only: bool,
    fields: frozenset[str] | None,
    quiet: bool,
    short: bool,
    as_json: bool,
    **requirements: Any,
) -> int:
    """Verify attestation documents.

    DOC is a file, or - for standard input: raw bytes, base64, hex, JSON and more. Several
    documents, and the lines of a --batch file, are verified in parallel; results come in the order
    of the input. The exit code is 0 only if every document was verified, else that of the first
    rejected one: 2 usage error, 3 format, 4 chain, 5 signature, 6 policy.
    """
    if bool(documents) == bool(batch_file):
        raise click.UsageError("expected either one or more DOC or a --batch file")
    if max_age is not None and at == "document":
        raise click.UsageError("--max-age cannot be combined with --at document")
    display = _display(quiet, short, as_json, summary_only, fields, bool(batch_file))
    warnings = WarningOptions(fail_on_warning, accepted)
    options = expected_values(nonce=nonce, user_data=user_data, public_key=public_key)
    source = click.get_current_context().get_parameter_source("at")
    if source is ParameterSource.COMMANDLINE:
        options["at"] = at
    policy, provenance = policy_of(
        RequirementOptions(**requirements), any_enclave, any_instance, allow_debug
    )
    roots = trusted_roots(root, partition)
    settings: dict[str, Any] = {
        "consistency": consistency,
        "unknown_fields": unknown_fields,
        "accelerator": accelerator,
        "revocation": revocation_lists(crls, crl_max_age),
    }
    verifier = verifier_of(policy, roots, **settings)
    verify: Callable[..., Generator[Outcome[Any], None, None]] = verifier.verify_many
    if batch_file:
        total = line_count(batch_file)
        jobs = from_batch(batch_file, encoding, json_field, options)
    else:
        total = len(documents)
        jobs = from_files(documents, encoding, json_field, options)
    verify = partial(verify, workers=1 if total == 1 else None, at=at, max_age=max_age)
    exit_code = 0
    results: Counter[str] = Counter()
    reporter = _Reporter(None if summary_only else display, warnings, policy, provenance)
    for job, outcome in outcomes(verify, jobs, total):
        result, code = reporter.report(job, outcome)
        results[result] += 1
        exit_code = exit_code or code
    if summary_only:
        emit([to_json(documents=results.total(), results=results)] if as_json else counts(results))
    elif total != 1:
        kind: Kind = "accepted" if results["verified"] == results.total() else "rejected"
        emit([styled(summary(results), kind, to_stderr=True)], to_stderr=True)
    return exit_code


def _display(
    quiet: bool,
    short: bool,
    as_json: bool,
    summary_only: bool,
    fields: frozenset[str] | None,
    batch: bool,
) -> Display:
    if summary_only and (quiet or short or fields):
        raise click.UsageError("--summary cannot be combined with --quiet, --short or --fields")
    if fields and not as_json:
        raise click.UsageError("--fields requires --json")
    return Display(quiet, short, as_json, fields or (WITHOUT_CERTIFICATES if batch else ALL))


class _Reporter(NamedTuple):
    """Reports the outcomes of documents.

    Attributes:
        display: The amount of output; None for nothing.
        warnings: The options about warnings.
        policy: The policy.
        provenance: The signed statement of the expected measurements.
    """

    display: Display | None
    warnings: WarningOptions
    policy: object
    provenance: Provenance | None

    def report(self, job: Job, outcome: Outcome[Any]) -> tuple[str, int]:
        """Prints an outcome; returns its name in a summary, and its exit code."""
        members: dict[str, Any] = {} if job.id is None else {"id": job.id}
        display = self.display
        if outcome.error is not None:
            if display is not None:
                members["warnings"] = _weaknesses(self.policy, outcome.error)
                members |= {"verified": False, "quiet": display.quiet, "at": _time_of(job)}
                reject(job.name, outcome.error, display.as_json, **members)
            return outcome.error.code, exit_code_of(outcome.error)
        attestation = outcome.unwrap()
        failed_on = self.warnings.failures(one.code for one in attestation.warnings)
        if display is not None:
            members |= {"provenance": self.provenance, "failed_on": failed_on}
            report(job.name, attestation, display, **members)
        return ("failed on a warning", EXIT_REQUIREMENT) if failed_on else ("verified", 0)


def _time_of(job: Job) -> datetime | None:
    """The verification time of a document, if an option or its line gives one."""
    at = job.item.at if isinstance(job.item, Request) else None
    return at if isinstance(at, datetime) else None


def _weaknesses(policy: object, error: NitroAttestError) -> list[AttestationWarning]:
    """The reasons why a policy that a document did not meet may be wrong itself."""
    if isinstance(error, PolicyError) and isinstance(policy, (Policy, NitroTpmPolicy)):
        return policy.weaknesses()
    return []
