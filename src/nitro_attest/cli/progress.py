"""One line that shows progress on a terminal, and is erased before any other output."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from nitro_attest.cli import terminal

_SECONDS: Final = 0.1
"""Minimum time between two drawings of the line."""

_CELLS: Final = 20


class _LastLine:
    """The last line of the terminal, if it shows progress."""

    def __init__(self) -> None:
        self._size = 0

    def draw(self, text: str) -> None:
        """Replaces the text of the line."""
        size = (terminal.width(sys.stderr) or 0) - 1  # a full line would start a new one
        self.erase()
        text = text[: max(size, 0)]
        self._size = len(text)
        self._write(text)

    def erase(self) -> None:
        """Erases the line; to be called before anything else is printed."""
        size, self._size = self._size, 0
        if size:
            self._write(f"\r{' ' * size}\r")

    @staticmethod
    def _write(text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


LAST_LINE: Final = _LastLine()


class Progress:
    """Shows the progress of some work on stderr, if that is a terminal.

    A context manager that erases the line at its end.

    Args:
        label: The work, such as ``verifying``.
    """

    def __init__(self, label: str) -> None:
        self._label = label
        self._next = 0.0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        LAST_LINE.erase()

    def show(self, done: float, total: float | None, note: str = "") -> None:
        """Draws the line, unless it was drawn a moment ago.

        Args:
            done: The part that is done.
            total: The whole; None if it is not known.
            note: More to show after it.
        """
        now = time.monotonic()
        if now < self._next or terminal.width(sys.stderr) is None:
            return
        self._next = now + _SECONDS
        if not total:
            LAST_LINE.draw(f"{self._label} {done:.0f} {note}".rstrip())
            return
        part = min(done / total, 1)
        cells = int(part * _CELLS)
        bar = "#" * cells + "-" * (_CELLS - cells)
        LAST_LINE.draw(f"{self._label} [{bar}] {int(part * 100)} % {note}".rstrip())


@contextmanager
def waiting(label: str, seconds: float) -> Iterator[None]:
    """Shows the part of a time that has passed, while the caller waits.

    Args:
        label: The reason.
        seconds: The time; 0 shows nothing.
    """
    if not seconds or terminal.width(sys.stderr) is None:
        yield
        return
    ended = threading.Event()
    with Progress(label) as progress:

        def tick() -> None:
            start = time.monotonic()
            progress.show(0, seconds)
            while not ended.wait(2 * _SECONDS):
                progress.show(time.monotonic() - start, seconds)

        thread = threading.Thread(target=tick, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
