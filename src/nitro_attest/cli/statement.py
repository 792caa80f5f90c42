"""``nitro-attest policy statement``."""

from __future__ import annotations

import json

import click

from nitro_attest.cli.image import max_size_option
from nitro_attest.cli.options import Verb, text
from nitro_attest.cli.output import emit, reject
from nitro_attest.errors import NitroAttestError
from nitro_attest.provenance import make_statement


@click.command("statement", cls=Verb, short_help="State the measurements of an image.")
@click.argument("image_file", metavar="FILE")
@click.option("--builder", type=text, metavar="URI", help="Id of the builder, for the statement.")
@click.option(
    "--predicate-only", is_flag=True, help="Print the predicate, for signers that make the rest."
)
@max_size_option
def command(image_file: str, builder: str | None, predicate_only: bool, max_size: int) -> int:
    """Print a statement of the measurements of the enclave image FILE, to be signed.

    It proves nothing until it is signed: sign it where the image is built. Verifiers read it with
    --provenance.
    """
    description = None if builder is None else {"id": builder}
    try:
        statement = make_statement(image_file, builder=description, max_size=max_size)
    except NitroAttestError as error:
        return reject(image_file, error, as_json=False)
    emit([json.dumps(statement["predicate"] if predicate_only else statement, indent=2)])
    return 0
