"""``nitro-attest verify``."""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal

import click

from nitro_attest.cli.batch import from_batch, from_files, line_count, outcomes
from nitro_attest.cli.exit_codes import EXIT_REQUIREMENT
from nitro_attest.cli.options import (
    EXISTING_FILE,
    Verb,
    allow_debug_option,
    any_enclave_option,
    at_option,
    consistency_option,
    duration,
    format_option,
    hex_bytes,
    json_option,
)
from nitro_attest.cli.output import reject, warn
from nitro_attest.cli.render import Result, report
from nitro_attest.cli.requirements import RequirementOptions, requirement_options
from nitro_attest.cli.source import Encoding, read_file
from nitro_attest.cli.trust import list_options, revocation_lists, root_options, trusted_roots
from nitro_attest.errors import PolicyError
from nitro_attest.provenance import Provenance
from nitro_attest.verification.batch import Outcome
from nitro_attest.verification.policy import AnyEnclave, AnyInstance, NitroTpmPolicy, Policy
from nitro_attest.verification.verifier import NitroTpmVerifier, Verifier


@click.command("verify", cls=Verb)
@click.argument("documents", metavar="DOC...", nargs=-1)
@click.option(
    "--batch",
    "batch_file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="File with one JSON object per line: document, nonce, ...",
)
@root_options
@list_options
@requirement_options
@any_enclave_option
@click.option("--any-instance", is_flag=True, help="The same for --kind nitrotpm.")
@click.option("--nonce", type=hex_bytes, metavar="HEX", help="Expected nonce.")
@click.option("--user-data", type=hex_bytes, metavar="HEX", help="Expected user_data.")
@click.option("--public-key", type=EXISTING_FILE, help="File with the expected public_key.")
@click.option(
    "--max-age", type=duration, metavar="AGE", help="Maximum age of the document, such as 10m."
)
@at_option("DOC")
@allow_debug_option
@consistency_option
@click.option("--fail-on-warning", is_flag=True, help="Exit with 6 if a result has warnings.")
@format_option
@click.option(
    "--accelerator",
    type=click.Choice(["libcrypto_mb", "aws-lc"]),
    help="Installed library that checks the signatures of many documents faster.",
)
@json_option("Print one JSON object per document.")
def command(
    documents: tuple[str, ...],
    batch_file: str | None,
    root: str | None,
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
    encoding: Encoding | None,
    accelerator: str | None,
    as_json: bool,
    **requirements: Any,
) -> int:
    """Verify attestation documents.

    DOC is a file, or - for standard input: raw bytes, hex or base64. Several documents, and the
    lines of a --batch file, are verified in parallel; results come in the order of the input. The
    exit code is 0 only if every document was verified, else that of the first rejected one: 2 usage
    error, 3 format, 4 chain, 5 signature, 6 policy.
    """
    if bool(documents) == bool(batch_file):
        raise click.UsageError("expected either one or more DOC or a --batch file")
    if max_age is not None and at == "document":
        raise click.UsageError("--max-age cannot be combined with --at document")
    values = {
        "nonce": nonce,
        "user_data": user_data,
        "public_key": read_file(public_key) if public_key else None,
    }
    options: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
    policy, provenance = _policy(
        RequirementOptions(**requirements), any_enclave, any_instance, allow_debug
    )
    roots = trusted_roots(root, partition)
    settings: dict[str, Any] = {
        "consistency": consistency,
        "accelerator": accelerator,
        "revocation": revocation_lists(crls, crl_max_age),
    }
    verifier = (
        NitroTpmVerifier(roots, policy=policy, **settings)
        if isinstance(policy, (NitroTpmPolicy, AnyInstance))
        else Verifier(roots, policy=policy, **settings)
    )
    verify: Callable[..., Generator[Outcome[Any], None, None]] = verifier.verify_many
    if batch_file:
        total = line_count(batch_file)
        jobs = from_batch(batch_file, encoding or "auto", options)
    else:
        total = len(documents)
        jobs = from_files(documents, encoding or "auto", options)
    verify = partial(verify, workers=1 if total == 1 else None, at=at, max_age=max_age)
    exit_code = 0
    for name, outcome in outcomes(verify, jobs, total):
        code = _report(name, outcome, policy, provenance, fail_on_warning, as_json)
        exit_code = exit_code or code
    return exit_code


def _report(
    name: str,
    outcome: Outcome[Result],
    policy: object,
    provenance: Provenance | None,
    fail_on_warning: bool,
    as_json: bool,
) -> int:
    """Prints the outcome for one document and returns its exit code."""
    if outcome.error is not None:
        code = reject(name, outcome.error, as_json, verified=False)
        if isinstance(outcome.error, PolicyError) and isinstance(policy, (Policy, NitroTpmPolicy)):
            warn(policy.weaknesses())
        return code
    attestation = outcome.unwrap()
    report(name, attestation, as_json, provenance=provenance)
    return EXIT_REQUIREMENT if fail_on_warning and attestation.warnings else 0


def _policy(
    requirements: RequirementOptions, any_enclave: bool, any_instance: bool, allow_debug: bool
) -> tuple[Policy | NitroTpmPolicy | AnyEnclave | AnyInstance, Provenance | None]:
    """The policy that the options make; without required measurements, any enclave or instance.

    With it comes the statement of ``--provenance``.

    Raises:
        ImageError, InputError: A malformed image or policy file.
        click.UsageError: Options cannot be combined.
    """
    for_instances = requirements.kind == "nitrotpm"
    if (any_enclave or allow_debug) and for_instances:
        raise click.UsageError(
            "--any-enclave and --allow-debug cannot be used with --kind nitrotpm"
        )
    if any_instance and not for_instances:
        raise click.UsageError("--any-instance requires --kind nitrotpm")
    if requirements.given:
        if any_instance:
            raise click.UsageError("--any-instance cannot be combined with --pcr or --policy")
        if any_enclave:
            raise click.UsageError(
                "--any-enclave cannot be combined with --pcr, --policy, --eif or --provenance"
            )
        return requirements.load(allow_debug=allow_debug)
    if for_instances:
        return AnyInstance(explicit=any_instance), None
    return AnyEnclave(allow_debug=allow_debug, explicit=any_enclave), None
