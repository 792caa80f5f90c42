"""Internal: protocols that more than one capability uses."""

from __future__ import annotations

from typing import Protocol


class Attester(Protocol):
    """A source of attestation documents: ``nitro_attest.enclave.nsm.Nsm``, or a fake in a test."""

    def attest(
        self,
        *,
        nonce: bytes | None = None,
        user_data: bytes | None = None,
        public_key: bytes | None = None,
    ) -> bytes:
        """Returns a fresh attestation document that contains these fields.

        Args:
            nonce: The nonce of a verifier; None leaves the field null.
            user_data: A statement of the enclave; None leaves the field null.
            public_key: A public key of the enclave; None leaves the field null.

        Raises:
            NitroAttestError: No document could be made.
        """
