"""``nitro-attest inspect``."""

from __future__ import annotations

import click

from nitro_attest.cli.options import (
    EXISTING_FILE,
    Verb,
    format_option,
    json_field_option,
    json_option,
    unknown_fields_option,
)
from nitro_attest.cli.output import emit, emit_result, reject, styled, to_json
from nitro_attest.cli.render import UNVERIFIED, unverified_lines
from nitro_attest.cli.source import Encoding, read_named_document
from nitro_attest.cli.terminal import color_option
from nitro_attest.errors import NitroAttestError
from nitro_attest.verification.core import UnknownFields
from nitro_attest.verification.document import parse_unverified


@click.command("inspect", cls=Verb)
@click.argument("document", type=EXISTING_FILE, metavar="DOC")
@format_option
@json_field_option
@unknown_fields_option
@json_option()
@color_option
def command(
    document: str,
    encoding: Encoding | None,
    json_field: str | None,
    unknown_fields: UnknownFields,
    as_json: bool,
) -> int:
    """Show the content of a document without verifying it.

    Nothing shown is proven: the sender of the document may have written all of it.
    """
    try:
        source, raw = read_named_document(document, encoding, json_field)
        parsed = parse_unverified(raw, unknown_fields=unknown_fields)
    except NitroAttestError as error:
        return reject(document, error, as_json, verified=False)
    if as_json:
        emit([to_json(source=source, verified=False, unverified=parsed.to_dict())])
    else:
        verdict = styled(UNVERIFIED, "limited")
        emit_result(verdict, unverified_lines(document, parsed), verdict)
    return 0
