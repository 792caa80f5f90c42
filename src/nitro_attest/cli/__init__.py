"""The command line tool. Each verb is a module of its own, loaded only when it is called."""

from __future__ import annotations

import importlib
from typing import Final

import click

_VERBS: Final = {
    "verify": "Verify documents and say what they prove.",
    "inspect": "Show what a document says, without verifying it.",
    "fetch": "Challenge an enclave and verify its answer.",
    "eif": "Measure an enclave image file.",
    "pcr": "Compute what a PCR should be.",
    "kms-policy": "Make and judge KMS key policies.",
    "enclave": "Inside an enclave: request a document, or serve them.",
}
"""Verb and one line of help; its command stands in the module of the same name."""


class _Verbs(click.Group):
    """Lists verbs from the table, so that --help loads neither cryptography nor the C core."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _VERBS:
            return None
        module = importlib.import_module(f"{__name__}.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_VERBS.items()))


@click.command(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="nitro-attest")
def cli() -> None:
    """Decide whether AWS Nitro attestation documents are genuine and say what you need."""
