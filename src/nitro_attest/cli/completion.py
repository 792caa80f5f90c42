"""``nitro-attest completion``, and the answers to the scripts that it prints."""

from __future__ import annotations

import os
from typing import Final

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
)

from nitro_attest.cli.options import Verb

VARIABLE: Final = "_NITRO_ATTEST_COMPLETE"
"""The environment variable in which a script asks for completions, such as ``bash_complete``."""

_PROGRAM: Final = "nitro-attest"
_SHELLS: Final[dict[str, type[ShellComplete]]] = {
    "bash": BashComplete,
    "zsh": ZshComplete,
    "fish": FishComplete,
}


@click.command("completion", cls=Verb)
@click.argument("shell", type=click.Choice(list(_SHELLS)), metavar="bash|zsh|fish")
def command(shell: str) -> int:
    """Print a script that completes verbs, options and values on the command line.

    For bash, add to ~/.bashrc: eval "$(nitro-attest completion bash)". For zsh, the same with zsh
    in ~/.zshrc, after compinit. For fish, save the script as
    ~/.config/fish/completions/nitro-attest.fish.
    """
    root = click.get_current_context().find_root().command
    click.echo(_completer(root, shell).source(), nl=False)
    return 0


def completions(root: click.Command) -> str | None:
    """Returns the completions for a script; None if this call is not from one.

    The scripts call the tool without arguments. With arguments the variable has no effect, so
    that it cannot replace a verification by a success.

    Args:
        root: The command of the whole tool.
    """
    shell, _, instruction = os.environ.get(VARIABLE, "").partition("_")
    if shell not in _SHELLS or instruction != "complete":
        return None
    try:
        return _completer(root, shell).complete()
    except (KeyError, ValueError):  # COMP_WORDS and COMP_CWORD, which the script sets too
        return None


def complete_file(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Completes the name of a file to write; ``click.Path`` does the same for a file to read."""
    return [CompletionItem(incomplete, type="file")]


def _completer(root: click.Command, shell: str) -> ShellComplete:
    return _SHELLS[shell](root, {}, _PROGRAM, VARIABLE)
