"""PCR values that mean the same wherever they appear."""

from __future__ import annotations

from typing import Final

from nitro_attest.limits import PCR_BYTES

ZERO_PCR: Final = bytes(PCR_BYTES)
"""The value of a PCR before anything is extended into it."""

IMAGE_PCRS: Final = (0, 1, 2)
"""The PCRs that measure an enclave image; all zero in debug mode (M-2)."""

SANDBOX_PCR: Final = 17
"""The PCR that the agent of a Nitro Sandbox extends with a digest of its policy. The code of any
enclave can do the same (N-5), so alone it proves nothing."""

EMPTY_RAMDISKS: Final = bytes.fromhex(
    "21b9efbc184807662e966d34f390821309eeac6802309798826296bf3e8bec7c10edb30948c90ba67310f7b964fc500a"
)
"""M-4. PCR2 of every image with one ramdisk: SHA-384 of 48 zeros and the SHA-384 of nothing."""

SECURE_BOOT_OFF_PCR7: Final = bytes.fromhex(
    "98441c7f7625d10058c47683aec486ce311c633235eb555593a7ee791121e3578ae72d04ecef661f272d59058b77af35"
)
"""T-5. PCR7 of every EC2 instance that boots without Secure Boot."""
