"""The HTTP client: one connection pool, retries for idempotent requests, streams for downloads.

Credentials are put on requests by the provider, and httpx drops them when a redirect leaves the origin. Plain http
is refused everywhere but on loopback addresses.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import anyio
import httpx

from pepsasync.errors import (
    AddressError,
    ConfigError,
    PepsasyncError,
    ProtocolError,
    ProviderError,
    ServerError,
    UnavailableError,
    UnreadableReplyError,
)
from pepsasync.hosts import is_loopback
from pepsasync.http.errors import error_for_status, network_errors, safe_url, words_of
from pepsasync.http.recording import Recording
from pepsasync.http.replies import ENCODINGS, BoundsError, parse_json, read_error, read_reply, skip_body_of_redirect
from pepsasync.http.secrets import SECRETS, Secrets, hidden
from pepsasync.http.transport import Transport
from pepsasync.limits.attempts import OUTAGE_PATIENCE, Attempts
from pepsasync.limits.circuit_breaker import CircuitBreaker
from pepsasync.text import reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from pepsasync.config import Config

Origin: TypeAlias = tuple[str, str, int | None]
"""Scheme, host and port."""

USER_AGENT = "pepsasync"

_HOP_HOOK = "pepsasync.each_hop"
_IS_SECURE = "pepsasync.is_secure"
"""Extension: whether the hop before went over https."""

_BODY_ORIGIN = "pepsasync.body_origin"
"""Extension of requests with a body: where it may be sent to."""

MOST_REDIRECTS = 20
"""Of a request with a body, one after the other."""


class Http:
    """A connection pool with our errors, retries for idempotent requests, and streams for downloads.

    Args:
        config: Timeouts, retries, CA bundle.
        transport: Instead of the network, for tests.
    """

    def __init__(self, config: Config, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._config = config
        self.was_reached = False
        """Whether any answer ever came back."""
        self.secrets = Secrets()
        """Taken out of all that is shown of what servers say."""
        self._served: set[str] = set()
        self._outages: dict[str, CircuitBreaker] = {}
        self.on_search_reply: Callable[[str, bytes], None] | None = None
        """Sees URL and body of each raw search reply."""
        self._transport = transport or Transport(_tls(config))
        timeout = httpx.Timeout(config.read_timeout, connect=config.connect_timeout, pool=None)
        self._timeouts = timeout.as_dict()
        self._client = _Client(
            timeout=timeout,
            follow_redirects=True,
            headers={"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": ENCODINGS},
            event_hooks={"request": list(_BEFORE_EACH_HOP), "response": [self._skip_body_of_redirect]},
            transport=self._transport,
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._client.aclose()

    @contextlib.contextmanager
    def recorded(self) -> Iterator[Recording]:
        """Keep what is asked and answered over the network as long as the block lasts."""
        recording = Recording(self.secrets)
        if isinstance(self._transport, Transport):
            self._transport.recording = recording
        try:
            yield recording
        finally:
            if isinstance(self._transport, Transport):
                self._transport.recording = None

    def proxy_of(self, url: httpx.URL) -> str | None:
        """Host and port of the proxy that carries requests to an address; None when they go straight."""
        return self._transport.proxy_of(url) if isinstance(self._transport, Transport) else None

    def build(self, method: str, url: str, **options: Any) -> httpx.Request:
        """Build a request for an absolute URL, without all that httpx may merge; options are those of `httpx.Request`.

        Raises:
            AddressError: It is no URL.
        """
        headers, own = self._client.headers, options.pop("headers", None)
        extensions = {"timeout": self._timeouts, SECRETS: self.secrets, **options.pop("extensions", {})}
        try:
            request = httpx.Request(method, url, headers=headers, extensions=extensions, **options)
        except httpx.InvalidURL as error:
            raise AddressError(f"invalid address: {self.secrets.hide(reason(error))}") from error
        if own:
            request.headers.update(own)
        if method not in ("GET", "HEAD"):
            request.extensions = {**extensions, _BODY_ORIGIN: origin_of(request.url)}
        return request

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Send once and read the whole body; statuses are the caller's business.

        Raises:
            ServerError, UnreachableError, ProtocolError, AddressError: No complete answer came.
            UnreadableReplyError: It is too large, or in no form that is read.
        """
        async with self.stream(request) as response:
            return await read_reply(response, self._config.read_timeout)

    async def error_body(self, response: httpx.Response) -> bytes:
        """What the answer of a `stream` says, when it is no product: as much as came of the first 64 KiB."""
        return await read_error(response, self._config.read_timeout)

    async def send_patiently(
        self,
        request: httpx.Request,
        judge: Callable[[httpx.Response], PepsasyncError | None] = error_for_status,
        *,
        waits: bool = False,
        patience: float = OUTAGE_PATIENCE,
    ) -> httpx.Response:
        """Send an idempotent request, again after passing failures.

        What had failed for everybody before is tried once only, so that nobody waits for each of many requests.

        Args:
            request: Without a streamed body.
            judge: Says what is wrong with an answer.
            waits: Wait until an outage of an archive that has served us is over, for half an hour.
            patience: Seconds for which a host that nobody reaches is tried.

        Raises:
            ProviderError: What `judge` made of the last answer, or that none came.
        """
        host, where = request.url.host, f"{request.url.host}{request.url.path}"

        def is_out() -> bool:
            return where in self._outages and self._outages[where].is_on

        async def once() -> httpx.Response:
            response = await self.send(request)
            error = judge(response)
            if isinstance(error, UnavailableError):
                self._outages.setdefault(where, CircuitBreaker(self._config.retries)).failed()
            else:
                self._outages.pop(where, None)
            if error:
                raise error
            self._served.add(host)
            return response

        retries = Attempts(self._config, was_reached=lambda: self.was_reached, patience=patience)
        if waits and host in self._served:
            retries = Attempts(self._config, outage=is_out)
        elif is_out():
            retries = Attempts(self._config, outage=is_out, patience=0.0)
        return await retries.call(once)

    async def json(self, request: httpx.Request, *, is_search: bool = False) -> Any:
        """Send patiently and decode the JSON body; see `json_with_headers`."""
        decoded, _ = await self.json_with_headers(request, is_search=is_search)
        return decoded

    async def json_with_headers(
        self,
        request: httpx.Request,
        *,
        is_search: bool = False,
        judge: Callable[[httpx.Response], PepsasyncError | None] = lambda _: None,
    ) -> tuple[Any, httpx.Headers]:
        """Send patiently, decode the JSON body, and return it with the headers of the answer.

        Args:
            request: Idempotent.
            is_search: Show the raw reply to `on_search_reply`, and wait for the end of an outage.
            judge: Says what is wrong with an answer that has the right status and body.

        Raises:
            ProtocolError: The body is not JSON, or a search was sent on without its criteria.
            ProviderError: As `send_patiently`.
        """
        decoded: list[Any] = []
        response = await self.send_patiently(
            request, lambda answer: _decode_into(decoded, answer) or judge(answer), waits=is_search
        )
        if is_search and not {*request.url.params.multi_items()} <= {*response.url.params.multi_items()}:
            raise ProtocolError("the archive redirects the search without its criteria", url=safe_url(response))
        if is_search and self.on_search_reply:
            self.on_search_reply(safe_url(response), response.content)
        return decoded[-1], response.headers

    @contextlib.asynccontextmanager
    async def stream(self, request: httpx.Request) -> AsyncIterator[httpx.Response]:
        """Send once and yield the answer before its body; closed on leaving, whatever happens.

        The head has to come, over however many redirects, in the time of `connect_timeout` and `read_timeout`.

        Args:
            request: Without a body.

        Raises:
            ServerError, UnreachableError, ProtocolError, AddressError: Also for failures while the body is read.
        """
        with network_errors(request):
            response = await self._head(request)
            self.was_reached = True
            try:
                yield response
            finally:
                await response.aclose()

    async def _head(self, request: httpx.Request) -> httpx.Response:
        seconds = self._config.connect_timeout + self._config.read_timeout
        try:
            with anyio.fail_after(seconds):
                return await self._send_on(request)
        except TimeoutError as error:
            raise ServerError(f"no response headers within {seconds:g} s", url=safe_url(request)) from error

    async def _skip_body_of_redirect(self, response: httpx.Response) -> None:
        await skip_body_of_redirect(response, self._config.read_timeout)

    async def _send_on(self, request: httpx.Request) -> httpx.Response:
        """Send once, and on to where redirects lead; with a body, which httpx would leave behind, as it is."""
        if _BODY_ORIGIN not in request.extensions:
            return await self._client.send(request, stream=True)
        for _ in range(MOST_REDIRECTS):
            response = await self._client.send(request, stream=True, follow_redirects=False)
            if response.next_request is None:
                return response
            await response.aclose()
            method, url, headers = request.method, response.next_request.url, request.headers
            request = httpx.Request(
                method, url, headers=headers, content=request.content, extensions=request.extensions
            )
        raise httpx.TooManyRedirects("endless redirects", request=request)


class _NoCookies(httpx.Cookies):
    """Keeps nothing: every request carries what it needs, and looking for cookies takes longer than parsing a head."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Nothing."""


class _Client(httpx.AsyncClient):
    """Without cookies."""

    cookies = _NoCookies()  # type: ignore[override]  # a property that would keep others


def _decode_into(decoded: list[Any], response: httpx.Response) -> ProviderError | None:
    """Append what the body says; an error when it says nothing."""
    if error := error_for_status(response):
        return error
    try:
        decoded.append(parse_json(response.content))
    except BoundsError as error:
        return UnreadableReplyError(f"invalid JSON: {error}", url=safe_url(response))
    except ValueError:
        kind = hidden(response.headers.get("Content-Type", "no content type"), response)
        return ProtocolError(
            f"expected JSON but got {kind} {words_of(response, response.content)}", url=safe_url(response)
        )
    return None


def _tls(config: Config) -> ssl.SSLContext:
    context = httpx.create_ssl_context()
    if config.ca_bundle is not None:
        try:
            context.load_verify_locations(cafile=config.ca_bundle)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"the CA bundle {config.ca_bundle} cannot be read: {reason(error)}") from error
    return context


def origin_of(url: httpx.URL) -> Origin:
    """Scheme, host and port: what secrets are bound to."""
    return url.scheme, url.host, url.port


def on_each_hop(hook: Callable[[httpx.Request], None]) -> dict[str, Any]:
    """`extensions` of a request that has `hook` called before it is sent, and again for each redirect it follows.

    The hook puts credentials on the hops that may see them; httpx drops `Authorization` when a redirect leaves the
    origin, and keeps other headers. It may raise to stop a redirect.
    """
    return {_HOP_HOOK: hook}


def put_credentials(request: httpx.Request) -> None:
    """Have the hook of `on_each_hop` act on a request that somebody else is going to send.

    Raises:
        Exception: From the hook: the request must not go there.
    """
    hook: Callable[[httpx.Request], None] | None = request.extensions.get(_HOP_HOOK)
    if hook is not None:
        hook(request)


async def _run_hop_hook(request: httpx.Request) -> None:
    put_credentials(request)


async def _keep_body_here(request: httpx.Request) -> None:
    """Let no redirect take criteria, or a password, to another host.

    Raises:
        ProtocolError: This one would.
    """
    origin = request.extensions.get(_BODY_ORIGIN)
    if origin is not None and origin_of(request.url) != origin:
        hint = "Give the new root with --base-url, if you trust it"
        raise ProtocolError("the archive redirects the request to another host", url=safe_url(request), hint=hint)


async def _refuse_plain_http(request: httpx.Request) -> None:
    """Beyond loopback, and wherever a redirect leads to it from https: no archive may reach into this machine."""
    is_plain = request.url.scheme == "http"
    if is_plain and not is_loopback(request.url.host):
        raise AddressError("plain http is allowed to loopback addresses only", url=safe_url(request))
    if is_plain and request.extensions.get(_IS_SECURE):
        raise AddressError("the archive redirects from https to plain http", url=safe_url(request))
    # httpx hands the extensions on to the next hop; a new dictionary, since older versions share the old one.
    request.extensions = {**request.extensions, _IS_SECURE: not is_plain}


_BEFORE_EACH_HOP = (_refuse_plain_http, _run_hop_hook, _keep_body_here)
