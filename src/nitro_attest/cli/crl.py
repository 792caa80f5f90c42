"""``nitro-attest crl``: the revocation lists that documents name, and what is in a list."""

from __future__ import annotations

import click
from cryptography import x509

from nitro_attest.cli.options import (
    EXISTING_FILE,
    VerbGroup,
    format_option,
    json_field_option,
    json_option,
)
from nitro_attest.cli.output import emit, escape, reject, to_json
from nitro_attest.cli.render import list_lines
from nitro_attest.cli.source import Encoding, read_document, read_file
from nitro_attest.errors import NitroAttestError
from nitro_attest.limits import MAX_CRL_BYTES
from nitro_attest.verification.certificate import load_certificate
from nitro_attest.verification.crl import RevocationList, list_addresses
from nitro_attest.verification.document import parse_unverified


@click.group("crl", cls=VerbGroup)
def command() -> None:
    """Prepare the revocation lists (CRLs) for --crl. Nothing is fetched."""


@command.command("needed")
@click.argument("documents", type=EXISTING_FILE, metavar="DOC...", nargs=-1, required=True)
@format_option
@json_field_option
def needed(documents: tuple[str, ...], encoding: Encoding | None, json_field: str | None) -> int:
    """Print the addresses of the lists that documents name, one per line.

    The documents are not verified, so that any address may be among them: fetch only from hosts
    that you expect.
    """
    addresses: dict[str, None] = {}
    for source in documents:
        try:
            parsed = parse_unverified(read_document(source, encoding, json_field))
            for der in (*parsed.cabundle, parsed.certificate):
                _, extensions, *_ = load_certificate(der, "a certificate")
                for extension in extensions:
                    if isinstance(extension.value, x509.CRLDistributionPoints):
                        addresses |= dict.fromkeys(list_addresses(extension.value))
        except NitroAttestError as error:
            return reject(source, error, as_json=False, verified=False)
    emit(map(escape, addresses))
    return 0


@command.command("show")
@click.argument("file", type=EXISTING_FILE)
@json_option()
def show(file: str, as_json: bool) -> int:
    """Show the issuer, times and number of a list. Its signature is not checked."""
    try:
        one = RevocationList.from_bytes(read_file(file, MAX_CRL_BYTES))
    except NitroAttestError as error:
        return reject(file, error, as_json, verified=False)
    emit([to_json(source=file, verified=False, list=one.to_dict())] if as_json else list_lines(one))
    return 0
