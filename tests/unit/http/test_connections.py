"""Connections that are used again, and those that must not be."""

import contextlib
import ssl
import threading

import anyio
import httpx
import pytest

from pepsasync.http import sockets
from pepsasync.http.transport import Transport
from servers import File, Server, wait_until_gone, whole

pytestmark = pytest.mark.anyio

CHUNK = 1 << 16


@contextlib.asynccontextmanager
async def client():
    transport = Transport(ssl.create_default_context())
    async with httpx.AsyncClient(transport=transport, timeout=60) as opened:
        yield opened


async def get(http, server, **options):
    return await http.get(f"http://127.0.0.1:{server.port}/", **options)


@pytest.mark.parametrize("size", [0, 1, 70_000, 3 * CHUNK + 1])
async def test_bodies_of_any_length_come_over_one_connection(size):
    content = bytes(range(251)) * (size // 251 + 1)
    with Server(File(content[:size], headers=[b'ETag: "a"'])) as server:
        async with client() as http:
            for _ in range(3):
                answer = await get(http, server)

                assert (200, content[:size], '"a"') == (answer.status_code, answer.content, answer.headers["ETag"])
        assert 1 == server.connections


async def test_answer_that_comes_byte_by_byte():
    def dribble(connection, head):
        for byte in b"HTTP/1.1 404 \r\nContent-Length: 3\r\nX: a  b\r\n\r\ngon":
            connection.sendall(bytes([byte]))
        return True

    with Server(dribble) as server:
        async with client() as http:
            answer = await get(http, server)

    assert (404, "gon", "a  b") == (answer.status_code, answer.text, answer.headers["x"])


async def test_redirects_are_followed():
    with Server(File(b"here")) as target:
        found = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{target.port}/\r\nContent-Length: 0\r\n\r\n"
        with Server(whole(found.encode())) as server:
            async with client() as http:
                assert "here" == (await get(http, server, follow_redirects=True)).text


async def test_connection_that_is_said_to_close_is_not_used_again():
    with Server(File(b"ok", headers=[b"connection: Close"])) as server:
        async with client() as http:
            for _ in range(2):
                assert b"ok" == (await get(http, server)).content

        assert 2 == server.connections


@pytest.mark.parametrize(
    "sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"]
)
async def test_cancellation_closes_the_connection(sent):
    came = threading.Event()

    def answer(connection, head):
        connection.sendall(sent)
        came.set()
        wait_until_gone(connection)
        return False

    with Server(answer) as server:
        async with client() as http, anyio.create_task_group() as tasks:
            tasks.start_soon(get, http, server)
            await anyio.to_thread.run_sync(came.wait, 60)
            tasks.cancel_scope.cancel()

        assert await anyio.to_thread.run_sync(lambda: server.left.acquire(timeout=60))


async def test_body_left_in_the_middle_closes_the_connection():
    with Server(File(bytes(3 * CHUNK))) as server:
        async with client() as http:
            request = http.build_request("GET", f"http://127.0.0.1:{server.port}/")
            answer = await http.send(request, stream=True)
            await anext(answer.aiter_raw())
            await answer.aclose()

            assert await anyio.to_thread.run_sync(lambda: server.left.acquire(timeout=60))


async def test_request_with_a_line_break_in_a_header_is_not_sent():
    with Server(whole(b"")) as server:
        async with client() as http:
            with pytest.raises(httpx.LocalProtocolError):
                await get(http, server, headers={"X": "a\r\nHost: elsewhere"})


HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    "behind",
    [b"!", b"\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad", b"HTTP/1.1 204 None\r\n\r\n", HELLO + b"!"],
)
async def test_what_comes_behind_an_answer_is_not_the_next_one(behind):
    asked = []

    def answer(connection, head):
        asked.append(head)
        connection.sendall(HELLO + behind if len(asked) == 1 else b"HTTP/1.1 201 Made\r\nContent-Length: 2\r\n\r\nno")
        return True

    with Server(answer) as server:
        async with client() as http:
            first, second, third = [await get(http, server) for _ in range(3)]

    assert (first.status_code, first.content) == (200, b"ok")
    assert [(each.status_code, each.content) for each in (second, third)] == [(201, b"no")] * 2


async def test_what_comes_behind_an_answer_is_not_the_answer_to_a_form():
    with Server(File(b"ok", behind=HELLO)) as server:
        async with client() as http:
            await get(http, server)
            await http.post(f"http://127.0.0.1:{server.port}/")
        assert 2 == server.connections


def closing(*, sent=b"", first=HELLO):
    """Answers the first request of each connection, and closes it at the second, having sent so much."""
    served = set()

    def answer(connection, head):
        if connection in served:
            connection.sendall(sent)
            return False
        served.add(connection)
        connection.sendall(first)
        return True

    return answer


async def test_connection_that_is_closed_while_the_next_request_is_under_way_fails_no_request():
    with Server(closing()) as server:
        async with client() as http:
            for _ in range(3):
                assert b"ok" == (await get(http, server)).content
            with pytest.raises(httpx.RemoteProtocolError):
                await http.post(f"http://127.0.0.1:{server.port}/")


async def test_request_of_which_a_byte_of_the_answer_came_is_not_sent_again():
    with Server(closing(sent=b"HTTP/1.1 2")) as server:
        async with client() as http:
            await get(http, server)
            with pytest.raises(httpx.RemoteProtocolError):
                await get(http, server)
        assert 1 == server.connections


async def test_fresh_connection_that_is_closed_without_an_answer_is_an_error():
    with Server(whole(b"")) as server:
        async with client() as http:
            with pytest.raises(httpx.RemoteProtocolError):
                await get(http, server)
        assert 1 == server.connections


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_comes_after_the_pool_has_looked_is_no_answer_to_the_next_request(method, monkeypatch):
    monkeypatch.setattr(sockets, "LOOKED_AT_EVERY", 3600.0)  # the pool never looks a second time
    go_on, sent = threading.Event(), threading.Event()
    asked = []

    def answer(connection, head):
        asked.append(head)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        if len(asked) == 1:
            go_on.wait(60)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")
            sent.set()
        return True

    with Server(answer) as server:
        async with client() as http:
            assert (await get(http, server)).text == "ok"
            go_on.set()
            assert await anyio.to_thread.run_sync(sent.wait, 60)
            found = await http.request(
                method, f"http://127.0.0.1:{server.port}/", content=b"x" if method == "POST" else b""
            )

    assert found.text == "ok"
    assert server.connections == 2


async def test_idle_connections_are_looked_at_about_once_for_each_request(monkeypatch):
    looks = []
    look = sockets._is_readable
    monkeypatch.setattr(sockets, "_is_readable", lambda connected: looks.append(connected) or look(connected))
    monkeypatch.setattr(sockets, "LOOKED_AT_EVERY", 3600.0)
    with Server(File(b"here")) as server:
        async with client() as http:
            for _ in range(20):
                assert (await get(http, server)).text == "here"

    assert len(looks) <= 21
