"""Short answers over kept connections, for a tenth of what a general HTTP client spends on each.

Small products come by the thousand, and what they cost is their request. Here a request is written in one piece, and
of the answer only the head is parsed. An answer that is not plain (chunked, informational, HTTP/1.0) is handed to
httpcore as if httpcore had asked.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import anyio
import httpcore

from pepsasync.io.sockets import Sockets

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from pepsasync.io.sockets import Connection

READ = 1 << 17
"""Bytes asked of a connection at once."""

LONGEST_HEAD = 1 << 16
"""Bytes in which the head of an answer has to end."""

_STATUS = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*)?")
_HEADER = re.compile(rb"([-!#$%&'*+.^_`|~0-9A-Za-z]+):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[ \t]+(?=[^ \t]))?)*)[ \t]*")
_LENGTH = re.compile(rb"[0-9]{1,19}")
_BODILESS = (204, 304)

Origin = tuple[str, str, int]
Head = tuple[int, list[tuple[bytes, bytes]]]


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

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send one request; its answer's body is still to be read, and to be closed.

        Raises:
            httpcore errors: As those of its own pool.

        Cancellation: the connection is closed.
        """
        while (kept := self._take(_origin(request))) is not None:
            with contextlib.suppress(_StaleError):
                return await self._exchange(kept, request, is_kept=True)
        return await self._exchange(await self._connect(request), request)

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
        kept.append((connection, anyio.current_time()))

    def _take(self, origin: Origin) -> Connection | None:
        """The connection that was used last and is still open."""
        kept = self._idle.get(origin)
        while kept:
            connection, since = kept.pop()
            # One that can be read has nothing to give but its end.
            if anyio.current_time() - since < self._idle_seconds and not connection.is_readable:
                return connection
            connection.close()
        return None

    async def _connect(self, request: httpcore.Request) -> Connection:
        (scheme, host, port), timeout = _origin(request), _timeouts(request).get("connect")
        connection = await self._sockets.connect_tcp(host, port, timeout)
        if scheme == "http":
            return connection
        return await connection.start_tls(self._tls, request.extensions.get("sni_hostname") or host, timeout)

    async def _exchange(
        self, connection: Connection, request: httpcore.Request, *, is_kept: bool = False
    ) -> httpcore.Response:
        try:
            received = await _first_bytes(connection, request, is_kept)
            return await self._answer(connection, request, received)
        except BaseException:
            connection.close()
            raise

    async def _answer(self, connection: Connection, request: httpcore.Request, received: bytes) -> httpcore.Response:
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
        is_last = len(first) > length or _says_close(head[1])
        keep = None if is_last else functools.partial(self.keep, _origin(request), connection)
        body = _Body(connection, first, length, silence, keep)
        return httpcore.Response(head[0], headers=head[1], content=body, extensions={"http_version": b"HTTP/1.1"})


@dataclass(slots=True)
class _Body:
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
        chunk = self.first[: self.left] or await self.connection.read(min(READ, self.left), self.silence)
        self.first = b""
        if not chunk:
            raise httpcore.RemoteProtocolError(f"closed {self.left:,} bytes before the end")
        self.left -= len(chunk)
        if not self.left:
            self._end()
        return chunk

    async def aclose(self) -> None:
        """Close the connection, unless the body was read to its end."""
        self._end()

    def _end(self) -> None:
        if self.is_over:
            return
        self.is_over = True
        if self.keep and not self.left:
            self.keep()
        else:
            self.connection.close()


async def _first_bytes(connection: Connection, request: httpcore.Request, is_kept: bool) -> bytes:
    """Send a request and wait for its answer to begin.

    Raises:
        _StaleError: A kept connection was closed meanwhile.
    """
    timeouts = _timeouts(request)
    try:
        await connection.write(_head_of(request), timeouts.get("write"))
        await connection.until_readable(timeouts.get("read"))
        received = await connection.read(READ, timeouts.get("read"))
    except (httpcore.ReadError, httpcore.WriteError):
        if not is_kept:
            raise
        received = b""
    if is_kept and not received:
        raise _StaleError
    return received


def parse_head(head: bytes) -> Head | None:
    """Status and headers of an answer; None for anything that is not plain HTTP/1.1, including 1xx.

    Args:
        head: Without the empty line that ends it.
    """
    first, *lines = head.split(b"\r\n")
    status, headers = _STATUS.fullmatch(first), [_HEADER.fullmatch(line) for line in lines]
    if status is None or None in headers:
        return None
    return int(status[1]), [(header[1], header[2]) for header in headers if header]


def plain_length(status: int, headers: list[tuple[bytes, bytes]]) -> int | None:
    """Bytes of a body whose length is announced once and that is not transformed for its way; None for others."""
    names = [name.lower() for name, _ in headers]
    if b"transfer-encoding" in names or status in _BODILESS or names.count(b"content-length") != 1:
        return None
    text = headers[names.index(b"content-length")][1]
    return int(text) if _LENGTH.fullmatch(text) else None


def _says_close(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(name.lower() == b"connection" and b"close" in value.lower() for name, value in headers)


def _head_of(request: httpcore.Request) -> bytes:
    pairs = [b"%s: %s" % pair for pair in request.headers]
    head = b"\r\n".join([b"%s %s HTTP/1.1" % (request.method, request.url.target), *pairs, b"", b""])
    if head.count(b"\n") != head.count(b"\r") or head.count(b"\n") != len(pairs) + 2:
        raise httpcore.LocalProtocolError("a header of the request has a line break")
    return head


def _origin(request: httpcore.Request) -> Origin:
    """Scheme, host and port."""
    origin = request.url.origin
    scheme, host = origin.scheme.decode("ascii"), origin.host.decode("ascii")
    return scheme, host, origin.port or {"http": 80, "https": 443}[scheme]


def _timeouts(request: httpcore.Request) -> dict[str, float | None]:
    timeouts: dict[str, float | None] = request.extensions.get("timeout", {})
    return timeouts


async def _as_httpcore(connection: Connection, request: httpcore.Request, received: bytes) -> httpcore.Response:
    """Let httpcore make sense of an answer: its parser is given what was received, and the connection."""
    replayed = _Replayed(connection, received)
    ordinary = httpcore.AsyncHTTP11Connection(request.url.origin, replayed)
    answer = await ordinary.handle_async_request(request)
    return httpcore.Response(
        answer.status,
        headers=answer.headers,
        content=_Ordinary(answer, ordinary),
        extensions={"http_version": answer.extensions["http_version"]},
    )


class _Ordinary:
    """A body that httpcore reads, over a connection that is not kept."""

    def __init__(self, answer: httpcore.Response, connection: httpcore.AsyncHTTP11Connection) -> None:
        self._answer, self._connection = answer, connection
        self._chunks = answer.aiter_stream()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
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
