"""The options that say which root to trust."""

from __future__ import annotations

from typing import Any

import click

from nitro_attest.cli.source import read_file
from nitro_attest.verification.roots import PINNED, TrustedRoots


def root_options(command: Any) -> Any:
    """Adds ``--root`` and ``--partition`` to a command; ``trusted_roots`` takes their values."""
    for option in (
        click.option(
            "--partition", type=click.Choice(list(PINNED)), help="AWS partition to trust [aws]."
        ),
        click.option(
            "--root",
            type=click.Path(exists=True, dir_okay=False),
            help="PEM of your own root, in place of those of AWS.",
        ),
    ):
        command = option(command)
    return command


def trusted_roots(root: str | None, partition: str | None) -> TrustedRoots:
    """The one root that is trusted.

    Raises:
        InputError: ``input.root`` or ``input.file``.
    """
    if root and partition:
        raise click.UsageError("--root and --partition contradict each other")
    if root:
        return TrustedRoots.from_pem(read_file(root))
    return TrustedRoots.from_partition(partition or "aws")
