"""``nitro-attest policy``."""

from __future__ import annotations

import click

from nitro_attest.cli import statement
from nitro_attest.cli.options import VerbGroup


@click.group("policy", cls=VerbGroup)
def command() -> None:
    """State the measurements of an image, to be signed."""


command.add_command(statement.command)
