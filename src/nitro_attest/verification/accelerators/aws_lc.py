"""One signature at a time with AWS-LC, through the package ``awscrt``."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

from nitro_attest.errors import InputError
from nitro_attest.verification.signature import (
    SignatureCheck,
    SignatureClaim,
    check_with_cryptography,
    der_signature,
)

_KEYS_REMEMBERED: Final = 256


class AwsLc:
    """Verifies with AWS-LC first. AWS-LC holds the interpreter's lock, so threads gain nothing."""

    lanes: Final = 1

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

    def check(self, claim: SignatureClaim) -> bool:
        """Verifies one claim with AWS-LC or, if that does not confirm it, ``cryptography``."""
        return self._confirms(claim) or check_with_cryptography(claim)

    def precheck(self, claims: Iterable[SignatureClaim]) -> SignatureCheck:
        """Returns the same check: AWS-LC does not batch."""
        return self.check

    def _confirms(self, claim: SignatureClaim) -> bool:
        try:
            key: Any = self._load(claim.key.info)
            return key.verify(claim.digest, der_signature(claim.signature)) is True
        except (ValueError, RuntimeError):  # input that it rejects is not confirmed
            return False
