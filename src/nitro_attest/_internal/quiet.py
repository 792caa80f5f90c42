"""Reading hostile bytes without printing the library's warnings on the caller's stderr.

The cryptography package warns while it decodes certificates that are unusual. A filter against this
would belong to the whole process: other threads would lose their warnings meanwhile, and a process
forked meanwhile would keep it. Instead, ``quietly`` is a frame in which no warning arises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

_Source = TypeVar("_Source")
_Result = TypeVar("_Result")


def quietly(read: Callable[[_Source], _Result], source: _Source) -> _Result:
    """Calls ``read(source)`` without the Python warnings that ``read`` itself causes.

    Args:
        read: A function of an extension module, or ``operator.attrgetter`` for a property of one.
            A function in Python has a frame of its own, from which its warnings arise.
        source: Its argument.

    Returns:
        Its result.
    """
    return read(source)


# A warning arises from the module of the frame that caused it. Without a name of a module, as when
# the interpreter ends, CPython drops the warning (warn_explicit in Python/_warnings.c).
globals()["__name__"] = None
