"""Measures an enclave image, and shows progress; the option that limits the size of an image."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Final

import click

from nitro_attest.cli.progress import Progress
from nitro_attest.limits import DEFAULT_IMAGE_BYTES
from nitro_attest.measurements.eif.image import EnclaveImage, measure

_UNITS: Final = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}

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


def measure_image(
    path: str, *, ignore_crc: bool = False, max_size: int = DEFAULT_IMAGE_BYTES
) -> EnclaveImage:
    """Measures an image file, with a progress bar on stderr if that is a terminal.

    Args:
        path: The file.
        ignore_crc: As for ``nitro_attest.measurements.measure``.
        max_size: Maximum size of the file in bytes.

    Raises:
        ImageError, InputError: As ``nitro_attest.measurements.measure``.
    """
    with Progress("measuring") as bar:

        def progress(done: int, size: int) -> None:
            if size >= _SLOW_BYTES:
                bar.show(done, size)

        return measure(
            path,
            ignore_crc=ignore_crc,
            at=datetime.now(timezone.utc),
            max_size=max_size,
            progress=progress,
        )
