"""A link with a round-trip time, in a process of its own: what is sent into it comes out half a round trip later.

Its rate is not limited, nor is the number of connections: those are the client's to choose. A connection takes a round
trip to open before its first byte moves, as TCP does. Bytes arrive in the pieces in which they were sent.
"""

import asyncio
import contextlib
import multiprocessing
import os
import selectors
import socket
from collections import deque


@contextlib.contextmanager
def link_to(port, round_trip, servers=()):
    """Open a link to a port of this machine; gives its own port.

    Link and server stand for machines of their own, so that they come before whatever the client computes here (as far
    as the system lets them: that takes root).

    Args:
        port: Of the server.
        round_trip: Seconds.
        servers: Numbers of the processes of the server.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(port, round_trip, theirs), daemon=True)
    process.start()
    theirs.close()  # so that a link that fails is an end of file, not a wait for ever
    for pid in (process.pid, *servers):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()
        ours.close()


def _serve(port, round_trip, pipe):
    # epoll sleeps whole milliseconds, select microseconds.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())

    async def run():
        server = await loop.create_server(lambda: _Near(port, round_trip), "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    loop.run_until_complete(run())


class _End(asyncio.Protocol):
    """One end of a connection; what arrives here leaves at the other end later."""

    def __init__(self, delay):
        self.peer = None
        self._delay = delay
        self._opens_at = 0.0
        self._under_way = deque()
        self._transport = None
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport):
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data):
        self._send(data)

    def connection_lost(self, error):
        self._send(None)

    def leave(self, data):
        """Send what has come over the link; None closes the connection."""
        if self._transport is None or self._transport.is_closing():
            return
        if data is None:
            self._transport.close()
        else:
            self._transport.write(data)

    def _send(self, data):
        due = max(self._loop.time(), self._opens_at) + self._delay
        self._under_way.append((due, data))
        if len(self._under_way) == 1:
            self._loop.call_at(due, self._arrive)

    def _arrive(self):
        while self._under_way and self._under_way[0][0] <= self._loop.time():
            self.peer.leave(self._under_way.popleft()[1])
        if self._under_way:
            self._loop.call_at(self._under_way[0][0], self._arrive)


class _Near(_End):
    """The end at the client, which opens the one at the server."""

    def __init__(self, port, round_trip):
        super().__init__(round_trip / 2)
        self._port, self._round_trip = port, round_trip

    def connection_made(self, transport):
        super().connection_made(transport)
        self._opens_at = self._loop.time() + self._round_trip
        self.peer = _End(self._round_trip / 2)
        self.peer.peer = self
        self._opening = self._loop.create_task(self._loop.create_connection(lambda: self.peer, "127.0.0.1", self._port))
