"""Reading hostile bytes without printing the library's warnings on the caller's stderr."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from typing import Final, TypeVar

_Source = TypeVar("_Source")
_Result = TypeVar("_Result")

_filters_lock: Final = threading.RLock()  # reentrant: a signal handler may verify meanwhile


def quietly(read: Callable[[_Source], _Result], source: _Source) -> _Result:
    """Calls ``read(source)`` with Python warnings suppressed, and returns its result.

    The warning filters belong to the process, so only one thread of this package changes them at a
    time; changes that the application's own threads make meanwhile cannot be ordered. The list of
    filters is replaced as a whole: ``warnings.catch_warnings`` would also reset which warnings the
    interpreter has already shown, so the application's own would appear again.
    """
    with _filters_lock:
        filters = warnings.filters
        try:
            warnings.filters = [("ignore", None, Warning, None, 0)]
            return read(source)
        finally:
            warnings.filters = filters
