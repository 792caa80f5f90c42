"""The options that give expected values of a document, and those about warnings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import click

from nitro_attest.cli.options import (
    EXISTING_FILE,
    Decorator,
    duration,
    hex_bytes,
    with_options,
)
from nitro_attest.cli.source import read_file
from nitro_attest.errors import InputError

WARNINGS: Final = (
    "cert.revoked_later",
    "consistency.module_id",
    "freshness.short_nonce",
    "freshness.unbound",
    "payload.unknown_key",
    "policy.debug",
    "policy.debug_flag",
    "policy.none",
    "policy.source_unattested",
    "policy.unpinned",
    "policy.weak",
    "root.custom",
    "time.document",
)
"""The code of every warning that a verification can give (docs/reference/codes.md)."""


def expected_options(nonce: str) -> Decorator:
    """Adds ``--nonce``, with this help text, and the other expected values and the maximum age.

    ``expected_values`` takes the first three.
    """
    options = (
        click.option("--nonce", type=hex_bytes, metavar="HEX", help=nonce),
        click.option("--user-data", type=hex_bytes, metavar="HEX", help="Expected user_data."),
        click.option("--public-key", type=EXISTING_FILE, help="File with the expected public_key."),
        click.option(
            "--max-age",
            type=duration,
            metavar="AGE",
            help="Maximum age of the document, such as 10m.",
        ),
    )
    return lambda command: with_options(options, command)


def expected_values(
    *, nonce: bytes | None = None, user_data: bytes | None, public_key: str | None
) -> dict[str, Any]:
    """Returns the expected values that are given, by the name of their argument in Python.

    Raises:
        InputError: ``input.file`` or ``input.expected``: the file with the public key cannot be
            read, or is empty.
    """
    key = None if public_key is None else read_file(public_key)
    if key == b"":
        raise InputError(
            "input.expected", f"expected a public key, found an empty file: {public_key!r}"
        )
    values = {"nonce": nonce, "user_data": user_data, "public_key": key}
    return {name: value for name, value in values.items() if value is not None}


def warning_options(command: Any) -> Any:
    """Adds ``--fail-on-warning`` and ``--accept-warning``; ``WarningOptions`` takes the values."""
    options = (
        click.option(
            "--fail-on-warning", is_flag=True, help="Exit with 6 if a result has warnings."
        ),
        click.option(
            "--accept-warning",
            "accepted",
            type=click.Choice(WARNINGS),
            metavar="CODE",
            multiple=True,
            help="With --fail-on-warning: a warning to accept, such as root.custom; repeat for "
            "more.",
        ),
    )
    return with_options(options, command)


@dataclass(frozen=True, slots=True)
class WarningOptions:
    """The values of the options about warnings.

    Raises:
        click.UsageError: ``--accept-warning`` is given without ``--fail-on-warning``.
    """

    fail_on_warning: bool
    accepted: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.accepted and not self.fail_on_warning:
            raise click.UsageError("--accept-warning requires --fail-on-warning")

    def failures(self, codes: Iterable[str]) -> tuple[str, ...]:
        """Returns those of the warnings' codes that make a verification fail, each once."""
        if not self.fail_on_warning:
            return ()
        return tuple(code for code in dict.fromkeys(codes) if code not in self.accepted)
