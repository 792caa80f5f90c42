"""Entry point of ``nitro-attest`` and ``python -m nitro_attest``: turns errors into exit codes."""

from __future__ import annotations

import shlex
import sys
import traceback
from collections.abc import Sequence
from typing import Final

from nitro_attest._internal.streams import replace_standard_streams

_EXIT_WITHOUT_CLICK: Final = 2  # EXIT_USAGE, whose module needs click too


def main() -> None:
    """Runs the command line and exits with its code."""
    replace_standard_streams()
    try:
        import click  # noqa: F401  an image for an enclave need not have it
    except ModuleNotFoundError:
        print(_without_click(sys.argv[1:]), file=sys.stderr)
        sys.exit(_EXIT_WITHOUT_CLICK)
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Runs the command line and returns its exit code (docs/reference/cli.md); never 1."""
    import click  # not at the top, so that main() can report that it is missing

    from nitro_attest.cli import cli
    from nitro_attest.cli.completion import completions
    from nitro_attest.cli.exit_codes import EXIT_BUG, EXIT_INTERRUPTED, EXIT_OUTPUT, EXIT_USAGE
    from nitro_attest.cli.output import report_error
    from nitro_attest.errors import NitroAttestError

    try:
        if not arguments and (answer := completions(cli)) is not None:
            click.echo(answer)
            sys.stdout.flush()
            return 0
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


def _without_click(arguments: Sequence[str]) -> str:
    message = "nitro-attest: the package click, which the command line needs, is not installed"
    if arguments[:1] == ["enclave"]:
        command = shlex.join(["python3", "-m", "nitro_attest.enclave", *arguments[1:]])
        return f"{message}; inside an enclave, run: {command}"
    return message


if __name__ == "__main__":
    main()
