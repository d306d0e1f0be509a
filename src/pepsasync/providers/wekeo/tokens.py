"""Tokens of WEkEO: one login for a client, refreshed as long as the service allows (WEkEO notes, section 2).

Tokens are kept in memory only, and nothing that the identity service says gets into messages.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import anyio
import httpx

from pepsasync.errors import (
    AuthError,
    NoCredentialsError,
    NotFoundError,
    ProtocolError,
    ProviderError,
    RefusedError,
    ServerError,
)
from pepsasync.http.client import on_each_hop, origin_of
from pepsasync.http.errors import error_for_status, safe_url
from pepsasync.http.replies import parse_json
from pepsasync.providers.reading import as_mapping, as_number, as_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from pepsasync.credentials.lookup import Lookup
    from pepsasync.http.client import Http

LIFETIME = 3600.0
"""Seconds for which a token is good when the service does not say."""
MARGIN = 60.0
"""Seconds before its end from which on a token is not used."""
ORIGINS = (None, "eumetsat", "cmems")
"""Where an account may be from; the service wants to be told, except for its own."""
LOGINS = ("/identity/gettoken", "/hda-broker/gettoken")
"""Where tokens are handed out: since July 2026, and before."""

MISSING_HINT = (
    "Run 'pepsasync login wekeo', give a file with 'user password' with --auth, or set PEPSASYNC_WEKEO_USERNAME and "
    "PEPSASYNC_WEKEO_PASSWORD; accounts are made at https://www.wekeo.copernicus.eu"
)
_LOGIN_HINT = "Check user name and password at https://www.wekeo.copernicus.eu"


class Tokens:
    """Access tokens of one account, whoever asks and however many do at once.

    Args:
        http: Connection pool.
        root: Under which the services stand; password and tokens for a login go to its origin only.
        credentials: User name and password.
        clock: Seconds that only grow.
    """

    def __init__(
        self, http: Http, root: str, credentials: Lookup, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._http = http
        self._root = root
        self._origin = origin_of(httpx.URL(root))
        self._credentials = credentials
        self._clock = clock
        self._lock = anyio.Lock()
        self._access: str | None = None
        self._renew_at = -math.inf
        self._refresh: str | None = None
        self._origins: tuple[str | None, ...] = ORIGINS
        self._logins: tuple[str, ...] = LOGINS
        self._refusal: AuthError | None = None
        self._is_fresh = self._is_accepted = False

    async def access(self) -> str:
        """A token that is good for some time; logs in or refreshes when there is none.

        Raises:
            AuthError: There are no credentials, or they were refused.
            ProviderError: The identity service did not answer as it should.

        Cancellation: the next caller begins where this one ended.
        """
        async with self._lock:
            if self._access is None or self._clock() >= self._renew_at:
                await self._renew()
            return self._access or ""

    def accept(self, token: str) -> None:
        """Take note that the service accepted a token."""
        self._is_accepted |= token == self._access

    def refuse(self, token: str) -> ProviderError:
        """Take note that the service refused a token: it is refreshed, and one that came from a login given up.

        Returns:
            A passing error; `AuthError` when there is no other way to get in.
        """
        if token != self._access:
            return ServerError("WEkEO refused an old token; the next try has another")
        if self._is_fresh and not self._is_accepted:
            self._refusal = AuthError("WEkEO refuses the token that it has issued", hint=_LOGIN_HINT)
            return self._refusal
        self.drop(token)
        return ServerError("WEkEO refused the token; the next try has another")

    def drop(self, token: str) -> None:
        """Use another token from now on, if this is the one in use."""
        if token == self._access:
            self._access, self._is_accepted = None, False

    async def _renew(self) -> None:
        refresh, self._access, self._refresh = self._refresh, None, None
        if refresh is not None:
            request = self._build("/hda-broker/refreshtoken", data={"refresh_token": refresh})
            try:
                self._keep(await self._http.send_patiently(request, _judge), is_fresh=False)
            except (AuthError, RefusedError, NotFoundError, ProtocolError):
                pass
            else:
                return
        await self._log_in()

    async def _log_in(self) -> None:
        """Send the password, once for each place that the account may be from; a refused login is not sent again."""
        if self._refusal is not None:
            raise self._refusal
        login = await self._credentials.find()
        if login is None or not login.username or login.password is None:
            raise NoCredentialsError("no credentials for WEkEO", hint=MISSING_HINT)
        self._http.secrets.add(login.password)
        pair = {"username": login.username, "password": login.password}
        for origin in self._origins:
            try:
                self._keep(await self._ask(pair if origin is None else {**pair, "origin": origin}), is_fresh=True)
            except AuthError:
                continue
            self._origins = (origin,)
            return
        self._refusal = AuthError("WEkEO refuses user name or password", url=self._root, hint=_LOGIN_HINT)
        raise self._credentials.name_source(self._refusal)

    async def _ask(self, body: dict[str, str]) -> httpx.Response:
        """Ask where tokens are handed out now, or where they were before."""
        for path in self._logins:
            try:
                response = await self._http.send_patiently(self._build(path, json=body), _judge)
            except NotFoundError:
                if path == self._logins[-1]:
                    raise
                continue
            self._logins = (path,)
            return response
        raise ProtocolError("the identity service of WEkEO was not found", url=self._root)

    def _build(self, path: str, **body: Any) -> httpx.Request:
        return self._http.build("POST", f"{self._root}{path}", extensions=on_each_hop(self._stay), **body)

    def _keep(self, response: httpx.Response, *, is_fresh: bool) -> None:
        reply = as_mapping(parse_json(response.content))
        lifetime = as_number(reply.get("expires_in")) or LIFETIME
        self._access, self._refresh = as_text(reply.get("access_token")), as_text(reply.get("refresh_token"))
        self._http.secrets.add(self._access, self._refresh)
        self._renew_at = self._clock() + lifetime - min(MARGIN, lifetime / 2)
        self._is_fresh, self._is_accepted = is_fresh, False

    def _stay(self, request: httpx.Request) -> None:
        """Stop redirects to another host."""
        if origin_of(request.url) != self._origin:
            raise ProtocolError("the identity service redirects to another host", url=safe_url(request))


def _judge(response: httpx.Response) -> ProviderError | None:
    """What is wrong with a token reply; its body is never quoted. An error may come with status 200."""
    url = safe_url(response)
    if response.status_code == 405:
        return NotFoundError("not found", url=url)
    error = error_for_status(response, b"")
    if isinstance(error, ServerError | NotFoundError):
        return error
    try:
        reply = as_mapping(parse_json(response.content))
    except ValueError:
        reply = {}
    if error is not None or "error" in reply:
        return AuthError("WEkEO refuses the login", url=url)
    token = as_text(reply.get("access_token"))
    is_token = token is not None and token.isascii() and token.isprintable() and " " not in token
    return None if is_token else ProtocolError("the identity service of WEkEO sent no token", url=url)
