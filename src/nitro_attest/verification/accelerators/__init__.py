"""Faster checks of signatures: used only on request, never a dependency.

They can only confirm: ``base.py`` gives the argument why they add nothing to what is accepted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from nitro_attest.errors import InputError

if TYPE_CHECKING:  # most verifications use none
    from nitro_attest.verification.accelerators.base import Accelerator


def _libcrypto_mb() -> Accelerator:
    from nitro_attest.verification.accelerators.libcrypto_mb import MultiBuffer

    return MultiBuffer()


def _aws_lc() -> Accelerator:
    from nitro_attest.verification.accelerators.aws_lc import AwsLc

    return AwsLc()


_KNOWN: Final[dict[str, Callable[[], Accelerator]]] = {
    "libcrypto_mb": _libcrypto_mb,
    "aws-lc": _aws_lc,
}

NAMES: Final = tuple(_KNOWN)


def load(name: str) -> Accelerator:
    """Loads an accelerator.

    Args:
        name: ``libcrypto_mb`` or ``aws-lc``.

    Returns:
        The accelerator.

    Raises:
        InputError: ``input.accelerator``: the name is unknown, or it cannot run on this machine.
            There is no silent fallback, because the caller relies on the speed.
    """
    if name not in NAMES:
        raise InputError(
            "input.accelerator",
            f"accelerator: expected {' or '.join(map(repr, NAMES))}, found {name!r}",
        )
    return _KNOWN[name]()
