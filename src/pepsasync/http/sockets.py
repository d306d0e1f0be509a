"""Sockets under httpcore: non-blocking on the event loop, until a thread takes one over for a large body.

`Sockets` goes where httpcore lets a network backend be given. A TLS connection is an `ssl.SSLSocket` that does its own
reading, so that whoever takes it over finds everything in it that was received and not yet given out.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import ipaddress
import itertools
import math
import os
import select
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import httpcore
from anyio.lowlevel import cancel_shielded_checkpoint

from pepsasync.groups import task_group

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

T = TypeVar("T")

_FAILURES = (OSError, anyio.ClosedResourceError, OverflowError)
"""Of a socket; `TimeoutError` is one of them, and the last is about ports that there cannot be."""


class Exchange:
    """What became of one request on the wire, as far as its head."""

    def __init__(self) -> None:
        self.is_fresh = False
        """Whether a connection was made for it."""
        self.has_come = False
        """Whether a byte came after it was begun."""


EXCHANGE: contextvars.ContextVar[Exchange | None] = contextvars.ContextVar("EXCHANGE", default=None)
"""Of the task that waits for the head of an answer."""

LOOKED_AT_EVERY = 0.1
"""Seconds between two looks at an idle connection."""

NEXT_ADDRESS = 0.25
"""Seconds after which the next address of a host is tried beside those before it (RFC 8305, section 5)."""


class Sockets(httpcore.AsyncNetworkBackend):
    """Opens connections, on asyncio and on trio."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> Connection:
        """Connect to the first address of a host that answers.

        Raises:
            httpcore.ConnectError, httpcore.ConnectTimeout: No address answered.
        """
        if exchange := EXCHANGE.get():
            exchange.is_fresh = True
        try:
            with anyio.fail_after(timeout):
                found = await _connect_first(await _addresses(host, port), local_address)
                found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for option in socket_options or ():
                    found.setsockopt(*option)
                return Connection(found)
        except _FAILURES as error:
            raise _as_httpcore(error, httpcore.ConnectTimeout, httpcore.ConnectError) from error

    async def sleep(self, seconds: float) -> None:
        """Pause."""
        await anyio.sleep(seconds)


def _noted(came: bytes) -> bytes:
    if came and (exchange := EXCHANGE.get()):
        exchange.has_come = True
    return came


class Connection(httpcore.AsyncNetworkStream):
    """A connected non-blocking socket.

    Args:
        connected: Owned from now on; closed by `aclose`.
    """

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        """To be taken over only between two reads, and by nobody else until `aclose`."""
        self._looked = -math.inf
        self._is_between = False
        """Whether the last thing was a read: what is written next begins a request."""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """Up to so many bytes; none at the end.

        Raises:
            httpcore.ReadError, httpcore.ReadTimeout: The connection broke, or nothing came in time.
        """
        try:
            self._is_between = True
            receive = functools.partial(self.socket.recv, max_bytes)
            return _noted(await self._when_ready(receive, anyio.wait_readable, timeout))
        except _FAILURES as error:
            raise _as_httpcore(error, httpcore.ReadTimeout, httpcore.ReadError) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Send everything.

        Raises:
            httpcore.WriteError, httpcore.WriteTimeout: The connection broke, or nothing was taken in time.
            httpcore.ConnectionNotAvailable: Before a request, something had come that was not asked for; nothing was
                sent, and the pool takes another connection.
        """
        if self._is_between and _is_readable(self.socket):
            raise httpcore.ConnectionNotAvailable
        self._is_between = False
        rest = memoryview(buffer)
        try:
            while rest:
                sent = await self._when_ready(functools.partial(self.socket.send, rest), anyio.wait_writable, timeout)
                rest = rest[sent:]
        except _FAILURES as error:
            raise _as_httpcore(error, httpcore.WriteTimeout, httpcore.WriteError) from error

    async def aclose(self) -> None:
        """Close the socket; does not wait."""
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def interrupt(self) -> None:
        """Wake the thread that reads the socket, which then finds the end; the connection is of no further use."""
        # Not the shutdown of SSLSocket: that one would let the thread go on reading without TLS.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> Connection:
        """Shake hands; the connection that is returned takes the place of this one.

        Raises:
            httpcore.ConnectError, httpcore.ConnectTimeout: No, late, or not to be trusted.
        """
        try:
            with anyio.fail_after(timeout):
                secured = ssl_context.wrap_socket(
                    self.socket, server_hostname=server_hostname, do_handshake_on_connect=False
                )
                self.socket = secured  # the plain one gave its descriptor away
                await self._when_ready(secured.do_handshake, anyio.wait_readable)
        except BaseException as error:
            self.socket.close()
            if isinstance(error, _FAILURES):
                raise _as_httpcore(error, httpcore.ConnectTimeout, httpcore.ConnectError) from error
            raise
        return Connection(secured)

    @property
    def is_readable(self) -> bool:
        """Whether something came that was not asked for: for an idle connection, its end.

        The pool asks this of every idle connection several times for each request; the answer stands for a moment,
        since `write` looks again before it begins a request.
        """
        now = time.monotonic()
        if self.socket.fileno() >= 0 and now < self._looked + LOOKED_AT_EVERY:
            return False
        self._looked = now
        return _is_readable(self.socket)

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks for; None for anything unknown."""
        match info:
            case "socket":
                return self.socket
            case "ssl_object":
                return self.socket if isinstance(self.socket, ssl.SSLSocket) else None
            case "client_addr":
                return self.socket.getsockname()
            case "server_addr":
                return self.socket.getpeername()
            case "is_readable":
                return self.is_readable
            case _:
                return None

    async def _when_ready(
        self,
        attempt: Callable[[], T],
        wait: Callable[[socket.socket], Awaitable[None]],
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> T:
        try:
            result = attempt()
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError) as not_ready:
            with anyio.fail_after(timeout):
                return await self._once_ready(attempt, wait, not_ready)
        if wait is anyio.wait_readable:
            # Others get their turn (after a write a read follows); what was read must not be lost to a cancellation.
            await cancel_shielded_checkpoint()
        return result

    async def _once_ready(
        self, attempt: Callable[[], T], wait: Callable[[socket.socket], Awaitable[None]], not_ready: OSError
    ) -> T:
        while True:
            if isinstance(not_ready, ssl.SSLWantReadError):
                await anyio.wait_readable(self.socket)  # TLS may have to read in order to write
            elif isinstance(not_ready, ssl.SSLWantWriteError):
                await anyio.wait_writable(self.socket)
            else:
                await wait(self.socket)
            try:
                return attempt()
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
                not_ready = error


def _as_httpcore(error: Exception, late: type[Exception], broken: type[Exception]) -> Exception:
    """The error in httpcore's words. Not a context manager: there would be one for each call to the system."""
    return (late if isinstance(error, TimeoutError) else broken)(str(error))


def _is_readable(connected: socket.socket) -> bool:
    if connected.fileno() < 0:
        return True
    if not hasattr(select, "poll"):  # Windows, where select() takes any descriptor
        return bool(select.select([connected], [], [], 0)[0])
    poll = select.poll()
    poll.register(connected, select.POLLIN)
    return bool(poll.poll(0))


Address = tuple[socket.AddressFamily, Any]


async def _addresses(host: str, port: int) -> list[Address]:
    """Where a host may answer, IPv6 and IPv4 in turns, the resolver's first choice first."""
    with contextlib.suppress(ValueError):
        version = ipaddress.ip_address(host).version
        return [(socket.AF_INET if version == 4 else socket.AF_INET6, (host, port))]
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    by_family: dict[socket.AddressFamily, list[Address]] = {}
    for family, _, _, _, address in found:
        by_family.setdefault(family, []).append((family, address))
    turns = itertools.zip_longest(*by_family.values())
    return [address for turn in turns for address in turn if address is not None]


async def _connect_first(addresses: Sequence[Address], local_address: str | None) -> socket.socket:
    """Happy eyeballs: each address gets a head start, the first that answers wins, the others are closed."""
    connected: list[socket.socket] = []
    errors: list[OSError] = []

    async def attempt(address: Address, ended: anyio.Event) -> None:
        try:
            connected.append(await _connect(address, local_address))
            race.cancel_scope.cancel()
        except OSError as error:
            errors.append(error)
        finally:
            ended.set()

    try:
        async with task_group() as race:
            for address in addresses:
                ended = anyio.Event()
                race.start_soon(attempt, address, ended)
                with anyio.move_on_after(NEXT_ADDRESS):
                    await ended.wait()
    except BaseException:
        _close(connected)
        raise
    _close(connected[1:])
    if not connected:
        raise errors[0] if errors else OSError("the host has no address")
    return connected[0]


def _close(sockets: Iterable[socket.socket]) -> None:
    for connected in sockets:
        connected.close()


async def _connect(address: Address, local_address: str | None) -> socket.socket:
    family, where = address
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setblocking(False)
        if local_address is not None:
            opened.bind((local_address, 0))
        with contextlib.suppress(BlockingIOError):
            opened.connect(where)
        await anyio.wait_writable(opened)
        _check(opened)
    except BaseException:
        opened.close()
        raise
    return opened


def _check(opened: socket.socket) -> None:
    if code := opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(code, os.strerror(code))
