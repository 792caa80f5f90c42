"""The file of an image, whatever its format: opened, sized, and read at given offsets.

``ImageFile.fill`` is the only code that touches the file. It allocates nothing, so that no number
in an image decides how much memory is used.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, runtime_checkable

from nitro_attest.errors import ImageError, InputError


@runtime_checkable
class BinaryFile(Protocol):
    """What is needed of an open file: ``open(path, "rb")`` and ``io.BytesIO`` have it."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Moves to an offset and returns it."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fills the buffer as far as it can and returns the number of bytes."""


class ImageFile:
    """An image open for reading; ``size`` is what was found by seeking to its end.

    Args:
        file: Where to read.
        family: What stands before the dot in the codes of this format, such as ``eif``.
    """

    def __init__(self, file: BinaryFile, family: str) -> None:
        self._file = file
        self._family = family
        try:
            self.size = file.seek(0, os.SEEK_END)
        except (OSError, ValueError) as error:
            raise InputError(
                "input.expected",
                f"the image cannot be positioned ({error}); if it comes from a pipe, save it first",
            ) from error

    def fill(self, offset: int, buffer: memoryview) -> None:
        """Reads exactly ``len(buffer)`` bytes at ``offset``; the caller knows that they exist.

        Raises:
            ImageError: ``truncated`` of the family if the file became shorter meanwhile.
            InputError: ``input.expected`` if reading fails.
        """
        filled = 0
        try:
            self._file.seek(offset)
            while filled < len(buffer):
                count = self._file.readinto(buffer[filled:])
                if not count:
                    raise ImageError(
                        f"{self._family}.truncated",
                        "the file became shorter while it was read",
                        offset + filled,
                    )
                filled += count
        except OSError as error:
            raise InputError("input.expected", f"the image cannot be read: {error}") from error


@contextmanager
def opened(source: str | os.PathLike[str] | BinaryFile, family: str) -> Iterator[ImageFile]:
    """Opens a path, or takes an open file as it is and leaves it open.

    Args:
        source: Path of a regular file, or a binary file that can be positioned.
        family: As for ``ImageFile``.

    Raises:
        InputError: ``input.expected`` if that is impossible, or the path is not that of a regular
            file: a pipe or a device could block for ever.
    """
    if isinstance(source, (str, os.PathLike)):
        try:
            path = Path(source)
            if not stat.S_ISREG(path.stat().st_mode):
                raise InputError("input.expected", f"{path} is not a regular file")
            file = path.open("rb", buffering=0)
        except (OSError, ValueError) as error:
            raise InputError("input.expected", f"the image cannot be opened: {error}") from error
        with file:
            yield ImageFile(file, family)
    elif isinstance(source, BinaryFile):
        yield ImageFile(source, family)
    else:
        raise InputError(
            "input.expected",
            "an image is given as a path or a binary file (wrap bytes in io.BytesIO), "
            f"not {type(source).__name__}",
        )
