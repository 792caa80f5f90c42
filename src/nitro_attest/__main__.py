"""Entry point of ``nitro-attest`` and ``python -m nitro_attest``: exit codes, and nothing else."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Final

import click

from nitro_attest.cli import cli
from nitro_attest.cli.output import escape
from nitro_attest.errors import NitroAttestError

EXIT_USAGE: Final = 2
EXIT_CRASH: Final = 70
EXIT_STDOUT_CLOSED: Final = 74
EXIT_INTERRUPTED: Final = 130


def main() -> None:
    """Runs the command line and exits with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Runs the command line and returns its exit code (docs/reference/cli.md); never 1."""
    if sys.stdout is None:  # started with stdout closed: an answer would be lost in silence
        return EXIT_STDOUT_CLOSED
    try:
        # Not cli.main(): that turns a closed pipe into exit code 1.
        with cli.make_context("nitro-attest", list(arguments)) as context:
            code = int(cli.invoke(context) or 0)
        sys.stdout.flush()
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except NitroAttestError as error:
        click.echo(f"nitro-attest: {escape(str(error))}", err=True)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED
    except OSError as error:  # files are read in source.py, so this is stdout
        _forget_stdout()
        if not isinstance(error, BrokenPipeError):
            click.echo(f"nitro-attest: cannot write the answer: {error}", err=True)
        return EXIT_STDOUT_CLOSED
    except Exception:  # noqa: BLE001  the last line of defence: any bug must exit 70, never 1
        traceback.print_exc()
        return EXIT_CRASH
    return code


def _forget_stdout() -> None:
    """Points stdout at nothing, so that the interpreter's own flush at exit does not fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


if __name__ == "__main__":
    main()
