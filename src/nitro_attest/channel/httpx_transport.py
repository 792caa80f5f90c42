"""Transports for httpx that attest every connection before its first request."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

from nitro_attest.channel.bindings.base import Binding
from nitro_attest.channel.exchange import (
    DEFAULT_BINDING,
    DEFAULT_REATTEST,
    DEFAULT_TIMEOUT,
    RECEIVE_BYTES,
    ChannelVerifier,
    Exchange,
    Lifetime,
    RejectedError,
    check_host,
    handshake_error,
)
from nitro_attest.errors import EnclaveError, InputError, NitroAttestError
from nitro_attest.transport.connection import Deadline
from nitro_attest.verification.attestation import Attestation
from nitro_attest.verification.core import UnknownFields
from nitro_attest.verification.policy import EnclavePolicy
from nitro_attest.verification.revocation import RevocationLists
from nitro_attest.verification.roots import TrustedRoots
from nitro_attest.verification.verifier import Consistency

try:
    import anyio
    import httpcore
    import httpx
except ImportError as error:
    raise InputError(
        "input.extra", f"httpx is not installed ({error}); install this package with its extra http"
    ) from error

__all__ = ["AsyncAttestedTransport", "AttestedTransport"]

_ATTESTATION: Final = "nitro_attestation"
_DEFAULT_LIMITS: Final = httpx.Limits(
    max_connections=100, max_keepalive_connections=20, keepalive_expiry=None
)

_ERRORS: Final[tuple[tuple[type[Exception], type[httpx.TransportError]], ...]] = (
    (httpcore.ConnectTimeout, httpx.ConnectTimeout),
    (httpcore.ReadTimeout, httpx.ReadTimeout),
    (httpcore.WriteTimeout, httpx.WriteTimeout),
    (httpcore.PoolTimeout, httpx.PoolTimeout),
    (httpcore.ConnectError, httpx.ConnectError),
    (httpcore.ReadError, httpx.ReadError),
    (httpcore.WriteError, httpx.WriteError),
    (httpcore.ProxyError, httpx.ProxyError),
    (httpcore.LocalProtocolError, httpx.LocalProtocolError),
    (httpcore.RemoteProtocolError, httpx.RemoteProtocolError),
)
"""The errors of httpcore that a connection can raise, and what httpx raises for them."""


class AttestedTransport(httpx.BaseTransport):
    """A transport for ``httpx.Client``: nothing is sent to a server that is not attested.

    Every new connection is attested once, before its first request, and is closed ``reattest``
    later. Each response has its connection's attestation in ``extensions["nitro_attestation"]``. A
    redirect to another host opens a connection that is attested too. Proxy settings of the
    environment are ignored. Thread-safe.

    Requests raise ``httpx.ConnectError``, or ``httpx.ConnectTimeout`` for ``transport.timeout``, if
    the server is rejected; their ``__cause__`` is the NitroAttestError. A URL that is not https
    raises ``httpx.UnsupportedProtocol`` in the same way (``transport.plaintext``).

    Give ``httpx.Client`` this transport only: the client's own arguments ``proxy`` and ``mounts``
    add transports that attest nothing.

    Args:
        policy: The policy, as for ``Verifier``; there is no default.
        roots: The trusted roots; by default the root of the AWS commercial partition.
        binding: Ties the document to the connection.
        timeout: Seconds for the TLS handshake and the attestation together, at most 86400. The
            client's connect timeout applies to them too.
        max_age: The maximum age of the document; required if the binding has no nonce.
        reattest: The time after which a pooled connection is closed.
        consistency: As for ``Verifier``.
        unknown_fields: As for ``Verifier``.
        revocation: As for ``Verifier``.
        webpki: Also require a certificate that the system's trust store accepts for the host.
        limits: The limits of the pool.
        proxy: URL of a proxy for CONNECT, ``http://host:port``; by default none.
        clock: Returns the time in seconds for ``reattest``, and never goes back.

    Raises:
        InputError: ``input.*`` or ``policyfile.*``: an argument is invalid. ``input.extra``: httpx
            is not installed.

    Example:
        >>> import httpx
        >>> from nitro_attest.channel import AttestedTransport
        >>> transport = AttestedTransport(policy={0: pcr0, 1: pcr1, 2: pcr2})
        >>> with httpx.Client(transport=transport) as client:
        ...     client.post("https://enclave.example/secrets", content=b"...")  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        policy: EnclavePolicy | Mapping[Any, Any],
        roots: bytes | str | TrustedRoots | None = None,
        binding: Binding = DEFAULT_BINDING,
        timeout: float = DEFAULT_TIMEOUT,
        max_age: timedelta | None = None,
        reattest: timedelta = DEFAULT_REATTEST,
        consistency: Consistency | None = None,
        unknown_fields: UnknownFields = "reject",
        revocation: RevocationLists | None = None,
        webpki: bool = False,
        limits: httpx.Limits = _DEFAULT_LIMITS,
        proxy: str | httpx.URL | httpx.Proxy | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        channel = ChannelVerifier(
            policy=policy,
            roots=roots,
            binding=binding,
            timeout=timeout,
            max_age=max_age,
            consistency=consistency,
            unknown_fields=unknown_fields,
            revocation=revocation,
            webpki=webpki,
        )
        options: dict[str, Any] = {
            **_pool_options(channel, limits),
            "network_backend": _Backend(channel, Lifetime(reattest, clock)),
        }
        self._pool = (
            httpcore.ConnectionPool(**options)
            if proxy is None
            else _ProxyPool(**options, **_proxy_options(proxy))
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Sends a request.

        Args:
            request: The request.

        Returns:
            The response, with the attestation in its extensions.

        Raises:
            httpx.TransportError: As described for the class; later errors as for httpx's own
                transport.
        """
        _check_scheme(request)
        with _translated():
            response = self._pool.handle_request(_outgoing(request))
        return _incoming(response, _Body(response))

    def close(self) -> None:
        """Closes all connections."""
        self._pool.close()


class AsyncAttestedTransport(httpx.AsyncBaseTransport):
    """A transport for ``httpx.AsyncClient``: see ``AttestedTransport``.

    Works with asyncio and trio. The verification itself is a plain call of about 0.4 ms for a known
    certificate path.

    Args:
        policy: As for ``AttestedTransport``, like all other arguments.
        roots: As for ``AttestedTransport``.
        binding: As for ``AttestedTransport``.
        timeout: As for ``AttestedTransport``.
        max_age: As for ``AttestedTransport``.
        reattest: As for ``AttestedTransport``.
        consistency: As for ``AttestedTransport``.
        unknown_fields: As for ``AttestedTransport``.
        revocation: As for ``AttestedTransport``.
        webpki: As for ``AttestedTransport``.
        limits: As for ``AttestedTransport``.
        proxy: As for ``AttestedTransport``.
        clock: As for ``AttestedTransport``.

    Raises:
        InputError: As for ``AttestedTransport``.
    """

    def __init__(
        self,
        *,
        policy: EnclavePolicy | Mapping[Any, Any],
        roots: bytes | str | TrustedRoots | None = None,
        binding: Binding = DEFAULT_BINDING,
        timeout: float = DEFAULT_TIMEOUT,
        max_age: timedelta | None = None,
        reattest: timedelta = DEFAULT_REATTEST,
        consistency: Consistency | None = None,
        unknown_fields: UnknownFields = "reject",
        revocation: RevocationLists | None = None,
        webpki: bool = False,
        limits: httpx.Limits = _DEFAULT_LIMITS,
        proxy: str | httpx.URL | httpx.Proxy | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        channel = ChannelVerifier(
            policy=policy,
            roots=roots,
            binding=binding,
            timeout=timeout,
            max_age=max_age,
            consistency=consistency,
            unknown_fields=unknown_fields,
            revocation=revocation,
            webpki=webpki,
        )
        options: dict[str, Any] = {
            **_pool_options(channel, limits),
            "network_backend": _AsyncBackend(channel, Lifetime(reattest, clock)),
        }
        self._pool = (
            httpcore.AsyncConnectionPool(**options)
            if proxy is None
            else _AsyncProxyPool(**options, **_proxy_options(proxy))
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends a request.

        Args:
            request: The request.

        Returns:
            The response, with the attestation in its extensions.

        Raises:
            httpx.TransportError: As described for the class; later errors as for httpx's own
                transport.
        """
        _check_scheme(request)
        with _translated():
            response = await self._pool.handle_async_request(_outgoing(request))
        return _incoming(response, _AsyncBody(response))

    async def aclose(self) -> None:
        """Closes all connections."""
        await self._pool.aclose()


# Network streams. httpcore calls start_tls() on a new connection, behind a proxy after CONNECT, and
# sends requests on the stream that it returns.


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, timeout)

    def close(self) -> None:
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _PlainStream(_Stream):
    """A connection before TLS."""

    def __init__(
        self, inner: httpcore.NetworkStream, channel: ChannelVerifier, lifetime: Lifetime
    ) -> None:
        super().__init__(inner)
        self._channel = channel
        self._lifetime = lifetime

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        deadline = self._channel.deadline(timeout)
        has_expired = self._lifetime.start()
        opened = self._inner
        try:
            with _rejecting(deadline):
                check_host(server_hostname)
                opened = opened.start_tls(ssl_context, server_hostname, deadline.remaining())
                exchange = self._channel.begin(opened.get_extra_info("ssl_object"), server_hostname)
                attestation = _attest(opened, exchange, deadline)
        except BaseException:
            opened.close()
            raise
        return _AttestedStream(opened, attestation, has_expired)


class _AttestedStream(_Stream):
    """A connection whose server is attested."""

    def __init__(
        self,
        inner: httpcore.NetworkStream,
        attestation: Attestation,
        has_expired: Callable[[], bool],
    ) -> None:
        super().__init__(inner)
        self._attestation = attestation
        self._has_expired = has_expired

    def get_extra_info(self, info: str) -> Any:
        if info == _ATTESTATION:
            return self._attestation
        # httpcore closes an idle connection that is readable.
        return (info == "is_readable" and self._has_expired()) or super().get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    def __init__(self, channel: ChannelVerifier, lifetime: Lifetime) -> None:
        self._inner = httpcore.SyncBackend()
        self._channel = channel
        self._lifetime = lifetime

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
        return _PlainStream(stream, self._channel, self._lifetime)


class _AsyncStream(httpcore.AsyncNetworkStream):
    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._inner.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _AsyncPlainStream(_AsyncStream):
    """A connection before TLS."""

    def __init__(
        self, inner: httpcore.AsyncNetworkStream, channel: ChannelVerifier, lifetime: Lifetime
    ) -> None:
        super().__init__(inner)
        self._channel = channel
        self._lifetime = lifetime

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        deadline = self._channel.deadline(timeout)
        has_expired = self._lifetime.start()
        opened = self._inner
        try:
            with _rejecting(deadline):
                check_host(server_hostname)
                opened = await opened.start_tls(ssl_context, server_hostname, deadline.remaining())
                exchange = self._channel.begin(opened.get_extra_info("ssl_object"), server_hostname)
                attestation = await _attest_async(opened, exchange, deadline)
        except BaseException:
            with anyio.CancelScope(shield=True):  # a cancelled task must not leave a socket open
                await opened.aclose()
            raise
        return _AsyncAttestedStream(opened, attestation, has_expired)


class _AsyncAttestedStream(_AsyncStream):
    """A connection whose server is attested."""

    def __init__(
        self,
        inner: httpcore.AsyncNetworkStream,
        attestation: Attestation,
        has_expired: Callable[[], bool],
    ) -> None:
        super().__init__(inner)
        self._attestation = attestation
        self._has_expired = has_expired

    def get_extra_info(self, info: str) -> Any:
        if info == _ATTESTATION:
            return self._attestation
        # httpcore closes an idle connection that is readable.
        return (info == "is_readable" and self._has_expired()) or super().get_extra_info(info)


class _AsyncBackend(httpcore.AsyncNetworkBackend):
    def __init__(self, channel: ChannelVerifier, lifetime: Lifetime) -> None:
        self._inner = httpcore.AnyIOBackend()
        self._channel = channel
        self._lifetime = lifetime

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stream = await self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
        return _AsyncPlainStream(stream, self._channel, self._lifetime)


def _attest(stream: httpcore.NetworkStream, exchange: Exchange, deadline: Deadline) -> Attestation:
    attested = None
    stream.write(exchange.request, deadline.remaining())
    while attested is None:
        try:
            data = stream.read(RECEIVE_BYTES, deadline.remaining())
        except httpcore.ReadError:
            data = b""  # a reset connection is closed too
        attested = exchange.feed(data)
    return attested.attestation


async def _attest_async(
    stream: httpcore.AsyncNetworkStream, exchange: Exchange, deadline: Deadline
) -> Attestation:
    attested = None
    await stream.write(exchange.request, deadline.remaining())
    while attested is None:
        try:
            data = await stream.read(RECEIVE_BYTES, deadline.remaining())
        except httpcore.ReadError:
            data = b""  # a reset connection is closed too
        attested = exchange.feed(data)
    return attested.attestation


@contextmanager
def _rejecting(deadline: Deadline) -> Iterator[None]:
    """Raises every failure of the handshake and the attestation as a RejectedError."""
    try:
        yield
    except NitroAttestError as error:
        raise RejectedError(error) from None
    except httpcore.TimeoutException:
        raise RejectedError(deadline.error()) from None
    except httpcore.ConnectError as error:
        raise RejectedError(handshake_error(error)) from None
    except httpcore.WriteError:
        no_answer = EnclaveError(
            "transport.no_answer", "the connection was closed without an answer"
        )
        raise RejectedError(no_answer) from None


# Pools behind a proxy. httpcore would keep a tunnel whose TLS failed as an active connection.


class _ProxyPool(httpcore.HTTPProxy):
    def create_connection(self, origin: httpcore.Origin) -> httpcore.ConnectionInterface:
        return _Tunnel(super().create_connection(origin))


class _Tunnel(httpcore.ConnectionInterface):
    """A connection that is closed if a request cannot be sent on it."""

    def __init__(self, inner: httpcore.ConnectionInterface) -> None:
        self._inner = inner

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        try:
            return self._inner.handle_request(request)
        except httpcore.ConnectionNotAvailable:
            raise
        except BaseException:
            self._inner.close()
            raise

    def close(self) -> None:
        self._inner.close()

    def info(self) -> str:
        return self._inner.info()

    def can_handle_request(self, origin: httpcore.Origin) -> bool:
        return self._inner.can_handle_request(origin)

    def is_available(self) -> bool:
        return self._inner.is_available()

    def has_expired(self) -> bool:
        return self._inner.has_expired()

    def is_idle(self) -> bool:
        return self._inner.is_idle()

    def is_closed(self) -> bool:
        return self._inner.is_closed()


class _AsyncProxyPool(httpcore.AsyncHTTPProxy):
    def create_connection(self, origin: httpcore.Origin) -> httpcore.AsyncConnectionInterface:
        return _AsyncTunnel(super().create_connection(origin))


class _AsyncTunnel(httpcore.AsyncConnectionInterface):
    """A connection that is closed if a request cannot be sent on it."""

    def __init__(self, inner: httpcore.AsyncConnectionInterface) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        try:
            return await self._inner.handle_async_request(request)
        except httpcore.ConnectionNotAvailable:
            raise
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._inner.aclose()
            raise

    async def aclose(self) -> None:
        await self._inner.aclose()

    def info(self) -> str:
        return self._inner.info()

    def can_handle_request(self, origin: httpcore.Origin) -> bool:
        return self._inner.can_handle_request(origin)

    def is_available(self) -> bool:
        return self._inner.is_available()

    def has_expired(self) -> bool:
        return self._inner.has_expired()

    def is_idle(self) -> bool:
        return self._inner.is_idle()

    def is_closed(self) -> bool:
        return self._inner.is_closed()


# Between httpx and httpcore.


class _Body(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        with _translated():
            yield from self._response.iter_stream()

    def close(self) -> None:
        self._response.close()


class _AsyncBody(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _translated():
            async for part in self._response.aiter_stream():
                yield part

    async def aclose(self) -> None:
        await self._response.aclose()


@contextmanager
def _translated() -> Iterator[None]:
    """Raises the errors of httpcore, and rejected servers, as errors of httpx."""
    try:
        yield
    except RejectedError as rejected:
        kind = _rejection_of(rejected.error)
        raise kind(str(rejected.error)) from rejected.error
    except tuple(kind for kind, _ in _ERRORS) as error:
        kind = next(ours for theirs, ours in _ERRORS if isinstance(error, theirs))
        raise kind(str(error)) from error


def _rejection_of(error: NitroAttestError) -> type[httpx.TransportError]:
    return httpx.ConnectTimeout if error.code == "transport.timeout" else httpx.ConnectError


def _check_scheme(request: httpx.Request) -> None:
    if request.url.scheme != "https":
        error = EnclaveError(
            "transport.plaintext", f"expected an https URL, found {request.url.scheme}"
        )
        raise httpx.UnsupportedProtocol(str(error)) from error


def _outgoing(request: httpx.Request) -> httpcore.Request:
    url = httpcore.URL(
        scheme=request.url.raw_scheme,
        host=request.url.raw_host,
        port=request.url.port,
        target=request.url.raw_path,
    )
    return httpcore.Request(
        method=request.method,
        url=url,
        headers=request.headers.raw,
        content=request.stream,
        extensions=request.extensions,
    )


def _incoming(
    response: httpcore.Response, body: httpx.SyncByteStream | httpx.AsyncByteStream
) -> httpx.Response:
    attestation = response.extensions["network_stream"].get_extra_info(_ATTESTATION)
    return httpx.Response(
        status_code=response.status,
        headers=response.headers,
        stream=body,
        extensions={**response.extensions, _ATTESTATION: attestation},
    )


def _pool_options(channel: ChannelVerifier, limits: httpx.Limits) -> dict[str, Any]:
    return {
        "ssl_context": channel.context,
        "max_connections": limits.max_connections,
        "max_keepalive_connections": limits.max_keepalive_connections,
        "keepalive_expiry": limits.keepalive_expiry,
    }


def _proxy_options(proxy: str | httpx.URL | httpx.Proxy) -> dict[str, Any]:
    try:
        proxy = proxy if isinstance(proxy, httpx.Proxy) else httpx.Proxy(proxy)
    except (ValueError, TypeError, httpx.InvalidURL):
        raise _proxy_error(proxy) from None
    if proxy.url.scheme != "http" or not proxy.url.host:
        raise _proxy_error(proxy.url)
    return {
        "proxy_url": str(proxy.url.copy_with(raw_path=b"/")),
        "proxy_auth": proxy.raw_auth,
        "proxy_headers": proxy.headers.raw,
    }


def _proxy_error(found: object) -> InputError:
    return InputError(
        "input.endpoint", f"invalid proxy: expected http://host:port, found {found!r:.200}"
    )
