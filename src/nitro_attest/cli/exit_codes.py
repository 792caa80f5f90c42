"""Exit codes of the command line (docs/reference/cli.md). No verb exits with 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nitro_attest.errors import (
    ChainError,
    EnclaveError,
    FormatError,
    ImageError,
    InputError,
    KmsError,
    NitroAttestError,
    PolicyError,
    SignatureError,
)

EXIT_USAGE: Final = 2
EXIT_REQUIREMENT: Final = 6
EXIT_KEY_POLICY: Final = 9
EXIT_BUG: Final = 70
EXIT_OUTPUT: Final = 74
EXIT_INTERRUPTED: Final = 130

EXIT_CODES: Final[Mapping[type[NitroAttestError], int]] = {
    InputError: EXIT_USAGE,
    FormatError: 3,
    ChainError: 4,
    SignatureError: 5,
    PolicyError: EXIT_REQUIREMENT,
    EnclaveError: 7,
    ImageError: 8,
    KmsError: EXIT_KEY_POLICY,
}
"""The exit code for each class of error."""


def exit_code_of(error: NitroAttestError) -> int:
    """Returns the exit code for an error, or for an error of a derived class."""
    return next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), EXIT_BUG)


def exit_code_of_code(code: str) -> int:
    """Returns the exit code for an error of which only the code is left."""
    family = code.partition(".")[0]
    return next((exit_ for kind, exit_ in EXIT_CODES.items() if family in kind.families), EXIT_BUG)
