"""Tries the installed package: accepts a genuine document, rejects forgeries of it."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Final

import nitro_attest
from nitro_attest.verification import _native

REAL: Final = Path(__file__).resolve().parents[1] / "fixtures" / "real"
GENUINE: Final = REAL / "20250916_encl_us-east-1_tkhq_b1086cbb.bin"
STEP: Final = 97
"""Every so many bytes of the document, one is changed: under an emulator each takes long."""


def accepted(document: bytes) -> bool:
    """Returns whether the document verifies as of its own timestamp."""
    try:
        nitro_attest.verify(document, at="document")
    except nitro_attest.NitroAttestError:
        return False
    return True


def main() -> int:
    """Prints what was tried; returns the exit code."""
    document = GENUINE.read_bytes()
    forgeries = [
        document[:place] + bytes([document[place] ^ 1]) + document[place + 1 :]
        for place in range(0, len(document), STEP)
    ]
    wrong = [index * STEP for index, forgery in enumerate(forgeries) if accepted(forgery)]
    print(
        f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}, "
        f"{'-'.join(platform.libc_ver()) or 'no glibc'}: {_native.__file__}"
    )
    if not accepted(document):
        print(f"{GENUINE.name}: expected accepted, found rejected")
        return 1
    if wrong:
        print(f"forgeries accepted, with the byte changed at {wrong}")
        return 1
    print(f"1 genuine document accepted, {len(forgeries)} forgeries rejected")
    return 0


if __name__ == "__main__":
    sys.exit(main())
