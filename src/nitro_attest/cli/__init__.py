"""The command line tool. Each verb is a module of its own, loaded only when it is called."""

from __future__ import annotations

import importlib
import platform
from importlib.metadata import version
from typing import Final

import click
from click.shell_completion import CompletionItem

_VERBS: Final = {
    "verify": "Verify attestation documents.",
    "inspect": "Show the content of a document without verifying it.",
    "audit": "Verify an archive of documents and write a table of results.",
    "report": "Verify a document and write a report as HTML or Markdown.",
    "fetch": "Challenge an enclave and verify its document.",
    "eif": "Measure an enclave image file.",
    "pcr": "Compute the expected value of a PCR.",
    "policy": "Write, check and show policy files; state measurements to be signed.",
    "crl": "Prepare the revocation lists for --crl.",
    "kms-policy": "Write and lint KMS key policies.",
    "demo": "Make a folder of fake documents to try the other verbs on.",
    "enclave": "Inside an enclave: request a document, or serve documents.",
    "completion": "Print a script that completes commands in a shell.",
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

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        verbs = [
            CompletionItem(verb, help=line)
            for verb, line in _VERBS.items()
            if verb.startswith(incomplete)
        ]
        return [*verbs, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_VERBS.items()))


def _show_versions(context: click.Context, _: click.Parameter, value: bool) -> None:
    if not value or context.resilient_parsing:
        return
    # Not at the top, so that --help does not load it.
    from cryptography import __version__ as cryptography
    from cryptography.hazmat.backends.openssl import backend

    click.echo(f"nitro-attest {version('nitro-attest')}")
    click.echo(f"cryptography {cryptography}, {backend.openssl_version_text()}")
    click.echo(f"{platform.python_implementation()} {platform.python_version()}")
    context.exit()


@click.command(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_versions,
    help="Show the versions of what accepts or rejects a document, and exit.",
)
def cli() -> None:
    """Verify AWS Nitro attestation documents, and compute the PCRs to expect in them."""
