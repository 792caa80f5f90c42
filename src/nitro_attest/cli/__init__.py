"""The command line tool. Each verb is a module of its own, loaded only when it is called."""

from __future__ import annotations

import importlib
from typing import Final

import click

_VERBS: Final = {
    "verify": "Verify attestation documents.",
    "inspect": "Show the content of a document without verifying it.",
    "fetch": "Challenge an enclave and verify its document.",
    "eif": "Measure an enclave image file.",
    "pcr": "Compute the expected value of a PCR.",
    "policy": "State the measurements of an image, to be signed.",
    "crl": "Prepare the revocation lists for --crl.",
    "kms-policy": "Write and lint KMS key policies.",
    "enclave": "Inside an enclave: request a document, or serve documents.",
}
"""Verb and one line of help; the module of the same name has its command."""


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
    """Verify AWS Nitro attestation documents, and compute the PCRs to expect in them."""
