"""Options that several verbs have, and types of option values.

A type raises ``click.BadParameter`` for an invalid value. An empty value is always invalid.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import click

from nitro_attest._internal.times import parse_time
from nitro_attest.errors import InputError

Decorator = Callable[[Any], Any]


class _InputFile(click.Path):
    """A file that the verb reads; ``-`` is standard input.

    The reader of the file reports one that cannot be read, so that every verb and option has the
    same error for it, ``input.file``.
    """

    def __init__(self) -> None:
        super().__init__(readable=False, allow_dash=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Converts the name of a file; called by click."""
        if not value:
            self.fail("the value is empty", param, ctx)
        return super().convert(value, param, ctx)


EXISTING_FILE: Final = _InputFile()

_WHOLE: Final = 1000
"""Number of characters; every first sentence is shorter."""

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_EXPECTED_MOMENT: Final = "now, document or a time such as 2026-01-31T12:00:00Z"

_WORDS: Final[dict[str, Literal["now", "document"]]] = {"now": "now", "document": "document"}


class Verb(click.Command):
    """A command that rejects an option with one value, and standard input, if given twice.

    The last value would count otherwise, and the reader of the command line may see the first. The
    second reader of standard input would find it empty.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses the arguments; called by click."""
        if ctx.resilient_parsing:  # an unfinished line, to be completed
            return super().parse_args(ctx, args)
        _, _, given = self.make_parser(ctx).parse_args(list(args))
        for option, times in Counter(given).items():
            if times > 1 and isinstance(option, click.Option) and not _repeatable(option):
                raise click.UsageError(f"{option.opts[-1]} is given more than once", ctx)
        rest = super().parse_args(ctx, args)
        files = [p.name for p in self.params if p.name and isinstance(p.type, _InputFile)]
        if sum(_dashes(ctx.params.get(name)) for name in files) > 1:
            raise click.UsageError("- (standard input) is given more than once", ctx)
        return rest


class VerbGroup(click.Group):
    """A verb with verbs of its own, whose --help shows the whole first sentence of each."""

    command_class = Verb

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the verbs; called by click, which cuts a sentence that needs a second line."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, command.get_short_help_str(_WHOLE))
                    for name, command in sorted(self.commands.items())
                ]
            )


def _dashes(value: object) -> int:
    return value.count("-") if isinstance(value, tuple) else int(value == "-")


def _repeatable(option: click.Option) -> bool:
    return option.multiple or option.is_flag


def text(value: str) -> str:
    """Converts text of at least one character."""
    if not value:
        raise click.BadParameter("the value is empty")
    return value


def new_file(value: str) -> Path:
    """Converts the name of a file to write; a wrong directory is an error before any work."""
    path = Path(text(value))
    if path.is_dir():
        raise click.BadParameter(f"{value!r} is a directory")
    if not path.parent.is_dir():
        raise click.BadParameter(f"the directory of {value!r} does not exist")
    return path


def hex_bytes(value: str) -> bytes:
    """Converts hex digits to one or more bytes."""
    if not re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", value):
        raise click.BadParameter(f"expected a positive, even number of hex digits, found {value!r}")
    return bytes.fromhex(value)


def pcr_pin(value: str) -> tuple[int, str]:
    """Converts ``0=<96 hex digits>`` to a PCR index and its digits, which the policy checks.

    ``PCR0=`` in any case is accepted too: ``nitro-attest pcr`` prints it, and files have it.
    """
    match = re.fullmatch(r"(?:PCR)?(0|[1-9][0-9]?)=(.+)", value, re.IGNORECASE)
    if not match:
        raise click.BadParameter(f"expected N=<96 hex digits>, found {value!r}")
    return int(match[1]), match[2]


def duration(value: str) -> timedelta:
    """Converts a positive duration such as ``90s``, ``10m``, ``1h30m`` or ``2d``."""
    parts = re.findall(r"([0-9]{1,9})([smhd])", value)
    try:
        total = sum((timedelta(**{_UNITS[u]: int(n)}) for n, u in parts), timedelta())
    except OverflowError:
        raise click.BadParameter(f"{value!r} is longer than {timedelta.max.days} days") from None
    if not total or "".join(n + u for n, u in parts) != value:
        raise click.BadParameter(
            f"expected a duration such as 90s, 10m, 1h30m or 2d, found {value!r}"
        )
    return total


def moment(value: str) -> datetime | Literal["now", "document"]:
    """Converts ``now``, ``document``, or a time with its zone such as ``2026-01-31T12:00:00Z``."""
    if value in _WORDS:
        return _WORDS[value]
    try:
        return parse_time(value, _EXPECTED_MOMENT)
    except InputError as error:
        raise click.BadParameter(error.message) from None


def with_options(options: Sequence[Decorator], command: Any) -> Any:
    """Adds options to a command, which --help lists in this order."""
    for option in reversed(options):
        command = option(command)
    return command


def at_option(document: str) -> Decorator:
    """``--at``, the verification time of a document that the help text names."""
    return click.option(
        "--at",
        type=moment,
        metavar="now|document|TIME",
        default="now",
        help=f"Time as of which to verify {document} [now].",
    )


def json_option(text: str = "Print one JSON object.") -> Decorator:
    """``--json``, as the parameter ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help=text)


ENCODINGS: Final = ("raw", "hex", "base64")
"""The forms of a document that can be set; all others are only recognised."""

format_option: Final = click.option(
    "--format",
    "encoding",
    type=click.Choice(ENCODINGS),
    help="Form of the document [recognised].",
)
json_field_option: Final = click.option(
    "--json-field",
    type=text,
    metavar="NAME",
    help="Member of a JSON object that is the document [the only one].",
)
consistency_option: Final = click.option(
    "--consistency",
    type=click.Choice(["refuse", "warn"]),
    help="If the names in the document and its certificates disagree: reject it, or only warn "
    "[refuse; warn outside the commercial partition].",
)
unknown_fields_option: Final = click.option(
    "--unknown-fields",
    type=click.Choice(["reject", "warn"]),
    default="reject",
    help="If a document has fields that this version does not know: reject it, or skip them with a "
    "warning [reject].",
)
any_enclave_option: Final = click.option(
    "--any-enclave", is_flag=True, help="Accept any enclave: require no measurements."
)
any_instance_option: Final = click.option(
    "--any-instance", is_flag=True, help="The same for --kind nitrotpm."
)
allow_debug_option: Final = click.option(
    "--allow-debug", is_flag=True, help="Accept enclaves in debug mode."
)
