"""Faster ways to check the signatures of documents: off unless asked for, never a dependency.

An accelerator may only say yes. What it does not confirm, ``cryptography`` decides, and keys are
always loaded, and so checked to lie on the curve, by ``cryptography``. Certificates are never its
business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from nitro_attest.errors import InputError
from nitro_attest.verification.signature import SignatureCheck, SignatureClaim


class Accelerator(Protocol):
    """What the verifier asks of each."""

    @property
    def lanes(self) -> int:
        """How many signatures it checks at once."""

    def check(self, claim: SignatureClaim) -> bool:
        """Whether one claim holds: a document by itself."""

    def precheck(self, claims: Iterable[SignatureClaim]) -> SignatureCheck:
        """A check that knows which of these claims hold: documents in numbers."""


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
    """The accelerator of this name.

    Args:
        name: ``libcrypto_mb`` or ``aws-lc``.

    Raises:
        InputError: ``input.accelerator``: there is none of this name, or it cannot run here. It is
            not passed over in silence: who asks for it plans with its speed.
    """
    if name not in NAMES:
        raise InputError(
            "input.accelerator",
            f"accelerator is {name!r}; {' or '.join(map(repr, NAMES))} was expected",
        )
    return _KNOWN[name]()
