"""Sessions of Earthdata Login at ASF: a token that the user gave, or a login that ends with a cookie (ASF notes, 5).

There is one session for each client, since the service does not like clients that log in for each file. Secrets are
kept in memory only, and nothing that the login says gets into messages.
"""

from __future__ import annotations

import base64
import math
import time
from typing import TYPE_CHECKING, NamedTuple

import anyio

from pepsasync.errors import (
    AuthError,
    ForbiddenError,
    NoCredentialsError,
    ProtocolError,
    ProviderError,
    ServerError,
)
from pepsasync.http.client import on_each_hop
from pepsasync.http.errors import error_for_status, safe_url
from pepsasync.http.replies import parse_json
from pepsasync.providers.asf.hosts import CALLBACK, LOGIN
from pepsasync.providers.reading import as_mapping, as_text

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from pepsasync.credentials.credentials import Credentials
    from pepsasync.credentials.lookup import Lookup
    from pepsasync.http.client import Http
    from pepsasync.providers.asf.hosts import Hosts

CLIENT_ID = "BO_n7nTIlMljdvU6kRRB3g"
"""What ASF is called at Earthdata Login."""
COOKIE = "asf-urs"
MOST_LOGINS = 4
"""Logins in a row whose sessions are refused from the first on, before the account is given up."""
REFUSED_FOR = 3.0
"""Seconds for which they must have been refused, too: services refuse good sessions for a moment."""

MISSING_HINT = (
    "Run 'pepsasync login asf', put machine urs.earthdata.nasa.gov into ~/.netrc, or set PEPSASYNC_ASF_USERNAME and "
    "PEPSASYNC_ASF_PASSWORD, or PEPSASYNC_ASF_API_KEY for an Earthdata token; accounts are made at "
    "https://urs.earthdata.nasa.gov"
)
LICENCE_HINT = (
    f"Log in at https://urs.earthdata.nasa.gov/approve_app?client_id={CLIENT_ID} and accept it, fill in the study area "
    "of your profile, and log in once at https://search.asf.alaska.edu"
)
_LOGIN_HINT = "Check user name and password at https://urs.earthdata.nasa.gov"
_TOKEN_HINT = "Make a new token at https://urs.earthdata.nasa.gov (Generate Token): it is valid for 60 days"  # noqa: S105


class Entry(NamedTuple):
    """What a download shows to be let in."""

    header: str
    value: str

    def is_on(self, request: httpx.Request) -> bool:
        """Whether a request shows it."""
        return bool(request.headers.get(self.header) == self.value)


class Session:
    """One session of one account, whoever asks and however many do at once.

    Args:
        http: Connection pool.
        hosts: Where to log in, and whom to trust.
        credentials: A token, or user name and password.
        clock: Seconds that only grow.
    """

    def __init__(
        self, http: Http, hosts: Hosts, credentials: Lookup, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._http = http
        self._hosts = hosts
        self._credentials = credentials
        self._lock = anyio.Lock()
        self._cookie: Entry | None = None
        self._token: Entry | None = None
        self._refusal: AuthError | None = None
        self._is_accepted = False
        self._logins = 0
        """Since a session was accepted."""
        self._refused_since = math.inf

    async def entry(self) -> Entry:
        """What to show; logs in when there is nothing yet.

        Raises:
            AuthError: There are no credentials, or they were refused.
            ProviderError: The login did not answer as it should.

        Cancellation: the next caller begins where this one ended.
        """
        async with self._lock:
            if self._refusal is not None:
                raise self._refusal
            if entry := self._cookie or self._token:
                return entry
            login = await self._credentials.find()
            if login is not None and login.api_key:
                self._http.secrets.add(login.api_key)
                self._token = Entry("Authorization", f"Bearer {login.api_key}")
                return self._token
            if login is None or not login.username or login.password is None:
                raise NoCredentialsError("no credentials for ASF (Earthdata Login)", hint=MISSING_HINT)
            await self._log_in(login)
            return self._cookie or self._token or Entry("Cookie", "")

    async def check(self) -> None:
        """Have the account looked at.

        Raises:
            AuthError: There is none, or it was refused, or a licence was not accepted.
            ProviderError: The login did not answer as it should.
        """
        entry = await self.entry()
        if entry.header != "Authorization":
            return
        url = self._hosts.url(LOGIN, f"/oauth/tokens/user?client_id={CLIENT_ID}")
        token = entry.value.removeprefix("Bearer ")
        request = self._http.build("POST", url, data={"token": token}, extensions=on_each_hop(self._stay))
        await self._http.send_patiently(request, self._judge_token)

    def take(self, response: httpx.Response) -> None:
        """Keep the cookie that came with an answer, for the next downloads, and note that the session is good."""
        hops = (*response.history, response)
        self._keep_cookie(response)
        if any(entry.is_on(hop.request) for hop in hops for entry in (self._cookie, self._token) if entry):
            self._is_accepted = True
            self._logins, self._refused_since = 0, math.inf

    def refuse_shown(self, request: httpx.Request) -> ProviderError:
        """Take note that ASF refused what a request showed; see `refuse`."""
        shown = next((entry for entry in (self._cookie, self._token) if entry and entry.is_on(request)), None)
        return self.refuse(shown or Entry("", ""))

    def refuse(self, entry: Entry) -> ProviderError:
        """Take note that ASF does not let an entry in, or sends it to the login.

        Returns:
            A passing error while there is another way to get in; else an `AuthError`, and nothing is tried again.
        """
        passing = ServerError("the session at ASF has ended; the next try opens another")
        if entry == self._token:
            if self._is_accepted:  # its session may have ended, or the service is unwell: once more
                self._is_accepted = False
                return passing
            self._refusal = self._token_refused()
            return self._refusal
        if entry != self._cookie:
            return passing
        self._cookie, self._is_accepted = None, False
        self._refused_since = min(self._refused_since, self._clock())
        is_over = self._logins >= MOST_LOGINS and self._clock() >= self._refused_since + REFUSED_FOR
        if is_over and self._token is None:
            hint = f"{LICENCE_HINT}; or use an Earthdata token"
            self._refusal = AuthError("ASF refuses the sessions that it has opened", hint=hint)
            return self._refusal
        return passing

    def _token_refused(self) -> AuthError:
        return self._credentials.name_source(AuthError("Earthdata Login does not accept the token", hint=_TOKEN_HINT))

    async def _log_in(self, login: Credentials) -> None:
        """Send the password to the login, and follow it to ASF, which sets the cookie; ask for a token without one.

        A refused login is never sent again.
        """
        pair = f"{login.username}:{login.password}".encode()
        basic = base64.b64encode(pair).decode("ascii")
        self._http.secrets.add(login.password, basic)
        callback = self._hosts.url(CALLBACK, "/login")

        def authorize(request: httpx.Request) -> None:
            self._stay(request)
            if self._hosts.is_login(request.url):
                request.headers["Authorization"] = f"Basic {basic}"
            else:
                request.headers.pop("Authorization", None)

        parameters = {"client_id": CLIENT_ID, "response_type": "code", "redirect_uri": callback, "splash": "false"}
        url = self._hosts.url(LOGIN, "/oauth/authorize")
        try:
            request = self._http.build("GET", url, params=parameters, extensions=on_each_hop(authorize))
            await self._http.send_patiently(request, self._judge_login)
            if self._cookie is None:
                url = self._hosts.url(LOGIN, "/api/users/find_or_create_token")
                request = self._http.build("POST", url, extensions=on_each_hop(authorize))
                reply = as_mapping(parse_json((await self._http.send_patiently(request, _judge_new_token)).content))
                token = as_text(reply.get("access_token")) or ""
                self._http.secrets.add(token)
                self._token = Entry("Authorization", f"Bearer {token}")
        except AuthError as error:
            self._refusal = self._credentials.name_source(error)
            raise
        self._logins += 1
        self._is_accepted = False

    def _keep_cookie(self, response: httpx.Response) -> None:
        for hop in (*response.history, response):
            if not self._hosts.is_asf(hop.url):
                continue
            for line in hop.headers.get_list("Set-Cookie"):
                name, _, value = line.partition(";")[0].strip().partition("=")
                if name == COOKIE and value and value.isascii() and value.isprintable():
                    self._http.secrets.add(value)
                    self._cookie = Entry("Cookie", f"{COOKIE}={value}")

    def _judge_login(self, response: httpx.Response) -> ProviderError | None:
        """What is wrong with the end of a login: nothing when it brought the cookie, whatever came then."""
        self._keep_cookie(response)
        if self._cookie is not None:
            return None
        url, body = safe_url(response), response.content
        if is_about_licence(response, body):
            return licence_missing(url)
        if self._hosts.is_login(response.url) and (response.status_code in (200, 401, 403)):
            return AuthError("Earthdata Login refuses user name or password", url=url, hint=_LOGIN_HINT)
        error = error_for_status(response, b"")
        return error if isinstance(error, ServerError) else None

    def _judge_token(self, response: httpx.Response) -> ProviderError | None:
        if is_about_licence(response, response.content):
            return licence_missing(safe_url(response))
        error = error_for_status(response, b"")
        return error if error is None or isinstance(error, ServerError) else self._token_refused()

    def _stay(self, request: httpx.Request) -> None:
        """Stop redirects to hosts that are neither the login's nor ASF's."""
        if not (self._hosts.is_login(request.url) or self._hosts.is_asf(request.url)):
            raise ProtocolError("Earthdata Login redirects to another host", url=safe_url(request))


def is_about_licence(response: httpx.Response, body: bytes) -> bool:
    """Whether an answer says that something has to be accepted or filled in first (5.4)."""
    words = body.lower()
    if response.status_code in (401, 403) and b"eula" in words:
        return True
    asked = response.url.params
    return "resolution_url" in asked or b"please update your profile" in words or b"study area" in words


def licence_missing(url: str) -> AuthError:
    """The account is good, and ASF wants its user to agree to something."""
    return AuthError("the Earthdata account has not accepted ASF's licence (EULA)", url=url, hint=LICENCE_HINT)


def _judge_new_token(response: httpx.Response) -> ProviderError | None:
    """What is wrong with a token reply; its body is never quoted."""
    url, error = safe_url(response), error_for_status(response, b"")
    if isinstance(error, AuthError | ForbiddenError):
        return AuthError("Earthdata Login refuses user name or password", url=url, hint=_LOGIN_HINT)
    if error is not None:
        return error
    try:
        token = as_text(as_mapping(parse_json(response.content)).get("access_token"))
    except ValueError:
        token = None
    is_token = token is not None and token.isascii() and token.isprintable() and " " not in token
    return None if is_token else ProtocolError("Earthdata Login sent neither a session nor a token", url=url)
