"""Forwards TCP connections on the parent instance to an enclave, which has no network.

The forwarder sees only the records of TLS between a client and the enclave. It can delay, cut off
and drop connections, but neither read nor change what they carry without being noticed.
"""

from __future__ import annotations

import json
import socket
import time
from dataclasses import dataclass

from nitro_attest.enclave.answers import LOG
from nitro_attest.enclave.connections import ConnectionServer, Relay, SocketStream, listening
from nitro_attest.errors import EnclaveError
from nitro_attest.transport.connection import (
    Deadline,
    StreamEndpoint,
    check_target,
    connect_async,
    parse_stream_endpoint,
)

__all__ = ["ForwardLimits", "Forwarder", "forward"]


@dataclass(frozen=True, slots=True)
class ForwardLimits:
    """Limits of a forwarder.

    Attributes:
        connections: Maximum number of open connections; more wait in the socket's backlog.
        connect_seconds: Seconds until the connection to the enclave must exist.
        idle_seconds: Seconds without any byte in either direction, after which a connection is
            closed.
        half_closed_seconds: The same after one side has ended its stream.
        stop_seconds: Seconds for open connections after the forwarder is stopped.
    """

    connections: int = 512
    connect_seconds: float = 5.0
    idle_seconds: float = 300.0
    half_closed_seconds: float = 30.0
    stop_seconds: float = 1.5


class Forwarder:
    """Forwards the connections of a listening socket until it is stopped.

    Most programs call ``forward`` instead, which opens the socket.

    Args:
        listener: A listening stream socket of any family; ``run`` closes it.
        to: The enclave: ``VsockEndpoint``, ``UnixEndpoint`` or ``TcpEndpoint``.
        limits: Limits of the forwarder; by default those of ``ForwardLimits()``.
    """

    def __init__(
        self, listener: socket.socket, to: StreamEndpoint, *, limits: ForwardLimits | None = None
    ) -> None:
        self._to = to
        self._limits = limits = limits or ForwardLimits()
        self._server = ConnectionServer(
            listener,
            self._handle,
            connections=limits.connections,
            stop_seconds=limits.stop_seconds,
        )

    def run(self) -> None:
        """Forwards until ``stop`` is called; on the main thread also until SIGTERM or SIGINT."""
        self._server.run()

    def stop(self) -> None:
        """Makes ``run`` return after the open connections; may be called from any thread."""
        self._server.stop()

    async def _handle(self, connection: socket.socket, peer: object) -> None:
        started = time.monotonic()
        up = down = 0
        failure = None
        try:
            with await connect_async(self._to, Deadline(self._limits.connect_seconds)) as enclave:
                relay = Relay(
                    SocketStream(connection),
                    SocketStream(enclave),
                    idle_seconds=self._limits.idle_seconds,
                    half_closed_seconds=self._limits.half_closed_seconds,
                )
                try:
                    await relay.run()
                finally:
                    up, down = relay.up, relay.down
        except (OSError, EnclaveError) as error:
            failure = str(error)
        finally:
            line = {
                "event": "connection",
                "peer": str(peer),
                "up": up,
                "down": down,
                "error": failure,
                "ms": round((time.monotonic() - started) * 1000, 1),
            }
            LOG.info(json.dumps(line))


def forward(listen: str, to: str, *, limits: ForwardLimits | None = None) -> None:
    """Forwards connections until SIGTERM or SIGINT; call it on the main thread.

    Logs one JSON object per connection to the logger ``nitro_attest.enclave`` at level INFO:
    ``up`` and ``down`` are the numbers of bytes that were passed to the enclave and to the client.

    Args:
        listen: The endpoint to listen on, such as ``0.0.0.0:443``.
        to: The endpoint of the enclave, such as ``vsock:16:443``.
        limits: Limits of the forwarder; by default those of ``ForwardLimits()``.

    Raises:
        InputError: ``input.endpoint``: an endpoint is invalid, or hybrid vsock to listen on.
        EnclaveError: ``transport.unsupported``, ``transport.resolve`` or ``transport.listen``: the
            forwarder cannot listen.

    Example:
        >>> from nitro_attest.enclave.forward import forward
        >>> forward("0.0.0.0:443", "vsock:16:443")  # doctest: +SKIP
    """
    where, enclave = parse_stream_endpoint(listen), parse_stream_endpoint(to)
    check_target(enclave)
    with listening(where) as listener:
        LOG.info(json.dumps({"event": "listening", "endpoint": listen, "forward": to}))
        Forwarder(listener, enclave, limits=limits).run()
        LOG.info(json.dumps({"event": "stopped"}))
