"""Faster checks of document signatures: used only on request, never a dependency.

An accelerator can only confirm. ``cryptography`` checks every signature that it does not
confirm, and always loads the keys, which checks that they are on the curve. Accelerators never see
certificates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from nitro_attest.errors import InputError
from nitro_attest.verification.signature import SignatureCheck, SignatureClaim


class Accelerator(Protocol):
    """The interface of every accelerator."""

    @property
    def lanes(self) -> int:
        """Number of signatures that one call checks."""

    def check(self, claim: SignatureClaim) -> bool:
        """Verifies one claim."""

    def precheck(self, claims: Iterable[SignatureClaim]) -> SignatureCheck:
        """Verifies several claims in one call; returns a check that accepts the confirmed ones."""


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
