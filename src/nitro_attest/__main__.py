"""Entry point of ``nitro-attest`` and ``python -m nitro_attest``: turns errors into exit codes."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

import click

from nitro_attest._internal.streams import replace_standard_streams
from nitro_attest.cli import cli
from nitro_attest.cli.exit_codes import EXIT_BUG, EXIT_INTERRUPTED, EXIT_OUTPUT, EXIT_USAGE
from nitro_attest.cli.output import report_error
from nitro_attest.errors import NitroAttestError


def main() -> None:
    """Runs the command line and exits with its code."""
    replace_standard_streams()
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Runs the command line and returns its exit code (docs/reference/cli.md); never 1."""
    try:
        # Not cli.main(), which turns a failure of stdout into exit code 1.
        with cli.make_context("nitro-attest", list(arguments)) as context:
            code = int(cli.invoke(context) or 0)
        sys.stdout.flush()
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except NitroAttestError as error:
        return report_error(error)
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED
    except OSError as error:  # source.py handles errors of input files, so this is stdout
        click.echo(f"nitro-attest: cannot write the result: {error}", err=True)
        return EXIT_OUTPUT
    except Exception:  # noqa: BLE001  last resort: any bug must exit 70, never 1
        traceback.print_exc()
        return EXIT_BUG
    return code


if __name__ == "__main__":
    main()
