"""Access to the file of an image of any format: open it, find its size, read at given offsets.

The size is limited before anything is read (F-7): a sparse file needs no space and hours to hash.
``ImageFile.fill`` is the only code that reads the file. It allocates nothing, so no number in an
image determines how much memory is used.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Protocol, runtime_checkable

from nitro_attest._internal.files import unreadable
from nitro_attest._internal.wording import plural
from nitro_attest.errors import ImageError, InputError
from nitro_attest.limits import DEFAULT_IMAGE_BYTES


@runtime_checkable
class BinaryFile(Protocol):
    """The required methods of an open file; ``open(path, "rb")`` and ``io.BytesIO`` have them."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Moves to an offset and returns the new position."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Reads into the buffer and returns the number of bytes read."""


class ImageFile:
    """An image open for reading.

    Args:
        file: The open file.
        family: The first part of this format's error codes, such as ``eif``.
        max_size: Maximum size of the file in bytes, at least 1.

    Attributes:
        size: Size of the file in bytes, found by seeking to its end. Holes of a sparse file count.

    Raises:
        ImageError: ``eif.too_large`` or ``pe.too_large``: the file exceeds ``max_size``.
        InputError: ``input.expected``: the file is not seekable, or ``max_size`` is not a positive
            integer.
    """

    def __init__(self, file: BinaryFile, family: str, max_size: int = DEFAULT_IMAGE_BYTES) -> None:
        if type(max_size) is not int or max_size < 1:
            raise InputError(
                "input.expected",
                f"max_size: expected a positive number of bytes, found {max_size!r}",
            )
        self._file = file
        self._family = family
        try:
            self.size = file.seek(0, os.SEEK_END)
        except (OSError, ValueError) as error:
            raise InputError(
                "input.expected",
                f"the image is not seekable ({error}); save a pipe to a file first",
            ) from error
        if self.size > max_size:
            raise ImageError(
                f"{family}.too_large",
                f"image too large: expected at most {plural(max_size, 'byte')}, found {self.size}; "
                "check that the file is the image",
            )

    def fill(self, offset: int, buffer: memoryview) -> None:
        """Reads exactly ``len(buffer)`` bytes at ``offset``; the caller has checked the size.

        Args:
            offset: Offset of the first byte.
            buffer: The buffer to fill.

        Raises:
            ImageError: ``eif.truncated`` or ``pe.truncated``: the file became shorter while it was
                read.
            InputError: ``input.file``: reading failed.
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
            raise InputError("input.file", f"cannot read the image: {error.strerror}") from error


@contextmanager
def opened(
    source: str | os.PathLike[str] | BinaryFile, family: str, max_size: int = DEFAULT_IMAGE_BYTES
) -> Iterator[ImageFile]:
    """Opens a path and closes it again, or uses an open file and leaves it open.

    Args:
        source: Path of a regular file, or a seekable binary file.
        family: As for ``ImageFile``.
        max_size: As for ``ImageFile``.

    Yields:
        The image.

    Raises:
        ImageError: As for ``ImageFile``.
        InputError: ``input.file``: the path cannot be opened or is not a regular file, because a
            pipe or a device could block forever. ``input.expected``: the source is neither a path
            nor a binary file; or as for ``ImageFile``.
    """
    if isinstance(source, (str, os.PathLike)):
        with regular_file(source) as file:
            yield ImageFile(file, family, max_size)
    elif isinstance(source, BinaryFile):
        yield ImageFile(source, family, max_size)
    else:
        raise InputError(
            "input.expected",
            f"expected a path or a binary file, found {type(source).__name__}; wrap bytes in "
            "io.BytesIO",
        )


def regular_file(path: str | os.PathLike[str]) -> FileIO:
    """Opens a file to read it without a buffer.

    Args:
        path: The path.

    Returns:
        The file, to be closed by the caller.

    Raises:
        InputError: ``input.file``: as for ``opened``. ``input.expected``: not a path.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputError("input.expected", f"expected a path, found {type(path).__name__}")
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            raise InputError(
                "input.file", f"expected a regular file, found {str(path)!r}; save it to a file"
            )
        return FileIO(path)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
