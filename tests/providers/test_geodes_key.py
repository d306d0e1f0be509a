"""The key of GEODES: where it goes, and how the archive tells that it was refused."""

import httpx
import pytest

from fakes import product
from pepsasync.config import Config
from pepsasync.credentials import Credentials
from pepsasync.credentials.lookup import Lookup
from pepsasync.errors import AuthError, ConfigError, ProtocolError
from pepsasync.http.client import Http
from pepsasync.providers.geodes import Geodes
from pepsasync.providers.geodes.key import MOST_REDIRECTS

ROOT = "https://archive.example"
ITEM = product("A", download_url=f"{ROOT}/api/download/URN:1/files/1")
pytestmark = pytest.mark.anyio


def geodes(handler=lambda request: httpx.Response(200), *, key="the-key"):
    http = Http(Config(retries=1), transport=httpx.MockTransport(handler))
    return Geodes(http, Lookup.of(Credentials(api_key=key) if key else None), ROOT)


async def test_a_password_that_cannot_be_a_key_is_neither_sent_nor_shown():
    provider = Geodes(Http(Config()), Lookup.of(Credentials(username="u", password="secretkey\n")), ROOT)

    with pytest.raises(ConfigError, match="invalid characters") as caught:
        await provider.download_request(ITEM)
    assert "secretkey" not in f"{caught.value!r} {caught.value}"


async def test_a_page_of_a_moment_refuses_no_key_that_was_good_before():
    page = httpx.Response(200, text="<html>Back in a minute", headers={"Content-Type": "text/html"})
    answers = [httpx.Response(200, json={"remainingQuota": 50, "maxQuota": 50}), page]
    provider = geodes(lambda request: answers.pop(0))

    assert (await provider.account()).quota_left == 50
    with pytest.raises(ProtocolError):
        await provider.account()


async def test_the_key_goes_to_the_archive_only():
    requests = []

    def answer(request):
        requests.append(request)
        at_home = request.url.host == "archive.example"
        return httpx.Response(302 if at_home else 200, headers={"Location": "https://store.example/x"})

    provider = geodes(answer)
    await provider._http.send(await provider.download_request(ITEM))

    assert [request.headers.get("X-API-Key") for request in requests] == ["the-key", None]


@pytest.mark.parametrize(
    "where",
    [
        "/login",
        "/a/login.html?next=1",
        "/loginPage",
        "/user-login",
        "/#/login",
        "/#!login?next=x",
        "/signin",
        "/Sign-In",
        "/authenticate",
        "/authentication/x",
        "/authorize?client_id=1",
        "/auth/realms/x",
        "/auth-service/x",
        "/oauth2/x",
        "/home?redirect=login",
        "/home?next=%2Flogin%2Fx",
        "https://sso.archive.example/x",
        "https://elsewhere.example/login",
    ],
)
async def test_a_redirect_to_a_login_page_means_that_the_key_was_refused(where):
    requests = []

    def answer(request):
        requests.append(request)
        return httpx.Response(302, headers={"Location": where})

    provider = geodes(answer)
    with pytest.raises(AuthError, match="does not accept the API key"):
        await provider._http.send(await provider.download_request(ITEM))
    assert [ITEM.download_url] == [str(request.url) for request in requests]


@pytest.mark.parametrize(
    "where",
    [
        "https://s3.example/sentinel1-grd/2025/12/17/A.zip?X-Amz-Signature=5f&X-Amz-Credential=login%2Fauth%2Fsso",
        "https://s3.example/A.zip?authorization=Bearer&login=me&auth=1",
        "https://swift.example/v1/AUTH_0123/sentinel/A.zip?temp_url_sig=5f",
        "https://auth-store.example/cataloging/authors/authorized/assignin/A.zip",
        "https://store.example/eyJ1sso1.x_auth_0/A.zip",
        f"{ROOT}/store/A.zip?authorization=5f&auth=1&login=1&signature=5f/login",
    ],
)
async def test_a_redirect_to_a_store_is_followed(where):
    def answer(request):
        is_first = str(request.url) == ITEM.download_url
        return httpx.Response(302 if is_first else 200, headers={"Location": where})

    provider = geodes(answer)
    assert where == str((await provider._http.send(await provider.download_request(ITEM))).url)


async def test_an_archive_may_have_an_address_with_such_a_word_in_it():
    item = product("A", download_url="https://auth.example/login/A")
    provider = geodes()

    assert 200 == (await provider._http.send(await provider.download_request(item))).status_code


@pytest.mark.parametrize(
    "where",
    [
        pytest.param(lambda request: request.url.path, id="to-itself"),
        pytest.param(lambda request: "/b" if request.url.path == "/a" else "/a", id="in-turns"),
        pytest.param(lambda request: f"/home?step={1 + int(request.url.params.get('step', 0))}", id="with-a-counter"),
    ],
)
async def test_redirects_in_a_circle_mean_that_the_key_was_refused(where):
    requests = []

    def answer(request):
        requests.append(request)
        return httpx.Response(302, headers={"Location": where(request)})

    provider = geodes(answer)
    with pytest.raises(AuthError, match="PEPSASYNC_GEODES_API_KEY"):
        async with provider._http.stream(await provider.download_request(ITEM)):
            pass
    assert len(requests) == 1 + MOST_REDIRECTS


async def test_a_request_that_is_sent_again_goes_in_no_circle():
    answers = [httpx.Response(302, headers={"Location": "?x=1"}), httpx.Response(503)]
    requests = []

    def answer(request):
        requests.append(request)
        return answers[len(requests) % 2 - 1]

    provider = geodes(answer)
    request = await provider.download_request(ITEM)

    assert [503] * 4 == [(await provider._http.send(request)).status_code for _ in range(4)]
    assert 8 == len(requests)
    assert {"the-key"} == {request.headers["X-API-Key"] for request in requests}


async def test_no_key_is_said_before_anything_is_sent():
    with pytest.raises(AuthError, match="PEPSASYNC_GEODES_API_KEY"):
        await geodes(key=None).download_request(ITEM)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_is_an_auth_error(status):
    with pytest.raises(AuthError):
        await geodes(lambda request: httpx.Response(status)).account()


@pytest.mark.parametrize("body", [b"<html>Log in", b"<html><div id=app></div>"])
async def test_a_page_in_place_of_the_quota_means_that_the_key_was_refused(body):
    page = httpx.Response(200, headers={"Content-Type": "text/html;charset=utf-8"}, content=body)
    with pytest.raises(AuthError):
        await geodes(lambda request: page).account()
