"""``nitro-attest verify``."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

import click

from nitro_attest.cli.expected import Expected, expectation_options
from nitro_attest.cli.options import duration, hex_bytes, moment
from nitro_attest.cli.output import refuse, warn
from nitro_attest.cli.render import report
from nitro_attest.cli.source import Encoding, read_document, read_file
from nitro_attest.cli.trust import root_options, trusted_roots
from nitro_attest.errors import NitroAttestError, PolicyError
from nitro_attest.policy import AnyEnclave, AnyInstance, NitroTpmPolicy, Policy
from nitro_attest.verifier import Verifier


@click.command("verify")
@click.argument("documents", metavar="DOC...", nargs=-1, required=True)
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
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each document.")
def command(
    documents: tuple[str, ...],
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
    as_json: bool,
    **expected: Any,
) -> int:
    """Verify documents and say what they prove.

    DOC is a file, or - for standard input: raw bytes, hex or base64. The exit code is 0 only if
    every document was verified; else that of the first that was not: 2 usage, 3 format, 4 chain,
    5 signature, 6 policy.
    """
    values = {
        "nonce": nonce,
        "user_data": user_data,
        "public_key": read_file(public_key) if public_key else None,
    }
    options: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
    policy = _policy(Expected(**expected), any_enclave, any_instance, allow_debug)
    verifier = Verifier(trusted_roots(root, partition), policy=policy)
    of_instances = isinstance(policy, (NitroTpmPolicy, AnyInstance))
    verify = verifier.verify_nitrotpm if of_instances else verifier.verify
    codes = []
    for name in documents:
        try:
            document = read_document(name, encoding or "auto")
            attestation = verify(document, at=at, max_age=max_age, **options)
        except NitroAttestError as error:
            codes.append(refuse(name, error, as_json, verified=False))
            if isinstance(error, PolicyError) and isinstance(policy, (Policy, NitroTpmPolicy)):
                warn(policy.weaknesses())
            continue
        report(name, attestation, as_json)
        codes.append(PolicyError.exit_code if fail_on_warning and attestation.warnings else 0)
    return next(filter(None, codes), 0)


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
        return AnyInstance(spelled_out=any_instance)
    return AnyEnclave(allow_debug=allow_debug, spelled_out=any_enclave)
