"""Internal: standard streams whose failures give the documented exit codes, and never 1 or 120.

Without them, a full or closed stderr replaces the exit code of a verified document, and whether
``| head -1`` is an error depends on how fast ``head`` ends.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_STDIN: Final = 0
_STDOUT: Final = 1
_STDERR: Final = 2


class _Output(io.FileIO):
    """A descriptor for output.

    Args:
        descriptor: The descriptor; it is not closed.
        ignored: Errors of this class discard what is written. Any other is raised, once: the
            interpreter, which flushes again at exit, must not replace the exit code.
    """

    def __init__(self, descriptor: int, ignored: type[OSError]) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self._ignored = ignored
        self._failed = False

    def write(self, data: ReadableBuffer, /) -> int:
        size = memoryview(data).nbytes
        if self._failed:
            return size
        try:
            written = super().write(data)
            if written is None:  # a descriptor that does not block, and takes nothing now
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        except self._ignored:
            return size
        except OSError:
            self._failed = True
            raise
        return written


def replace_standard_streams() -> None:
    """Replaces stdout and stderr of this process; to be called before anything is written.

    - What cannot be written to stderr is discarded.
    - A reader of stdout that closes its pipe has read enough: the rest is discarded. Any other
      failure of stdout raises OSError, also if stdout was closed from the start.
    """
    _occupy_closed_descriptors()
    sys.stdout = _text(sys.stdout, _Output(_STDOUT, BrokenPipeError))
    sys.stderr = _text(sys.stderr, _Output(_STDERR, OSError), line_buffering=True)


def _text(
    replaced: TextIO | None, output: _Output, *, line_buffering: bool = False
) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        io.BufferedWriter(output),
        encoding=replaced.encoding if replaced else "utf-8",
        errors=replaced.errors if replaced else "backslashreplace",
        line_buffering=line_buffering,
    )


def _occupy_closed_descriptors() -> None:
    # Otherwise the next file that is opened becomes stdout or stderr. Nothing can be written to a
    # descriptor opened for reading, as to one that is closed.
    for descriptor in (_STDIN, _STDOUT, _STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            with suppress(OSError):  # no null device
                os.open(os.devnull, os.O_RDONLY)
