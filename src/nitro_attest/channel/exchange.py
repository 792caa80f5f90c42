"""The attestation of one TLS connection, without I/O: one request, one answer, one document.

The client sends a challenge as the first request of a connection. The enclave answers with a
document that contains the nonce and names the key of the connection (B-1). Only then may the
application send its first byte. The adapters in ``nitro_attest.channel`` move the bytes; with this
module, other libraries can do the same.
"""

from __future__ import annotations

import os
import re
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from nitro_attest._internal.times import check_max_age
from nitro_attest._internal.wording import plural
from nitro_attest.channel.bindings.base import Binding, Bound, Peer
from nitro_attest.channel.bindings.tls import TlsKey
from nitro_attest.errors import EnclaveError, InputError, NitroAttestError
from nitro_attest.limits import DEFAULT_OPTIONAL_BYTES, MAX_DOCUMENT_BYTES, MIN_NONCE_BYTES
from nitro_attest.transport.connection import Deadline
from nitro_attest.transport.response import ResponseParser, check_status
from nitro_attest.verification.attestation import Attestation
from nitro_attest.verification.core import UnknownFields
from nitro_attest.verification.policy import EnclavePolicy
from nitro_attest.verification.requirements import UNCHECKED
from nitro_attest.verification.revocation import RevocationLists
from nitro_attest.verification.roots import TrustedRoots
from nitro_attest.verification.verifier import Consistency, Verifier

__all__ = ["Attested", "ChannelVerifier", "Exchange"]

DEFAULT_BINDING: Final = TlsKey()

DEFAULT_REATTEST: Final = timedelta(minutes=15)
"""Default lifetime of a pooled connection."""

DEFAULT_TIMEOUT: Final = 15.0
"""Default limit, in seconds, of the TLS handshake and the attestation together."""

RECEIVE_BYTES: Final = 65536
"""Size of a read from the connection: more than a TLS record, so that none is left in part."""

_MAX_BODY_BYTES: Final = 2 * MAX_DOCUMENT_BYTES  # a document in base64, and what surrounds it
_MAX_SECONDS: Final = 86400
_ALPN: Final = "http/1.1"
_VERSIONS: Final = ("TLSv1.2", "TLSv1.3")
_HOST: Final = re.compile(r"[A-Za-z0-9_:][A-Za-z0-9._:%-]{0,254}")
_TARGET: Final = re.compile(r"/[!-~]*")


class ChannelVerifier:
    """Verifies the servers of TLS connections. Immutable and thread-safe.

    Args:
        policy: The policy, as for ``Verifier``; there is no default.
        roots: The trusted roots; by default the root of the AWS commercial partition.
        binding: Ties the document to the connection.
        timeout: Seconds for the TLS handshake and the attestation together, at most 86400.
        max_age: The maximum age of the document. A nonce alone already limits it to the duration
            of the exchange; required if the binding has none.
        consistency: As for ``Verifier``.
        unknown_fields: As for ``Verifier``.
        revocation: As for ``Verifier``.
        webpki: Also require a certificate that the system's trust store accepts for the host.

    Attributes:
        context: The settings of the TLS connections: TLS 1.2 or later, HTTP/1.1 only, no
            renegotiation, and without ``webpki``, any certificate.
        timeout: The argument.

    Raises:
        InputError: ``input.*`` or ``policyfile.*``: an argument is invalid.
    """

    def __init__(
        self,
        *,
        policy: EnclavePolicy | Mapping[Any, Any],
        binding: Binding,
        roots: bytes | str | TrustedRoots | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        max_age: timedelta | None = None,
        consistency: Consistency | None = None,
        unknown_fields: UnknownFields = "reject",
        revocation: RevocationLists | None = None,
        webpki: bool = False,
    ) -> None:
        if not isinstance(timeout, (int, float)) or not 0 < timeout <= _MAX_SECONDS:
            raise InputError(
                "input.time",
                f"invalid timeout: expected more than 0 and at most {_MAX_SECONDS} seconds, "
                f"found {timeout!r}",
            )
        check_max_age(max_age)
        self._nonce_bytes = _nonce_bytes(binding)
        if not self._nonce_bytes and max_age is None:
            raise InputError(
                "input.time",
                f"{type(binding).__name__} has no nonce: pass max_age, or the document may be old",
            )
        self._verifier = Verifier(
            roots,
            policy=policy,
            consistency=consistency,
            unknown_fields=unknown_fields,
            revocation=revocation,
        )
        self._binding = binding
        self._max_age = max_age
        self.timeout = timeout
        self.context = _context(webpki)

    def deadline(self, timeout: float | None = None) -> Deadline:
        """Returns the deadline of a connection that is opened now.

        Args:
            timeout: A further limit in seconds; None for none.
        """
        return Deadline(self.timeout if timeout is None else min(self.timeout, timeout))

    def begin(self, tls: ssl.SSLSocket | ssl.SSLObject, host: str | None = None) -> Exchange:
        """Begins the attestation of a connection.

        Args:
            tls: The connection after its handshake, before its first byte.
            host: The server's name or IP address, for the Host header; None if it has none.

        Returns:
            The exchange, with a nonce of its own.

        Raises:
            InputError: ``input.endpoint``: the host is not one. ``input.expected``: the binding's
                target is not a path.
            EnclaveError: ``transport.tls``: the handshake does not prove the key of a certificate,
                or agreed on a different protocol.
        """
        nonce = os.urandom(self._nonce_bytes)
        return Exchange(self, peer_of(tls), _request(self._binding, nonce, host), nonce)

    def verify(self, body: bytes, nonce: bytes, peer: Peer) -> Attested:
        """Verifies the document in an answer and its binding to the connection.

        Args:
            body: The body of the answer.
            nonce: The nonce that was sent on this connection.
            peer: The server of this connection.

        Returns:
            The result.

        Raises:
            FormatError: ``document.*``, ``cbor.*``, ``cose.*`` or ``payload.*``: the body is not a
                document of an enclave.
            ChainError: ``chain.*`` or ``cert.*``: as for ``Verifier.verify``.
            SignatureError: ``signature.*``: as for ``Verifier.verify``.
            PolicyError: ``policy.*``, ``freshness.*`` or ``consistency.*``: as for
                ``Verifier.verify``; ``policy.binding``: the document names a different key (B-1).
        """
        document = self._binding.document(body)
        expected = nonce if self._nonce_bytes else UNCHECKED
        attestation = self._verifier.verify(document, nonce=expected, max_age=self._max_age)
        bound = self._binding.check(attestation, peer)
        return Attested(attestation, bound, document)


@dataclass(frozen=True, slots=True)
class Attested:
    """The attestation of the server of one connection.

    Attributes:
        attestation: The result of the verification.
        bound: The key that the document and the connection have in common.
        document: The raw document.
    """

    attestation: Attestation
    bound: Bound
    document: bytes


class Exchange:
    """The attestation of one connection; made by ``ChannelVerifier.begin``.

    Args:
        channel: Verifies the answer.
        peer: The server of the connection.
        request: The request with the challenge.
        nonce: The nonce in it.

    Attributes:
        request: The bytes to send, before anything else.
        nonce: The nonce in them.
    """

    def __init__(self, channel: ChannelVerifier, peer: Peer, request: bytes, nonce: bytes) -> None:
        self.request = request
        self._channel = channel
        self._peer = peer
        self.nonce = nonce
        self._parser = ResponseParser(_MAX_BODY_BYTES)

    def feed(self, data: bytes) -> Attested | None:
        """Takes what was received, and verifies the answer when it is complete.

        Args:
            data: Bytes from the connection; none if the server closed it.

        Returns:
            The result, or None if the answer is incomplete.

        Raises:
            EnclaveError: ``transport.*``: the answer is not one HTTP answer with status 200.
            NitroAttestError: As for ``ChannelVerifier.verify``. After any error, close the
                connection.
        """
        response = self._parser.feed(data) if data else self._parser.end()
        if response is None:
            return None
        check_status(response)
        if response.rest:
            raise EnclaveError(
                "transport.http",
                "unexpected data after the answer to the challenge: expected none, found "
                f"{plural(len(response.rest), 'byte')}",
            )
        return self._channel.verify(response.body, self.nonce, self._peer)


class RejectedError(Exception):
    """Carries an error through an HTTP library.

    httpcore removes the cause of every exception, and urllib3 repeats a request after errors that
    it knows.
    """

    def __init__(self, error: NitroAttestError) -> None:
        super().__init__(error)
        self.error = error


class Lifetime:
    """The time for which a pooled connection may be used.

    Args:
        reattest: The time from its attestation until a connection is closed.
        clock: Returns the time in seconds, and never goes back.

    Raises:
        InputError: ``input.time``: the duration is not positive.
    """

    def __init__(self, reattest: timedelta, clock: Callable[[], float] = time.monotonic) -> None:
        if not isinstance(reattest, timedelta) or reattest <= timedelta(0):
            raise InputError(
                "input.time", f"expected reattest to be a positive timedelta, found {reattest!r}"
            )
        self._seconds = reattest.total_seconds()
        self._clock = clock

    def start(self) -> Callable[[], bool]:
        """Starts the lifetime of one connection.

        Returns:
            A function that returns True once the connection must not be used any more.
        """
        end = self._clock() + self._seconds
        return lambda: self._clock() >= end


def peer_of(tls: ssl.SSLSocket | ssl.SSLObject) -> Peer:
    """Returns the server of a connection.

    Raises:
        EnclaveError: ``transport.tls``: the session was resumed, so that the server proved no key
            on this connection; it sent no certificate; or the protocol is not TLS 1.2 or later
            with HTTP/1.1.
    """
    if tls.version() not in _VERSIONS or tls.selected_alpn_protocol() not in (None, _ALPN):
        raise EnclaveError(
            "transport.tls",
            f"unexpected protocol: expected TLS 1.2 or later with {_ALPN}, found {tls.version()} "
            f"with {tls.selected_alpn_protocol()}",
        )
    if tls.session_reused:
        raise EnclaveError(
            "transport.tls", "resumed TLS session: expected a full handshake for every connection"
        )
    certificate = tls.getpeercert(
        True
    )  # by position: httpcore passes the object below an SSLSocket
    if certificate is None:
        raise EnclaveError("transport.tls", "the server sent no certificate")
    return Peer(certificate)


def check_host(host: object) -> str:
    """Checks the name of a server: part of the request and of the handshake.

    Raises:
        InputError: ``input.endpoint``: it is neither a name nor an IP address.
    """
    if isinstance(host, str) and _HOST.fullmatch(host):
        with suppress(UnicodeError):  # an empty or long label, on which ssl leaves a socket open
            host.encode("idna")
            return host
    raise InputError(
        "input.endpoint", f"invalid host: expected a name or an IP address, found {host!r:.200}"
    )


def handshake_error(error: Exception) -> EnclaveError:
    """Builds the error of a handshake that failed."""
    return EnclaveError("transport.tls", f"the TLS handshake failed: {str(error) or repr(error)}")


def _context(webpki: bool) -> ssl.SSLContext:
    # Not create_default_context(), which writes the keys to a file that SSLKEYLOGFILE names.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if webpki:
        context.load_default_certs()
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # the document vouches for the key
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    context.set_alpn_protocols([_ALPN])
    return context


def _nonce_bytes(binding: Binding) -> int:
    size = binding.nonce_bytes
    if type(size) is int and (size == 0 or MIN_NONCE_BYTES <= size <= DEFAULT_OPTIONAL_BYTES):
        return size
    raise InputError(
        "input.nonce",
        f"invalid nonce_bytes of the binding: expected 0, or {MIN_NONCE_BYTES} to "
        f"{DEFAULT_OPTIONAL_BYTES}, found {size!r}",
    )


def _request(binding: Binding, nonce: bytes, host: str | None) -> bytes:
    target = binding.target(nonce)
    if not _TARGET.fullmatch(target):
        raise InputError(
            "input.expected",
            f"invalid target of the binding: expected a path, found {target[:200]!r}",
        )
    host = "enclave" if host is None else check_host(host)
    authority = f"[{host}]" if ":" in host else host
    # Without the port, which an adapter does not know behind a proxy.
    return f"GET {target} HTTP/1.1\r\nHost: {authority}\r\nAccept: */*\r\n\r\n".encode("ascii")
