"""``nitro-attest fetch``: challenges an enclave, receives its document and verifies it."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import click

from nitro_attest.channel.bindings import Bound
from nitro_attest.channel.exchange import ChannelVerifier
from nitro_attest.cli.attest_url import (
    BINDINGS,
    DEFAULT_BINDING,
    Recorder,
    attest_url,
    parse_url,
)
from nitro_attest.cli.completion import complete_file
from nitro_attest.cli.display import Display, display_options
from nitro_attest.cli.expected import (
    WarningOptions,
    expected_options,
    expected_values,
    warning_options,
)
from nitro_attest.cli.nitro_cli import find_cid
from nitro_attest.cli.options import (
    Verb,
    allow_debug_option,
    any_enclave_option,
    consistency_option,
    duration,
    new_file,
    text,
    unknown_fields_option,
)
from nitro_attest.cli.output import emit, reject, report_error, shown_name
from nitro_attest.cli.progress import waiting
from nitro_attest.cli.render import report
from nitro_attest.cli.requirements import RequirementOptions, enclave_requirement_options
from nitro_attest.cli.trust import list_options, revocation_lists, root_options, trusted_roots
from nitro_attest.enclave.client import fetch
from nitro_attest.errors import InputError, NitroAttestError
from nitro_attest.provenance import Provenance
from nitro_attest.transport.connection import DEFAULT_PORT
from nitro_attest.verification.core import UnknownFields
from nitro_attest.verification.policy import AnyEnclave, EnclavePolicy, as_enclave_policy
from nitro_attest.verification.verifier import Verifier


@click.command("fetch", cls=Verb)
@click.argument("url", required=False, type=text, metavar="[URL]")
@click.option("--cid", type=click.IntRange(1, 0xFFFFFFFE), help="CID of an enclave on this host.")
@click.option("--enclave-name", type=text, help="Name of the enclave; nitro-cli finds its CID.")
@click.option(
    "--endpoint", type=text, help="unix:/path:PORT, unix:/path, http://host:port or vsock:CID:PORT."
)
@click.option(
    "--binding",
    type=click.Choice(list(BINDINGS)),
    help="Form in which documents name the TLS key [tls-key].",
)
@click.option("--port", type=click.IntRange(0, 0xFFFFFFFE), help=f"vsock port [{DEFAULT_PORT}].")
@root_options
@list_options
@enclave_requirement_options
@any_enclave_option
@allow_debug_option
@consistency_option
@unknown_fields_option
@expected_options("The challenge [32 random bytes].")
@warning_options
@click.option("--timeout", type=duration, default="15s", help="Limit for one attempt [15s].")
@click.option("--wait", type=duration, help="Time to keep trying while an enclave boots.")
@click.option(
    "--save",
    type=new_file,
    metavar="FILE",
    shell_complete=complete_file,
    help="File to save the document to, if accepted.",
)
@click.option(
    "--save-rejected",
    type=new_file,
    metavar="FILE",
    shell_complete=complete_file,
    help="File to save the document to, if not accepted.",
)
@display_options("Print one JSON object.")
def command(
    url: str | None,
    binding: str | None,
    cid: int | None,
    enclave_name: str | None,
    endpoint: str | None,
    port: int | None,
    root: tuple[str, ...],
    partition: str | None,
    crls: tuple[str, ...],
    crl_max_age: timedelta | None,
    any_enclave: bool,
    allow_debug: bool,
    consistency: Literal["refuse", "warn"] | None,
    unknown_fields: UnknownFields,
    nonce: bytes | None,
    user_data: bytes | None,
    public_key: str | None,
    max_age: timedelta | None,
    fail_on_warning: bool,
    accepted: tuple[str, ...],
    timeout: timedelta,
    wait: timedelta | None,
    save: Path | None,
    save_rejected: Path | None,
    quiet: bool,
    short: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Challenge an enclave and verify its document.

    URL is the TLS server of an enclave, https://host or https://host:port: its document must also
    name the key of the connection. Any other document may have been relayed: use only its
    public_key for the rest of the session. The exit codes are those of verify, and 7 if no document
    was received.
    """
    display = Display(quiet, short, as_json)
    warnings = WarningOptions(fail_on_warning, accepted)
    if save and save_rejected and _are_same(save, save_rejected):
        raise click.UsageError("--save and --save-rejected cannot name the same file")
    policy, provenance = _policy(any_enclave, allow_debug, RequirementOptions(**options))
    roots = trusted_roots(root, partition)
    revocation = revocation_lists(crls, crl_max_age)
    expected = expected_values(user_data=user_data, public_key=public_key)
    verifier = Verifier(
        roots,
        policy=policy,
        consistency=consistency,
        unknown_fields=unknown_fields,
        revocation=revocation,
    )
    recorder = Recorder(BINDINGS[binding or DEFAULT_BINDING])
    if url is None:
        source = _endpoint(cid, enclave_name, endpoint, port)
        if binding is not None:
            raise click.UsageError("--binding requires a URL")
    else:
        source = url
        _check_alone(cid=cid, enclave_name=enclave_name, endpoint=endpoint, port=port)
        _check_alone(nonce=nonce, wait=wait)
        parse_url(url)
        if max_age is None and not recorder.nonce_bytes:
            raise click.UsageError(
                f"--binding {binding} requires --max-age: its server takes no nonce"
            )
    bound: Bound | None = None
    try:
        if url is None:
            seconds = wait.total_seconds() if wait else 0.0
            with waiting("waiting for the enclave", seconds):
                fetched = fetch(source, nonce, timeout=timeout.total_seconds(), wait=seconds)
            recorder.received = fetched.document
            expected["nonce"] = fetched.nonce
        else:
            channel = ChannelVerifier(
                policy=policy,
                roots=roots,
                binding=recorder,
                timeout=timeout.total_seconds(),
                max_age=max_age,
                consistency=consistency,
                unknown_fields=unknown_fields,
                revocation=revocation,
            )
            attested = attest_url(url, channel)
            bound = attested.bound
            if recorder.nonce_bytes:
                expected["nonce"] = attested.attestation.nonce
        # For a URL a second time: the channel takes no expected user_data and public_key.
        attestation = verifier.verify(recorder.received, max_age=max_age, **expected)
    except NitroAttestError as error:
        _keep_rejected(save_rejected, recorder.received)
        return reject(source, error, as_json, quiet=quiet, verified=False)
    # Only a document that is on the disk gets a verdict, which is the last line.
    failed_on = warnings.failures(one.code for one in attestation.warnings)
    if failed_on:
        _keep_rejected(save_rejected, recorder.received)
    elif save is not None:
        _save(save, recorder.received)
    return report(
        source, attestation, display, bound=bound, provenance=provenance, failed_on=failed_on
    )


def _are_same(one: Path, other: Path) -> bool:
    if one.exists() and other.exists():
        return one.samefile(other)
    return one.resolve() == other.resolve()


def _policy(
    any_enclave: bool, allow_debug: bool, requirements: RequirementOptions
) -> tuple[EnclavePolicy, Provenance | None]:
    if any_enclave and requirements.given:
        raise click.UsageError(
            "--any-enclave cannot be combined with --pcr, --policy, --eif or --provenance"
        )
    if any_enclave:
        return AnyEnclave(allow_debug), None
    if not requirements.given:
        raise click.UsageError(
            "no measurements are required; use --policy, --pcr, --eif, --provenance or "
            "--any-enclave"
        )
    policy, provenance = requirements.load(allow_debug=allow_debug)
    return as_enclave_policy(policy), provenance


def _check_alone(**given: object) -> None:
    for name, value in given.items():
        if value is not None:
            raise click.UsageError(f"--{name.replace('_', '-')} cannot be combined with a URL")


def _keep_rejected(path: Path | None, document: bytes) -> None:
    """Saves a document that is not accepted, if one was received.

    A file that cannot be written is reported, but the exit code will be that of the rejection.
    """
    if path is None or not document:
        return
    try:
        _save(path, document)
    except InputError as error:
        report_error(error)
    else:
        emit([f"not accepted, saved to {shown_name(str(path))}"], to_stderr=True)


def _save(path: Path, document: bytes) -> None:
    """Writes a document, and waits until it is on the disk."""
    try:
        with path.open("wb") as file:
            file.write(document)
            file.flush()
            if path.is_file():  # a pipe or a device cannot wait
                os.fsync(file.fileno())
    except OSError as error:
        raise InputError("input.file", f"cannot write {str(path)!r}: {error.strerror}") from error


def _endpoint(cid: int | None, name: str | None, endpoint: str | None, port: int | None) -> str:
    """Returns the endpoint that the options select.

    Raises:
        EnclaveError: ``transport.nitro_cli`` or ``transport.no_cid``.
        click.UsageError: The options cannot be combined, or select no enclave.
    """
    if sum(given is not None for given in (cid, name, endpoint)) != 1:
        raise click.UsageError("expected exactly one of URL, --cid, --enclave-name and --endpoint")
    if endpoint is not None:
        if port is not None:
            raise click.UsageError("--port cannot be combined with --endpoint")
        return endpoint
    if name is not None:
        cid = find_cid(name)
    return f"vsock:{cid}:{DEFAULT_PORT if port is None else port}"
