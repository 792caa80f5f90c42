"""The options that select the trusted root and the revocation lists."""

from __future__ import annotations

from datetime import timedelta
from functools import reduce
from operator import or_
from typing import Any, Final

import click

from nitro_attest.cli.options import EXISTING_FILE, duration, with_options
from nitro_attest.cli.source import read_file
from nitro_attest.errors import InputError
from nitro_attest.verification.revocation import RevocationLists
from nitro_attest.verification.roots import PINNED, TrustedRoots

_OPTIONS: Final = (
    click.option(
        "--root",
        type=EXISTING_FILE,
        multiple=True,
        help="PEM file of the root to trust instead; repeat for more.",
    ),
    click.option(
        "--partition", type=click.Choice(list(PINNED)), help="AWS partition to trust [aws]."
    ),
)


def root_options(command: Any) -> Any:
    """Adds ``--root`` and ``--partition`` to a command; ``trusted_roots`` takes their values."""
    return with_options(_OPTIONS, command)


_STDIN: Final = "/dev/stdin"  # RevocationLists takes names, of folders too

_LIST_OPTIONS: Final = (
    click.option(
        "--crl",
        "crls",
        type=EXISTING_FILE,
        multiple=True,
        help="Revocation list, or a folder of lists; repeat for more. Without it, revocation is "
        "not checked.",
    ),
    click.option(
        "--crl-max-age", type=duration, metavar="AGE", help="Maximum age of the lists, such as 2d."
    ),
)


def list_options(command: Any) -> Any:
    """Adds ``--crl`` and ``--crl-max-age``; ``revocation_lists`` takes their values."""
    return with_options(_LIST_OPTIONS, command)


def revocation_lists(
    crls: tuple[str, ...], crl_max_age: timedelta | None
) -> RevocationLists | None:
    """Returns the revocation lists; None without ``--crl``.

    Raises:
        InputError: ``input.crl`` or ``input.file``.
        ChainError: ``crl.malformed`` or ``crl.scope``.
        click.UsageError: ``--crl-max-age`` without ``--crl``.
    """
    if crls:
        names = [_STDIN if name == "-" else name for name in crls]
        return RevocationLists.from_files(*names, max_age=crl_max_age)
    if crl_max_age is not None:
        raise click.UsageError("--crl-max-age requires --crl")
    return None


def trusted_roots(root: tuple[str, ...], partition: str | None) -> TrustedRoots:
    """Returns the trusted roots: those of all files, or that of the partition.

    Raises:
        InputError: ``input.root`` or ``input.file``.
        click.UsageError: Both options are given.
    """
    if root and partition:
        raise click.UsageError(
            "--root cannot be combined with --partition; to trust several roots, repeat --root"
        )
    if root:
        return reduce(or_, map(_root_in, root))
    return TrustedRoots.from_partition(partition or "aws")


def _root_in(name: str) -> TrustedRoots:
    pem = read_file(name)
    try:
        return TrustedRoots.from_pem(pem)
    except InputError as error:
        raise InputError(error.code, f"{name}: {error.message}") from error
