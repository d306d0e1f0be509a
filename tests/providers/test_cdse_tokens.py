"""One session for each client: logged in once, refreshed in time, and never seen by anybody else."""

import json
import logging
import traceback
from urllib.parse import parse_qs

import anyio
import anyio.lowlevel
import httpx
import pytest

from pepsasync.config import Config
from pepsasync.credentials import Credentials
from pepsasync.credentials.lookup import Lookup
from pepsasync.errors import (
    AuthError,
    ProtocolError,
    ProviderError,
    QuotaError,
    ServerError,
    UnavailableError,
)
from pepsasync.http.client import Http
from pepsasync.providers.cdse.tokens import MARGIN, REFUSED_FOR, Tokens

URL = "https://identity.example/auth/realms/CDSE/protocol/openid-connect/token"
PASSWORD = "a&b:ç secret-password"
pytestmark = pytest.mark.anyio


class Identity:
    """An identity service for one account, and the clock that it and the client share."""

    def __init__(self, *, code=None, lifetime=600, refresh_lifetime=3600):
        self.code, self.lifetime, self.refresh_lifetime = code, lifetime, refresh_lifetime
        self.now = 0.0
        self.grants = []
        self.refresh_token = None
        self.refresh_ends = 0.0
        self.answer = None

    async def __call__(self, request):
        await anyio.lowlevel.checkpoint()  # so that whoever does not wait overtakes
        form = {name: value for name, [value] in parse_qs(request.content.decode()).items()}
        self.grants.append(form["grant_type"] + ("+totp" if "totp" in form else ""))
        assert ("POST", URL, "cdse-public") == (request.method, str(request.url), form["client_id"])
        if self.answer is not None:
            return self.answer
        if form["grant_type"] == "password":
            if (form["username"], form["password"], form.get("totp")) != ("who@example.org", PASSWORD, self.code):
                return refusal(401, "Invalid user credentials")
        elif form["refresh_token"] != self.refresh_token or self.now >= self.refresh_ends:
            return refusal(400, "Token is not active")
        number = len(self.grants)
        self.refresh_token, self.refresh_ends = f"secret-refresh-{number}", self.now + self.refresh_lifetime
        return httpx.Response(200, json=reply(number, self.lifetime, self.refresh_lifetime))


def reply(number=1, lifetime=600, refresh_lifetime=3600):
    return {
        "access_token": f"secret-access-{number}",
        "expires_in": lifetime,
        "refresh_token": f"secret-refresh-{number}",
        "refresh_expires_in": refresh_lifetime,
        "token_type": "Bearer",
    }


def refusal(status, said):
    return httpx.Response(status, json={"error": "invalid_grant", "error_description": said})


class Person:
    """Whoever is asked for the code of a second factor."""

    def __init__(self, code):
        self.code, self.asked = code, 0

    async def __call__(self):
        self.asked += 1
        return self.code


def tokens(identity, *, password=PASSWORD, ask_code=None):
    http = Http(Config(retries=1), transport=httpx.MockTransport(identity))
    credentials = Credentials(username="who@example.org", password=password)
    return Tokens(http, URL, Lookup.of(credentials), ask_code, clock=lambda: getattr(identity, "now", 0.0))


def answering(*args, **options):
    identity = Identity()
    identity.answer = httpx.Response(*args, **options)
    return identity


async def test_access_fifty_callers_share_one_login():
    identity = Identity()
    session = tokens(identity)
    got = []

    async def ask():
        got.append(await session.access())

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(ask)

    assert ["secret-access-1"] * 50 == got
    assert ["password"] == identity.grants


async def test_access_fifty_callers_share_one_refresh():
    identity = Identity()
    session = tokens(identity)
    await session.access()
    identity.now = 600.0

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(session.access)

    assert ["password", "refresh_token"] == identity.grants


async def test_access_is_refreshed_before_its_end():
    identity = Identity()
    session = tokens(identity)
    await session.access()

    identity.now = 600 - MARGIN - 1
    before = await session.access()
    identity.now = 600 - MARGIN
    after = await session.access()

    assert ("secret-access-1", "secret-access-2") == (before, after)
    assert ["password", "refresh_token"] == identity.grants


async def test_access_short_lived_token_is_used_for_half_its_life():
    identity = Identity(lifetime=10)
    session = tokens(identity)
    got = []
    for identity.now in (0.0, 4.0, 5.0):
        got.append(await session.access())

    assert ["secret-access-1", "secret-access-1", "secret-access-2"] == got


async def test_access_a_day_of_use_is_one_login():
    identity = Identity()
    session = tokens(identity)
    for identity.now in range(0, 86_400, 300):
        await session.access()

    assert 1 == identity.grants.count("password")
    assert identity.now < identity.refresh_ends


@pytest.mark.parametrize(
    ("refresh_lifetime", "now", "expected"),
    [
        pytest.param(3600, 3600.0, ["password", "password"], id="over-is-not-tried"),
        pytest.param(0, 700.0, ["password", "refresh_token", "password"], id="refused"),
    ],
)
async def test_access_without_good_refresh_token_logs_in_again(refresh_lifetime, now, expected):
    identity = Identity(refresh_lifetime=refresh_lifetime)
    session = tokens(identity)
    await session.access()
    identity.now = now

    await session.access()

    assert expected == identity.grants


async def test_access_refresh_survives_an_outage_of_the_identity_service():
    identity = Identity()
    session = tokens(identity)
    await session.access()
    identity.now, identity.answer = 600.0, httpx.Response(503)
    with pytest.raises(ServerError):
        await session.access()
    identity.answer = None

    await session.access()

    assert ["password", "refresh_token", "refresh_token"] == identity.grants


@pytest.mark.parametrize("change", [{"expires_in": None}, {"expires_in": "x", "refresh_token": 7}, {"expires_in": -5}])
async def test_access_odd_lifetimes(change):
    session = tokens(answering(200, json=reply() | change))

    assert "secret-access-1" == await session.access()


async def test_access_wrong_password_is_sent_once_for_all_callers():
    identity = Identity()
    session = tokens(identity, password="wrong")
    errors = []

    async def ask():
        with pytest.raises(AuthError, match="refused e-mail address or password") as caught:
            await session.access()
        errors.append(caught.value)

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(ask)

    assert 5 == len(errors)
    assert ["password"] == identity.grants


@pytest.mark.parametrize(("status", "error"), [(403, "access_denied"), (400, "invalid_request"), (404, ""), (422, "")])
async def test_access_refused_login_is_sent_once_and_told_with_its_status(status, error):
    identity, person = answering(status, json={"error": error}), Person("123456")
    session = tokens(identity, ask_code=person)
    for _ in range(3):
        with pytest.raises(AuthError, match=f"refused the login with HTTP {status}"):
            await session.access()

    assert (["password"], 0) == (identity.grants, person.asked)


async def test_access_a_question_for_a_code_that_is_cancelled_is_an_error():
    async def person():
        raise anyio.get_cancelled_exc_class()  # trio lets nobody make one: any other error there

    with pytest.raises((RuntimeError, TypeError)):
        await tokens(Identity(code="123456"), ask_code=person).access()


async def test_access_refused_code_is_sent_once():
    identity = Identity(code="123456")

    async def person():
        identity.answer = httpx.Response(403)
        return "123456"

    session = tokens(identity, ask_code=person)
    for _ in range(2):
        with pytest.raises(AuthError, match="HTTP 403"):
            await session.access()

    assert ["password", "password+totp"] == identity.grants


@pytest.mark.parametrize("answer", [httpx.Response(429), httpx.Response(503)])
async def test_access_login_that_failed_for_a_moment_is_sent_again(answer):
    identity = Identity()

    async def failing_once(request):
        if not identity.grants:
            identity.grants.append("failed")
            return answer
        return await identity(request)

    session = tokens(failing_once)
    with pytest.raises(ServerError):
        await session.access()

    await session.access()

    assert ["failed", "password"] == identity.grants


@pytest.mark.parametrize("status", [400, 403])
async def test_access_refused_refresh_is_followed_by_a_login(status):
    identity = Identity()
    session = tokens(identity)
    await session.access()
    identity.now, identity.answer = 600.0, httpx.Response(status)

    with pytest.raises(AuthError, match=f"HTTP {status}"):
        await session.access()

    assert ["password", "refresh_token", "password"] == identity.grants


async def test_access_second_factor_is_asked_for_once():
    identity, person = Identity(code="123456"), Person(" 123456\n")
    session = tokens(identity, ask_code=person)

    await session.access()
    identity.now = 600.0
    await session.access()

    assert 1 == person.asked
    assert ["password", "password+totp", "refresh_token"] == identity.grants


async def test_access_known_second_factor_is_not_tried_without():
    identity, person = Identity(code="123456"), Person("123456")
    session = tokens(identity, ask_code=person)
    await session.access()
    identity.now = 4000.0

    await session.access()

    assert 2 == person.asked
    assert ["password", "password+totp", "password+totp"] == identity.grants


async def test_access_wrong_code_is_asked_for_once():
    identity, person = Identity(code="123456"), Person("654321")
    session = tokens(identity, ask_code=person)
    for _ in range(3):
        with pytest.raises(AuthError):
            await session.access()

    assert 1 == person.asked
    assert ["password", "password+totp"] == identity.grants


async def test_access_account_without_second_factor_is_not_asked():
    person = Person("123456")

    await tokens(Identity(), ask_code=person).access()

    assert 0 == person.asked


@pytest.mark.parametrize("credentials", [None, Credentials(), Credentials(username="who"), Credentials(api_key="key")])
async def test_access_without_credentials_sends_nothing(credentials):
    identity = Identity()
    http = Http(Config(), transport=httpx.MockTransport(identity))

    with pytest.raises(AuthError, match="pepsasync login cdse"):
        await Tokens(http, URL, Lookup.of(credentials)).access()
    assert [] == identity.grants


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        pytest.param(429, {}, QuotaError, id="too-many"),
        pytest.param(503, {}, UnavailableError, id="down"),
        pytest.param(408, {}, ServerError, id="slow"),
        pytest.param(200, {}, ProtocolError, id="no-token"),
        pytest.param(200, {"access_token": None}, ProtocolError, id="null"),
        pytest.param(200, {"access_token": ["secret-access-1"]}, ProtocolError, id="list"),
        pytest.param(200, {"access_token": "secret-access-1\r\nX: y"}, ProtocolError, id="not-for-a-header"),
        pytest.param(200, {"access_token": "secret-accéss"}, ProtocolError, id="not-ascii"),
        pytest.param(200, [], ProtocolError, id="no-object"),
    ],
)
async def test_access_odd_answers(status, body, expected):
    with pytest.raises(ProviderError) as caught:
        await tokens(answering(status, json=body)).access()

    assert expected is type(caught.value)


ECHO = json.dumps({"error": "invalid_grant", "error_description": f"{PASSWORD} secret-refresh-1"})


@pytest.mark.parametrize("status", [200, 400, 401, 403, 422, 429, 500])
async def test_secrets_are_in_no_error_and_no_log(status, caplog):
    caplog.set_level(logging.DEBUG)
    identity = Identity()
    session = tokens(identity)
    await session.access()
    identity.now, identity.answer = 600.0, httpx.Response(status, text=ECHO)

    with pytest.raises(ProviderError) as caught:
        await session.access()

    told = "".join(traceback.format_exception(caught.value)) + str(caught.value) + repr(caught.value) + repr(session)
    assert "secret-" not in told + caplog.text
    assert caught.value.hint or caught.value.message


async def test_access_password_does_not_follow_redirects_to_other_hosts():
    reached = []

    def redirecting(request):
        reached.append(request.url.host)
        return httpx.Response(307, headers={"Location": "https://elsewhere.example/token?x=secret-query"})

    with pytest.raises(ProtocolError, match="another host") as caught:
        await tokens(redirecting).access()

    assert ["identity.example"] == reached
    assert "secret" not in str(caught.value)


async def test_token_replies_are_no_search_replies():
    seen = []
    identity = Identity()
    session = tokens(identity)
    session._http.on_search_reply = lambda url, body: seen.append(url)

    await session.access()

    assert [] == seen


async def test_refuse_of_a_moment_changes_nothing():
    identity = Identity()
    session = tokens(identity)
    errors = []
    for identity.now in (0.0, 0.1, 0.2):
        errors.append(session.refuse(await session.access()))

    assert {ServerError} == {type(error) for error in errors}
    assert "secret-access-1" == await session.access()
    assert ["password"] == identity.grants


async def refused_for_long(session, identity):
    """What the archive's refusal of one token, from now on, is taken for in the end."""
    token = await session.access()
    assert ServerError is type(session.refuse(token))
    identity.now += REFUSED_FOR
    return session.refuse(token)


async def test_refuse_goes_from_refresh_to_password_and_then_up():
    identity = Identity()
    session = tokens(identity)
    session.accept(await session.access())

    errors = [session.refuse(await session.access()), *[await refused_for_long(session, identity) for _ in range(2)]]

    assert [ServerError, ServerError, AuthError] == [type(error) for error in errors]
    assert ["password", "refresh_token", "password"] == identity.grants


async def test_refuse_fresh_login_is_not_repeated():
    identity = Identity()

    assert AuthError is type(await refused_for_long(tokens(identity), identity))
    assert ["password"] == identity.grants


async def test_refuse_many_downloads_with_one_old_token_count_once():
    identity = Identity()
    session = tokens(identity)
    old = await session.access()
    session.accept(old)

    errors = [session.refuse(old) for _ in range(4)]
    new = await session.access()
    identity.now = REFUSED_FOR
    errors += [session.refuse(old) for _ in range(4)]

    assert {ServerError} == {type(error) for error in errors}
    assert new == await session.access()
    assert ["password", "refresh_token"] == identity.grants


async def test_refuse_after_an_accepted_token_begins_anew():
    identity = Identity()
    session = tokens(identity)
    for _ in range(5):
        assert ServerError is type(session.refuse(await session.access()))
        session.accept(await session.access())
        identity.now += REFUSED_FOR
        assert ServerError is type(session.refuse(await session.access()))

    assert ["password", *["refresh_token"] * 4] == identity.grants


async def test_refuse_never_sends_a_refused_password_again():
    identity = Identity()
    session = tokens(identity)
    session.accept(await session.access())
    session.refuse(await session.access())
    await refused_for_long(session, identity)
    identity.answer = refusal(401, "Invalid user credentials")

    for _ in range(3):
        with pytest.raises(AuthError, match="refused e-mail address or password"):
            await session.access()
    assert ["password", "refresh_token", "password"] == identity.grants


async def test_access_cancelled_caller_leaves_the_session_usable():
    identity = Identity()
    asked = anyio.Event()

    async def slow(request):
        if not identity.grants:
            identity.grants.append("cancelled")
            asked.set()
            await anyio.sleep_forever()
        return await identity(request)

    session = tokens(slow)
    async with anyio.create_task_group() as group:
        group.start_soon(session.access)
        await asked.wait()
        group.cancel_scope.cancel()

    assert "secret-access-2" == await session.access()
