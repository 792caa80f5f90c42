"""Challenges an enclave from outside: sends a nonce, receives a document, and verifies it.

A verified document proves that some enclave with the expected measurements answered this nonce. It
does not prove that another connection ends at this enclave: anyone can relay a challenge. For the
rest of the session, use only the document's ``public_key``.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from nitro_attest._internal.wording import size_or_type
from nitro_attest.errors import EnclaveError, InputError
from nitro_attest.limits import MAX_DOCUMENT_BYTES, MAX_NONCE_BYTES, MIN_NONCE_BYTES, NONCE_BYTES
from nitro_attest.transport.connection import (
    Deadline,
    Endpoint,
    HttpEndpoint,
    connect,
    connect_async,
    parse_endpoint,
)
from nitro_attest.transport.response import Response, ResponseParser, check_status
from nitro_attest.verification.attestation import Attestation
from nitro_attest.verification.core import UnknownFields
from nitro_attest.verification.policy import AnyEnclave, Policy
from nitro_attest.verification.revocation import RevocationLists
from nitro_attest.verification.roots import TrustedRoots
from nitro_attest.verification.verifier import Consistency, Verifier

__all__ = ["Fetched", "attest", "attest_async", "fetch", "fetch_async"]

_RETRY_SECONDS: Final = 0.25
_MAX_SECONDS: Final = 86400
_PIECE_BYTES: Final = 4096
_NOTHING_RECEIVED: Final = frozenset(
    {"transport.refused", "transport.no_cid", "transport.no_answer"}
)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A document as it was received; nothing in it is verified.

    Attributes:
        document: The document, 1 to 16384 bytes.
        nonce: The nonce that was sent, 16 to 64 bytes; the document may contain a different one.
    """

    document: bytes
    nonce: bytes


def fetch(
    endpoint: str, nonce: bytes | None = None, *, timeout: float = 15.0, wait: float = 0.0
) -> Fetched:
    """Challenges an enclave and returns its document without verifying it.

    To verify it, pass both parts of the result to a ``Verifier``, or use ``attest``.

    Args:
        endpoint: ``vsock:CID:PORT``, ``unix:/path:PORT`` (hybrid vsock), ``unix:/path`` or
            ``http://host:port``. Redirects are not followed; proxy settings are ignored.
        nonce: 16 to 64 bytes, to be used only once; by default 32 random bytes.
        timeout: Seconds for one attempt, from the connection to the last byte; at most 86400.
        wait: Seconds during which attempts that received nothing are repeated, for an enclave
            that is still booting; at most 86400. The call takes at most ``wait + timeout``.

    Returns:
        The document and the nonce.

    Raises:
        InputError: ``input.endpoint``, ``input.nonce`` or ``input.time``: that argument is
            invalid.
        EnclaveError: ``transport.*``: no document was received (docs/reference/codes.md).

    Example:
        >>> from nitro_attest.enclave.client import fetch
        >>> fetched = fetch("vsock:16:1300", wait=60)  # doctest: +SKIP
        >>> verifier.verify(fetched.document, nonce=fetched.nonce)  # doctest: +SKIP
    """
    challenge = _challenge(endpoint, nonce, timeout, wait)
    end = time.monotonic() + wait
    while True:
        deadline = Deadline(timeout)
        try:
            with connect(challenge.endpoint, deadline) as connection:
                response = _ask(connection, challenge.request, deadline)
            return Fetched(_document(response), challenge.nonce)
        except EnclaveError as error:
            if error.code not in _NOTHING_RECEIVED or time.monotonic() >= end:
                raise
        time.sleep(_RETRY_SECONDS)


async def fetch_async(
    endpoint: str, nonce: bytes | None = None, *, timeout: float = 15.0, wait: float = 0.0
) -> Fetched:
    """Does the same as ``fetch`` in the running event loop.

    If the task is cancelled, the connection is closed.

    Args:
        endpoint: The enclave's endpoint, as for ``fetch``.
        nonce: The nonce, as for ``fetch``.
        timeout: Seconds for one attempt, as for ``fetch``.
        wait: Seconds for repeated attempts, as for ``fetch``.

    Returns:
        The document and the nonce.

    Raises:
        InputError: As for ``fetch``.
        EnclaveError: As for ``fetch``.
    """
    challenge = _challenge(endpoint, nonce, timeout, wait)
    end = time.monotonic() + wait
    while True:
        deadline = Deadline(timeout)
        try:
            with await connect_async(challenge.endpoint, deadline) as connection:
                response = await deadline.limit(_ask_async(connection, challenge.request))
            return Fetched(_document(response), challenge.nonce)
        except EnclaveError as error:
            if error.code not in _NOTHING_RECEIVED or time.monotonic() >= end:
                raise
        await asyncio.sleep(_RETRY_SECONDS)


def attest(
    endpoint: str,
    *,
    policy: Policy | AnyEnclave | Mapping[int, bytes | str],
    roots: bytes | str | TrustedRoots | None = None,
    nonce: bytes | None = None,
    max_age: timedelta | None = None,
    consistency: Consistency | None = None,
    unknown_fields: UnknownFields = "reject",
    revocation: RevocationLists | None = None,
    timeout: float = 15.0,
    wait: float = 0.0,
) -> Attestation:
    """Challenges an enclave and verifies its document, including the nonce.

    Args:
        endpoint: The enclave's endpoint, as for ``fetch``.
        policy: The expected measurements and other requirements; there is no default.
        roots: The trusted roots; by default the root of the AWS commercial partition.
        nonce: The nonce, as for ``fetch``.
        max_age: The maximum age of the document. The nonce alone already limits it to the
            duration of the exchange.
        consistency: Reject, or only warn, if the names in the document and in its certificates
            disagree (X-24), as for ``Verifier``.
        unknown_fields: Reject fields that this version does not know, or skip them with a warning
            (P-7), as for ``Verifier``.
        revocation: The revocation lists to check the certificates against, as for ``Verifier``.
        timeout: Seconds for one attempt, as for ``fetch``.
        wait: Seconds for repeated attempts, as for ``fetch``.

    Returns:
        The attestation. The sender may have relayed it: use only its ``public_key`` for the rest
        of the session.

    Raises:
        InputError: ``input.*`` or ``policyfile.*``: an argument is invalid.
        EnclaveError: ``transport.*``: no document was received.
        FormatError: ``document.*``, ``cbor.*``, ``cose.*`` or ``payload.*``: the answer is not an
            enclave's attestation document (rules C-* and P-*).
        ChainError: ``chain.*`` or ``cert.*``: the certificates do not lead to a trusted root
            (rules X-*).
        SignatureError: ``signature.*``: the signature is invalid (C-14, C-16).
        PolicyError: ``policy.*``, ``freshness.*`` or ``consistency.*``: the document is authentic
            but does not meet the requirements; ``policy.nonce`` if it answers a different
            challenge.

    Example:
        >>> from nitro_attest import load_public_key
        >>> from nitro_attest.enclave.client import attest
        >>> attestation = attest("vsock:16:1300", policy={0: pcr0})  # doctest: +SKIP
        >>> key = load_public_key(attestation)  # doctest: +SKIP
    """
    # Made before the challenge, so that a wrong argument needs none.
    verifier = Verifier(
        roots,
        policy=policy,
        consistency=consistency,
        unknown_fields=unknown_fields,
        revocation=revocation,
    )
    fetched = fetch(endpoint, nonce, timeout=timeout, wait=wait)
    return verifier.verify(fetched.document, nonce=fetched.nonce, max_age=max_age)


async def attest_async(
    endpoint: str,
    *,
    policy: Policy | AnyEnclave | Mapping[int, bytes | str],
    roots: bytes | str | TrustedRoots | None = None,
    nonce: bytes | None = None,
    max_age: timedelta | None = None,
    consistency: Consistency | None = None,
    unknown_fields: UnknownFields = "reject",
    revocation: RevocationLists | None = None,
    timeout: float = 15.0,
    wait: float = 0.0,
) -> Attestation:
    """Does the same as ``attest`` in the running event loop.

    The verification itself takes about a millisecond of the loop's thread. If the task is
    cancelled, the connection is closed.

    Args:
        endpoint: The enclave's endpoint, as for ``fetch``.
        policy: The expected measurements and other requirements; there is no default.
        roots: The trusted roots; by default the root of the AWS commercial partition.
        nonce: The nonce, as for ``fetch``.
        max_age: The maximum age of the document, as for ``attest``.
        consistency: As for ``attest``.
        unknown_fields: As for ``attest``.
        revocation: As for ``attest``.
        timeout: Seconds for one attempt, as for ``fetch``.
        wait: Seconds for repeated attempts, as for ``fetch``.

    Returns:
        The attestation, as for ``attest``.

    Raises:
        InputError: As for ``attest``.
        EnclaveError: As for ``attest``.
        FormatError: As for ``attest``.
        ChainError: As for ``attest``.
        SignatureError: As for ``attest``.
        PolicyError: As for ``attest``.

    Example:
        >>> from nitro_attest.enclave.client import attest_async
        >>> attestation = await attest_async(
        ...     "vsock:16:1300", policy={0: pcr0}
        ... )  # doctest: +SKIP
    """
    verifier = Verifier(
        roots,
        policy=policy,
        consistency=consistency,
        unknown_fields=unknown_fields,
        revocation=revocation,
    )
    fetched = await fetch_async(endpoint, nonce, timeout=timeout, wait=wait)
    return verifier.verify(fetched.document, nonce=fetched.nonce, max_age=max_age)


@dataclass(frozen=True, slots=True)
class _Challenge:
    endpoint: Endpoint
    nonce: bytes
    request: bytes


def _challenge(endpoint: str, nonce: bytes | None, timeout: float, wait: float) -> _Challenge:
    where = parse_endpoint(endpoint)
    if nonce is None:
        nonce = os.urandom(NONCE_BYTES)
    _check_arguments(nonce, timeout, wait)
    host = where.authority if isinstance(where, HttpEndpoint) else "enclave"
    request = (
        f"GET /attestation/raw?nonce={nonce.hex()} HTTP/1.1\r\nHost: {host}\r\n"
        "Accept: application/octet-stream\r\nConnection: close\r\n\r\n"
    )
    return _Challenge(where, nonce, request.encode("ascii"))


def _check_arguments(nonce: object, timeout: object, wait: object) -> None:
    if not isinstance(nonce, bytes) or not MIN_NONCE_BYTES <= len(nonce) <= MAX_NONCE_BYTES:
        raise InputError(
            "input.nonce",
            f"invalid nonce: expected {MIN_NONCE_BYTES} to {MAX_NONCE_BYTES} bytes, "
            f"found {size_or_type(nonce)}",
        )
    if not _is_seconds(timeout) or not timeout:
        raise InputError(
            "input.time",
            f"invalid timeout: expected more than 0 and at most {_MAX_SECONDS} seconds, "
            f"found {timeout!r}",
        )
    if not _is_seconds(wait):
        raise InputError(
            "input.time",
            f"invalid wait: expected 0 to {_MAX_SECONDS} seconds, found {wait!r}",
        )


def _is_seconds(value: object) -> bool:
    return isinstance(value, (int, float)) and 0 <= value <= _MAX_SECONDS


def _ask(connection: socket.socket, request: bytes, deadline: Deadline) -> Response:
    parser = ResponseParser(MAX_DOCUMENT_BYTES)
    response = None
    try:
        connection.settimeout(deadline.remaining())
        connection.sendall(request)
        while response is None:
            connection.settimeout(deadline.remaining())
            data = connection.recv(_PIECE_BYTES)
            if not data:
                break
            response = parser.feed(data)
    except TimeoutError:
        raise deadline.error() from None
    except OSError:
        response = None  # a reset connection is closed too
    return response or parser.end()


async def _ask_async(connection: socket.socket, request: bytes) -> Response:
    loop = asyncio.get_running_loop()
    parser = ResponseParser(MAX_DOCUMENT_BYTES)
    response = None
    try:
        await loop.sock_sendall(connection, request)
        while response is None:
            data = await loop.sock_recv(connection, _PIECE_BYTES)
            if not data:
                break
            response = parser.feed(data)
    except OSError:
        response = None  # a reset connection is closed too
    return response or parser.end()


def _document(response: Response) -> bytes:
    check_status(response)
    if not response.body:
        raise EnclaveError("transport.http", "empty answer: expected a document")
    return response.body
