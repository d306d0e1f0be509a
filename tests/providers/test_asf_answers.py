"""Requests to ASF and Earthdata Login, which secret goes to which host, and what the answers mean."""

import base64
import json

import httpx
import pytest

from fakes import product
from pepsasync.config import Config
from pepsasync.credentials import Credentials
from pepsasync.credentials.lookup import Lookup
from pepsasync.errors import (
    AuthError,
    ForbiddenError,
    NotFoundError,
    OfflineError,
    ProtocolError,
    QuotaError,
    ServerError,
    UnavailableError,
)
from pepsasync.http.client import Http
from pepsasync.model import StorageTier
from pepsasync.providers.asf import Asf
from pepsasync.providers.asf.session import MOST_LOGINS
from pepsasync.query.criteria import build_query

pytestmark = pytest.mark.anyio
ITEM = product("A", download_url="https://datapool.asf.alaska.edu/SLC/SA/A.zip", tier=StorageTier.DISK)
STORE = "https://d111.cloudfront.net/s3-1/bucket/A.zip?A-userid=who&Signature=x"
PASSWORD = Credentials(username="who", password="secret-password")
TOKEN = Credentials(api_key="head.claims.signature")
BASIC = "Basic " + base64.b64encode(b"who:secret-password").decode()
EULA = {"status_code": 403, "error_description": "EULA Acceptance Failure", "resolution_url": "https://x.example/"}


class Service:
    """The hosts of the service, from the login to the store; keeps what each was shown."""

    def __init__(self, *, sessions=99, login=None, egress=None, with_token=True):
        self.seen, self.login, self.egress, self.with_token = [], login, egress, with_token
        self.sessions, self.given = sessions, 0

    def __call__(self, request):
        url, headers = request.url, request.headers
        self.seen.append((url.host, headers.get("Authorization"), headers.get("Cookie")))
        if url.host == "urs.earthdata.nasa.gov":
            return self._urs(request)
        if url.host == "datapool.asf.alaska.edu":
            return redirect(307, f"https://sentinel1.asf.alaska.edu{url.path}")
        if url.path == "/login":
            self.given += 1
            cookie = f"asf-urs=cookie-{self.given}; Path=/; Domain=.asf.alaska.edu"
            return redirect(301, f"https://{url.host}/", ("Set-Cookie", cookie))
        if url.host == "sentinel1.asf.alaska.edu":
            return self._egress(request)
        return httpx.Response(200, content=b"PK\3\4....", headers={"Content-Type": "binary/octet-stream"})

    def _urs(self, request):
        if self.login is not None:
            return self.login(request)
        if request.url.path == "/oauth/authorize":
            if request.headers.get("Authorization") != BASIC:
                return httpx.Response(401)
            return redirect(302, f"{request.url.params['redirect_uri']}?code=1")
        return httpx.Response(200, json={"uid": "who"})

    def _egress(self, request):
        if self.egress is not None and (answer := self.egress(request)) is not None:
            return answer
        cookie, bearer = request.headers.get("Cookie", ""), request.headers.get("Authorization")
        if self.sessions > 0 and cookie == f"asf-urs=cookie-{self.given}":
            self.sessions -= 1
            return redirect(303, STORE)
        if bearer == "Bearer head.claims.signature":
            self.given += 1
            return redirect(303, STORE, ("Set-Cookie", f"asf-urs=cookie-{self.given}; Path=/"))
        return redirect(302, "https://urs.earthdata.nasa.gov/oauth/authorize?client_id=x")


def redirect(status, url, *headers):
    return httpx.Response(status, headers=[("Location", url), *headers])


def asf(service=None, credentials=PASSWORD):
    http = Http(Config(retries=1), transport=httpx.MockTransport(service or Service()))
    return Asf(http, Lookup.of(credentials), None)


async def fetch(provider, item=ITEM):
    """Download as the engine does: the error, or None."""
    async with provider._http.stream(await provider.download_request(item)) as response:
        head = await response.aread()
        return provider.judge_download(item, response, head[:1000])


async def test_the_password_goes_to_the_login_only_and_the_cookie_to_asf_only():
    service = Service()

    assert await fetch(asf(service)) is None
    assert service.seen == [
        ("urs.earthdata.nasa.gov", BASIC, None),
        ("cumulus.asf.alaska.edu", None, None),
        ("cumulus.asf.alaska.edu", None, None),
        ("datapool.asf.alaska.edu", None, "asf-urs=cookie-1"),
        ("sentinel1.asf.alaska.edu", None, "asf-urs=cookie-1"),
        ("d111.cloudfront.net", None, None),
    ]


async def test_a_token_goes_to_asf_only_and_its_cookie_is_used_from_then_on():
    service = Service()
    provider = asf(service, TOKEN)

    assert await fetch(provider) is None
    assert await fetch(provider) is None
    bearer = "Bearer head.claims.signature"
    assert service.seen == [
        ("datapool.asf.alaska.edu", bearer, None),
        ("sentinel1.asf.alaska.edu", bearer, None),
        ("d111.cloudfront.net", None, None),
        ("datapool.asf.alaska.edu", None, "asf-urs=cookie-1"),
        ("sentinel1.asf.alaska.edu", None, "asf-urs=cookie-1"),
        ("d111.cloudfront.net", None, None),
    ]


@pytest.mark.parametrize("host", ["asf.alaska.edu.example", "evilasf.alaska.edu", "urs.earthdata.nasa.gov.example"])
@pytest.mark.parametrize("credentials", [PASSWORD, TOKEN])
async def test_hosts_with_similar_names_see_nothing(host, credentials):
    service = Service(egress=lambda request: redirect(303, f"https://{host}/A.zip"))
    await fetch(asf(service, credentials))

    assert service.seen[-1] == (host, None, None)


async def test_a_login_that_leads_to_another_host_is_not_followed():
    service = Service(login=lambda request: redirect(302, "https://elsewhere.example/login?code=1"))

    with pytest.raises(ProtocolError, match="redirects to another host"):
        await fetch(asf(service))
    assert {host for host, *_ in service.seen} == {"urs.earthdata.nasa.gov"}


async def test_one_login_for_many_downloads():
    service = Service()
    provider = asf(service)
    for _ in range(5):
        assert await fetch(provider) is None

    assert [host for host, *_ in service.seen].count("urs.earthdata.nasa.gov") == 1


async def test_a_session_that_has_ended_is_opened_anew():
    service = Service(sessions=2)
    provider = asf(service)
    for _ in range(2):
        assert await fetch(provider) is None
    with pytest.raises(ServerError, match="session at ASF has ended"):
        await fetch(provider)
    service.sessions = 9

    assert await fetch(provider) is None
    assert service.given == 2


async def test_sessions_that_are_refused_from_the_first_on_end_the_run():
    seconds, service = iter(range(0, 1000, 2)), Service(sessions=0)
    provider = asf(service)
    provider._session._clock = lambda: next(seconds)
    for _ in range(MOST_LOGINS - 1):
        with pytest.raises(ServerError, match="session at ASF has ended"):
            await fetch(provider)
    for _ in range(3):
        with pytest.raises(AuthError, match="refuses the sessions that it has opened"):
            await fetch(provider)
    assert service.given == MOST_LOGINS


async def test_sessions_that_are_refused_for_a_moment_end_nothing():
    service = Service(sessions=0)
    provider = asf(service)
    provider._session._clock = lambda: 7.0
    for _ in range(2 * MOST_LOGINS):
        with pytest.raises(ServerError, match="session at ASF has ended"):
            await fetch(provider)
    service.sessions = 1

    assert await fetch(provider) is None


async def test_a_token_that_leads_to_the_login_is_refused():
    service = Service()
    provider = asf(service, Credentials(api_key="no-token", source="the file x"))
    for _ in range(2):
        with pytest.raises(AuthError, match="does not accept the token") as caught:
            await fetch(provider)

    assert "the file x" in str(caught.value)
    assert "no-token" not in str(caught.value)
    assert [host for host, *_ in service.seen].count("sentinel1.asf.alaska.edu") == 1


async def test_a_token_that_was_good_gets_another_chance():
    service = Service()
    provider = asf(service, TOKEN)
    assert await fetch(provider) is None
    service.sessions = 0
    with pytest.raises(ServerError):
        await fetch(provider)

    assert await fetch(provider) is None


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, b'{"error": "invalid_credentials"}'),
        (401, b"HTTP Basic: Access denied."),
        (200, b"<html>Username Password</html>"),
        (403, b""),
    ],
)
async def test_a_refused_password_is_sent_once(status, body):
    service = Service(login=lambda request: httpx.Response(status, content=body))
    provider = asf(service)
    for _ in range(3):
        with pytest.raises(AuthError, match="refuses user name or password"):
            await fetch(provider)

    assert len(service.seen) == 1


async def test_a_login_without_cookie_is_followed_by_a_token():
    def login(request):
        if request.url.path == "/oauth/authorize":
            return redirect(302, "https://cumulus.asf.alaska.edu/nothing")
        assert request.headers["Authorization"] == BASIC
        return httpx.Response(200, json={"access_token": "head.claims.signature", "token_type": "Bearer"})

    def egress(request):
        return None

    service = Service(login=login, egress=egress)

    assert await fetch(asf(service)) is None
    assert ("sentinel1.asf.alaska.edu", "Bearer head.claims.signature", None) in service.seen


@pytest.mark.parametrize(
    ("credentials", "service"),
    [
        (TOKEN, Service(egress=lambda request: httpx.Response(403, json=EULA))),
        (PASSWORD, Service(login=lambda request: httpx.Response(401, text="Be sure to agree to the EULA."))),
        (PASSWORD, Service(login=lambda request: httpx.Response(200, text="Please update your profile: Study Area"))),
        (
            PASSWORD,
            Service(
                login=lambda request: (
                    httpx.Response(403)
                    if "resolution_url" in request.url.params
                    else redirect(302, "https://urs.earthdata.nasa.gov/x?error_msg=1&resolution_url=2")
                )
            ),
        ),
    ],
)
async def test_a_licence_that_was_not_accepted_is_named_with_what_to_do(credentials, service):
    provider = asf(service, credentials)
    try:
        error = await fetch(provider)
    except AuthError as raised:
        error = raised

    assert isinstance(error, AuthError)
    assert "has not accepted ASF's licence (EULA)" in error.message
    assert "approve_app?client_id=BO_n7nTIlMljdvU6kRRB3g" in error.hint


async def test_the_account_is_looked_at():
    refused = Service(login=lambda request: httpx.Response(401, json={"error": "invalid_token"}))
    licence = Service(login=lambda request: httpx.Response(403, json=EULA))

    await asf(Service()).account()
    await asf(Service(), TOKEN).account()
    with pytest.raises(AuthError, match="does not accept the token"):
        await asf(refused, TOKEN).account()
    with pytest.raises(AuthError, match="licence"):
        await asf(licence, TOKEN).account()
    with pytest.raises(AuthError, match="no credentials for ASF"):
        await asf(Service(), None).account()


EGRESS, AT_STORE = "https://sentinel1.asf.alaska.edu/A.zip", "https://d1.cloudfront.net/A.zip"
XML = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"


@pytest.mark.parametrize(
    ("url", "status", "body", "expected"),
    [
        (AT_STORE, 200, b"PK\3\4", type(None)),
        (AT_STORE, 206, b"PK\3\4", type(None)),
        (EGRESS, 416, b"Invalid Range", type(None)),
        (AT_STORE, 403, XML, ServerError),
        (AT_STORE, 400, b"<Error>Only one auth mechanism</Error>", ServerError),
        (AT_STORE, 403, b"<Error><Code>InvalidObjectState</Code></Error>", OfflineError),
        (EGRESS, 400, b"<html>There was a problem accessing download data.", ServerError),
        (EGRESS, 403, b"<html>This data is not currently available.", ForbiddenError),
        (EGRESS, 403, json.dumps(EULA).encode(), AuthError),
        (EGRESS, 404, b"<html>File not found", NotFoundError),
        (EGRESS, 202, b"", OfflineError),
        (EGRESS, 429, b"", QuotaError),
        (EGRESS, 500, b"", ServerError),
        (EGRESS, 503, b"", UnavailableError),
        (EGRESS, 302, b"", ProtocolError),
        (EGRESS, 200, b"<html>login", ProtocolError),
    ],
)
def test_each_answer_has_its_error(url, status, body, expected):
    kind = "text/html" if body.startswith(b"<html>") else "binary/octet-stream"
    response = httpx.Response(status, headers={"Content-Type": kind}, request=httpx.Request("GET", url))

    assert type(asf().judge_download(ITEM, response, body)) is expected


def test_the_file_of_another_burst_is_refused():
    mine, other = "S1_000001_IW3_20180815T151558_VV_6BD3-BURST.tiff", "S1_000002_IW3_20180815T151558_VV_6BD3-BURST.tiff"
    burst = product(mine, product_type="BURST")
    judged = {}
    for name in (mine, other, "5.tiff"):
        headers = {"Content-Type": "image/tiff", "Content-Disposition": f'attachment; filename="{name}"'}
        response = httpx.Response(200, headers=headers, request=httpx.Request("GET", AT_STORE))
        judged[name] = asf().judge_download(burst, response, b"II*")

    assert {name: type(error) for name, error in judged.items()} == {
        mine: type(None),
        other: ServerError,
        "5.tiff": type(None),
    }


def test_signed_addresses_are_not_shown():
    response = httpx.Response(403, request=httpx.Request("GET", f"{AT_STORE}?A-userid=who&X-Amz-Signature=abc"))
    error = asf().judge_download(ITEM, response, XML)

    assert "who" not in str(error)
    assert "abc" not in str(error)


class Catalogue:
    """Pages of a search, and the mark with which each was asked for."""

    def __init__(self, *pages, hits):
        self.pages, self.hits, self.marks = pages, hits, []

    def __call__(self, request):
        mark = request.headers.get("CMR-Search-After")
        self.marks.append(mark)
        number = int(mark or 0)
        items = self.pages[number] if number < len(self.pages) else []
        headers = {"CMR-Search-After": str(number + 1)} if items else {}
        return httpx.Response(200, json={"hits": self.hits, "items": items}, headers=headers)


def record(name):
    url = f"https://datapool.asf.alaska.edu/{name}.zip"
    return {"umm": {"GranuleUR": f"{name}-SLC", "RelatedUrls": [{"Type": "GET DATA", "URL": url}]}}


async def test_each_page_begins_where_the_one_before_ended():
    catalogue = Catalogue([record("A"), record("B")], [record("C")], hits=3)
    provider, query = asf(catalogue), build_query(collection="S1")
    pages = [await provider.search_page(query, number) for number in (1, 2, 3)]

    assert [[product.name for product in page.products] for page in pages] == [["A", "B"], ["C"], []]
    assert [page.is_last for page in pages] == [False, False, True]
    assert catalogue.marks == [None, "1", "2"]


async def test_a_page_that_holds_everything_is_the_last():
    catalogue = Catalogue([record("A")], hits=1)
    page = await asf(catalogue).search_page(build_query(collection="S1"), 1)

    assert page.is_last


async def test_a_later_page_is_found_without_the_one_before():
    catalogue = Catalogue([record("A")], [record("B")], hits=2)
    page = await asf(catalogue).search_page(build_query(collection="S1"), 2)

    assert [product.name for product in page.products] == ["B"]


async def test_a_reply_that_the_catalogue_cut_off_in_time_is_no_result():
    partial = httpx.Response(200, json={"hits": 1, "items": [record("A")]}, headers={"CMR-Timed-Out": "true"})
    whole = httpx.Response(200, json={"hits": 1, "items": [record("A")]}, headers={"CMR-Timed-Out": "false"})
    with pytest.raises(ServerError, match="only a part"):
        await asf(lambda _: partial).search_page(build_query(collection="S1"), 1)

    page = await asf(lambda _: whole).search_page(build_query(collection="S1"), 1)

    assert [product.name for product in page.products] == ["A"]
