"""Output of every verb: lines for people, JSON for programs, and errors in either form.

Text from a file, a document or a certificate is escaped, so that it cannot control a terminal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import click

from nitro_attest.cli.exit_codes import exit_code_of
from nitro_attest.errors import AttestationWarning, NitroAttestError, PolicyError

SCHEMA: Final = "nitro-attest/1"

_HINTS: Final[dict[str, tuple[str | None, str]]] = {
    "document.encoding": (
        "--format",
        "set the form with --format raw, hex or base64, or the member of JSON with --json-field",
    ),
    "cert.expired": (
        "--at",
        "to verify an archived document as of its own timestamp, use --at document",
    ),
    "chain.untrusted_root": (
        "--root",
        "select a partition with --partition, or trust a root with --root",
    ),
    "policy.debug": (
        "--allow-debug",
        'to accept debug mode, use --allow-debug; a policy file must have "allow_debug": true too',
    ),
    "policy.pcr_mismatch": (
        None,
        "the document comes from a different image, version or parent than expected",
    ),
    "payload.kind": ("--kind", "set the kind of document with --kind enclave or --kind nitrotpm"),
    "eif.crc": ("--ignore-crc", "to measure the file anyway, use --ignore-crc"),
    "eif.too_large": ("--max-size", "to measure a larger image, use --max-size"),
    "pe.too_large": ("--max-size", "to measure a larger image, use --max-size"),
}
"""By error code: the option that a hint names, if any, and the hint."""

_ARGUMENT: Final = re.compile(r"\b([a-z]+(?:_[a-z]+)*)=(?=[\s,;.)]|$)")
"""An argument that a message of the library names, such as ``pcr_index=``."""


def emit(lines: Iterable[str], *, to_stderr: bool = False) -> None:
    """Prints lines, all in one write: a reader of stdout gets them whole or not at all."""
    click.echo("".join(f"{line}\n" for line in lines), nl=False, err=to_stderr)


def row(label: str, value: str) -> str:
    """One line of a result, with its value escaped."""
    return f"  {label:<12} {escape(value)}"


def escape(text: str) -> str:
    """Replaces everything but printable ASCII with backslash escapes."""
    return "".join(
        c if c.isascii() and c.isprintable() else c.encode("unicode_escape").decode("ascii")
        for c in text
    )


class Source(str):
    """The name of a document, which JSON shows with the form that it was read in.

    Args:
        name: The file, or the line of a batch.
        read_as: The form in words; None for raw bytes, hex and base64.
    """

    read_as: str | None

    def __new__(cls, name: str, read_as: str | None) -> Source:
        """Makes the name."""
        source = super().__new__(cls, name)
        source.read_as = read_as
        return source


def to_json(**members: Any) -> str:
    """A result as one line of JSON, with its schema."""
    source = members.get("source")
    if isinstance(source, Source) and source.read_as is not None:
        members["read_as"] = source.read_as
    return json.dumps({"schema": SCHEMA} | members)


def reject(source: str, error: NitroAttestError, as_json: bool, **members: Any) -> int:
    """Reports that an argument was rejected.

    Args:
        source: The file or other argument.
        error: The reason.
        as_json: Print one JSON object on stdout instead of lines on stderr.
        members: Further members of the object.

    Returns:
        The exit code.
    """
    if as_json:
        emit([to_json(source=source, **members, error=error.to_dict())])
    else:
        emit(_rejection_lines(source, error), to_stderr=True)
    return exit_code_of(error)


def report_error(error: NitroAttestError) -> int:
    """Reports an error of the call as a whole, such as one in a policy file, on stderr.

    Returns:
        The exit code.
    """
    emit([f"nitro-attest: {error.code}: {_sentence(error.message)}"], to_stderr=True)
    return exit_code_of(error)


def warn(warnings: Iterable[AttestationWarning]) -> None:
    """Prints warnings on stderr."""
    emit((f"warning: {w.code}: {escape(w.message)}" for w in warnings), to_stderr=True)


def _rejection_lines(source: str, error: NitroAttestError) -> Iterator[str]:
    """The code, the message or messages, the byte offset and the hint."""
    yield f"REJECTED {error.code}: {escape(source)}"
    messages = (
        [f"{failure.code}: {failure.message}" for failure in error.failures]
        if isinstance(error, PolicyError)
        else [error.message]
    )
    for message in messages:
        yield f"  {_sentence(message)}"
    if error.offset is not None:
        yield f"  at byte {error.offset}"
    if error.code in _HINTS:
        option, hint = _HINTS[error.code]
        if option is None or option in _options_of_verb():
            yield f"  hint: {hint}"


def _options_of_verb() -> set[str]:
    verb = click.get_current_context().command
    return {option for parameter in verb.params for option in parameter.opts}


def _sentence(message: str) -> str:
    """A message of the library, escaped, with ``--pcr-index`` where it names ``pcr_index=``."""
    return escape(_ARGUMENT.sub(lambda name: f"--{name[1].replace('_', '-')}", message))
