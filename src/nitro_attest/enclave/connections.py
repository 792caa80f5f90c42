"""Internal: accepts connections, and passes bytes between two of them."""

from __future__ import annotations

import asyncio
import errno
import json
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

from nitro_attest.enclave.answers import LOG
from nitro_attest.transport.connection import Endpoint, StreamEndpoint, UnixEndpoint, listen

READ_BYTES: Final = 16384
"""Bytes that are read at once; at most so many are held for each direction of a connection."""

# One send becomes one vsock packet, and a guest's receive buffers have 4 KiB. Measured between two
# guests: a longer packet ends the connection, unless something in between splits it.
_PIECE_BYTES: Final = 2048


class ConnectionServer:
    """Handles each connection of a listening socket in a task, until it is stopped.

    Args:
        listener: A listening stream socket of any family; ``run`` closes it.
        handle: Handles and closes one connection; takes its socket and the peer's address.
        connections: Maximum number of open connections; more wait in the socket's backlog.
        stop_seconds: Seconds for open connections after the server is stopped.
    """

    def __init__(
        self,
        listener: socket.socket,
        handle: Callable[[socket.socket, object], Awaitable[None]],
        *,
        connections: int,
        stop_seconds: float,
    ) -> None:
        self._listener = listener
        self._handle = handle
        self._connections = connections
        self._stop_seconds = stop_seconds
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()

    def run(self) -> None:
        """Serves until ``stop`` is called; on the main thread also until SIGTERM or SIGINT."""
        self._listener.setblocking(False)
        try:
            if threading.current_thread() is threading.main_thread():
                for number in (signal.SIGTERM, signal.SIGINT):
                    self._loop.add_signal_handler(number, self._stopped.set)
            self._loop.run_until_complete(self._serve())
        finally:
            self._listener.close()
            self._loop.close()

    def stop(self) -> None:
        """Makes ``run`` return after the open connections; may be called from any thread."""
        with suppress(RuntimeError):  # run() has already returned
            self._loop.call_soon_threadsafe(self._stopped.set)

    async def _serve(self) -> None:
        slots = asyncio.Semaphore(self._connections)
        tasks: set[asyncio.Task[None]] = set()

        def ended(task: asyncio.Task[None]) -> None:
            tasks.discard(task)
            slots.release()

        async def accept() -> None:
            while True:
                await slots.acquire()
                try:
                    connection, peer = await self._loop.sock_accept(self._listener)
                except OSError as error:  # the client gave up, or descriptors ran out
                    slots.release()
                    LOG.warning(json.dumps({"event": "accept", "error": str(error)}))
                    await asyncio.sleep(0.05)
                    continue
                connection.setblocking(False)
                task = self._loop.create_task(self._close_after(connection, peer))
                tasks.add(task)
                task.add_done_callback(ended)

        accepting = self._loop.create_task(accept())
        # Stop if accepting fails, rather than run without listening.
        accepting.add_done_callback(lambda _: self._stopped.set())
        await self._stopped.wait()
        accepting.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=self._stop_seconds)
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(asyncio.CancelledError):
            await accepting

    async def _close_after(self, connection: socket.socket, peer: object) -> None:
        with connection:
            await self._handle(connection, peer)


class Stream(Protocol):
    """One side of a connection, as a stream of bytes that each side can end on its own."""

    async def receive(self, size: int = READ_BYTES) -> bytes:
        """Returns 1 to ``size`` bytes, or no byte once the peer has ended its stream.

        Raises:
            OSError: The connection failed.
        """
        ...

    async def send(self, data: bytes) -> None:
        """Sends bytes.

        Raises:
            OSError: The connection failed.
        """
        ...

    async def end(self) -> None:
        """Ends the own stream; the peer may continue to send.

        Raises:
            OSError: The connection failed.
        """
        ...


class SocketStream:
    """A stream over a connected, non-blocking socket; the caller closes the socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        if connection.family in (socket.AF_INET, socket.AF_INET6):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def receive(self, size: int = READ_BYTES) -> bytes:
        """Returns 1 to ``size`` bytes, or no byte once the peer has ended its stream."""
        # A socket with data is read without a pause, and its peer would delay all others.
        await asyncio.sleep(0)
        return await self._loop.sock_recv(self._connection, size)

    async def send(self, data: bytes) -> None:
        """Sends bytes in pieces that fit into a vsock packet."""
        for start in range(0, len(data), _PIECE_BYTES):
            await self._loop.sock_sendall(self._connection, data[start : start + _PIECE_BYTES])

    async def end(self) -> None:
        """Ends the own stream; the peer may continue to send."""
        try:
            self._connection.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno != errno.ENOTCONN:  # the peer has closed the connection already
                raise


@contextmanager
def listening(endpoint: Endpoint | StreamEndpoint) -> Iterator[socket.socket]:
    """Yields a socket that listens on an endpoint; removes the file of a Unix socket at the end.

    Args:
        endpoint: A vsock, plain Unix or TCP endpoint.

    Raises:
        InputError: As for ``listen``.
        EnclaveError: As for ``listen``.
    """
    with listen(endpoint) as listener:
        try:
            yield listener
        finally:
            if isinstance(endpoint, UnixEndpoint):
                Path(endpoint.path).unlink(missing_ok=True)


async def linger(connection: socket.socket, seconds: float) -> None:
    """Discards what the peer still sends, until it closes the connection.

    Closing a socket with unread bytes resets the connection, and the peer may lose what was sent to
    it last (RFC 9112 section 9.6).

    Args:
        connection: The socket; nothing more is sent on it.
        seconds: Seconds until the peer must have closed the connection.
    """

    async def discard() -> None:
        stream = SocketStream(connection)
        await stream.end()
        while await stream.receive():
            pass

    with suppress(OSError, asyncio.TimeoutError):
        await asyncio.wait_for(discard(), seconds)


class Relay:
    """Passes bytes both ways between two streams.

    Args:
        near: The stream of the client.
        far: The stream of the server.
        idle_seconds: Seconds in which at least one byte must move.
        half_closed_seconds: The same after one of the streams has ended.

    Attributes:
        up: Number of bytes that were received from the client and sent to the server.
        down: Number of bytes that were received from the server and sent to the client.
    """

    def __init__(
        self, near: Stream, far: Stream, *, idle_seconds: float, half_closed_seconds: float
    ) -> None:
        self._near = near
        self._far = far
        self._idle_seconds = idle_seconds
        self._half_closed_seconds = half_closed_seconds
        self._moved = 0.0
        self.up = 0
        self.down = 0

    async def run(self, first: bytes = b"", *, until_far_ends: bool = False) -> None:
        """Passes bytes until both streams have ended, and each has been ended on the other side.

        Args:
            first: Bytes of the client that were received already.
            until_far_ends: True to return as soon as the server's stream has ended; the caller
                then ends the client's.

        Raises:
            OSError: A connection failed; TimeoutError if no byte moved for too long.
        """
        loop = asyncio.get_running_loop()
        self._moved = loop.time()
        up = loop.create_task(self._pass_up(first))
        down = loop.create_task(self._pass_down(end=not until_far_ends))
        pending = {up, down}
        try:
            while pending and not (until_far_ends and down.done()):
                limit = self._idle_seconds if len(pending) == 2 else self._half_closed_seconds
                left = self._moved + limit - loop.time()
                if left <= 0:
                    raise TimeoutError(f"no byte within {limit:g} s")
                done, pending = await asyncio.wait(
                    pending, timeout=left, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    task.result()
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)

    async def _pass_up(self, data: bytes) -> None:
        data = data or await self._near.receive()
        while data:
            await self._far.send(data)
            self.up += len(data)
            self._note_progress()
            data = await self._near.receive()
        await self._far.end()
        self._note_progress()

    async def _pass_down(self, *, end: bool) -> None:
        while data := await self._far.receive():
            await self._near.send(data)
            self.down += len(data)
            self._note_progress()
        if end:
            await self._near.end()
        self._note_progress()

    def _note_progress(self) -> None:
        self._moved = asyncio.get_running_loop().time()
