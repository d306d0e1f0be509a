"""How requests leave: straight over sockets of our own, or through the proxy that the environment names."""

from __future__ import annotations

import os
import urllib.request
from typing import TYPE_CHECKING, Self

import httpcore
import httpx

from pepsasync.errors import ConfigError
from pepsasync.hosts import is_loopback
from pepsasync.http.errors import httpx_errors
from pepsasync.http.sockets import EXCHANGE, Exchange, Sockets

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

    from pepsasync.http.recording import Recording

IDLE = 32
"""Connections kept open for a next request."""

IDLE_SECONDS = 30.0
"""How long they are kept."""


_IDEMPOTENT = (b"GET", b"HEAD")


class Transport(httpx.AsyncBaseTransport):
    """A connection pool over `Sockets`, and for what a proxy has to carry the transport that httpx comes with.

    Args:
        tls: For every connection.
    """

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._pool, self._fresh = (
            httpcore.AsyncConnectionPool(
                ssl_context=tls,
                max_connections=None,
                max_keepalive_connections=idle,
                keepalive_expiry=IDLE_SECONDS,
                network_backend=Sockets(),
            )
            for idle in (IDLE, 0)
        )
        self._tls = tls
        self.recording: Recording | None = None
        """Is told of every answer, when there is one."""
        self._proxies = _proxies()
        self._proxied: dict[str, httpx.AsyncHTTPTransport] = {}

    async def __aenter__(self) -> Self:
        await self._pool.__aenter__()
        await self._fresh.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        for transport in self._proxied.values():
            await transport.aclose()
        await self._pool.aclose()
        await self._fresh.aclose()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; its answer's body is still to be read.

        Raises:
            httpx.TransportError: No answer came.
            ConfigError: The environment names a proxy for it that cannot be used.
        """
        response = await self._send(request)
        if self.recording is not None:
            self.recording.take(request, response)
        return response

    def proxy_of(self, url: httpx.URL) -> str | None:
        """Host and port of the proxy that carries requests to an address; None when they go straight."""
        if url.scheme not in self._proxies or _goes_straight(url.host):
            return None
        proxy = httpx.URL(self._proxies[url.scheme])
        return f"{proxy.host}:{proxy.port or proxy.scheme}"

    async def _send(self, request: httpx.Request) -> httpx.Response:
        scheme = request.url.scheme
        if scheme in self._proxies and not _goes_straight(request.url.host):
            if scheme not in self._proxied:  # one that nothing needs may be as wrong as it likes
                self._proxied[scheme] = _through(scheme, self._proxies[scheme], self._tls)
            return await self._proxied[scheme].handle_async_request(request)
        with httpx_errors():
            answer = await self._answer(_for_httpcore(request))
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer), extensions=answer.extensions)

    async def _answer(self, request: httpcore.Request) -> httpcore.Response:
        """Send a request; again, on a connection of its own, when the one that was used before was of no use any more.

        Servers close idle connections whenever they like, also while the next request is under way.
        """
        exchange = Exchange()
        token = EXCHANGE.set(exchange)
        try:
            return await self._pool.handle_async_request(request)
        except (httpcore.RemoteProtocolError, httpcore.ReadError, httpcore.WriteError):
            if exchange.is_fresh or exchange.has_come or request.method not in _IDEMPOTENT:
                raise
        finally:
            EXCHANGE.reset(token)
        return await self._fresh.handle_async_request(request)


def _for_httpcore(request: httpx.Request) -> httpcore.Request:
    """The same request in httpcore's words."""
    url = request.url
    return httpcore.Request(
        request.method,
        httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        headers=request.headers.raw,
        content=request.stream,
        extensions=request.extensions,
    )


class _Body(httpx.AsyncByteStream):
    """Not a generator: one that is left in the middle would be closed by nobody."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer
        self._chunks = answer.aiter_stream()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        with httpx_errors():
            return await anext(self._chunks)

    async def aclose(self) -> None:
        if _is_too_long(self._answer):
            self._answer.extensions["network_stream"].close()  # idle connections that are closed are not used again
        await self._answer.aclose()


def _is_too_long(answer: httpcore.Response) -> bool:
    """Whether more came than was announced, which the parser would take for the answer to the next request."""
    # httpcore does not look, and shows its parser to nobody.
    parser = answer.stream._stream._connection._h11_state  # type: ignore[union-attr]  # noqa: SLF001
    return bool(parser.trailing_data[0])


def _proxies() -> dict[str, str]:
    """The environment's proxy by scheme of the URL, as the standard library reads it."""
    found = urllib.request.getproxies()
    named = {scheme: found.get(scheme) or found.get("all") for scheme in ("http", "https")}
    return {scheme: proxy if "://" in proxy else f"http://{proxy}" for scheme, proxy in named.items() if proxy}


def _through(scheme: str, proxy: str, tls: ssl.SSLContext) -> httpx.AsyncHTTPTransport:
    """The way through a proxy.

    Raises:
        ConfigError: It cannot be used; the message names the variable, not its value, which may hold a password.
    """
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=IDLE, keepalive_expiry=IDLE_SECONDS)
    try:
        url = httpx.URL(proxy)
        if url.host and (url.port is None or 0 < url.port < 1 << 16):
            return httpx.AsyncHTTPTransport(verify=tls, limits=limits, proxy=proxy)
    except ImportError:
        what = f"{_variable(scheme)} names a SOCKS proxy, which needs a further package"
        raise ConfigError(what, hint="Try: pip install 'pepsasync[socks]'") from None
    except (ValueError, httpx.InvalidURL):
        pass
    hint = "It looks like http://proxy.example:3128; unset it, or list hosts that need no proxy in NO_PROXY"
    raise ConfigError(f"{_variable(scheme)} is not the address of a proxy", hint=hint) from None


def _variable(scheme: str) -> str:
    """The variable that names the proxy; names in small letters come first, as in the standard library."""
    given = sorted((name for name, value in os.environ.items() if value), reverse=True)
    for wanted in (f"{scheme}_proxy", "all_proxy"):
        for name in given:
            if name.lower() == wanted:
                return name
    return "the proxy setting of this system"


def _goes_straight(host: str) -> bool:
    return is_loopback(host) or bool(urllib.request.proxy_bypass(host))
