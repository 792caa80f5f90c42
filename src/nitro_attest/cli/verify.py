"""``nitro-attest verify``."""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal

import click

from nitro_attest.cli.batch import from_batch, from_files, judged, line_count
from nitro_attest.cli.expected import Expected, expectation_options
from nitro_attest.cli.options import duration, hex_bytes, moment
from nitro_attest.cli.output import refuse, warn
from nitro_attest.cli.render import Result, report
from nitro_attest.cli.source import Encoding, read_file
from nitro_attest.cli.trust import root_options, trusted_roots
from nitro_attest.errors import PolicyError
from nitro_attest.verification.batch import Outcome
from nitro_attest.verification.policy import AnyEnclave, AnyInstance, NitroTpmPolicy, Policy
from nitro_attest.verification.verifier import NitroTpmVerifier, Verifier


@click.command("verify")
@click.argument("documents", metavar="DOC...", nargs=-1)
@click.option(
    "--batch",
    "batch_file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="File with one JSON object a line: document, nonce, ...",
)
@root_options
@expectation_options
@click.option("--any-enclave", is_flag=True, help="Require no measurements, and say so.")
@click.option("--any-instance", is_flag=True, help="The same for --kind nitrotpm.")
@click.option("--nonce", type=hex_bytes, metavar="HEX", help="Expected nonce.")
@click.option("--user-data", type=hex_bytes, metavar="HEX", help="Expected user_data.")
@click.option(
    "--public-key",
    type=click.Path(exists=True, dir_okay=False),
    help="File with the expected public_key.",
)
@click.option("--max-age", type=duration, metavar="AGE", help="Greatest age of the document: 10m.")
@click.option(
    "--at", type=moment, metavar="now|document|TIME", default="now", help="Time to judge at [now]."
)
@click.option("--allow-debug", is_flag=True, help="Accept enclaves in debug mode.")
@click.option("--fail-on-warning", is_flag=True, help="Exit 6 if a verified result has warnings.")
@click.option(
    "--format",
    "encoding",
    type=click.Choice(["raw", "hex", "base64"]),
    help="Form of DOC [recognised].",
)
@click.option(
    "--accelerator",
    type=click.Choice(["libcrypto_mb", "aws-lc"]),
    help="A faster library for the signatures of many documents, where it is installed.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each document.")
def command(
    documents: tuple[str, ...],
    batch_file: str | None,
    root: str | None,
    partition: str | None,
    any_enclave: bool,
    any_instance: bool,
    nonce: bytes | None,
    user_data: bytes | None,
    public_key: str | None,
    max_age: timedelta | None,
    at: datetime | Literal["now", "document"],
    allow_debug: bool,
    fail_on_warning: bool,
    encoding: Encoding | None,
    accelerator: str | None,
    as_json: bool,
    **expected: Any,
) -> int:
    """Verify documents and say what they prove.

    DOC is a file, or - for standard input: raw bytes, hex or base64. Several are verified at the
    same time and answered in their order; so are the lines of a --batch file. The exit code is 0
    only if every document was verified; else that of the first that was not: 2 usage, 3 format,
    4 chain, 5 signature, 6 policy.
    """
    if bool(documents) == bool(batch_file):
        raise click.UsageError("name one or more DOC, or a --batch file")
    values = {
        "nonce": nonce,
        "user_data": user_data,
        "public_key": read_file(public_key) if public_key else None,
    }
    options: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
    policy = _policy(Expected(**expected), any_enclave, any_instance, allow_debug)
    roots = trusted_roots(root, partition)
    verify: Callable[..., Generator[Outcome[Any], None, None]]
    if isinstance(policy, (NitroTpmPolicy, AnyInstance)):
        verify = NitroTpmVerifier(roots, policy=policy, accelerator=accelerator).verify_many
    else:
        verify = Verifier(roots, policy=policy, accelerator=accelerator).verify_many
    if batch_file:
        total = line_count(batch_file)
        jobs = from_batch(batch_file, encoding or "auto", options)
    else:
        total = len(documents)
        jobs = from_files(documents, encoding or "auto", options)
    judge = partial(verify, workers=1 if total == 1 else None, at=at, max_age=max_age)
    exit_code = 0
    for name, outcome in judged(judge, jobs, total):
        code = _report(name, outcome, policy, fail_on_warning, as_json)
        exit_code = exit_code or code
    return exit_code


def _report(
    name: str, outcome: Outcome[Result], policy: object, fail_on_warning: bool, as_json: bool
) -> int:
    """Prints what became of one document and returns its exit code."""
    if outcome.error is not None:
        code = refuse(name, outcome.error, as_json, verified=False)
        if isinstance(outcome.error, PolicyError) and isinstance(policy, (Policy, NitroTpmPolicy)):
            warn(policy.weaknesses())
        return code
    attestation = outcome.unwrap()
    report(name, attestation, as_json)
    return PolicyError.exit_code if fail_on_warning and attestation.warnings else 0


def _policy(
    expected: Expected, any_enclave: bool, any_instance: bool, allow_debug: bool
) -> Policy | NitroTpmPolicy | AnyEnclave | AnyInstance:
    """What the options require; no measurements where they name none."""
    of_instances = expected.kind == "nitrotpm"
    if (any_enclave or allow_debug) and of_instances:
        raise click.UsageError("--any-enclave and --allow-debug are not about --kind nitrotpm")
    if any_instance and not of_instances:
        raise click.UsageError("--any-instance is about --kind nitrotpm")
    if expected.given:
        if any_enclave or any_instance:
            raise click.UsageError("required measurements and accepting any contradict each other")
        return expected.policy(allow_debug=allow_debug)
    if of_instances:
        return AnyInstance(explicit=any_instance)
    return AnyEnclave(allow_debug=allow_debug, explicit=any_enclave)
