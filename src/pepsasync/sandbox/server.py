"""uvicorn in a thread with its own event loop, so that asyncio, trio and plain programs can all use it."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import uvicorn

from pepsasync.sandbox.wire import WireProtocol

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_TICK_SECONDS = 1.0

# Answers that break off are what the sandbox is for; uvicorn would report each on standard error.
logging.getLogger("uvicorn").addHandler(logging.NullHandler())
_ACCEPT_STEPS = 5
"""Turns of the event loop after which a connection that was just accepted is known."""
_PATIENCE_SECONDS = 10.0


class _Server(uvicorn.Server):
    """A uvicorn server that stops at once when told, dropping its connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.Event | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        assert self._wake is not None  # noqa: S101 - startup has run
        tick = 0
        while not self.should_exit:
            await self.on_tick(tick)
            tick += 10  # uvicorn refreshes its Date header every tenth tick
            with suppress(TimeoutError):
                async with asyncio.timeout(_TICK_SECONDS):
                    await self._wake.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, drop every connection and wait for the answers under way to notice."""
        loop = asyncio.get_running_loop()
        # asyncio loses a connection that was accepted but has no transport yet when its server closes.
        for listener in sockets or []:
            loop.remove_reader(listener.fileno())
        for _ in range(_ACCEPT_STEPS):
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        state = self.server_state
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while state.connections or state.tasks:
                    for connection in list(state.connections):
                        connection.transport.abort()
                    await asyncio.sleep(0.001)

    def stop(self) -> None:
        """Make the server end; may be called from any thread."""
        self.should_exit = True
        if self._loop is not None and self._wake is not None:
            with suppress(RuntimeError):  # the loop may have ended by itself
                self._loop.call_soon_threadsafe(self._wake.set)


class ServerThread:
    """Serves an ASGI application on 127.0.0.1.

    Args:
        app: The application.
        port: TCP port, 0 for a free one.
    """

    def __init__(self, app: ASGIApp, port: int = 0) -> None:
        self._app = app
        self._port = port
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._socket: socket.socket | None = None

    @property
    def port(self) -> int:
        """The port that is listened on; 0 before a free one was taken."""
        return self._port

    def start(self) -> None:
        """Listen, and return when requests are answered.

        Raises:
            OSError: The port is taken.
            RuntimeError: The server ended before it was ready.
        """
        # Named so that asyncio knows connections for TCP and sends small answers at once, not after 40 ms.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(("127.0.0.1", self._port))
        except OSError:
            self._socket.close()
            raise
        self._port = self._socket.getsockname()[1]
        self._server = _Server(self._config())
        self._thread = threading.Thread(target=self._run, name="pepsasync-sandbox", daemon=True)
        self._thread.start()
        while not self._server.ready.wait(0.05):
            if not self._thread.is_alive():
                raise RuntimeError("the sandbox server ended before it was ready")

    def stop(self) -> None:
        """Drop every connection, end the thread, close the socket; does nothing if not started."""
        if self._server is not None and self._thread is not None:
            self._server.stop()
            self._thread.join()
        if self._socket is not None:
            self._socket.close()
        self._server = self._thread = self._socket = None

    def _run(self) -> None:
        assert self._server is not None  # noqa: S101 - start has set it
        assert self._socket is not None  # noqa: S101 - start has set it
        with asyncio.Runner() as runner:
            runner.run(self._server.serve(sockets=[self._socket]))

    def _config(self) -> uvicorn.Config:
        return uvicorn.Config(
            self._app,
            http=WireProtocol,
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            headers=[("Server", "Apache")],
            timeout_keep_alive=30,
            backlog=256,
        )
