"""``nitro-attest verify``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal

import click

from nitro_attest.cli.batch import from_batch, from_files, line_count, outcomes, summary
from nitro_attest.cli.display import Display, display_options
from nitro_attest.cli.expected import (
    WarningOptions,
    expected_options,
    expected_values,
    warning_options,
)
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
)
from nitro_attest.cli.output import Kind, emit, reject, styled
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
from nitro_attest.verification.batch import Outcome
from nitro_attest.verification.policy import NitroTpmPolicy, Policy


@click.command("verify", cls=Verb)
@click.argument("documents", type=EXISTING_FILE, metavar="DOC...", nargs=-1)
@click.option(
    "--batch",
    "batch_file",
    type=EXISTING_FILE,
    help="File with one JSON object per line: document, nonce, ...",
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
@warning_options
@format_option
@json_field_option
@click.option(
    "--accelerator",
    type=click.Choice(["libcrypto_mb", "aws-lc"]),
    help="Installed library that checks the signatures of many documents faster.",
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
    fail_on_warning: bool,
    accepted: tuple[str, ...],
    encoding: Encoding | None,
    json_field: str | None,
    accelerator: str | None,
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
    display = Display(quiet, short, as_json)
    warnings = WarningOptions(fail_on_warning, accepted)
    options = expected_values(nonce=nonce, user_data=user_data, public_key=public_key)
    policy, provenance = policy_of(
        RequirementOptions(**requirements), any_enclave, any_instance, allow_debug
    )
    roots = trusted_roots(root, partition)
    settings: dict[str, Any] = {
        "consistency": consistency,
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
    for job, outcome in outcomes(verify, jobs, total):
        members: dict[str, Any] = {} if job.id is None else {"id": job.id}
        if outcome.error is not None:
            members |= {"warnings": _weaknesses(policy, outcome.error), "verified": False}
            moment = at if isinstance(at, datetime) else None
            code = reject(job.name, outcome.error, as_json, quiet=quiet, at=moment, **members)
            results[outcome.error.code] += 1
        else:
            members |= {"provenance": provenance, "failed_on": warnings.failures(outcome.unwrap())}
            code = report(job.name, outcome.unwrap(), display, **members)
            results["failed on a warning" if members["failed_on"] else "verified"] += 1
        exit_code = exit_code or code
    if total != 1:
        kind: Kind = "accepted" if results["verified"] == results.total() else "rejected"
        emit([styled(summary(results), kind, to_stderr=True)], to_stderr=True)
    return exit_code


def _weaknesses(policy: object, error: NitroAttestError) -> list[AttestationWarning]:
    """The reasons why a policy that a document did not meet may be wrong itself."""
    if isinstance(error, PolicyError) and isinstance(policy, (Policy, NitroTpmPolicy)):
        return policy.weaknesses()
    return []
