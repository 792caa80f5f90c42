"""The options that select the trusted root."""

from __future__ import annotations

from typing import Any, Final

import click

from nitro_attest.cli.options import EXISTING_FILE, with_options
from nitro_attest.cli.source import read_file
from nitro_attest.errors import InputError
from nitro_attest.verification.roots import PINNED, TrustedRoots

_OPTIONS: Final = (
    click.option("--root", type=EXISTING_FILE, help="PEM file of the root to trust instead."),
    click.option(
        "--partition", type=click.Choice(list(PINNED)), help="AWS partition to trust [aws]."
    ),
)


def root_options(command: Any) -> Any:
    """Adds ``--root`` and ``--partition`` to a command; ``trusted_roots`` takes their values."""
    return with_options(_OPTIONS, command)


def trusted_roots(root: str | None, partition: str | None) -> TrustedRoots:
    """The one trusted root.

    Raises:
        InputError: ``input.root`` or ``input.file``.
        click.UsageError: Both options are given.
    """
    if root and partition:
        raise click.UsageError("--root cannot be combined with --partition")
    if root:
        pem = read_file(root)
        try:
            return TrustedRoots.from_pem(pem)
        except InputError as error:
            raise InputError(error.code, f"{root}: {error.message}") from error
    return TrustedRoots.from_partition(partition or "aws")
