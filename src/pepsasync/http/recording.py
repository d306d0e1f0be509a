"""Exchanges with an archive in a form that may be shown: without secrets, people, cookies and signed addresses.

Headers and parameters that are kept are listed; those that nobody here knows may hold anything. Of JSON all is kept but
what is named like a secret or a person, and of logins the names alone.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, urlencode

import httpx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pepsasync.http.secrets import Secrets

REMOVED = "REMOVED"

MOST_KEPT = 1 << 20
"""Bytes that are kept of a body: a page of a catalogue has fewer."""

HARMLESS = re.compile(
    r"accept(-.*)?|age|allow|cache-control|connection|content-.*|date|etag|expires|last-modified|pragma|range|retry-after"
    r"|server|transfer-encoding|user-agent|vary",
    re.IGNORECASE,
)
"""Headers that are kept. Their values are cleaned all the same."""

_SECRET = re.compile(
    r"passw|passcode|(api|access|secret|session)[-_]?key|key[-_]?(pair|id)|^(key|sig|_tk|code)$|token|^auth|authori[sz]ation"
    r"|secret|session|cookie|signature|credential",
    re.IGNORECASE,
)
"""Names of parameters and JSON members whose value is not kept."""

_KNOWN = re.compile(
    r"\$(filter|top|skip|orderby|expand|count|select)|box|cloudCover|collection|completionDate|geometry|index|lang|lat|limit"
    r"|lon|maxRecords|orbitDirection|page|platform|polarisation|product(Type|Identifier)|publishedBegin|q|radius|realtime"
    r"|sensorMode|startDate|tileid"
)
"""Parameters of searches that are kept; the value of any other is not."""

_PERSONAL = re.compile(
    r"e?mail|user(_?name)?|login|sub|((first|last|given|family)_?name)|preferred_username", re.IGNORECASE
)
"""Names of JSON members that are about whoever has the account."""

_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")
_QUERY = re.compile(r"(https?://[^\s\"'<>?]+)\?[^\s\"'<>]+")


@dataclass(slots=True)
class Exchange:
    """One request and its answer, as far as its body was read."""

    request: httpx.Request
    response: httpx.Response
    body: bytearray = field(default_factory=bytearray)


class _Kept(httpx.AsyncByteStream):
    """The body of an answer, whose first bytes are kept when they are read."""

    def __init__(self, stream: httpx.AsyncByteStream, body: bytearray) -> None:
        self._stream, self._body = stream, body
        self._chunks: AsyncIterator[bytes] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        self._chunks = self._chunks or aiter(self._stream)
        chunk = await anext(self._chunks)
        self._body += chunk[: max(0, MOST_KEPT - len(self._body))]
        return chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


class Recording:
    """What a client and its archive said to each other, in order. Made by `Http.recorded`.

    Args:
        secrets: Of the client's accounts.
    """

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._led_to: set[httpx.URL] = set()
        self.exchanges: list[Exchange] = []

    def take(self, request: httpx.Request, response: httpx.Response) -> None:
        """Note an answer before its body is read."""
        exchange = Exchange(request, response)
        if isinstance(response.stream, httpx.AsyncByteStream):
            response.stream = _Kept(response.stream, exchange.body)
        if location := response.headers.get("Location"):
            self._led_to.add(request.url.join(location))
        self.exchanges.append(exchange)

    def as_json(self) -> list[dict[str, Any]]:
        """The exchanges, ready for JSON, with `REMOVED` in the place of what is nobody's business.

        Each has `request` (`method`, `path`, `headers`, `body`: always null), `status_line`, `headers`, and `body`, or
        `body_base64` of bytes that are no text.
        """
        return [self._shown(exchange) for exchange in self.exchanges]

    def _shown(self, exchange: Exchange) -> dict[str, Any]:
        request, response = exchange.request, exchange.response
        is_account = self._tells_secrets(request)
        return {
            "request": {
                "method": request.method,
                "path": self._path(request.url),
                "headers": [["Host", request.headers["Host"]], *self._headers(request.headers)],
                "body": None,
            },
            "status_line": self._cleaned(f"{response.http_version} {response.status_code} {response.reason_phrase}"),
            "headers": self._headers(response.headers) + self._location(exchange),
            **self._body(bytes(exchange.body), response, is_account=is_account),
        }

    def _tells_secrets(self, request: httpx.Request) -> bool:
        """Whether a request is a login of any kind: of its answer only the shape is kept."""
        try:
            sent = request.content.decode()
        except (httpx.RequestNotRead, UnicodeDecodeError):
            return True
        try:
            given = json.loads(sent)
        except ValueError:
            given = dict(parse_qsl(sent))
        names = given if isinstance(given, dict) else {}
        return self._secrets.hide(sent) != sent or any(_SECRET.search(name) for name in names)

    def _path(self, url: httpx.URL) -> str:
        """Path and query; nothing of a query that a server made."""
        kept = [] if url in self._led_to else [key for key in url.params if _KNOWN.fullmatch(key)]
        pairs = [(key, value if key in kept else REMOVED) for key, value in url.params.multi_items()]
        query = f"?{urlencode(pairs)}" if pairs else ""
        return self._cleaned(url.path) + (self._secrets.hide(query) if kept else query)

    def _location(self, exchange: Exchange) -> list[list[str]]:
        location = exchange.response.headers.get("Location")
        if location is None:
            return []
        url = exchange.request.url.join(location)
        return [["Location", f"{url.scheme}://{url.netloc.decode()}{self._path(url)}"]]

    def _headers(self, headers: httpx.Headers) -> list[list[str]]:
        return [[name, self._cleaned(value)] for name, value in headers.items() if HARMLESS.fullmatch(name)]

    def _body(self, body: bytes, response: httpx.Response, *, is_account: bool) -> dict[str, str]:
        if response.headers.get("Content-Encoding"):
            try:
                body = httpx.Response(200, headers=response.headers, content=body).content
            except httpx.DecodingError:
                return {"body": f"{REMOVED}: cannot be decoded"}
        if body.startswith(b"PK"):
            return {"body_base64": base64.b64encode(body[:1024]).decode()}
        try:
            text = body.decode()
        except UnicodeDecodeError:
            return {"body": f"{REMOVED}: {len(body)} bytes that are no text"}
        try:
            return {"body": json.dumps(self._without(json.loads(text), everything=is_account), ensure_ascii=False)}
        except ValueError:
            # Pages of a login hold sessions in forms of any shape.
            is_open = text.lstrip().startswith(("{", "[", "<"))  # what was cut has no names to go by
            return {"body": f"{REMOVED}: {len(text)} letters" if is_account or is_open else self._cleaned(text)}

    def _without(self, value: Any, *, everything: bool = False, name: str = "") -> Any:
        if value is not None and (_PERSONAL.fullmatch(name) or _SECRET.search(name)):
            return REMOVED
        if isinstance(value, dict):
            return {key: self._without(item, everything=everything, name=key) for key, item in value.items()}
        if isinstance(value, list):
            return [self._without(item, everything=everything, name=name) for item in value]
        if everything and isinstance(value, str):
            return REMOVED
        return self._cleaned(value) if isinstance(value, str) else value

    def _cleaned(self, text: str) -> str:
        text = _JWT.sub(REMOVED, _MAIL.sub(REMOVED, self._secrets.hide(text)))
        return _QUERY.sub(rf"\1?{REMOVED}", text)
