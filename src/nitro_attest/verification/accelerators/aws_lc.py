"""One signature at a time with AWS-LC, through the package ``awscrt``."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

from nitro_attest.errors import InputError
from nitro_attest.verification.accelerators.base import Accelerator
from nitro_attest.verification.signature import SignatureClaim, der_signature

_KEYS_REMEMBERED: Final = 256


class AwsLc(Accelerator):
    """Confirms one at a time. AWS-LC holds the interpreter's lock, so threads gain nothing."""

    def __init__(self) -> None:
        try:
            from awscrt.crypto import EC

            load, _ = EC.new_key_from_der_data, EC.verify
        except (ImportError, AttributeError) as error:
            raise InputError(
                "input.accelerator",
                f"aws-lc needs awscrt's EC keys ({error}): pip install --upgrade awscrt",
            ) from error
        self._load = lru_cache(_KEYS_REMEMBERED)(load)

    def confirm(self, claim: SignatureClaim) -> bool:
        """Returns True if AWS-LC confirms the claim; raises if AWS-LC rejects its key."""
        key: Any = self._load(claim.key.info)
        return key.verify(claim.digest, der_signature(claim.signature)) is True

    def prepare(self, claims: Iterable[SignatureClaim]) -> None:
        """Does nothing: AWS-LC checks one signature at a time."""
