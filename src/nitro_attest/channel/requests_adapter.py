"""An adapter for requests that attests every connection before its first request."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urljoin, urlsplit

from nitro_attest.channel.bindings.base import Binding
from nitro_attest.channel.exchange import (
    DEFAULT_BINDING,
    DEFAULT_REATTEST,
    DEFAULT_TIMEOUT,
    ChannelVerifier,
    Lifetime,
    RejectedError,
    check_host,
    handshake_error,
)
from nitro_attest.channel.sockets import attest_socket
from nitro_attest.errors import EnclaveError, InputError, NitroAttestError
from nitro_attest.transport.connection import Deadline
from nitro_attest.verification.attestation import Attestation
from nitro_attest.verification.core import UnknownFields
from nitro_attest.verification.policy import EnclavePolicy
from nitro_attest.verification.revocation import RevocationLists
from nitro_attest.verification.roots import TrustedRoots
from nitro_attest.verification.verifier import Consistency

try:
    import requests
    import requests.adapters
    import requests.utils
    import urllib3
    import urllib3.connection
except ImportError as error:
    raise InputError(
        "input.extra",
        f"requests is not installed ({error}); install this package with its extra requests",
    ) from error

__all__ = ["AttestedAdapter"]


class AttestedAdapter(requests.adapters.HTTPAdapter):
    """An adapter for ``requests.Session``: nothing is sent to a server that is not attested.

    Mount it for ``https://``, so that a redirect to another host uses it too. Every new connection
    is attested once, before its first request, and is closed ``reattest`` later. Each response has
    its connection's attestation as its attribute ``nitro_attestation``. A redirect to a URL that is
    not https is rejected. Thread-safe.

    Requests raise ``requests.ConnectionError``, or its subclass ``ConnectTimeout`` for
    ``transport.timeout``, if the server is rejected; their ``__cause__`` is the NitroAttestError.

    The argument ``verify`` of requests has no effect here: the document vouches for the server.
    Proxy settings of the environment are ignored. A proxy or a ``cert`` of the session or the call
    is a usage error.

    Args:
        policy: The policy, as for ``Verifier``; there is no default.
        roots: The trusted roots; by default the root of the AWS commercial partition.
        binding: Ties the document to the connection.
        timeout: Seconds for the TLS handshake and the attestation, at most 86400. A shorter connect
            timeout of the request applies to them too.
        max_age: The maximum age of the document; required if the binding has no nonce.
        reattest: The time after which a pooled connection is closed.
        consistency: As for ``Verifier``.
        unknown_fields: As for ``Verifier``.
        revocation: As for ``Verifier``.
        webpki: Also require a certificate that the system's trust store accepts for the host.
        proxy: URL of a proxy for CONNECT, ``http://host:port``; by default none.
        pool_connections: As for ``requests.adapters.HTTPAdapter``, like the next three.
        pool_maxsize: Maximum number of connections to keep for one host.
        max_retries: Repeated attempts to connect. A rejected server is not tried again.
        pool_block: Wait for a connection rather than open more than ``pool_maxsize``.
        clock: Returns the time in seconds for ``reattest``, and never goes back.

    Raises:
        InputError: ``input.*`` or ``policyfile.*``: an argument is invalid. ``input.extra``:
            requests is not installed.

    Example:
        >>> import requests
        >>> from nitro_attest.channel import AttestedAdapter
        >>> session = requests.Session()
        >>> session.mount("https://", AttestedAdapter(policy={0: pcr0, 1: pcr1, 2: pcr2}))
        >>> session.post("https://enclave.example/secrets", data=b"...")  # doctest: +SKIP
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
        proxy: str | None = None,
        pool_connections: int = requests.adapters.DEFAULT_POOLSIZE,
        pool_maxsize: int = requests.adapters.DEFAULT_POOLSIZE,
        max_retries: int | urllib3.Retry = requests.adapters.DEFAULT_RETRIES,
        pool_block: bool = requests.adapters.DEFAULT_POOLBLOCK,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._channel = ChannelVerifier(
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
        self._pool_class = _pool_class(self._channel, Lifetime(reattest, clock))
        self._proxy = None if proxy is None else _proxy_url(proxy)
        super().__init__(pool_connections, pool_maxsize, max_retries, pool_block)

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any
    ) -> None:
        """Makes the pools; requests calls it.

        Args:
            connections: Number of pools to keep, one for each host.
            maxsize: Maximum number of connections to keep for one host.
            block: Wait for a connection rather than open more than ``maxsize``.
            pool_kwargs: Further arguments of urllib3's PoolManager.
        """
        options: dict[str, Any] = {"num_pools": connections, "maxsize": maxsize, "block": block}
        if self._proxy is None:
            self.poolmanager = urllib3.PoolManager(**options, **pool_kwargs)
        else:
            headers = self.proxy_headers(self._proxy)
            self.poolmanager = urllib3.ProxyManager(
                self._proxy, proxy_headers=headers, **options, **pool_kwargs
            )
        self.poolmanager.pool_classes_by_scheme = {"https": self._pool_class}

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        """Sends a request; the session calls it.

        Args:
            request: The request.
            stream: Leave the body of the response to be read later.
            timeout: Seconds to connect and to read, as for requests.
            verify: Has no effect.
            cert: None.
            proxies: Those of the environment, which are ignored.

        Returns:
            The response, with its attribute ``nitro_attestation``.

        Raises:
            InputError: ``input.expected``: ``cert`` or a proxy of the caller is given.
            requests.RequestException: As described for the class; later errors as for requests' own
                adapter.
        """
        url = str(request.url)
        _check_unused(url, cert, proxies)
        try:
            _check_url(url)
            response = super().send(request, stream, timeout)
            if response.is_redirect:
                _check_redirect(url, response)
        except RejectedError as rejected:
            raise _connection_error(rejected.error, request) from rejected.error
        return response

    def close(self) -> None:
        """Closes all idle connections: urllib3 leaves them open while a response exists."""
        for key in self.poolmanager.pools.keys():  # noqa: SIM118  iteration is forbidden
            if pool := self.poolmanager.pools.get(key):
                pool.close()
        super().close()

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns what selects the pool for a request; requests calls it.

        Args:
            request: The request.
            verify: Has no effect.
            cert: None.

        Returns:
            Scheme, host and port; and the settings of TLS.
        """
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {"ssl_context": self._channel.context}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Leaves the settings of TLS as they are; requests calls it.

        Args:
            conn: The pool.
            url: The URL.
            verify: Has no effect.
            cert: None.
        """

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """Makes the response; requests calls it.

        Args:
            req: The request.
            resp: The response of urllib3.

        Returns:
            The response, with its attribute ``nitro_attestation``.
        """
        response = super().build_response(req, resp)
        # The attribute is ours, in both places: neither library has a place for such values.
        response.nitro_attestation = resp.nitro_attestation  # type: ignore[attr-defined]
        return response


def _pool_class(channel: ChannelVerifier, lifetime: Lifetime) -> type[urllib3.HTTPSConnectionPool]:
    """Makes the pool of one adapter: urllib3 passes its connections no arguments of ours."""

    class AttestedConnection(urllib3.connection.HTTPSConnection):
        def connect(self) -> None:
            deadline = channel.deadline(self.timeout)
            self.timeout = deadline.remaining()
            self._has_expired = lifetime.start()
            try:
                _connect(super().connect, self.proxy is not None, deadline)
                self._attestation = _attest(channel, self, deadline)
            except BaseException:
                self.close()
                raise
            self.is_verified = True

        @property
        def is_connected(self) -> bool:
            # urllib3 opens a connection anew that is not connected.
            return super().is_connected and not self._has_expired()

        # urllib3 itself overrides the method of http.client with a different type.
        def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]
            response = super().getresponse()
            response.nitro_attestation = self._attestation  # type: ignore[attr-defined]
            return response

    class AttestedPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = AttestedConnection

    return AttestedPool


def _connect(connect: Callable[[], None], by_proxy: bool, deadline: Deadline) -> None:
    """Opens TCP and TLS. Errors of the former are those of urllib3."""
    try:
        connect()
    except ssl.SSLError as error:
        raise RejectedError(handshake_error(error)) from None
    except TimeoutError:
        raise RejectedError(deadline.error()) from None
    except OSError as error:
        if by_proxy:  # whose answer it may be
            raise
        raise RejectedError(handshake_error(error)) from None


def _attest(
    channel: ChannelVerifier, connection: urllib3.connection.HTTPSConnection, deadline: Deadline
) -> Attestation:
    tls = connection.sock
    if not isinstance(tls, ssl.SSLSocket):
        raise TypeError(f"expected an SSLSocket of urllib3, found {type(tls).__name__}")
    try:
        attested = attest_socket(channel, tls, tls.server_hostname, deadline)
    except NitroAttestError as error:
        raise RejectedError(error) from None
    tls.settimeout(connection.timeout)
    return attested.attestation


def _connection_error(
    error: NitroAttestError, request: requests.PreparedRequest
) -> requests.ConnectionError:
    timed_out = error.code == "transport.timeout"
    kind = requests.ConnectTimeout if timed_out else requests.ConnectionError
    made = kind(str(error), request=request)
    made.__cause__ = error
    return made


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https":
        raise RejectedError(
            EnclaveError("transport.plaintext", f"expected an https URL, found {url[:200]}")
        )
    try:
        check_host(parts.hostname)
    except InputError as error:
        raise RejectedError(error) from None


def _check_redirect(url: str, response: requests.Response) -> None:
    """Rejects a redirect that the session would follow with an adapter that attests nothing."""
    try:
        _check_url(urljoin(url, response.headers["location"]))
    except RejectedError:
        response.close()
        raise


def _check_unused(url: str, cert: object, proxies: dict[str, str] | None) -> None:
    if cert is not None:
        raise InputError("input.expected", "cert: client certificates are not supported")
    # requests merges the proxies of the environment with those of the caller.
    named = requests.utils.select_proxy(url, proxies)
    ignored = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
    if named is not None and named != ignored:
        raise InputError(
            "input.expected", "proxies: expected none; pass proxy= to AttestedAdapter instead"
        )


def _proxy_url(proxy: object) -> str:
    if isinstance(proxy, str) and re.fullmatch(r"http://[!-~]+", proxy):
        return proxy
    raise InputError(
        "input.endpoint", f"invalid proxy: expected http://host:port, found {proxy!r:.200}"
    )
