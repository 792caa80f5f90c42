"""``nitro-attest enclave``: the same program as ``python -m nitro_attest.enclave``."""

from __future__ import annotations

import click

from nitro_attest.enclave.__main__ import main


@click.command(
    "enclave",
    # The other program parses all arguments, including --help.
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> int:
    """Inside an enclave: request a document, or serve documents."""
    return main(arguments, click.get_current_context().command_path)
