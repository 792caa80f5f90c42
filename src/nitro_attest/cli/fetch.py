"""``nitro-attest fetch``: challenge, receive, verify."""

from __future__ import annotations

import json
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from nitro_attest.cli.expected import Expected, enclave_options
from nitro_attest.cli.options import duration, hex_bytes, text
from nitro_attest.cli.output import refuse
from nitro_attest.cli.render import report
from nitro_attest.cli.trust import root_options, trusted_roots
from nitro_attest.enclave.client import fetch
from nitro_attest.enclave.transport import DEFAULT_PORT
from nitro_attest.errors import EnclaveError, InputError, NitroAttestError
from nitro_attest.verification.policy import AnyEnclave, as_enclave_policy
from nitro_attest.verification.verifier import Verifier

_NITRO_CLI_SECONDS = 10


@click.command("fetch")
@click.option("--cid", type=click.IntRange(1, 0xFFFFFFFE), help="CID of the enclave, on this host.")
@click.option(
    "--enclave-name", type=text, help="Name of the enclave; nitro-cli is asked for its CID."
)
@click.option(
    "--endpoint", type=text, help="unix:/path:PORT, unix:/path, http://host:port or vsock:CID:PORT."
)
@click.option("--port", type=click.IntRange(0, 0xFFFFFFFE), help=f"vsock port [{DEFAULT_PORT}].")
@root_options
@enclave_options
@click.option("--any-enclave", is_flag=True, help="Require no measurements, and say so.")
@click.option("--allow-debug", is_flag=True, help="Accept enclaves in debug mode.")
@click.option("--nonce", type=hex_bytes, metavar="HEX", help="The challenge [32 random bytes].")
@click.option("--timeout", type=duration, default="15s", help="For one attempt [15s].")
@click.option("--wait", type=duration, help="How long to try again while an enclave boots.")
@click.option(
    "--save",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep the document, if verified.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
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
    """Challenge an enclave and verify its answer.

    The answer says that some enclave as required made it just now; anyone may have relayed it.
    Speak on only under its public_key. Exit codes as for verify, and 7 when no document came.
    """
    expected = Expected(**options)
    if expected.given == any_enclave:
        raise click.UsageError(
            "say what the enclave must be, with --policy, --pcr or --eif, or else --any-enclave"
        )
    policy = AnyEnclave(allow_debug) if any_enclave else expected.policy(allow_debug=allow_debug)
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
        return refuse(source, error, as_json, verified=False)
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
    if sum(given is not None for given in (cid, name, endpoint)) != 1:
        raise click.UsageError("name the enclave by one of --cid, --enclave-name and --endpoint")
    if endpoint is not None:
        if port is not None:
            raise click.UsageError("--port belongs to --cid and --enclave-name")
        return endpoint
    if name is not None:
        cid = _cid_of(name)
    return f"vsock:{cid}:{DEFAULT_PORT if port is None else port}"


def _cid_of(name: str) -> int:
    """The CID of the one running enclave of this name, by ``nitro-cli describe-enclaves``."""
    try:
        done = subprocess.run(
            ["nitro-cli", "describe-enclaves"],  # noqa: S607  where the operator's PATH has it
            capture_output=True,
            timeout=_NITRO_CLI_SECONDS,
            check=True,
        )
        enclaves = json.loads(done.stdout)
        cids = [
            enclave["EnclaveCID"]
            for enclave in enclaves
            if enclave.get("EnclaveName") == name and enclave.get("State") == "RUNNING"
        ]
    except (OSError, subprocess.SubprocessError) as error:
        raise EnclaveError(
            "transport.nitro_cli",
            f"nitro-cli describe-enclaves failed ({error}); give --cid instead",
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise EnclaveError(
            "transport.nitro_cli",
            "nitro-cli describe-enclaves did not print a JSON list of enclaves; give --cid instead",
        ) from error
    if len(cids) != 1 or type(cids[0]) is not int:
        raise EnclaveError(
            "transport.no_cid", f"{len(cids)} running enclaves are called {name!r}; expected one"
        )
    return cids[0]
