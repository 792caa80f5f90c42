"""``nitro-attest pcr``: one command for each input that a PCR can be computed from."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import click

from nitro_attest._internal.pcrs import ZERO_PCR
from nitro_attest.cli.options import hex_bytes
from nitro_attest.cli.output import emit, refuse, to_json
from nitro_attest.cli.source import read_file
from nitro_attest.errors import NitroAttestError
from nitro_attest.measurements.pcr import (
    pcr3_from_role_arn,
    pcr4_from_instance_id,
    pcr8_from_certificate,
    replay,
)
from nitro_attest.measurements.uki.boot_events import SecureBootVariables
from nitro_attest.measurements.uki.image import uki_measurements

_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_variable = click.Path(exists=True, dir_okay=False)


@click.group("pcr")
def command() -> None:
    """Compute what a PCR should be.

    Prints PCR<n>=<hex>, which --pcr takes as it is, and of which a policy file may consist.
    """


@command.command("role")
@click.argument("arn")
@_as_json
def _role(arn: str, as_json: bool) -> int:
    """PCR3 of enclaves whose parent instance was launched with the IAM role ARN.

    The ARN of the role itself is meant, not that of an assumed role or instance profile.
    """
    return _answer(3, arn, lambda: pcr3_from_role_arn(arn), as_json)


@command.command("instance")
@click.argument("instance_id", metavar="ID")
@_as_json
def _instance(instance_id: str, as_json: bool) -> int:
    """PCR4 of enclaves on the EC2 instance ID."""
    return _answer(4, instance_id, lambda: pcr4_from_instance_id(instance_id), as_json)


@command.command("certificate")
@click.argument("certificate_file", metavar="FILE")
@_as_json
def _certificate(certificate_file: str, as_json: bool) -> int:
    """PCR8 of enclaves whose image was signed with the certificate in FILE (PEM or DER)."""
    return _answer(
        8, certificate_file, lambda: pcr8_from_certificate(read_file(certificate_file)), as_json
    )


@command.command("extend")
@click.argument("data", type=hex_bytes, nargs=-1, required=True)
@click.option("--start", type=hex_bytes, metavar="HEX", help="The PCR before the first [zeros].")
@_as_json
def _extend(data: tuple[bytes, ...], start: bytes | None, as_json: bool) -> int:
    """What a PCR holds after ExtendPCR was called with each DATA (hex) in turn.

    Prints the value alone, since any of PCR16 to PCR31 may be meant.
    """
    value = replay(data, ZERO_PCR if start is None else start).hex()
    emit([to_json(value=value) if as_json else value])
    return 0


@command.command("uki")
@click.argument("image_file", metavar="IMAGE")
@click.option(
    "--systemd-stub-version",
    type=click.IntRange(1),
    metavar="N",
    help="Version of the boot stub, for an image that does not say.",
)
@click.option("--pk", type=_variable, help="Secure Boot variable PK (.esl), with --db.")
@click.option("--kek", type=_variable, help="The same for KEK [absent].")
@click.option("--db", type=_variable, help="The same for db, with --pk.")
@click.option("--dbx", type=_variable, help="The same for dbx [absent].")
@_as_json
def _uki(
    image_file: str,
    systemd_stub_version: int | None,
    pk: str | None,
    kek: str | None,
    db: str | None,
    dbx: str | None,
    as_json: bool,
) -> int:
    """PCR4, PCR7 and PCR12 of EC2 instances (NitroTPM) that boot the unified kernel IMAGE.

    Without Secure Boot variables, Secure Boot is off, and PCR7 is the same for every image.
    """
    files = {"pk": pk, "kek": kek, "db": db, "dbx": dbx}
    given = {name: file for name, file in files.items() if file is not None}
    if given and not {"pk", "db"} <= given.keys():
        raise click.UsageError("with Secure Boot on, --pk and --db are needed")
    try:
        values = {name: read_file(file) for name, file in given.items()}
        variables = SecureBootVariables(**{"kek": b"", **values}) if values else None
        found = uki_measurements(
            image_file, secure_boot=variables, systemd_stub_version=systemd_stub_version
        )
    except NitroAttestError as error:
        return refuse(image_file, error, as_json)
    _print(image_file, found.measurements(), as_json)
    return 0


def _answer(index: int, source: str, compute: Callable[[], bytes], as_json: bool) -> int:
    try:
        value = compute()
    except NitroAttestError as error:
        return refuse(source, error, as_json)
    _print(source, {index: value}, as_json)
    return 0


def _print(source: str, pcrs: Mapping[int, bytes], as_json: bool) -> None:
    if as_json:
        values = {str(index): value.hex() for index, value in pcrs.items()}
        emit([to_json(source=source, pcrs=values)])
    else:
        emit(f"PCR{index}={value.hex()}" for index, value in pcrs.items())
