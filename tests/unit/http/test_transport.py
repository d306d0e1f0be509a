"""Connections of our own: what fails becomes what httpx would say, and proxies carry what they should."""

import contextlib
import socket
import ssl

import anyio
import httpcore
import httpx
import pytest

from pepsasync.http.sockets import Connection, Sockets
from pepsasync.http.transport import Transport
from servers import Authority, File, Server, Tunnel, port_of_nobody, wait_until_gone, whole

pytestmark = pytest.mark.anyio

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@contextlib.asynccontextmanager
async def client(authority, **timeouts):
    tls = ssl.create_default_context(cafile=authority.bundle)
    async with httpx.AsyncClient(transport=Transport(tls), timeout=httpx.Timeout(60, **timeouts)) as opened:
        yield opened


def silent(connection, head):
    wait_until_gone(connection)
    return False


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(silent, httpx.ReadTimeout, id="silent"),
        pytest.param(whole(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok"), httpx.RemoteProtocolError, id="cut"),
        pytest.param(whole(b""), httpx.RemoteProtocolError, id="nothing"),
        pytest.param(whole(b"SSH-2.0-x\r\n\r\n"), httpx.RemoteProtocolError, id="not-http"),
    ],
)
async def test_transport_bad_answers(authority, answer, expected):
    with Server(answer) as server:
        async with client(authority, read=0.1) as http:
            with pytest.raises(expected):
                await http.get(f"http://127.0.0.1:{server.port}/")


async def test_transport_nobody_listens(authority):
    with port_of_nobody() as port:
        async with client(authority) as http:
            with pytest.raises(httpx.ConnectError):
                await http.get(f"http://localhost:{port}/")


async def test_transport_certificate_of_another_host_is_refused(authority):
    with Server(whole(ANSWER), authority.context) as server:
        async with client(authority) as http:
            with pytest.raises(httpx.ConnectError, match="certificate"):
                url = f"https://127.0.0.1:{server.port}/"
                await http.get(url, extensions={"sni_hostname": "elsewhere.example"})


async def test_transport_handshake_that_never_ends_is_given_up(authority):
    with Server(silent) as server:  # waits for a request, where a handshake is due
        async with client(authority, connect=0.1) as http:
            with pytest.raises(httpx.ConnectTimeout):
                await http.get(f"https://127.0.0.1:{server.port}/")


async def test_transport_large_request_is_sent_whole(authority):
    received = bytearray()

    def take(connection, head):
        received.extend(head.split(b"\r\n\r\n", 1)[1])
        while len(received) < 20_000_000 and (chunk := connection.recv(1 << 20)):
            received.extend(chunk)
        connection.sendall(ANSWER)
        return False

    for scheme, context in (("http", None), ("https", authority.context)):
        received.clear()
        with Server(take, context) as server:
            async with client(authority) as http:
                await http.post(f"{scheme}://127.0.0.1:{server.port}/", content=b"x" * 20_000_000)
        assert received == b"x" * 20_000_000


async def test_transport_uses_connections_again_until_the_server_closes_them(authority):
    with Server(File(b"ok"), authority.context) as server:
        async with client(authority) as http:
            for _ in range(3):
                assert "ok" == (await http.get(f"https://127.0.0.1:{server.port}/")).text

        assert 1 == server.connections

    with Server(whole(ANSWER), authority.context) as server:
        async with client(authority) as http:
            for _ in range(2):
                assert "ok" == (await http.get(f"https://127.0.0.1:{server.port}/")).text
                assert await anyio.to_thread.run_sync(lambda: server.left.acquire(timeout=60))

        assert 2 == server.connections


async def test_transport_proxy_carries_what_is_not_on_this_machine(authority, monkeypatch):
    with Server(File(b"ok"), authority.context) as server, Server(tunnel := Tunnel(server.port)) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        async with client(authority) as http:
            for host in ("archive.example", "127.0.0.1", "localhost"):
                assert "ok" == (await http.get(f"https://{host}:{server.port}/")).text

    assert [f"archive.example:{server.port}"] == tunnel.asked


async def test_transport_no_proxy_names_hosts_that_are_reached_straight(authority, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "localhost.localdomain,127.0.0.1.example")
    asked = []

    async def nowhere(self, host, port, **options):
        asked.append(host)
        raise httpcore.ConnectError("nowhere")

    monkeypatch.setattr(Sockets, "connect_tcp", nowhere)
    async with client(authority) as http:
        for host in ("archive.localhost.localdomain", "archive.example"):
            with pytest.raises(httpx.ConnectError):
                await http.get(f"https://{host}/")

    assert ["archive.localhost.localdomain"] == asked


async def test_connect_cancelled_while_the_first_address_is_silent_leaves_no_socket(monkeypatch):
    """A listener whose queue is full answers no further connection."""
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(await _full_listener(sockets))

        with anyio.move_on_after(0.2) as scope:
            await Sockets().connect_tcp("127.0.0.1", listener.getsockname()[1])

    assert scope.cancelled_caught


async def _full_listener(sockets):
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    for _ in range(8):
        waiting = sockets.enter_context(socket.socket())
        waiting.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            waiting.connect(listener.getsockname())
    return listener


async def test_connect_tries_the_next_address_beside_a_silent_one(monkeypatch):
    with contextlib.ExitStack() as sockets, Server(whole(ANSWER)) as server:
        full = sockets.enter_context(await _full_listener(sockets))

        async def found(host, port, **options):
            ports = (full.getsockname()[1], server.port)
            return [(2, 1, 6, "", ("127.0.0.1", number)) for number in ports]

        monkeypatch.setattr("anyio.getaddrinfo", found)
        connection = await Sockets().connect_tcp("archive.example", 1)
        try:
            assert isinstance(connection, Connection)
            assert ("127.0.0.1", server.port) == connection.get_extra_info("server_addr")
        finally:
            await connection.aclose()
