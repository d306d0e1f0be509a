"""The HTTP client: failures become our errors, secrets stay where they belong."""

import ssl

import anyio
import httpx
import pytest
import trustme
from anyio import TASK_STATUS_IGNORED, create_task_group, create_tcp_listener
from anyio.abc import SocketAttribute
from anyio.streams.tls import TLSListener

from pepsasync.config import Config
from pepsasync.errors import (
    AddressError,
    AuthError,
    ConfigError,
    NotFoundError,
    ProtocolError,
    QuotaError,
    ServerError,
    UnavailableError,
    UnreachableError,
)
from pepsasync.http.client import Http, is_loopback
from pepsasync.http.errors import first_words, safe_url
from pepsasync.limits.attempts import FIRST_CONTACT_TRIES

pytestmark = pytest.mark.anyio
QUICK = {"retry_wait": 0.001, "retry_wait_max": 0.002}


def client(handler, **settings):
    return Http(Config(**(QUICK | settings)), transport=httpx.MockTransport(handler))


class Failing:
    """Fails some times, then answers."""

    def __init__(self, *failures):
        self.failures, self.calls = list(failures), 0

    def __call__(self, request):
        self.calls += 1
        failure = self.failures.pop(0) if self.failures else httpx.Response(200, json={"right": True})
        if isinstance(failure, Exception):
            raise failure
        return failure


async def get(http, url="https://archive.example/x"):
    return await http.json(http.build("GET", url))


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("silent"),
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("closed"),
        httpx.Response(500),
        httpx.Response(503, headers={"Retry-After": "1"}),
        httpx.Response(423),
        httpx.Response(425),
        httpx.Response(429),
        httpx.Response(200, content=b"<html>"),
    ],
    ids=str,
)
async def test_json_passing_failure_is_tried_again(failure):
    archive = Failing(failure)
    async with client(archive) as http:
        assert {"right": True} == await get(http)

    assert 2 == archive.calls


@pytest.mark.parametrize(
    ("failure", "expected", "calls"),
    [
        pytest.param(httpx.Response(404, json={}), NotFoundError, 1, id="404"),
        pytest.param(httpx.Response(401, json={}), AuthError, 1, id="401"),
        pytest.param(httpx.Response(500), ServerError, 3, id="500"),
        pytest.param(httpx.Response(429), QuotaError, 3, id="429"),
        pytest.param(httpx.Response(200, content=b"<html>"), ProtocolError, 3, id="html"),
        pytest.param(httpx.ReadTimeout("silent"), ServerError, 3, id="silent"),
        pytest.param(httpx.ConnectError("refused"), UnreachableError, FIRST_CONTACT_TRIES, id="never-reached"),
    ],
)
async def test_json_lasting_failure_is_its_own_error(failure, expected, calls):
    archive = Failing(*[failure] * 20)
    async with client(archive, retries=3) as http:
        with pytest.raises(expected) as caught:
            await get(http)

    assert expected is type(caught.value)
    assert calls == archive.calls


async def test_json_many_at_first_contact_have_their_own_tries_each():
    archive = Failing(*[httpx.Response(503)] * 10)
    async with client(archive, retries=6) as http, anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(get, http)

    assert 15 == archive.calls


async def test_json_what_has_failed_for_everybody_is_tried_once_until_it_answers():
    archive = Failing(*[httpx.Response(503)] * 4, httpx.Response(404, json={}))
    async with client(archive, retries=3) as http:
        for expected, calls in [(UnavailableError, 3), (UnavailableError, 4), (NotFoundError, 5)]:
            with pytest.raises(expected):
                await get(http)
            assert calls == archive.calls
        assert {"right": True} == await get(http)


async def test_json_search_waits_for_the_end_of_an_outage_once_it_was_served():
    archive = Failing(httpx.Response(200, json={}), *[httpx.Response(503)] * 9)
    async with client(archive, retries=3) as http:
        request = http.build("GET", "https://archive.example/x")
        await http.json(request, is_search=True)

        assert {"right": True} == await http.json(request, is_search=True)


async def test_cookies_are_neither_kept_nor_sent_back():
    """An archive that sends some with each answer, and with a redirect, gets none."""
    seen = []

    def archive(request):
        seen.append(request.headers.get("Cookie"))
        status = 302 if request.url.path == "/x" else 200
        return httpx.Response(status, headers={"Set-Cookie": "session=1; Path=/", "Location": "/y"}, json={})

    async with client(archive) as http:
        await get(http)
        await get(http)

    assert [None] * 4 == seen


async def test_send_redirect_to_another_host_loses_the_credentials():
    seen = {}

    def archive(request):
        seen[request.url.host] = request.headers.get("Authorization")
        away = {"Location": "https://elsewhere.example/y"}
        return httpx.Response(302, headers=away) if request.url.host == "archive.example" else httpx.Response(200)

    async with client(archive) as http:
        await http.send(http.build("GET", "https://archive.example/x", headers={"Authorization": "Basic eA=="}))

    assert {"archive.example": "Basic eA==", "elsewhere.example": None} == seen


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_within_the_archive_keeps_method_and_body(status):
    seen = []

    def archive(request):
        seen.append((request.method, request.url.path, request.headers.get("Content-Type"), request.content))
        hops = {"/search": "/v2/search", "/v2/search": "https://archive.example/v3/search"}
        away = hops.get(request.url.path)
        return httpx.Response(status, headers={"Location": away}) if away else httpx.Response(200, json={"right": True})

    async with client(archive) as http:
        request = http.build("POST", "https://archive.example/search", json={"limit": 80})
        for _ in range(2):  # the same request may be sent again
            assert {"right": True} == await http.json(request)

    assert [
        ("POST", path, "application/json", request.content) for path in ("/search", "/v2/search", "/v3/search")
    ] * 2 == seen


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("away", ["https://elsewhere.example/search", "https://archive.example:8443/search"])
async def test_a_redirect_takes_no_body_to_another_host(status, away):
    seen = []

    def archive(request):
        seen.append(str(request.url))
        return httpx.Response(status, headers={"Location": away})

    async with client(archive, retries=1) as http:
        with pytest.raises(ProtocolError, match="another host"):
            await http.json(http.build("POST", "https://archive.example/search", json={"limit": 80}))

    assert {"https://archive.example/search"} == set(seen)


@pytest.mark.parametrize(("query", "is_kept"), [("?q=Toulouse&page=1", True), ("?page=1", False), ("", False)])
async def test_a_search_that_is_sent_on_without_its_criteria_is_an_error(query, is_kept):
    def archive(request):
        moved = httpx.Response(302, headers={"Location": f"/v2/search{query}"})
        return moved if request.url.path == "/search" else httpx.Response(200, json={"features": []})

    async with client(archive, retries=1) as http:
        request = http.build("GET", "https://archive.example/search", params={"page": "1", "q": "Toulouse"})
        if is_kept:
            assert {"features": []} == await http.json(request, is_search=True)
        else:
            with pytest.raises(ProtocolError, match="without its criteria"):
                await http.json(request, is_search=True)


async def test_stream_redirect_is_followed_without_the_credentials():
    seen = []

    def handler(request):
        seen.append((request.url.host, request.headers.get("Authorization")))
        if request.url.host == "archive.example":
            return httpx.Response(302, headers={"Location": "https://storage.example/x"})
        return httpx.Response(200, content=b"bytes")

    async with client(handler) as http:
        for _ in range(2):
            request = http.build("GET", "https://archive.example/x", headers={"Authorization": "Bearer secret"})
            async with http.stream(request) as response:
                assert b"bytes" == await response.aread()

    hops = [("archive.example", "Bearer secret"), ("storage.example", None)]
    assert 2 * hops == seen


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ftp://127.0.0.1/x", AddressError),
        ("/x", AddressError),
        ("https://[::1/x", AddressError),
        ("http://127.0.0.1:99999/x", UnreachableError),
    ],
)
async def test_stream_url_that_cannot_be_used_is_a_clear_error(url, expected):
    async with Http(Config(connect_timeout=60)) as http:
        with pytest.raises(expected):
            async with http.stream(http.build("GET", url)):
                pass


async def test_stream_plain_http_elsewhere_is_refused():
    async with client(Failing()) as http:
        with pytest.raises(AddressError, match="plain http"):
            async with http.stream(http.build("GET", "http://archive.example/x")):
                pass


async def test_send_plain_http_elsewhere_is_refused_also_after_a_redirect():
    def archive(request):
        return httpx.Response(302, headers={"Location": "http://archive.example/y"})

    async with client(archive) as http:
        for url in ("http://archive.example/x", "https://archive.example/x"):
            with pytest.raises(AddressError, match="plain http"):
                await http.send(http.build("GET", url))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
async def test_redirect_from_https_to_this_machine_is_refused(host):
    asked = []

    def archive(request):
        asked.append(request.url.host)
        there = {"archive.example": f"http://{host}:631/admin"}
        return httpx.Response(302, headers={"Location": there.get(request.url.host, "https://archive.example/x")})

    async with client(archive) as http:
        # Also by a detour, and however often it is tried.
        for start in ("https://archive.example/x", f"http://{host}/begin", "https://archive.example/x"):
            with pytest.raises(AddressError, match="from https to plain http"):
                async with http.stream(http.build("GET", start)):
                    pass
            with pytest.raises(AddressError, match="from https to plain http"):
                await get(http, start)

    assert {"archive.example", host.strip("[]")} == set(asked)
    assert "archive.example" == asked[-1]


async def test_redirects_within_this_machine_are_followed_by_a_request_that_is_sent_again():
    there = {"/x": "http://localhost/y", "/y": "https://127.0.0.1/z"}

    def archive(request):
        if request.url.path in there:
            return httpx.Response(302, headers={"Location": there[request.url.path]})
        return httpx.Response(200, json={"right": True})

    async with client(archive) as http:
        request = http.build("GET", "http://127.0.0.1/x")
        assert [{"right": True}] * 2 == [await http.json(request) for _ in range(2)]


async def test_errors_never_show_a_query_or_a_password():
    async with client(Failing(*[httpx.Response(500)] * 9), retries=1) as http:
        with pytest.raises(ServerError) as caught:
            await get(http, "https://me:secret@archive.example/x?token=secret#secret")

    assert "https://archive.example/x" in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_tls_unknown_authority_is_explained_and_can_be_added(tmp_path):
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(bundle)

    async def answer(stream):
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")

    async def serve(*, task_status=TASK_STATUS_IGNORED):
        [plain] = (await create_tcp_listener(local_host="127.0.0.1")).listeners
        async with TLSListener(plain, context, standard_compatible=False) as listener:
            task_status.started(plain.extra(SocketAttribute.local_port))
            await listener.serve(answer)

    async with create_task_group() as tasks:
        port = await tasks.start(serve)
        async with Http(Config(**QUICK)) as http:
            with pytest.raises(UnreachableError, match="--ca-bundle"):
                await get(http, f"https://127.0.0.1:{port}/")
        async with Http(Config(ca_bundle=bundle, **QUICK)) as http:
            assert {} == await get(http, f"https://127.0.0.1:{port}/")
        tasks.cancel_scope.cancel()


def test_config_missing_ca_bundle_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        Config(ca_bundle=tmp_path / "none.pem")


def test_http_unusable_ca_bundle_is_refused(tmp_path):
    (tmp_path / "bad.pem").write_text("nothing")

    with pytest.raises(ConfigError, match="cannot be read"):
        Http(Config(ca_bundle=tmp_path / "bad.pem"))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"ErrorMessage":"Not Found","ErrorCode":404}', "Not Found"),
        (b'{"messages": ["File 118 not found", "ask"]}', "File 118 not found ask"),
        (b'{"detail":"Not   Found"}', "Not Found"),
        (b'{"detail":[{"loc":["query"]}]}', '{"detail":[{"loc":["query"]}]}'),
        (b'{"messages": 7}', '{"messages": 7}'),
        (b"plain   words\n", "plain words"),
        (b"<html>no</html>", ""),
        (b"\x00\x01", ""),
        (b"", ""),
        (b"[1, 2]", "[1, 2]"),
        (b'{"a":' + b"[" * 4000, '{"a":' + "[" * 195),
    ],
)
def test_first_words(body, expected):
    assert expected == first_words(body)


def test_safe_url():
    assert "https://a.example:8/x" == safe_url("https://me:secret@a.example:8/x?token=1#f")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("a.example", False),
    ],
)
def test_is_loopback(host, expected):
    assert expected is is_loopback(host)
