#!/usr/bin/env python3
"""Writes the manual page, docs/man/nitro-attest.1, from the help texts of the command line.

    python tools/make_man_page.py            write the page
    python tools/make_man_page.py --check    exit with 1 if the page differs from its sources

The exit codes are those of docs/reference/cli.md. The forms of values are taken from the options
and not from click's help, so that every supported click gives the same page.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from nitro_attest.cli import cli

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "docs" / "man" / "nitro-attest.1"
REFERENCE: Final = ROOT / "docs" / "reference" / "cli.md"

EXIT_CODE: Final = re.compile(r"^\| ([0-9]+) \| (.+) \|$", re.MULTILINE)
PROGRAM: Final = "nitro-attest"


def roff(text: str) -> str:
    """Escapes text: no character of it is a command of roff."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return re.sub(r"^\.", r"\\&.", escaped, flags=re.MULTILINE)


def bold(text: str) -> str:
    """Text in bold."""
    return f"\\fB{roff(text)}\\fR"


def breakable(alternatives: str) -> str:
    """Alternatives, with a place for the end of a line behind each bar."""
    return roff(alternatives).replace("|", "|\\:")


def from_markdown(text: str) -> str:
    """Text of a table: code in bold, and links as their text."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
    parts = re.split(r"`([^`]*)`", text)
    return "".join(bold(part) if number % 2 else roff(part) for number, part in enumerate(parts))


def page() -> str:
    """The page as one text."""
    return "\n".join(lines()) + "\n"


def lines() -> Iterator[str]:
    """The lines of the page."""
    context = click.Context(cli, info_name=PROGRAM)
    yield '.\\" Written by tools/make_man_page.py. Edit the help texts instead.'
    yield f'.TH {roff(PROGRAM.upper())} 1 "" {roff(PROGRAM)} "User Commands"'
    yield ".ad l"  # no wide gaps, and no hyphen within a name
    yield ".nh"
    yield ".SH NAME"
    yield f"{roff(PROGRAM)} \\- {roff(cli.help or '').rstrip('.')}"
    yield ".SH SYNOPSIS"
    yield f"{bold(PROGRAM)} \\fIVERB\\fR [\\fIOPTIONS\\fR] [\\fIARGUMENTS\\fR]"
    yield ".SH OPTIONS"
    yield from options(cli)
    for name in cli.list_commands(context):
        verb = cli.get_command(context, name)
        if verb is not None:
            yield f".SH {roff(name.upper())}"
            yield from verb_lines(f"{PROGRAM} {name}", verb)
    yield ".SH EXIT STATUS"
    section = (
        REFERENCE.read_text(encoding="utf-8").partition("## Exit codes")[2].partition("## ")[0]
    )
    for code, meaning in EXIT_CODE.findall(section):
        yield from (".TP", bold(code), from_markdown(meaning))


def verb_lines(path: str, verb: click.Command) -> Iterator[str]:
    """The usage, the help and the options of a verb, and those of its own verbs."""
    yield usage(path, verb)
    for paragraph in (verb.help or "").split("\n\n"):
        yield from (".PP", roff(" ".join(paragraph.split())))
    yield from options(verb)
    if isinstance(verb, click.Group):
        for name, each in sorted(verb.commands.items()):
            yield f".SS {roff(f'{path.removeprefix(PROGRAM).strip()} {name}')}"
            yield from verb_lines(f"{path} {name}", each)


def usage(path: str, verb: click.Command) -> str:
    """The usage of a verb in one line."""
    words = []
    if isinstance(verb, click.Group):
        words.append("VERB")
    elif any(isinstance(each, click.Option) for each in verb.params):
        words.append("[OPTIONS]")
    words += [
        each.metavar or f"{(each.name or '').upper()}{'...' if each.nargs == -1 else ''}"
        for each in verb.params
        if isinstance(each, click.Argument)
    ]
    return f"{bold(path)} {roff(' '.join(words))}".rstrip()


def options(verb: click.Command) -> Iterator[str]:
    """The options of a verb with their texts."""
    for each in verb.params:
        if isinstance(each, click.Option) and not each.hidden:
            names = ", ".join(map(bold, each.opts))
            value = "" if each.is_flag else f" \\fI{breakable(form(each))}\\fR"
            yield from (".TP", names + value, roff(each.help or ""))


def form(option: click.Option) -> str:
    """The form of an option's value."""
    if option.metavar:
        return option.metavar
    if isinstance(option.type, click.Choice):
        return "|".join(option.type.choices)
    return "N" if isinstance(option.type, click.IntRange) else option.type.name.upper()


def main() -> int:
    """Writes or checks the page, and returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="only compare")
    if not parser.parse_args().check:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page():
        return 0
    print(f"{PAGE.relative_to(ROOT)} differs; run: python tools/make_man_page.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
