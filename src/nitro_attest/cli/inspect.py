"""``nitro-attest inspect``."""

from __future__ import annotations

import click

from nitro_attest.cli.options import Verb, format_option, json_option
from nitro_attest.cli.output import emit, emit_result, reject, styled, to_json
from nitro_attest.cli.render import UNVERIFIED, unverified_lines
from nitro_attest.cli.source import Encoding, read_document
from nitro_attest.cli.terminal import color_option
from nitro_attest.errors import NitroAttestError
from nitro_attest.verification.document import parse_unverified


@click.command("inspect", cls=Verb)
@click.argument("document", metavar="DOC")
@format_option
@json_option()
@color_option
def command(document: str, encoding: Encoding | None, as_json: bool) -> int:
    """Show the content of a document without verifying it.

    Nothing shown is proven: the sender of the document may have written all of it.
    """
    try:
        parsed = parse_unverified(read_document(document, encoding or "auto"))
    except NitroAttestError as error:
        return reject(document, error, as_json, verified=False)
    if as_json:
        emit([to_json(source=document, verified=False, unverified=parsed.to_dict())])
    else:
        verdict = styled(UNVERIFIED, "limited")
        emit_result(verdict, unverified_lines(document, parsed), verdict)
    return 0
