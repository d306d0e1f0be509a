"""Tokens of the Copernicus Data Space: one OpenID session of one account (CDSE notes, Auth).

Logging in opens a session, and an account has 100 of them, so there is one for each client, refreshed as long as the
archive allows. Tokens are kept in memory only, and nothing that the identity service says gets into messages.
"""

from __future__ import annotations

import math
import re
import time
from typing import TYPE_CHECKING, Any

import anyio
import httpx

from pepsasync.errors import (
    AuthError,
    ForbiddenError,
    NoCredentialsError,
    NotFoundError,
    ProtocolError,
    ProviderError,
    RefusedError,
    ServerError,
    UnreadableReplyError,
)
from pepsasync.groups import told_when_cancelled
from pepsasync.http.client import on_each_hop
from pepsasync.http.errors import error_for_status, safe_url
from pepsasync.http.replies import BoundsError, parse_json
from pepsasync.providers.reading import as_mapping, as_number, as_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pepsasync.credentials.lookup import Lookup
    from pepsasync.http.client import Http

CLIENT_ID = "cdse-public"
LIFETIME = 600.0
"""Seconds for which an access token is good when the archive does not say."""
MARGIN = 60.0
"""Seconds before its end from which on a token is not used: the archive must still find it good."""
REFUSED_FOR = 3.0
"""Seconds for which a token that was never accepted is refused before it is given up: services refuse good ones for a
moment, as while they start."""

_TOKEN = re.compile(r"[\x21-\x7e]+")
"""What fits into a header."""
_LOGIN_HINT = (
    "Check e-mail address and password at https://dataspace.copernicus.eu; an account with a second factor needs a "
    "terminal on which its code can be asked for"
)
_BLOCKED_HINT = (
    "Log in at https://dataspace.copernicus.eu and look whether the account is blocked; one that logs in too often is "
    "banned for a time"
)
_MISSING_HINT = (
    "Run 'pepsasync login cdse', give a file with 'email password' with --auth, or set PEPSASYNC_CDSE_USERNAME and "
    "PEPSASYNC_CDSE_PASSWORD"
)


class Tokens:
    """Access tokens of one account, whoever asks and however many do at once.

    Args:
        http: Connection pool.
        url: Where tokens are handed out; passwords and tokens go to this origin only.
        credentials: E-mail and password.
        ask_code: Asks the user for the code of a second factor.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        http: Http,
        url: str,
        credentials: Lookup,
        ask_code: Callable[[], Awaitable[str]] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._url = url
        self._credentials = credentials
        self._ask_code = ask_code
        self._clock = clock
        self._lock = anyio.Lock()
        self._access: str | None = None
        self._renew_at = -math.inf
        self._refresh: str | None = None
        self._refresh_ends = -math.inf
        self._wants_code = False
        self._refusal: tuple[str, str] | None = None
        self._is_fresh_login = False
        self._is_accepted = False
        self._refused_since = math.inf

    async def access(self) -> str:
        """A token that is good for some time; logs in or refreshes when there is none.

        Raises:
            AuthError: There are no credentials, or the archive refused them or the login.
            ProviderError: The identity service did not answer as it should.

        Cancellation: the next caller begins where this one ended.
        """
        async with self._lock:
            if self._access is None or self._clock() >= self._renew_at:
                await self._renew()
            return self._access or ""

    def accept(self, token: str) -> None:
        """Take note that the archive accepted a token."""
        if token == self._access:
            self._is_accepted = True

    def refuse(self, token: str) -> ProviderError:
        """Take note that the archive refused a token.

        One that it had accepted is refreshed, since a session may end before its time. One that it has refused from
        the first on, and for `REFUSED_FOR`, is followed by a new login.

        Returns:
            A passing error; `AuthError` when that token came from a login already.
        """
        passing = ServerError("the archive refused the session; the next try opens another")
        if token != self._access:
            return passing
        if not self._is_accepted:
            self._refused_since = min(self._refused_since, self._clock())
            if self._clock() < self._refused_since + REFUSED_FOR:
                return passing
            if self._is_fresh_login:
                hint = "Log in at https://dataspace.copernicus.eu and check whether there are terms to accept"
                return AuthError("the archive refuses the tokens that it has issued", hint=hint)
            self._refresh = None
        self._access = None
        return passing

    async def _renew(self) -> None:
        refresh, self._access = self._refresh, None
        if refresh is not None and self._clock() < self._refresh_ends:
            try:
                await self._ask({"grant_type": "refresh_token", "refresh_token": refresh})
            except (AuthError, RefusedError):
                self._refresh = None
            else:
                return
        await self._log_in()

    async def _log_in(self) -> None:
        """Send the password, and a code as well when it is refused without one or was needed before.

        Whatever the reason, a refused login is never sent again: archives lock accounts after some failures.
        """
        login = await self._credentials.find()
        if login is None or not login.username or login.password is None:
            raise NoCredentialsError("no credentials for the Copernicus Data Space", hint=_MISSING_HINT)
        self._http.secrets.add(login.password)
        form = {"grant_type": "password", "username": login.username, "password": login.password}
        refusal = self._refusal or ("the archive refused e-mail address or password", _LOGIN_HINT)
        for ask_code in self._ways():
            with told_when_cancelled("the question for a code"):
                code = {"totp": (await ask_code()).strip()} if ask_code else {}
            try:
                await self._ask(form | code)
            except AuthError:
                continue
            except RefusedError as error:  # a code changes nothing about that
                refusal = error.message, _BLOCKED_HINT
                break
            self._wants_code = bool(code)
            return
        self._refusal = refusal
        raise self._credentials.name_source(AuthError(refusal[0], url=self._url, hint=refusal[1]))

    def _ways(self) -> tuple[Callable[[], Awaitable[str]] | None, ...]:
        """What to ask for a code in each try to log in; None where the password goes alone."""
        if self._refusal:
            return ()
        if self._ask_code is None:
            return (None,)
        return (self._ask_code,) if self._wants_code else (None, self._ask_code)

    async def _ask(self, form: dict[str, str]) -> None:
        """Ask for tokens and keep them.

        Raises:
            AuthError: What was given for them is wrong, or no longer good.
            RefusedError: The login is refused for another reason, whatever is given.
            ProviderError: No tokens came for another reason.
        """
        asked = self._clock()
        request = self._http.build(
            "POST", self._url, data={"client_id": CLIENT_ID, **form}, extensions=on_each_hop(self._stay)
        )
        reply = _decoded(await self._http.send_patiently(request, _judge))
        lifetime = as_number(reply.get("expires_in")) or LIFETIME
        self._access = as_text(reply.get("access_token"))
        self._http.secrets.add(self._access, as_text(reply.get("refresh_token")))
        self._is_fresh_login = form["grant_type"] == "password"
        self._is_accepted, self._refused_since = False, math.inf
        self._renew_at = asked + lifetime - min(MARGIN, lifetime / 2)
        self._refresh = as_text(reply.get("refresh_token"))
        self._refresh_ends = asked + (as_number(reply.get("refresh_expires_in")) or math.inf)

    def _stay(self, request: httpx.Request) -> None:
        """Stop redirects to another host, since httpx would send the password along."""
        home = httpx.URL(self._url)
        if (request.url.scheme, request.url.host, request.url.port) != (home.scheme, home.host, home.port):
            raise ProtocolError("the identity service redirects to another host", url=safe_url(request))


def _judge(response: httpx.Response) -> ProviderError | None:
    """What is wrong with a token reply; its body is never quoted."""
    reply, url = _decoded(response), safe_url(response)
    if response.status_code == 400 and reply.get("error") == "invalid_grant":
        return AuthError("the archive refused the credentials", url=url)
    error = error_for_status(response, b"")
    if isinstance(error, ForbiddenError | NotFoundError | RefusedError):
        return RefusedError(f"the archive refused the login with HTTP {response.status_code}", url=url)
    if error is not None:
        return error
    if not _TOKEN.fullmatch(as_text(reply.get("access_token")) or ""):
        return ProtocolError("the identity service sent no token", url=url)
    return None


def _decoded(response: httpx.Response) -> Any:
    """What a reply says; nothing when it is not JSON.

    Raises:
        UnreadableReplyError: It is a success beyond what is read.
    """
    try:
        return as_mapping(parse_json(response.content))
    except BoundsError as error:
        if response.is_error:
            return {}
        raise UnreadableReplyError(f"invalid JSON: {error}", url=safe_url(response)) from error
    except ValueError:
        return {}
