"""The interface of a binding, and what it compares: the peer of a connection."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nitro_attest._internal.quiet import quietly
from nitro_attest._internal.wording import plural, shown
from nitro_attest.errors import InputError, PolicyError, PolicyFailure
from nitro_attest.verification.attestation import Attestation

__all__ = ["Binding", "Bound", "Peer"]

_PATH: Final = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*")
"""The path of a request target: RFC 3986 section 3.3, as RFC 9112 section 3.2.1 requires."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The server of one TLS connection.

    Attributes:
        certificate: DER of the leaf certificate whose key the server proved in the handshake.
    """

    certificate: bytes

    @property
    def public_key(self) -> bytes:
        """The certificate's key: DER of the SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).

        Raises:
            PolicyError: ``policy.binding``: the certificate or its key cannot be read.
        """
        try:
            certificate = quietly(x509.load_der_x509_certificate, self.certificate)
            key = quietly(x509.Certificate.public_key, certificate)
            return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        except Exception as error:  # noqa: BLE001  the parsers raise several undocumented types
            raise mismatch(
                f"the server's certificate cannot be read: {error!r:.200}",
                expected="an X.509 certificate",
                found=self.certificate.hex(),
            ) from None


@dataclass(frozen=True, slots=True)
class Bound:
    """The proof that the enclave of a document is the server of a connection.

    Attributes:
        binding: Name of the binding, such as ``tls-key``.
        public_key: DER of the SubjectPublicKeyInfo of the key that the connection and the document
            have in common.
    """

    binding: str
    public_key: bytes


class Binding(Protocol):
    """Ties a document to the TLS connection on which it was received.

    A binding is immutable and does no I/O: a client sends a GET request for ``target()`` as the
    first request of the connection, reads the document from the body of the answer with
    ``document()``, verifies it with the nonce, and passes the result to ``check()``. Write your own
    class with these members for an enclave that ties its key to its documents in another way.
    """

    @property
    def nonce_bytes(self) -> int:
        """Size of the nonce that the server expects; 0 for a server that takes none.

        Without a nonce, only the handshake is fresh: the document may be old, so the client should
        limit its age.
        """
        ...

    def target(self, nonce: bytes) -> str:
        """Returns the target of the request: a path with its query.

        Args:
            nonce: The nonce, of ``nonce_bytes`` bytes.
        """
        ...

    def document(self, body: bytes) -> bytes:
        """Returns the document in the body of an answer.

        Args:
            body: The body, as received.

        Raises:
            FormatError: The body does not have the form that the server uses.
        """
        ...

    def check(self, attestation: Attestation, peer: Peer) -> Bound:
        """Checks that a verified document names the key of a connection.

        Args:
            attestation: The verified document.
            peer: The server of the connection on which it was received.

        Returns:
            The key that the document and the connection have in common.

        Raises:
            PolicyError: ``policy.binding``: the document names a different key, or none.
        """
        ...


def mismatch(message: str, *, expected: str, found: str | None) -> PolicyError:
    """Builds the error of a binding that does not match.

    Args:
        message: One sentence for a person.
        expected: The required value, or a noun phrase for its form.
        found: The value found; None if the document has none.

    Returns:
        The error, with one failure ``policy.binding``.
    """
    return PolicyError([PolicyFailure("policy.binding", message, expected=expected, found=found)])


def compare(what: str, *, expected: bytes, found: bytes | None) -> None:
    """Compares a value of a document with the one that the binding requires.

    Both are public, so the comparison need not take constant time.

    Args:
        what: A noun phrase for the value.
        expected: The required value.
        found: The document's value; None if it has none.

    Raises:
        PolicyError: ``policy.binding``: they differ, or there is none.
    """
    if found == expected:
        return
    raise mismatch(
        f"the document has no {what}; expected {shown(expected)}"
        if found is None
        else f"{what} mismatch: expected {shown(expected)}, found {shown(found)}",
        expected=expected.hex(),
        found=None if found is None else found.hex(),
    )


def require_size(what: str, value: bytes | None, size: int) -> bytes:
    """Returns a value of a document that has the size that the binding requires.

    Args:
        what: The name of the value.
        value: The document's value; None if it has none.
        size: The required size in bytes.

    Raises:
        PolicyError: ``policy.binding``: it has a different size, or there is none.
    """
    if value is not None and len(value) == size:
        return value
    raise mismatch(
        f"{what} has the wrong size: expected {plural(size, 'byte')}, found "
        f"{'none' if value is None else plural(len(value), 'byte')}",
        expected=plural(size, "byte"),
        found=None if value is None else value.hex(),
    )


def check_attestation(attestation: object) -> None:
    """Rejects everything but a verified document of an enclave.

    Args:
        attestation: The argument of a binding's ``check``.

    Raises:
        InputError: ``input.document``: it is, for example, an unverified document.
    """
    if not isinstance(attestation, Attestation):
        raise InputError(
            "input.document",
            "attestation: expected the result of verifying an enclave's document, found "
            f"{type(attestation).__name__}",
        )


def check_path(path: object) -> None:
    """Checks the path that a caller gave: part of a request line, it must not end that line.

    Args:
        path: The path, without a query.

    Raises:
        InputError: ``input.expected``: it is not the path of a request target.
    """
    if not isinstance(path, str) or not _PATH.fullmatch(path):
        raise InputError(
            "input.expected",
            f"path: expected a path that begins with / and has no query, found {path!r:.200}",
        )
