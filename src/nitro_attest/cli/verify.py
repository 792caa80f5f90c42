"""``nitro-attest verify``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Literal

import click

from nitro_attest.attestation import Attestation
from nitro_attest.cli.options import duration, hex_bytes, moment, pcr_pin
from nitro_attest.cli.render import (
    attestation_lines,
    emit,
    error_lines,
    error_to_json,
    to_json,
)
from nitro_attest.cli.source import Encoding, read_document, read_file
from nitro_attest.errors import InputError, NitroAttestError, PolicyError
from nitro_attest.policy import AnyEnclave, Policy
from nitro_attest.roots import PINNED, TrustedRoots
from nitro_attest.verifier import Verifier


@click.command("verify")
@click.argument("documents", metavar="DOC...", nargs=-1, required=True)
@click.option("--root", type=click.Path(exists=True, dir_okay=False), help="PEM of your own root.")
@click.option("--partition", type=click.Choice(list(PINNED)), help="AWS partition to trust [aws].")
@click.option(
    "--pcr",
    "pins",
    type=pcr_pin,
    metavar="N=HEX",
    multiple=True,
    help="Expected PCR; repeat for more.",
)
@click.option("--any-enclave", is_flag=True, help="Require no measurements, and say so.")
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
    pins: tuple[tuple[int, str], ...],
    any_enclave: bool,
    nonce: bytes | None,
    user_data: bytes | None,
    public_key: str | None,
    max_age: timedelta | None,
    at: datetime | Literal["now", "document"],
    allow_debug: bool,
    fail_on_warning: bool,
    encoding: Encoding | None,
    as_json: bool,
) -> int:
    """Verify documents and say what they prove.

    DOC is a file, or - for standard input: raw bytes, hex or base64. The exit code is 0 only if
    every document was verified; else that of the first that was not: 2 usage, 3 format, 4 chain,
    5 signature, 6 policy.
    """
    expected = {
        "nonce": nonce,
        "user_data": user_data,
        "public_key": read_file(public_key) if public_key else None,
    }
    options: dict[str, Any] = {name: value for name, value in expected.items() if value is not None}
    verifier = Verifier(roots_of(root, partition), policy=policy_of(pins, any_enclave, allow_debug))
    codes = []
    for name in documents:
        try:
            attestation = verifier.verify(
                read_document(name, encoding or "auto"), at=at, max_age=max_age, **options
            )
        except NitroAttestError as error:
            report_error(name, error, as_json)
            codes.append(error.exit_code)
        else:
            report(name, attestation, as_json)
            codes.append(PolicyError.exit_code if fail_on_warning and attestation.warnings else 0)
    return next(filter(None, codes), 0)


def policy_of(
    pins: Iterable[tuple[int, str]], any_enclave: bool, allow_debug: bool
) -> Policy | AnyEnclave:
    """The policy that the options stand for."""
    values: dict[int, str] = {}
    for index, value in pins:
        if index in values:
            raise InputError("policyfile.duplicate", f"--pcr {index} was given twice")
        values[index] = value
    if values and any_enclave:
        raise click.UsageError("--any-enclave and --pcr contradict each other")
    if values:
        return Policy([values], allow_debug=allow_debug)
    return AnyEnclave(allow_debug=allow_debug, spelled_out=any_enclave)


def roots_of(root: str | None, partition: str | None) -> TrustedRoots:
    """The trust anchors that the options stand for."""
    if root and partition:
        raise click.UsageError("--root and --partition contradict each other")
    if root:
        return TrustedRoots.from_pem(read_file(root))
    return TrustedRoots.from_partition(partition or "aws")


def report(name: str, attestation: Attestation, as_json: bool) -> None:
    """Prints the evidence."""
    if as_json:
        emit([to_json(name, verified=True, attestation=attestation.to_dict())])
    else:
        emit(attestation_lines(name, attestation))


def report_error(name: str, error: NitroAttestError, as_json: bool) -> None:
    """Prints the refusal."""
    if as_json:
        emit([error_to_json(name, error)])
    else:
        emit(error_lines(name, error), to_stderr=True)
