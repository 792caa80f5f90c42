"""Internal: the PCRs of a fake enclave and of a fake instance."""

from __future__ import annotations

import hashlib
from typing import Final

from nitro_attest.limits import PCR_BYTES

ZERO: Final = bytes(PCR_BYTES)


def extend(register: bytes, data: bytes) -> bytes:
    """Computes the value of a PCR after an extension: SHA-384(register || data)."""
    return hashlib.sha384(register + data).digest()


def _measured(what: str) -> bytes:
    return extend(ZERO, hashlib.sha384(f"nitro-attest fake {what}".encode()).digest())


IMAGE: Final = {index: _measured(f"PCR{index}") for index in range(3)}
"""PCR0, PCR1 and PCR2 of every fake enclave that is not in debug mode."""

ROLE_ARN: Final = "arn:aws:iam::123456789012:role/Webserver"
"""The role of every fake parent instance, which PCR3 measures."""


def enclave(instance_id: str) -> dict[int, bytes]:
    """Returns PCR0 to PCR15, the PCRs of an enclave that locks no others."""
    return (
        dict.fromkeys(range(16), ZERO)
        | IMAGE
        | {3: extend(ZERO, ROLE_ARN.encode()), 4: extend(ZERO, instance_id.encode())}
    )


def nitrotpm() -> dict[int, bytes]:
    """Returns PCR0 to PCR23 of an instance; where nothing is measured, separator or all ones."""
    separator = extend(ZERO, hashlib.sha384(bytes(4)).digest())
    return (
        dict.fromkeys(range(24), ZERO)
        | {index: _measured(f"TPM PCR{index}") for index in (0, 1, 4, 5, 7, 8, 9, 10)}
        | dict.fromkeys((2, 3, 6), separator)
        | dict.fromkeys(range(17, 23), b"\xff" * PCR_BYTES)
    )
