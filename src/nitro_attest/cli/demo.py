"""``nitro-attest demo``: a folder of fake documents, on which to try the other verbs."""

from __future__ import annotations

import shlex
from datetime import datetime, timezone
from pathlib import Path

import click

from nitro_attest.cli.options import Verb, text
from nitro_attest.cli.output import emit, escape
from nitro_attest.testing.desk import desk_files


@click.command("demo", cls=Verb)
@click.argument("name", metavar="DIR", type=text)
def command(name: str) -> int:
    """Make a folder with documents, images and policies on which to try the other verbs.

    DIR must be a new or empty folder. A fake hypervisor signs the documents under a root of its
    own, which is trusted only if you pass it with --root. The documents expire after 3 hours.
    """
    folder = Path(name)
    _make(folder)
    files = desk_files(datetime.now(timezone.utc))
    for path, content in files.items():
        (folder / path).parent.mkdir(exist_ok=True)
        with (folder / path).open("xb") as file:  # x: never overwrites
            file.write(content)
    emit([f"Made {len(files)} files. Next: cd {escape(shlex.quote(name))} && cat README.txt"])
    return 0


def _make(folder: Path) -> None:
    """Makes a folder, or accepts an empty one.

    Raises:
        click.UsageError: The folder cannot be made, or is not empty.
    """
    try:
        folder.mkdir(exist_ok=True)
        found = next(folder.iterdir(), None)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise click.UsageError(f"cannot make the folder {str(folder)!r}: {reason}") from error
    if found is not None:
        raise click.UsageError(
            f"expected a new or empty folder, found {found.name!r} in {str(folder)!r}"
        )
