"""The binding of Evervault Enclaves: the TLS key in user_data (B-5)."""

from __future__ import annotations

from dataclasses import dataclass

from nitro_attest._internal.strict_json import read_json
from nitro_attest.channel.bindings.base import Bound, Peer, check_attestation, compare
from nitro_attest.channel.bindings.bodies import from_base64
from nitro_attest.errors import FormatError, InputError
from nitro_attest.verification.attestation import Attestation

__all__ = ["Evervault"]


@dataclass(frozen=True, slots=True)
class Evervault:
    """Binds the documents of Evervault Enclaves, whose ``user_data`` is the TLS key (B-5).

    The request is ``GET /.well-known/attestation``; the answer is a JSON object with the document
    in base64 as ``attestation_doc``. ``user_data`` is the DER of the SubjectPublicKeyInfo of the
    server's certificate. The server takes no nonce: the nonce in its documents is one that the
    enclave chose.
    """

    @property
    def nonce_bytes(self) -> int:
        """Size of the nonce: 0, because the server takes none."""
        return 0

    def target(self, nonce: bytes) -> str:
        """Returns the path.

        Args:
            nonce: Empty.

        Raises:
            InputError: ``input.nonce``: the nonce is not empty, so it would be lost.
        """
        if nonce:
            raise InputError("input.nonce", "nonce: expected none, the server takes no nonce")
        return "/.well-known/attestation"

    def document(self, body: bytes) -> bytes:
        """Reads the document from the JSON object in the body.

        Args:
            body: The body of the answer.

        Returns:
            The raw document.

        Raises:
            FormatError: ``document.encoding``: the body is not a JSON object with the document in
                base64.
        """
        try:
            text = body.decode("utf-8").strip()
            answer, end = read_json(text, ignore_case=False)
        except (UnicodeDecodeError, InputError) as error:
            raise FormatError("document.encoding", f"the answer is not JSON: {error}") from None
        encoded = answer.get("attestation_doc") if isinstance(answer, dict) else None
        if end != len(text) or not isinstance(encoded, str):
            raise FormatError(
                "document.encoding",
                "malformed answer: expected one JSON object with attestation_doc in base64",
            )
        return from_base64(encoded)

    def check(self, attestation: Attestation, peer: Peer) -> Bound:
        """Checks that the document's ``user_data`` is the key of the connection.

        Args:
            attestation: The verified document.
            peer: The server of the connection on which it was received.

        Returns:
            The key that both have in common.

        Raises:
            InputError: ``input.document``: not a verified document of an enclave.
            PolicyError: ``policy.binding``: the keys differ, or the document has none.
        """
        check_attestation(attestation)
        key = peer.public_key
        compare("user_data", expected=key, found=attestation.user_data)
        return Bound("evervault", key)
