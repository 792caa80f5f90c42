"""``nitro-attest pcr``: one command for each input that determines a PCR."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import click

from nitro_attest._internal.pcrs import ZERO_PCR
from nitro_attest.cli.image import image_source, max_size_option
from nitro_attest.cli.options import EXISTING_FILE, VerbGroup, hex_bytes, json_option
from nitro_attest.cli.output import emit, reject, to_json
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


@click.group("pcr", cls=VerbGroup)
def command() -> None:
    """Compute the expected value of a PCR.

    Prints PCR<n>=<hex>. --pcr takes it unchanged, and a policy file may consist of such lines.
    """


@command.command("role", short_help="PCR3, from the IAM role of the parent instance.")
@click.argument("arn")
@json_option()
def _role(arn: str, as_json: bool) -> int:
    """PCR3 of enclaves whose parent instance was launched with the IAM role ARN.

    ARN is that of the role itself, not of an assumed role or an instance profile.
    """
    return _report(3, arn, lambda: pcr3_from_role_arn(arn), as_json)


@command.command("instance", short_help="PCR4, from the id of the parent instance.")
@click.argument("instance_id", metavar="ID")
@json_option()
def _instance(instance_id: str, as_json: bool) -> int:
    """PCR4 of enclaves on the EC2 instance ID."""
    return _report(4, instance_id, lambda: pcr4_from_instance_id(instance_id), as_json)


@command.command("certificate", short_help="PCR8, from the image signing certificate.")
@click.argument("certificate_file", type=EXISTING_FILE, metavar="FILE")
@json_option()
def _certificate(certificate_file: str, as_json: bool) -> int:
    """PCR8 of enclaves whose image was signed with the certificate in FILE (PEM or DER)."""
    return _report(8, certificate_file, lambda: _certificate_pcr(certificate_file), as_json)


def _certificate_pcr(name: str) -> bytes:
    data = read_file(name)
    value = pcr8_from_certificate(data)
    if (blocks := data.count(b"-----BEGIN CERTIFICATE-----")) > 1:
        emit([f"note: PCR8 measures only the first of {blocks} certificates"], to_stderr=True)
    return value


@command.command("extend", short_help="PCR16 to PCR31, from the extended data.")
@click.argument("data", type=hex_bytes, nargs=-1, required=True)
@click.option("--start", type=hex_bytes, metavar="HEX", help="Value before the first call [zeros].")
@json_option()
def _extend(data: tuple[bytes, ...], start: bytes | None, as_json: bool) -> int:
    """Value of a PCR after a call of ExtendPCR with each DATA (hex), in order.

    Prints only the value: it is the same for any of PCR16 to PCR31.
    """
    value = replay(data, ZERO_PCR if start is None else start).hex()
    emit([to_json(value=value) if as_json else value])
    return 0


@command.command("uki", short_help="PCR4, PCR7 and PCR12 of an EC2 instance.")
@click.argument("image_file", type=EXISTING_FILE, metavar="IMAGE")
@click.option(
    "--systemd-stub-version",
    type=click.IntRange(1),
    metavar="N",
    help="Version of the boot stub, for an image that does not name it.",
)
@click.option("--pk", type=EXISTING_FILE, help="Secure Boot variable PK (.esl); requires --db.")
@click.option("--kek", type=EXISTING_FILE, help="Secure Boot variable KEK [absent].")
@click.option("--db", type=EXISTING_FILE, help="Secure Boot variable db; requires --pk.")
@click.option("--dbx", type=EXISTING_FILE, help="Secure Boot variable dbx [absent].")
@max_size_option
@json_option()
def _uki(
    image_file: str,
    systemd_stub_version: int | None,
    pk: str | None,
    kek: str | None,
    db: str | None,
    dbx: str | None,
    max_size: int,
    as_json: bool,
) -> int:
    """PCR4, PCR7 and PCR12 of EC2 instances (NitroTPM) that boot the unified kernel IMAGE.

    Without Secure Boot variables, Secure Boot is off, and PCR7 is the same for every image.
    """
    files = {"pk": pk, "kek": kek, "db": db, "dbx": dbx}
    given = {name: file for name, file in files.items() if file is not None}
    if given and not {"pk", "db"} <= given.keys():
        raise click.UsageError("Secure Boot variables require both --pk and --db")
    try:
        values = {name: read_file(file) for name, file in given.items()}
        variables = SecureBootVariables(**{"kek": b"", **values}) if values else None
        with image_source(image_file, max_size) as image:
            found = uki_measurements(
                image,
                secure_boot=variables,
                systemd_stub_version=systemd_stub_version,
                max_size=max_size,
            )
    except NitroAttestError as error:
        return reject(image_file, error, as_json)
    _print(image_file, found.measurements(), as_json)
    return 0


def _report(index: int, source: str, compute: Callable[[], bytes], as_json: bool) -> int:
    try:
        value = compute()
    except NitroAttestError as error:
        return reject(source, error, as_json)
    _print(source, {index: value}, as_json)
    return 0


def _print(source: str, pcrs: Mapping[int, bytes], as_json: bool) -> None:
    if as_json:
        values = {str(index): value.hex() for index, value in pcrs.items()}
        emit([to_json(source=source, pcrs=values)])
    else:
        emit(f"PCR{index}={value.hex()}" for index, value in pcrs.items())
