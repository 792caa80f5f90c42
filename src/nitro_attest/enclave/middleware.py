"""Middleware that answers the challenge in front of an ASGI or a WSGI application.

    GET /.well-known/nitro-attestation?nonce=<64 hex digits>

is answered with a document for this nonce that names the TLS key; every other request is passed to
the application. The server must terminate TLS with ``AttestedIdentity.ssl_context()`` in the same
process: behind a proxy that terminates TLS, the document names a key that the client does not see,
and the client rejects the connection.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any

from nitro_attest.enclave.answers import (
    NsmWorker,
    answer_challenge,
    wait_for_challenge_answer,
)
from nitro_attest.transport.connection import CHALLENGE_PATH

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from nitro_attest.enclave.tls import AttestedIdentity

__all__ = ["AsgiAttestation", "WsgiAttestation"]

AsgiMessage = MutableMapping[str, Any]
AsgiReceive = Callable[[], Awaitable[AsgiMessage]]
AsgiSend = Callable[[AsgiMessage], Awaitable[None]]
AsgiApplication = Callable[[AsgiMessage, AsgiReceive, AsgiSend], Awaitable[None]]
"""An ASGI application: a callable that takes the scope, receive and send."""


class AsgiAttestation:
    """An ASGI application that answers the challenge, in front of another one.

    Args:
        application: The application, which receives every other request.
        identity: The identity whose ``ssl_context()`` the server uses.
        queued: Maximum number of challenges that wait for the NSM; more are answered 503.
        nsm_seconds: Seconds until the NSM must have answered; then 504.

    Example:
        >>> from nitro_attest.enclave.middleware import AsgiAttestation
        >>> attested = AsgiAttestation(application, identity)  # doctest: +SKIP
        >>> uvicorn.run(
        ...     attested, ssl_context_factory=lambda *_: identity.ssl_context()
        ... )  # doctest: +SKIP
    """

    def __init__(
        self,
        application: AsgiApplication,
        identity: AttestedIdentity,
        *,
        queued: int = 256,
        nsm_seconds: float = 10.0,
    ) -> None:
        self._application = application
        self._worker = NsmWorker(identity.document, queued=queued, seconds=nsm_seconds)

    async def __call__(self, scope: AsgiMessage, receive: AsgiReceive, send: AsgiSend) -> None:
        """Answers one request, or passes it on."""
        if scope["type"] != "http" or scope["path"] != CHALLENGE_PATH:
            await self._application(scope, receive, send)
            return
        # A query is ASCII (RFC 3986); any other byte becomes a character that no nonce has.
        query = scope["query_string"].decode("latin-1")
        answer = await answer_challenge(self._worker, scope["method"], query)
        headers = [(name.lower().encode(), text.encode()) for name, text in answer.headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    def close(self) -> None:
        """Ends the thread that calls the NSM, which else ends with the process."""
        self._worker.stop()


class WsgiAttestation:
    """A WSGI application that answers the challenge, in front of another one.

    Args:
        application: The application, which receives every other request.
        identity: The identity whose ``ssl_context()`` the server uses.
        queued: Maximum number of challenges that wait for the NSM; more are answered 503.
        nsm_seconds: Seconds until the NSM must have answered; then 504.

    Example:
        >>> from nitro_attest.enclave.middleware import WsgiAttestation
        >>> attested = WsgiAttestation(application, identity)  # doctest: +SKIP
    """

    def __init__(
        self,
        application: WSGIApplication,
        identity: AttestedIdentity,
        *,
        queued: int = 256,
        nsm_seconds: float = 10.0,
    ) -> None:
        self._application = application
        self._worker = NsmWorker(identity.document, queued=queued, seconds=nsm_seconds)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answers one request, or passes it on."""
        if environ.get("PATH_INFO") != CHALLENGE_PATH:
            return self._application(environ, start_response)
        method, query = environ["REQUEST_METHOD"], environ.get("QUERY_STRING", "")
        answer = wait_for_challenge_answer(self._worker, method, query)
        start_response(answer.status_text, answer.headers)
        return [answer.body]

    def close(self) -> None:
        """Ends the thread that calls the NSM, which else ends with the process."""
        self._worker.stop()
