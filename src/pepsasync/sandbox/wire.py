"""What a well-behaved server library will not do: odd status lines, too many bytes, resets, silence.

`WireProtocol` is uvicorn's HTTP/1.1 protocol over a transport that lets the application change the head of its answer.
The application finds a `Wire` in `scope["extensions"]["pepsasync.wire"]`.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

EXTENSION = "pepsasync.wire"
"""Key of the `Wire` among the extensions of an ASGI scope."""


class Wire:
    """The connection on which an answer is sent."""

    def __init__(self, protocol: WireProtocol) -> None:
        self._protocol = protocol

    @property
    def gone(self) -> bool:
        """Whether the connection is closed or closing."""
        return self._protocol.lost.is_set() or self._protocol.transport.is_closing()

    def head(self, *, reason: str | None = None, unframed: bool = False) -> None:
        """Change the head that is sent next: its reason phrase, and no `Transfer-Encoding` if `unframed`."""
        self._protocol.wired.edits = (reason, unframed)

    async def write(self, data: bytes) -> None:
        """Send bytes as they are, whatever was declared."""
        if self._protocol.flow.write_paused and not self.gone:
            await self._protocol.flow.drain()
        if not self.gone:
            self._protocol.transport.write(data)

    async def pause(self, seconds: float | None) -> None:
        """Do nothing for real `seconds` (None: for ever), or until the connection is gone."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._protocol.lost.wait()

    def close(self) -> None:
        """Close the connection once what was written is sent, whatever was declared."""
        self._protocol.cycle.disconnected = True
        self._protocol.transport.close()

    def abort(self) -> None:
        """Drop the connection and everything not yet sent."""
        self._protocol.cycle.disconnected = True
        self._protocol.transport.abort()


class WiredTransport:
    """A transport whose next written head can be edited; everything else is passed on."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.edits: tuple[str | None, bool] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write, editing the head of an answer if that was asked for."""
        if self.edits and data.startswith(b"HTTP/1.1 "):
            data, self.edits = _edited(data, *self.edits), None
        self._transport.write(data)


class WireProtocol(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, with a `Wire` for the application."""

    wired: WiredTransport
    lost: asyncio.Event

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lost = asyncio.Event()
        self.app = cast("Any", _with_wire(cast("ASGIApp", self.app), Wire(self)))

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection over."""
        self.wired = WiredTransport(transport)
        super().connection_made(cast("asyncio.Transport", self.wired))

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake everybody who waits on this connection."""
        self.lost.set()
        super().connection_lost(exc)


def _with_wire(app: ASGIApp, wire: Wire) -> ASGIApp:
    async def wired(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("extensions", {})[EXTENSION] = wire
        await app(scope, receive, send)

    return wired


def _edited(head: bytes, reason: str | None, unframed: bool) -> bytes:
    lines = head.split(b"\r\n")
    if reason is not None:
        lines[0] = b" ".join([*lines[0].split(b" ")[:2], reason.encode()])
    if unframed:
        lines = [line for line in lines if not line.lower().startswith(b"transfer-encoding:")]
    return b"\r\n".join(lines)
