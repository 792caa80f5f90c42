"""Measures enclave images, with progress; image files that are pipes; the option for their size."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

import click

from nitro_attest._internal.files import unreadable
from nitro_attest.cli.progress import Progress
from nitro_attest.cli.source import open_input
from nitro_attest.limits import DEFAULT_IMAGE_BYTES
from nitro_attest.measurements.eif.image import EnclaveImage, measure
from nitro_attest.measurements.image_file import BinaryFile

_UNITS: Final = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}

_CHUNK_BYTES: Final = 1 << 20

_SLOW_BYTES: Final = 1 << 28
"""About half a second of hashing; a smaller image shows no progress bar."""


def size_in_bytes(value: str) -> int:
    """Converts a positive size such as ``500000``, ``64MiB`` or ``32GiB``."""
    match = re.fullmatch(r"([1-9][0-9]{0,17})(|KiB|MiB|GiB|TiB)", value)
    if not match:
        raise click.BadParameter(
            f"expected a size in bytes, or with KiB, MiB, GiB or TiB, found {value!r}"
        )
    return int(match[1]) * _UNITS[match[2]]


max_size_option: Final = click.option(
    "--max-size",
    type=size_in_bytes,
    default=str(DEFAULT_IMAGE_BYTES),
    metavar="SIZE",
    help="Maximum size of the image, such as 500MiB [16GiB].",
)


@contextmanager
def image_source(name: str, max_size: int) -> Iterator[str | BinaryFile]:
    """Yields an image file in a form that can be measured: its name, or a copy of a pipe.

    An image is read from several offsets, so standard input and a pipe such as ``<(...)`` are
    copied to a temporary file first. Its directory is that of the environment variable TMPDIR.

    Args:
        name: The file, or ``-`` for stdin.
        max_size: Maximum size of the image in bytes; of a pipe no more is copied than shows that
            it is larger.

    Raises:
        InputError: ``input.file``: the pipe cannot be read or copied.
    """
    if name != "-" and not _is_fifo(name):
        yield name
        return
    with ExitStack() as stack:
        try:
            copy = stack.enter_context(TemporaryFile())
            with open_input(name) as pipe:
                left = max_size + 1
                while chunk := pipe.read(min(left, _CHUNK_BYTES)):
                    copy.write(chunk)
                    left -= len(chunk)
            copy.flush()  # a full disk is an error here, and not where the image is read
        except OSError as error:
            raise unreadable(name, error) from error
        yield copy


def _is_fifo(name: str) -> bool:
    try:
        return stat.S_ISFIFO(Path(name).stat().st_mode)
    except (OSError, ValueError):  # reported by the function that opens the file
        return False


def measure_image(
    path: str, *, ignore_crc: bool = False, max_size: int = DEFAULT_IMAGE_BYTES
) -> EnclaveImage:
    """Measures an image file, with a progress bar on stderr if that is a terminal.

    Args:
        path: The file, or ``-`` for stdin.
        ignore_crc: As for ``nitro_attest.measurements.measure``.
        max_size: Maximum size of the file in bytes.

    Raises:
        ImageError, InputError: As ``nitro_attest.measurements.measure``.
    """
    with Progress("measuring") as bar, image_source(path, max_size) as source:

        def progress(done: int, size: int) -> None:
            if size >= _SLOW_BYTES:
                bar.show(done, size)

        return measure(
            source,
            ignore_crc=ignore_crc,
            at=datetime.now(timezone.utc),
            max_size=max_size,
            progress=progress,
        )
