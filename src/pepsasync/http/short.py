"""Short answers over kept connections, for a tenth of what a general HTTP client spends on each.

Small products come by the thousand, and what they cost is their request. Here a request is written in one piece, and
of the answer only the head is parsed. An answer that is not plain (chunked, informational, HTTP/1.0) is handed to
httpcore as if httpcore had asked.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import httpcore
import httpx

from pepsasync.http.errors import httpx_errors
from pepsasync.http.heads import head_of, parse_head, plain_length, says_close
from pepsasync.http.sockets import Sockets

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from pepsasync.http.sockets import Connection

READ = 1 << 17
"""Bytes asked of a connection at once."""

LONGEST_HEAD = 1 << 16
"""Bytes in which the head of an answer has to end."""

_PORTS = {b"http": 80, b"https": 443}

Origin = tuple[bytes, bytes, int]
"""Scheme, host and port."""


class _StaleError(Exception):
    """A kept connection was closed before it answered."""


class ShortPool:
    """Sends requests without a body for answers that are expected to be short; keeps connections.

    Args:
        tls: For https.
        idle: Connections to one origin kept for a next request.
        idle_seconds: How long they are kept.
    """

    def __init__(self, tls: ssl.SSLContext, idle: int, idle_seconds: float) -> None:
        self._tls = tls
        self._tls.set_alpn_protocols(["http/1.1"])
        self._sockets = Sockets()
        self._idle_seconds = idle_seconds
        self._most = idle
        self._idle: dict[Origin, deque[tuple[Connection, float]]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; its answer's body is still to be read, and to be closed.

        Raises:
            httpx.TransportError: No answer came.

        Cancellation: the connection is closed.
        """
        origin = _origin(request.url)
        with httpx_errors():
            while (kept := self._take(origin)) is not None:
                with contextlib.suppress(_StaleError):
                    return await self._exchange(kept, request, origin, is_kept=True)
            return await self._exchange(await self._connect(request, origin), request, origin)

    def close(self) -> None:
        """Close every idle connection."""
        for kept in self._idle.values():
            for connection, _ in kept:
                connection.close()
        self._idle.clear()

    def keep(self, origin: Origin, connection: Connection) -> None:
        """Take back a connection over which nothing more comes."""
        kept = self._idle.setdefault(origin, deque(maxlen=self._most))
        if len(kept) == self._most:
            kept[0][0].close()
        kept.append((connection, time.monotonic()))

    def _take(self, origin: Origin) -> Connection | None:
        """The connection that was used last and is still open."""
        kept = self._idle.get(origin)
        while kept:
            connection, since = kept.pop()
            # One that can be read has nothing to give but its end.
            if time.monotonic() - since < self._idle_seconds and not connection.is_readable:
                return connection
            connection.close()
        return None

    async def _connect(self, request: httpx.Request, origin: Origin) -> Connection:
        timeout, (scheme, raw_host, port) = _timeouts(request).get("connect"), origin
        host = raw_host.decode("ascii")
        connection = await self._sockets.connect_tcp(host, port, timeout)
        if scheme == b"http":
            return connection
        return await connection.start_tls(self._tls, request.extensions.get("sni_hostname") or host, timeout)

    async def _exchange(
        self, connection: Connection, request: httpx.Request, origin: Origin, *, is_kept: bool = False
    ) -> httpx.Response:
        try:
            received = await _first_bytes(connection, request, is_kept)
            return await self._answer(connection, request, origin, received)
        except BaseException:
            connection.close()
            raise

    async def _answer(
        self, connection: Connection, request: httpx.Request, origin: Origin, received: bytes
    ) -> httpx.Response:
        silence = _timeouts(request).get("read")
        while (end := received.find(b"\r\n\r\n")) < 0 and 0 < len(received) < LONGEST_HEAD:
            chunk = await connection.read(READ, silence)
            if not chunk:
                break
            received += chunk
        head = parse_head(received[:end]) if end >= 0 else None
        length = plain_length(*head) if head else None
        if head is None or length is None:
            return await _as_httpcore(connection, request, received)
        first = received[end + 4 :]
        is_last = len(first) > length or says_close(head[1])
        keep = None if is_last else functools.partial(self.keep, origin, connection)
        body = _Body(connection, first, length, silence, keep)
        return httpx.Response(head[0], headers=head[1], stream=body, extensions={"http_version": b"HTTP/1.1"})


@dataclass(slots=True)
class _Body(httpx.AsyncByteStream):
    """A body of known length."""

    connection: Connection
    first: bytes
    """What came along with the head."""
    left: int
    """Bytes to come."""
    silence: float | None
    keep: Callable[[], None] | None
    """Gives the connection back once all was read; None when it is of no use then."""
    is_over: bool = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self.left:
            self._end()
            raise StopAsyncIteration
        chunk = self.first[: self.left] or await self._read()
        self.first = b""
        self.left -= len(chunk)
        if not self.left:
            self._end()
        return chunk

    async def aclose(self) -> None:
        """Close the connection, unless the body was read to its end."""
        self._end()

    async def _read(self) -> bytes:
        with httpx_errors():
            chunk = await self.connection.read(min(READ, self.left), self.silence)
        if not chunk:
            raise httpx.RemoteProtocolError(f"closed {self.left:,} bytes before the end")
        return chunk

    def _end(self) -> None:
        if self.is_over:
            return
        self.is_over = True
        if self.keep and not self.left:
            self.keep()
        else:
            self.connection.close()


async def _first_bytes(connection: Connection, request: httpx.Request, is_kept: bool) -> bytes:
    """Send a request and wait for its answer to begin.

    Raises:
        _StaleError: A kept connection was closed meanwhile.
    """
    timeouts = _timeouts(request)
    try:
        await connection.write(head_of(request), timeouts.get("write"))
        received = await connection.read_answer(READ, timeouts.get("read"))
    except (httpcore.ReadError, httpcore.WriteError):
        if not is_kept:
            raise
        received = b""
    if is_kept and not received:
        raise _StaleError
    return received


def _origin(url: httpx.URL) -> Origin:
    scheme = url.raw_scheme
    if scheme not in _PORTS:
        raise httpx.UnsupportedProtocol(f"neither http nor https: {url.scheme!r}")
    return scheme, url.raw_host, url.port or _PORTS[scheme]


def _timeouts(request: httpx.Request) -> dict[str, float | None]:
    timeouts: dict[str, float | None] = request.extensions.get("timeout", {})
    return timeouts


def for_httpcore(request: httpx.Request) -> httpcore.Request:
    """The same request in httpcore's words."""
    url = request.url
    return httpcore.Request(
        request.method,
        httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        headers=request.headers.raw,
        content=request.stream,
        extensions=request.extensions,
    )


async def _as_httpcore(connection: Connection, request: httpx.Request, received: bytes) -> httpx.Response:
    """Let httpcore make sense of an answer: its parser is given what was received, and the connection."""
    again = for_httpcore(request)
    ordinary = httpcore.AsyncHTTP11Connection(again.url.origin, _Replayed(connection, received))
    answer = await ordinary.handle_async_request(again)
    return httpx.Response(
        answer.status,
        headers=answer.headers,
        stream=_Ordinary(answer, ordinary),
        extensions={"http_version": answer.extensions["http_version"]},
    )


class _Ordinary(httpx.AsyncByteStream):
    """A body that httpcore reads, over a connection that is not kept."""

    def __init__(self, answer: httpcore.Response, connection: httpcore.AsyncHTTP11Connection) -> None:
        self._answer, self._connection = answer, connection
        self._chunks = answer.aiter_stream()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        with httpx_errors():
            return await anext(self._chunks)

    async def aclose(self) -> None:
        await self._answer.aclose()
        await self._connection.aclose()


class _Replayed(httpcore.AsyncNetworkStream):
    """A connection whose request was sent and whose answer has begun."""

    def __init__(self, connection: Connection, received: bytes) -> None:
        self._connection, self._received = connection, received

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        if self._received:
            chunk, self._received = self._received[:max_bytes], self._received[max_bytes:]
            return chunk
        return await self._connection.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Nothing: it was sent."""

    async def aclose(self) -> None:
        await self._connection.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._connection.get_extra_info(info)
