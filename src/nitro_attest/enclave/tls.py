"""The TLS identity of an enclave: a key that its attestation documents name.

A client that compares the key of its TLS connection with the ``public_key`` of a verified document
knows that the connection ends in this enclave, and not in a relay.
"""

from __future__ import annotations

import os
import ssl
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any, Final, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from nitro_attest._internal.protocols import Attester
from nitro_attest._internal.wording import size_or_type
from nitro_attest.errors import InputError
from nitro_attest.limits import NONCE_BYTES

__all__ = ["AttestedIdentity"]

_DESCRIPTORS: Final = Path("/proc/self/fd")

# AEAD with forward secrecy only; TLS 1.3 has no other suites.
_TLS12_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"

# The dates mean nothing: clients trust the key for a document, and an enclave may start without a
# clock. RFC 5280 section 4.1.2.5 defines the second one as "no expiration date".
_NOT_BEFORE: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_NOT_AFTER: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc)


class AttestedIdentity:
    """A TLS key made in this process, its certificate, and documents that name the key.

    Create one at the start of the process: whoever has the key can answer in the enclave's name,
    so it has no method that returns it. Immutable, and as thread-safe as the attester.

    Attributes:
        certificate: DER of the self-signed certificate.
        public_key: DER of the key's SubjectPublicKeyInfo, the ``public_key`` of each document.

    Example:
        >>> from nitro_attest.enclave.nsm import Nsm
        >>> from nitro_attest.enclave.tls import AttestedIdentity
        >>> identity = AttestedIdentity.create(Nsm())  # doctest: +SKIP
        >>> context = identity.ssl_context()  # doctest: +SKIP
    """

    def __init__(
        self, attester: Attester, user_data: bytes | None, _key: ec.EllipticCurvePrivateKey
    ) -> None:
        self._key = _key
        self._x509 = _self_signed(_key)
        self._attester = attester
        self._user_data = user_data
        self.certificate = self._x509.public_bytes(Encoding.DER)
        self.public_key = _key.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )

    @classmethod
    def create(cls, nsm: Attester, *, user_data: bytes | None = None) -> AttestedIdentity:
        """Makes a P-256 key and its certificate.

        Args:
            nsm: Makes the documents: an open ``Nsm``, or a fake in a test.
            user_data: ``user_data`` of every document: a statement of this enclave, in any form.

        Returns:
            The identity.

        Raises:
            InputError: ``input.nsm``: user_data is not bytes.
        """
        if user_data is not None and not isinstance(user_data, bytes):
            found = type(user_data).__name__
            raise InputError("input.nsm", f"invalid user_data: expected bytes, found {found}")
        return cls(nsm, user_data, ec.generate_private_key(ec.SECP256R1()))

    def document(self, nonce: bytes) -> bytes:
        """Requests a fresh document that names the key.

        Args:
            nonce: The client's nonce, 32 bytes.

        Returns:
            The document, as the NSM made it.

        Raises:
            InputError: ``input.nonce``: the nonce is not 32 bytes.
            EnclaveError: ``nsm.*``, as described for the class ``Nsm``.
        """
        if not isinstance(nonce, bytes) or len(nonce) != NONCE_BYTES:
            raise InputError(
                "input.nonce",
                f"invalid nonce: expected {NONCE_BYTES} bytes, found {size_or_type(nonce)}",
            )
        return self._attester.attest(
            nonce=nonce, user_data=self._user_data, public_key=self.public_key
        )

    def ssl_context(self) -> ssl.SSLContext:
        """Returns a context for a server: TLS 1.2 or 1.3, ALPN http/1.1.

        It has neither session tickets nor other resumption nor renegotiation: each connection
        proves the key in a full handshake. Keep the context and use it for all connections.

        Returns:
            The context; its ``wrap_socket`` and ``wrap_bio`` load the key for each connection.
        """
        context = _configured(_ContextPerConnection(ssl.PROTOCOL_TLS_SERVER))
        context.make_context = self._loaded_context
        return context

    def _loaded_context(self) -> ssl.SSLContext:
        context = _configured(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        with _key_file() as (file, path):
            file.write(self._x509.public_bytes(Encoding.PEM))
            file.write(self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            file.flush()
            context.load_cert_chain(path)
        return context


class _ContextPerConnection(ssl.SSLContext):
    """Makes a context for each connection, so that there is no session to resume.

    OpenSSL keeps the TLS 1.2 sessions of a server in its context and resumes them by their id, even
    without tickets; the ssl module has no switch for this cache.
    """

    make_context: Callable[[], ssl.SSLContext]

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        return self.make_context().wrap_socket(*args, **kwargs)

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        return self.make_context().wrap_bio(*args, **kwargs)


_Context = TypeVar("_Context", bound=ssl.SSLContext)


def _configured(context: _Context) -> _Context:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_TLS12_CIPHERS)
    context.set_alpn_protocols(["http/1.1"])  # the challenge must be the first request
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.options |= ssl.OP_NO_TICKET  # TLS 1.2
    context.num_tickets = 0  # TLS 1.3
    # A stream without close_notify was cut off, which is not its end (RFC 8446 section 6.1).
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    return context


def _self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "attested enclave")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, SHA256())
    )


@contextmanager
def _key_file() -> Iterator[tuple[IO[bytes], str]]:
    """Yields an empty file for a private key, which the ssl module loads from a path only.

    On Linux the file is in memory and has no name in any folder: it is never on a disk, only
    processes that may trace this one can open it, and it is gone when its descriptor is closed,
    even if the process is killed. Elsewhere, where no enclave runs, it is a temporary file that
    only its owner can read.
    """
    if sys.platform == "linux" and _DESCRIPTORS.is_dir():
        with os.fdopen(os.memfd_create("key"), "wb") as file:  # closed on exec
            yield file, f"{_DESCRIPTORS}/{file.fileno()}"
    else:
        with tempfile.NamedTemporaryFile() as named:
            yield named, named.name
