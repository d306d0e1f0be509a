"""How answers leave the archive: at once, and counted before whoever asked can look."""

import socket

import httpx
import pytest
from starlette.requests import Request

from pepsasync.sandbox import Sandbox
from pepsasync.sandbox.ranges import by_web_server
from pepsasync.sandbox.sending import FileReply
from pepsasync.sandbox.server import ServerThread
from pepsasync.sandbox.wire import EXTENSION


class FakeWire:
    gone = False


@pytest.mark.anyio
async def test_a_download_is_counted_before_its_last_byte_leaves():
    archive = Sandbox(products=1, product_size=40_000, tape_fraction=0)._archive
    product = archive.products[0]
    counted = []

    async def send(message):
        statistics = archive.statistics
        counted.append((message["type"], len(statistics.transfers), statistics.bytes_sent.get(product.name, 0)))

    scope = {"type": "http", "method": "GET", "headers": [], "extensions": {EXTENSION: FakeWire()}}
    reply = FileReply(archive, Request(scope), product, by_web_server(None, product.size), [])
    await reply(scope, None, send)
    body = ("http.response.body", 1, product.size)
    assert counted == [("http.response.start", 0, 0), body, body]
    assert len(archive.statistics.transfers) == 1


def test_small_answers_are_not_held_back_for_more():
    options = []

    async def app(scope, receive, send):
        connection = scope["extensions"][EXTENSION]._protocol.transport.get_extra_info("socket")
        options.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    server = ServerThread(app)
    server.start()
    try:
        httpx.get(f"http://127.0.0.1:{server.port}/", verify=False)
    finally:
        server.stop()
    assert [bool(option) for option in options] == [True]
