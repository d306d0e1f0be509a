"""What went wrong between us and a server, in our own errors."""

from __future__ import annotations

import contextlib
import json
import ssl
from typing import TYPE_CHECKING

import httpcore
import httpx

from pepsasync.errors import (
    AddressError,
    AuthError,
    ForbiddenError,
    NotFoundError,
    PepsasyncError,
    ProtocolError,
    ProviderError,
    QuotaError,
    RefusedError,
    ServerError,
    UnavailableError,
    UnreachableError,
)
from pepsasync.http.secrets import hidden
from pepsasync.limits.schedule import parse_retry_after
from pepsasync.text import reason

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_WORDS = 65_536
"""Bytes of a body in which its first words are looked for."""


_ERRORS: dict[type[Exception], type[httpx.TransportError]] = {
    httpcore.ConnectTimeout: httpx.ConnectTimeout,
    httpcore.ReadTimeout: httpx.ReadTimeout,
    httpcore.WriteTimeout: httpx.WriteTimeout,
    httpcore.PoolTimeout: httpx.PoolTimeout,
    httpcore.ConnectError: httpx.ConnectError,
    httpcore.ReadError: httpx.ReadError,
    httpcore.WriteError: httpx.WriteError,
    httpcore.ProxyError: httpx.ProxyError,
    httpcore.UnsupportedProtocol: httpx.UnsupportedProtocol,
    httpcore.LocalProtocolError: httpx.LocalProtocolError,
    httpcore.RemoteProtocolError: httpx.RemoteProtocolError,
}


@contextlib.contextmanager
def httpx_errors() -> Iterator[None]:
    """Turn what httpcore raises into what httpx does.

    Raises:
        httpx.TransportError: The connection, or what came over it, failed.
    """
    try:
        yield
    except tuple(_ERRORS) as error:
        raise _ERRORS[type(error)](str(error)) from error


def safe_url(of: httpx.Response | httpx.Request | httpx.URL | str) -> str:
    """The URL without user, password, query, fragment and the client's secrets: what may be shown and logged."""
    url = of.url if isinstance(of, httpx.Response | httpx.Request) else httpx.URL(of)
    text = str(url.copy_with(username=None, password=None, query=None, fragment=None))
    return hidden(text, of) if isinstance(of, httpx.Response | httpx.Request) else text


def error_for_status(response: httpx.Response, body: bytes | None = None) -> ProviderError | None:
    """Map a status that every archive means in the same way; None for success.

    Args:
        response: Status and headers.
        body: What was read of the body; the whole of it when None.
    """
    status = response.status_code
    if status < 400:
        return None
    url = safe_url(response)
    said = words_of(response, response.content if body is None else body)
    said = f": {said}" if said else ""
    retry_after = parse_retry_after(response.headers.get("Retry-After"))
    if status == 401:
        return AuthError("the archive refused the credentials", url=url, hint="Check user name and password")
    if status == 403:
        return ForbiddenError(f"the archive forbids this{said}", url=url)
    if status in (404, 410):
        return NotFoundError(f"not found{said}", url=url)
    if status in (420, 421, 429):
        return QuotaError(f"quota or rate limit reached (HTTP {status}){said}", retry_after=retry_after, url=url)
    if status >= 500 or status in (408, 423, 425):
        kind = UnavailableError if status in (502, 503, 504) else ServerError
        return kind(f"the server failed with HTTP {status}{said}", retry_after=retry_after, url=url)
    return RefusedError(f"the archive refused the request with HTTP {status}{said}", url=url)


def words_of(response: httpx.Response, body: bytes) -> str:
    """`first_words` of the body of an answer, without the client's secrets, which servers quote."""
    return first_words(hidden(body[:_MOST_WORDS].decode("utf-8", "replace"), response).encode())


def first_words(body: bytes) -> str:
    """What a server said in an error body, short enough for one line; empty for markup and binary.

    What JSON says is taken out of its braces: `ErrorMessage` of resto, `messages` of REGARDS, `detail` of CDSE.
    """
    text = body[:4096].decode("utf-8", "replace").strip()
    if text.startswith("{"):
        with contextlib.suppress(ValueError, AttributeError, RecursionError, TypeError, KeyError):
            reply = json.loads(text)
            said = reply.get("ErrorMessage") or reply.get("detail") or " ".join(reply["messages"])
            text = said if isinstance(said, str) else text
    if text.startswith("<") or not text.isprintable():
        return ""
    return " ".join(text.split())[:200]


@contextlib.contextmanager
def network_errors(request: httpx.Request) -> Iterator[None]:
    """Turn what httpx raises into our errors.

    Raises:
        UnreachableError: No connection.
        ServerError: The connection broke or went silent.
        ProtocolError: The answer is not HTTP, or endless redirects.
        AddressError: The URL cannot be used.
    """
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL, httpcore.TimeoutException, httpcore.NetworkError, ssl.SSLError) as error:
        _hide_in_causes(error, request)
        ours = _network_error(error, request)
        if ours is None:
            raise
        raise ours from error


def _hide_in_causes(error: Exception, request: httpx.Request) -> None:
    """Take secrets out of exceptions that quote what a server sent, since tracebacks show them all."""
    cause: BaseException | None = error
    while cause is not None:
        cause.args = tuple(hidden(each, request) if isinstance(each, str) else each for each in cause.args)
        cause = cause.__cause__ or cause.__context__


def _network_error(error: Exception, request: httpx.Request) -> PepsasyncError | None:
    where = safe_url(request)
    match error:
        case httpx.ConnectError() | httpx.ConnectTimeout() | httpx.ProxyError() | ssl.SSLError():
            what = f"cannot connect to {request.url.host}: {reason(error)}"
            return UnreachableError(what, url=where, hint=_advice(error))
        case httpx.TimeoutException() | httpcore.TimeoutException():
            return ServerError("the server stopped sending", url=where)
        case httpx.NetworkError() | httpx.RemoteProtocolError() | httpcore.NetworkError():
            return ServerError(f"the connection broke: {reason(error)}", url=where)
        case httpx.TooManyRedirects() | httpx.DecodingError() | httpx.LocalProtocolError():
            return ProtocolError(f"invalid answer: {reason(error)}", url=where)
        case httpx.UnsupportedProtocol() | httpx.InvalidURL():
            return AddressError(f"invalid address: {reason(error)}", url=where)
    return None


def _advice(error: Exception) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "The certificate is not trusted; give its authority with --ca-bundle FILE"
        cause = cause.__cause__ or cause.__context__
    return "Check the address and the network"
