"""``nitro-attest fetch``: challenges an enclave, receives its document and verifies it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from nitro_attest.cli.nitro_cli import find_cid
from nitro_attest.cli.options import (
    allow_debug_option,
    any_enclave_option,
    duration,
    hex_bytes,
    json_option,
    text,
)
from nitro_attest.cli.output import reject
from nitro_attest.cli.render import report
from nitro_attest.cli.requirements import RequirementOptions, enclave_requirement_options
from nitro_attest.cli.trust import root_options, trusted_roots
from nitro_attest.enclave.client import fetch
from nitro_attest.errors import InputError, NitroAttestError
from nitro_attest.transport.connection import DEFAULT_PORT
from nitro_attest.verification.policy import AnyEnclave, as_enclave_policy
from nitro_attest.verification.verifier import Verifier


@click.command("fetch")
@click.option("--cid", type=click.IntRange(1, 0xFFFFFFFE), help="CID of an enclave on this host.")
@click.option("--enclave-name", type=text, help="Name of the enclave; nitro-cli finds its CID.")
@click.option(
    "--endpoint", type=text, help="unix:/path:PORT, unix:/path, http://host:port or vsock:CID:PORT."
)
@click.option("--port", type=click.IntRange(0, 0xFFFFFFFE), help=f"vsock port [{DEFAULT_PORT}].")
@root_options
@enclave_requirement_options
@any_enclave_option
@allow_debug_option
@click.option("--nonce", type=hex_bytes, metavar="HEX", help="The challenge [32 random bytes].")
@click.option("--timeout", type=duration, default="15s", help="Limit for one attempt [15s].")
@click.option("--wait", type=duration, help="Time to keep trying while an enclave boots.")
@click.option(
    "--save",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to save the document to, if verified.",
)
@json_option()
def command(
    cid: int | None,
    enclave_name: str | None,
    endpoint: str | None,
    port: int | None,
    root: str | None,
    partition: str | None,
    any_enclave: bool,
    allow_debug: bool,
    nonce: bytes | None,
    timeout: timedelta,
    wait: timedelta | None,
    save: Path | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Challenge an enclave and verify its document.

    A verified document proves that an enclave that meets the requirements made it for this
    challenge. Anyone may have relayed it: use only its public_key for the rest of the session. The
    exit codes are those of verify, and 7 if no document came.
    """
    requirements = RequirementOptions(**options)
    if any_enclave and requirements.given:
        raise click.UsageError("--any-enclave cannot be combined with --pcr, --policy or --eif")
    if not any_enclave and not requirements.given:
        raise click.UsageError(
            "no measurements are required; use --policy, --pcr or --eif, or --any-enclave"
        )
    policy = (
        AnyEnclave(allow_debug) if any_enclave else requirements.policy(allow_debug=allow_debug)
    )
    verifier = Verifier(trusted_roots(root, partition), policy=as_enclave_policy(policy))
    source = _endpoint(cid, enclave_name, endpoint, port)
    try:
        fetched = fetch(
            source,
            nonce,
            timeout=timeout.total_seconds(),
            wait=wait.total_seconds() if wait else 0.0,
        )
        attestation = verifier.verify(fetched.document, nonce=fetched.nonce)
    except NitroAttestError as error:
        return reject(source, error, as_json, verified=False)
    report(source, attestation, as_json)
    if save is not None:
        try:
            save.write_bytes(fetched.document)
        except OSError as error:
            raise InputError(
                "input.file", f"cannot write {str(save)!r}: {error.strerror}"
            ) from error
    return 0


def _endpoint(cid: int | None, name: str | None, endpoint: str | None, port: int | None) -> str:
    """The endpoint that the options select.

    Raises:
        EnclaveError: ``transport.nitro_cli`` or ``transport.no_cid``.
        click.UsageError: The options cannot be combined, or select no enclave.
    """
    if sum(given is not None for given in (cid, name, endpoint)) != 1:
        raise click.UsageError("expected exactly one of --cid, --enclave-name and --endpoint")
    if endpoint is not None:
        if port is not None:
            raise click.UsageError("--port cannot be combined with --endpoint")
        return endpoint
    if name is not None:
        cid = find_cid(name)
    return f"vsock:{cid}:{DEFAULT_PORT if port is None else port}"
