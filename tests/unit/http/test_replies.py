"""Replies over real sockets: whatever an archive sends, memory and time that they take are bounded."""

import gzip
import json
import select
import sys
import time
import zlib
from pathlib import Path

import anyio
import httpx
import pytest

from pepsasync.config import Config
from pepsasync.errors import ForbiddenError, ProtocolError, QuotaError, ServerError, UnreadableReplyError
from pepsasync.http import replies
from pepsasync.http.client import Http
from servers import Server, wait_until_gone, whole

pytestmark = pytest.mark.anyio

QUICK = {"retries": 1, "retry_wait": 0.001, "retry_wait_max": 0.002}
IMPATIENT = {**QUICK, "connect_timeout": 1.0, "read_timeout": 1.0}


def answer(*headers, status="200 OK", body=b""):
    return b"\r\n".join([f"HTTP/1.1 {status}".encode(), *headers, b"", body])


def plain(body, *headers, status="200 OK"):
    return answer(f"Content-Length: {len(body)}".encode(), *headers, status=status, body=body)


async def ask(server, *, path="/x", **settings):
    async with Http(Config(**(QUICK | settings))) as http:
        return await http.json(http.build("GET", f"http://127.0.0.1:{server.port}{path}"))


def forever(head, piece, *, most=99 << 20):
    """Sends a head, then the same again and again; fails when nobody stops it."""

    def send(connection, request):
        connection.sendall(head)
        for _ in range(most // len(piece)):
            connection.sendall(piece)
        raise AssertionError("nobody minds")

    return send


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(replies, "LARGEST_REPLY", 1 << 20)


ZEROS = gzip.compress(bytes(48 << 20), 1)
"""A small answer that is large."""


@pytest.mark.parametrize(
    "send",
    [
        pytest.param(
            forever(answer(b"Transfer-Encoding: chunked"), b"10000\r\n" + bytes(65_536) + b"\r\n"), id="chunks"
        ),
        pytest.param(forever(answer(b"Content-Length: 9" + b"9" * 17), bytes(65_536)), id="announced"),
        pytest.param(forever(answer(b"Connection: close"), bytes(65_536)), id="until-closed"),
        pytest.param(whole(plain(ZEROS, b"Content-Encoding: gzip")), id="gzip"),
        pytest.param(whole(plain(zlib.compress(bytes(9 << 20)), b"Content-Encoding: deflate")), id="deflate"),
    ],
)
async def test_reply_without_bounds_is_a_clear_error(send, small):
    with Server(send) as server, pytest.raises(UnreadableReplyError, match="larger than 1 MiB"):
        await ask(server, retries=5)
    assert 1 == server.connections


async def test_reply_whose_encoding_is_encoded_again_is_refused_by_name():
    bomb = plain(gzip.compress(ZEROS), b"Content-Encoding: gzip, gzip")
    with Server(whole(bomb)) as server, pytest.raises(UnreadableReplyError, match="encoded with gzip, gzip"):
        await ask(server, retries=5)
    assert 1 == server.connections


@pytest.mark.parametrize(
    "body", [gzip.compress(b"{}")[:-9], b"not gzip", zlib.compress(b'{"right": true}')[2:]], ids=["cut", "plain", "raw"]
)
async def test_reply_that_is_not_what_it_claims_to_be_is_a_clear_error(body):
    sent = plain(body, b"Content-Encoding: gzip")
    with Server(whole(sent)) as server, pytest.raises(ProtocolError, match="gzip"):
        await ask(server)


@pytest.mark.parametrize(
    ("encode", "encoding"),
    [(gzip.compress, b"gzip"), (zlib.compress, b"deflate"), (bytes, b"identity"), (bytes, b"utf-8")],
)
async def test_encoded_reply_is_decoded_and_its_connection_kept(encode, encoding):
    value = {"right": ["x" * 3_000_000]}
    sent = plain(encode(json.dumps(value).encode()), b"Content-Encoding: " + encoding)

    def send(connection, request):
        assert b"accept-encoding: gzip, deflate\r\n" in request.lower()
        connection.sendall(sent)
        return True

    with Server(send) as server:
        async with Http(Config(**QUICK)) as http:
            for _ in range(3):
                assert value == await http.json(http.build("GET", f"http://127.0.0.1:{server.port}/x"))
        assert 1 == server.connections


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * 100_000, id="lists"),
        pytest.param(b'{"a":' * 100_000, id="objects"),
        pytest.param(b"[0" + b",[]" * 3_000_000 + b"]", id="many"),
        pytest.param(b'["\xe9t\xe9"]', id="latin-1"),
        pytest.param(b"[1" + b"0" * 9_999 + b"]", id="long-number"),
    ],
)
async def test_reply_beyond_what_is_read_is_a_clear_error_and_asked_for_once(body):
    with (
        Server(whole(plain(body))) as server,
        pytest.raises(UnreadableReplyError, match="invalid JSON") as caught,
    ):
        await ask(server, retries=5)
    assert 1 == server.connections
    assert "sys." not in str(caught.value)


async def test_long_number_is_told_in_plain_words():
    with (
        Server(whole(plain(b"[-" + b"7" * 5_000 + b"]"))) as server,
        pytest.raises(ProtocolError, match="it has a number that is too long"),
    ):
        await ask(server)


async def test_page_in_another_encoding_is_asked_for_again():
    sent = iter([plain("<p>indisponible, désolé</p>".encode("latin-1")), plain(b"[1]")])

    def send(connection, request):
        connection.sendall(next(sent))
        return False

    with Server(send) as server:
        assert [1] == await ask(server, retries=3)


@pytest.mark.parametrize(
    ("sent", "expected", "said"),
    [
        pytest.param(
            plain(b"so sorry " + b"x" * 999_999, status="403 Forbidden"), ForbiddenError, "so sorry", id="large"
        ),
        pytest.param(
            plain(gzip.compress(b"so sorry " + bytes(99 << 20), 1), b"Content-Encoding: gzip", status="429 No"),
            QuotaError,
            "HTTP 429",
            id="gzip-bomb",
        ),
        pytest.param(
            plain(gzip.compress(b"so sorry"), b"Content-Encoding: gzip", status="403 Forbidden"),
            ForbiddenError,
            "so sorry",
            id="gzip",
        ),
        pytest.param(
            plain(b"so sorry", b"Content-Encoding: br", status="403 Forbidden"),
            ForbiddenError,
            "forbids",
            id="unknown-encoding",
        ),
        pytest.param(
            answer(b"Content-Length: 99", status="403 Forbidden", body=b"so sorry"),
            ForbiddenError,
            "so sorry",
            id="cut",
        ),
    ],
)
async def test_error_answer_says_as_much_as_came_of_it(sent, expected, said):
    with Server(whole(sent)) as server, pytest.raises(expected, match=said):
        await ask(server)


async def test_error_answer_without_end_is_read_for_some_time_only():
    def send(connection, request):
        connection.sendall(answer(b"Content-Length: 99", status="403 Forbidden", body=b"so sorry"))
        wait_until_gone(connection)

    with Server(send) as server, pytest.raises(ForbiddenError, match="so sorry"):
        await ask(server, **IMPATIENT)


async def test_body_of_a_redirect_is_not_read_without_bounds():
    def send(connection, request):
        if b"/there" in request:
            connection.sendall(plain(b"{}"))
            return False
        there = answer(b"Location: /there", b"Content-Encoding: gzip, gzip", b"Connection: close", status="302 Found")
        return forever(there, gzip.compress(ZEROS[: 1 << 20]))(connection, request)

    with Server(send) as server:
        assert {} == await ask(server)


def drip(*pieces, pause=0.05):
    """Sends piece after piece, the last one for ever: there is never silence."""

    def send(connection, request):
        for piece in pieces[:-1]:
            connection.sendall(piece)
        for _ in range(round(60 / pause)):
            connection.sendall(pieces[-1])
            if select.select([connection], [], [], pause)[0]:
                return False  # the client is gone
        raise AssertionError("nobody minds")

    return send


DRIPS = [
    pytest.param(drip(b"HTTP/1.1 100 Continue\r\n\r\n"), id="100"),
    pytest.param(drip(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"), id="103"),
    pytest.param(drip(b"HTTP/1.1 200 OK\r\nX: ", b"x"), id="head"),
]


@pytest.mark.parametrize("send", DRIPS)
async def test_head_that_never_ends_is_waited_for_once(send):
    with Server(send) as server:
        began = time.monotonic()
        async with Http(Config(**IMPATIENT)) as http:
            with pytest.raises(ServerError, match="no response headers within 2 s"):
                async with http.stream(http.build("GET", f"http://127.0.0.1:{server.port}/")):
                    pass
        assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    "send",
    [
        DRIPS[-1],
        pytest.param(drip(answer(b"Content-Length: 999", body=b"["), b" "), id="body"),
        pytest.param(drip(answer(b"Transfer-Encoding: chunked"), b"1\r\n \r\n"), id="chunks"),
    ],
)
async def test_reply_that_drips_is_waited_for_once(send):
    with Server(send) as server:
        began = time.monotonic()
        with pytest.raises(ServerError, match=r"within 2 s|after 1 s"):
            await ask(server, **IMPATIENT)
        assert time.monotonic() - began < 60


async def test_informational_answers_before_the_final_one_are_fine():
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 20
    with Server(whole(early + plain(b'{"right": true}'))) as server:
        assert {"right": True} == await ask(server)


async def test_answers_of_a_transport_without_a_network_are_decoded_as_well():
    def archive(request):
        return httpx.Response(200, headers={"Content-Encoding": "gzip"}, content=gzip.compress(b"[1]"))

    async with Http(Config(**QUICK), transport=httpx.MockTransport(archive)) as http:
        assert [1] == await http.json(http.build("GET", "https://archive.example/"))


def cost_of(text):
    """Bytes of memory that are counted for a piece of JSON."""
    return len(text) + sum(cost * text.count(sign) for sign, cost in replies._COSTS.items())


SEARCH = """
import sys
from pathlib import Path
import anyio
from pepsasync import Client, Config, ProviderError

async def search(provider, url):
    config = Config(retries=3, retry_wait=0.001)
    try:
        async with Client(provider, base_url=url, config=config) as client:
            async for page in client.search(collection="S1", start="2020-01-01", end="2020-02-01"):
                pass
    except ProviderError as error:
        print(error)

anyio.run(search, *sys.argv[1:])
print(next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")))
"""


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the kernel does not tell how much memory was used")
@pytest.mark.parametrize(
    ("provider", "send"),
    [
        pytest.param("peps", forever(answer(b"Connection: close"), b"[" + b"x" * 65_535, most=1 << 30), id="endless"),
        *(
            pytest.param(provider, whole(plain(b"[" + one * count + b"0]")), id=f"{provider}-{name}-{how}")
            for provider, name, one in (
                ("geodes", "arrays", b"[],"),
                ("peps", "objects", b"{},"),
                ("cdse", "objects-with-a-field", b'{"a":1},'),
                ("peps", "texts", b'"ab",'),
                ("geodes", "points", b"[1.25,2.75],"),
            )
            for how, count in (
                ("as-many-as-are-read", replies.MOST_MEMORY // cost_of(one) - 9),
                *((("as-many-as-fit", (54 << 20) // len(one)),) if name == "objects" else ()),
            )
        ),
        *(
            pytest.param("geodes", whole(plain(b'["' + b"x" * length + b'"]')), id=f"one-text-{length}")
            for length in (60 << 20, replies.MOST_MEMORY // 3 - 99)
        ),
        pytest.param("cdse", whole(plain(b'["\xf0\x9f\x9b\xb0' + b"x" * (52 << 20) + b'"]')), id="text-of-wide-signs"),
        pytest.param("cdse", whole(plain(gzip.compress(bytes(1 << 28), 1), b"Content-Encoding: gzip")), id="gzip-bomb"),
        pytest.param("peps", whole(plain(bytes(1 << 28), status="500 Internal Server Error")), id="error"),
    ],
)
async def test_search_of_an_archive_that_floods_takes_less_than_200_mb(provider, send):
    with Server(send) as server:
        url = f"http://127.0.0.1:{server.port}"
        ran = await anyio.run_process([sys.executable, "-c", SEARCH, provider, url])
    *said, used = ran.stdout.decode().splitlines()

    assert said
    assert int(used.split()[1]) < 200_000
