"""Short answers: what is plain is understood as httpcore would, and everything else is left to it."""

import contextlib
import ssl
import threading

import anyio
import h11
import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pepsasync.http.heads import parse_head, plain_length
from pepsasync.http.short import READ
from pepsasync.http.transport import SHORT, Transport
from servers import File, Server, wait_until_gone, whole

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def client():
    transport = Transport(ssl.create_default_context())
    async with httpx.AsyncClient(transport=transport, timeout=5) as opened:
        yield opened


async def get(http, server, **options):
    return await http.get(f"http://127.0.0.1:{server.port}/", extensions={SHORT: True}, **options)


@pytest.mark.parametrize("size", [0, 1, 70_000, 3 * READ + 1])
async def test_short_bodies_of_any_length_come_over_one_connection(size):
    content = bytes(range(251)) * (size // 251 + 1)
    with Server(File(content[:size], headers=[b'ETag: "a"'])) as server:
        async with client() as http:
            for _ in range(3):
                answer = await get(http, server)

                assert (200, content[:size], '"a"') == (answer.status_code, answer.content, answer.headers["ETag"])
        assert 1 == server.connections


async def test_short_answer_in_pieces():
    def dribble(connection, head):
        for byte in b"HTTP/1.1 404 \r\nContent-Length: 3\r\nX: a  b\r\n\r\ngon":
            connection.sendall(bytes([byte]))
        return True

    with Server(dribble) as server:
        async with client() as http:
            answer = await get(http, server)

    assert (404, "gon", "a  b") == (answer.status_code, answer.text, answer.headers["x"])


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", id="chunked"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\nok", id="HTTP/1.0"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nok", id="until it closes"),
        pytest.param(b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", id="informational"),
        pytest.param(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", id="bare line feeds"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", id="length twice"),
    ],
)
async def test_short_whatever_is_not_plain_is_understood_without_asking_again(answer):
    asked = []

    def send(connection, head):
        asked.append(head)
        connection.sendall(answer)
        return False

    with Server(send) as server:
        async with client() as http:
            found = await get(http, server)

    assert (200, "ok", 1) == (found.status_code, found.text, len(asked))


async def test_short_redirects_are_followed():
    with Server(File(b"here")) as target:
        found = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{target.port}/\r\nContent-Length: 0\r\n\r\n"
        with Server(whole(found.encode())) as server:
            async with client() as http:
                assert "here" == (await get(http, server, follow_redirects=True)).text


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(File(b"ok", behind=b"more"), id="more than announced"),
        pytest.param(File(b"ok", headers=[b"connection: Close"]), id="said to close"),
    ],
)
async def test_short_connection_that_cannot_be_used_again_is_not(answer):
    with Server(answer) as server:
        async with client() as http:
            for _ in range(2):
                assert b"ok" == (await get(http, server)).content

        assert 2 == server.connections


async def test_short_connection_closed_after_the_next_request_was_sent_is_replaced():
    """It looked open when it was taken; a GET may be sent again."""
    heads = []

    def answer(connection, head):
        heads.append(head)
        if len(heads) == 2:
            return False
        return File(b"ok")(connection, head)

    with Server(answer) as server:
        async with client() as http:
            for _ in range(2):
                assert b"ok" == (await get(http, server)).content

        assert (3, 2) == (len(heads), server.connections)


@pytest.mark.parametrize(
    "sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"]
)
async def test_short_cancellation_closes_the_connection(sent):
    came = threading.Event()

    def answer(connection, head):
        connection.sendall(sent)
        came.set()
        wait_until_gone(connection)
        return False

    with Server(answer) as server:
        async with client() as http, anyio.create_task_group() as tasks:
            tasks.start_soon(get, http, server)
            await anyio.to_thread.run_sync(came.wait, 5)
            tasks.cancel_scope.cancel()

        assert await anyio.to_thread.run_sync(lambda: server.left.acquire(timeout=5))


async def test_short_body_left_in_the_middle_closes_the_connection():
    with Server(File(bytes(3 * READ))) as server:
        async with client() as http:
            request = http.build_request("GET", f"http://127.0.0.1:{server.port}/", extensions={SHORT: True})
            answer = await http.send(request, stream=True)
            await anext(answer.aiter_raw())
            await answer.aclose()

            assert await anyio.to_thread.run_sync(lambda: server.left.acquire(timeout=5))


async def test_short_request_with_a_line_break_in_a_header_is_not_sent():
    with Server(whole(b"")) as server:
        async with client() as http:
            with pytest.raises(httpx.LocalProtocolError):
                await get(http, server, headers={"X": "a\r\nHost: elsewhere"})


TOKEN = st.sampled_from(
    [b"Content-Length", b"content-length", b"X", b"ETag", b"Transfer-Encoding", b"a b", b"", b"Connection"]
)
VALUE = st.sampled_from(
    [b"1", b"12", b" 7 ", b"chunked", b"a\tb", b"a\x00", b"\xff", b"1,1", b"+1", b"", b"a\rb", b"\x0b1"]
)
LINES = st.lists(st.tuples(TOKEN, VALUE).map(b":".join) | st.sampled_from([b" folded", b"nothing"]), max_size=4)
STATUS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 206",
        b"HTTP/1.1 404 ",
        b"HTTP/1.0 200 OK",
        b"HTTP/1.1 100 Go",
        b"HTTP/2 200",
        b"HTTP/1.1 2000 no",
        b"",
    ]
)


@given(STATUS, LINES)
@example(b"HTTP/1.1 200 OK", [b"Content-Length: 5", b'ETag: "x"'])
def test_short_head_is_what_h11_makes_of_it_or_nothing(status, lines):
    head = b"\r\n".join([status, *lines])
    found = parse_head(head)
    length = plain_length(*found) if found else None
    if length is None:
        return

    parser = h11.Connection(h11.CLIENT)
    parser.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    parser.send(h11.EndOfMessage())
    parser.receive_data(head + b"\r\n\r\n" + bytes(length))
    answer, *rest = _events(parser)

    assert (answer.status_code, answer.headers.raw_items()) == found
    assert bytes(length) == b"".join(bytes(event.data) for event in rest if isinstance(event, h11.Data))
    assert isinstance(rest[-1], h11.EndOfMessage)


def _events(parser):
    while (event := parser.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
        yield event
        if isinstance(event, h11.EndOfMessage):
            return
