"""Internal: the one error for a file that cannot be read."""

from __future__ import annotations

import os

from nitro_attest.errors import InputError


def unreadable(name: str | os.PathLike[str], error: OSError | ValueError) -> InputError:
    """Returns the error for a file that cannot be opened or read.

    Args:
        name: The name of the file.
        error: The reason; a ValueError if the name contains a NUL.

    Returns:
        The error ``input.file``.
    """
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return InputError("input.file", f"cannot read {os.fspath(name)!r}: {reason}")
