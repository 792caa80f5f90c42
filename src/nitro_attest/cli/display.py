"""The options that set how much of a result is printed, and in which form."""

from __future__ import annotations

from dataclasses import dataclass

import click

from nitro_attest.cli.fields import ALL
from nitro_attest.cli.options import Decorator, json_option, with_options
from nitro_attest.cli.terminal import color_option


@dataclass(frozen=True, slots=True)
class Display:
    """The form in which results are printed: at most one of the three, or else all of a result.

    Attributes:
        quiet: The verdict alone.
        short: The verdict, the enclave, the age, the measurement set that matched, the warnings.
        as_json: One JSON object per result.
        fields: The fields of an attestation in such an object.

    Raises:
        click.UsageError: Several of the three are given.
    """

    quiet: bool
    short: bool
    as_json: bool
    fields: frozenset[str] = ALL

    def __post_init__(self) -> None:
        if self.quiet + self.short + self.as_json > 1:
            raise click.UsageError("expected at most one of --quiet, --short and --json")


def display_options(json_help: str) -> Decorator:
    """Adds the options for the fields of ``Display``, and ``--color``."""
    options = (
        click.option("-q", "--quiet", is_flag=True, help="Print the verdict only."),
        click.option(
            "--short",
            is_flag=True,
            help="Print the verdict, enclave, age, measurement set and warnings only.",
        ),
        json_option(json_help),
        color_option,
    )
    return lambda command: with_options(options, command)
