"""Measures an enclave image, and shows progress."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from datetime import datetime, timezone
from typing import Any, Final

import click

from nitro_attest.measurements.eif.image import EnclaveImage, measure

_SLOW_BYTES: Final = 1 << 28
"""About half a second of hashing; a smaller image shows no progress bar."""


def measure_image(path: str, *, ignore_crc: bool = False) -> EnclaveImage:
    """Measures an image file, with a progress bar on stderr if that is a terminal.

    Raises:
        ImageError, InputError: As ``nitro_attest.measurements.measure``.
    """
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    bar: Any = None  # click's progress bar has no public type
    with ExitStack() as stack:

        def progress(done: int, size: int) -> None:
            nonlocal bar
            if size < _SLOW_BYTES:
                return
            if bar is None:
                bar = stack.enter_context(
                    click.progressbar(length=size, label="measuring", file=sys.stderr)
                )
            bar.update(done - bar.pos)

        return measure(
            path,
            ignore_crc=ignore_crc,
            at=datetime.now(timezone.utc),
            progress=progress if is_terminal else None,
        )
