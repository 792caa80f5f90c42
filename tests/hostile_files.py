"""Files that catch a reader which trusts the sizes in an image."""

from __future__ import annotations

import io
from typing import Any


class WatchedFile(io.BytesIO):
    """Counts the bytes read, and fails the test on a read beyond the end of the file."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.size = len(data)
        self.bytes_read = 0

    def seek(self, offset: int, whence: int = 0, /) -> int:
        assert (offset, whence) == (0, 2) or (whence == 0 and 0 <= offset <= self.size)
        return super().seek(offset, whence)

    def readinto(self, buffer: Any, /) -> int:
        assert self.tell() + len(buffer) <= self.size
        self.bytes_read += len(buffer)
        return super().readinto(buffer)

    def read(self, size: int | None = -1, /) -> bytes:
        raise AssertionError("read() allocates what it is asked for")


class Zeros(io.RawIOBase):
    """A file of a few bytes, followed by zeros that take no memory."""

    def __init__(self, start: bytes, size: int) -> None:
        self._start, self._size, self._position = start, size, 0

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._position = offset + (self._size if whence == 2 else 0)
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        known = self._start[self._position : self._position + len(buffer)]
        buffer[: len(known)] = known
        buffer[len(known) :] = bytes(len(buffer) - len(known))
        self._position += len(buffer)
        return len(buffer)
