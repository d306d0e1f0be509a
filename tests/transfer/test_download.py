"""The download stage over real sockets, plain and TLS, on both event loops: which bytes arrive, and what is left behind."""

import contextlib
import errno
import hashlib
import itertools
import sys
import time
import types

import anyio
import pytest

from fakes import leave_part, plain_archive
from pepsasync.config import Config
from pepsasync.errors import DiskFullError, RefusedError, TransferError, UnreachableError
from pepsasync.events import DownloadProgressed, DownloadRetried
from pepsasync.folder.layout import Folder
from pepsasync.http.client import Http
from pepsasync.model import Checksum, Product, StorageTier
from pepsasync.transfer import direct, drain
from pepsasync.transfer.destination import IntoFolder
from pepsasync.transfer.download import download
from pepsasync.transfer.part import SMALL
from pepsasync.transfer.receive import BLOCK
from pepsasync.transfer.receive import LARGE as READ
from servers import Authority, File, Server, Tunnel, port_of_nobody, wait_until_gone, whole

pytestmark = pytest.mark.anyio

QUICK = {"retry_wait": 0.001, "retry_wait_max": 0.002, "connect_timeout": 60.0, "read_timeout": 60.0}


def content(size):
    """Bytes no two blocks of which are the same."""
    return b"".join(hashlib.sha256(n.to_bytes(8)).digest() * 128 for n in range(size // 4096 + 1))[:size]


class Run:
    """Downloads from one server into one folder."""

    def __init__(self, http, folder, config):
        self.events = []
        self._awaited = {}
        self.progressed = anyio.Event()
        self.folder = Folder(folder)
        self.folder.open()
        self.http = http
        self.archive = plain_archive(http, config, self._see)

    def _see(self, event):
        self.events.append(event)
        if isinstance(event, DownloadProgressed):
            if event.received:
                self.progressed.set()
            if event.received in self._awaited:
                self._awaited[event.received].set()

    async def received(self, length):
        """Wait until so many bytes of a product are known to have come."""
        await self._awaited.setdefault(length, anyio.Event()).wait()

    async def fetch(self, product):
        return await download(product, self.archive, IntoFolder(self.folder))

    def part(self, product):
        return self.folder.part_path(product).read_bytes()

    def errors(self):
        return [event.error for event in self.events if isinstance(event, DownloadRetried)]


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(params=["http", "https"])
def scheme(request):
    return request.param


@pytest.fixture
def serve(scheme, authority):
    with contextlib.ExitStack() as servers:
        yield lambda answer: servers.enter_context(Server(answer, authority.context if scheme == "https" else None))


@pytest.fixture
def run(tmp_path, authority):
    @contextlib.asynccontextmanager
    async def opened(**settings):
        config = Config(ca_bundle=authority.bundle, **(QUICK | settings))
        async with Http(config) as http:
            yield Run(http, tmp_path, config)

    return opened


def product(url, body, name="A", algorithm="md5"):
    checksum = Checksum(algorithm, hashlib.new(algorithm, body).hexdigest()) if algorithm else None
    values = {"provider": "plain", "collection": "x", "tier": StorageTier.DISK}
    return Product(id=name, name=name, download_url=url, size=len(body), checksum=checksum, **values)


def threads_at_work():
    """Threads that are inside the drain now."""
    frames = itertools.chain.from_iterable(_stack(frame) for frame in sys._current_frames().values())
    return sum(frame.f_code.co_filename == drain.__file__ for frame in frames)


def _stack(frame):
    while isinstance(frame, types.FrameType):
        yield frame
        frame = frame.f_back


SIZES = [1, SMALL - 1, SMALL, READ - 1, READ, READ + 1, READ + 65_537, 3 * BLOCK, 4 * BLOCK + 17]


@pytest.mark.parametrize("size", SIZES)
async def test_download_every_size_arrives_as_it_is(run, serve, scheme, size):
    body = content(size)
    server = serve(File(body))

    async with run() as line:
        wanted = product(f"{scheme}://127.0.0.1:{server.port}/", body)
        received = await line.fetch(wanted)

    if size < SMALL:
        assert body == received.memory
        assert not line.folder.part_path(wanted).exists()
    else:
        assert (body, None, wanted.checksum) == (line.part(wanted), received.memory, received.checksum())
    assert ("drained" if size >= READ else "plain") == received.data_path
    assert 0 == threads_at_work()


async def test_download_without_checksum_is_drained_too(run, serve, scheme):
    body = content(2 * BLOCK + 5)
    server = serve(File(body))

    async with run() as line:
        wanted = product(f"{scheme}://127.0.0.1:{server.port}/", body, algorithm=None)
        received = await line.fetch(wanted)

    assert body == line.part(wanted)
    assert (None, "drained") == (received.checksum(), received.data_path)


async def test_download_small_bodies_keep_the_connection_and_wake_no_thread(run, serve, scheme, monkeypatch):
    body = content(300_000)
    server = serve(File(body))
    monkeypatch.setattr("anyio.to_thread.run_sync", None)  # calling it would fail

    async with run() as line:
        for name in "ABC":
            wanted = product(f"{scheme}://127.0.0.1:{server.port}/", body, name)
            assert body == (await line.fetch(wanted)).memory
            assert not line.folder.part_path(wanted).exists()

    assert 1 == server.connections


@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, gzip"])
@pytest.mark.parametrize(("size", "begun"), [(1000, 0), (4 * BLOCK, 0), (4 * BLOCK, BLOCK)])
async def test_download_that_is_encoded_is_refused_by_name(run, serve, scheme, encoding, size, begun):
    body = content(size)
    server = serve(file := File(body, headers=[f"Content-Encoding: {encoding}".encode()]))

    async with run() as line:
        wanted = product(f"{scheme}://127.0.0.1:{server.port}/", body)
        if begun:
            leave_part(line.folder, wanted, body, (0, begun))
        with pytest.raises(RefusedError, match=f"A: the archive sends the product encoded with {encoding}, although"):
            await line.fetch(wanted)
        if begun:
            assert body[:begun] == line.part(wanted)
    assert [begun] == file.ranges


@pytest.mark.parametrize("begun", [1, BLOCK, 2 * BLOCK + 3])
async def test_download_goes_on_from_a_part(run, serve, scheme, begun):
    body = content(4 * BLOCK)
    server = serve(file := File(body))

    async with run() as line:
        wanted = product(f"{scheme}://127.0.0.1:{server.port}/", body)
        leave_part(line.folder, wanted, body, (0, begun))
        received = await line.fetch(wanted)

    assert [begun] == file.ranges
    assert body == line.part(wanted)
    assert (wanted.checksum, begun, "drained") == (received.checksum(), received.resumed_bytes, received.data_path)


async def test_download_cut_goes_on_where_it_ended(run, serve, scheme):
    body = content(5 * BLOCK)
    server = serve(file := File(body, cut=3 * BLOCK + 11))

    async with run() as line:
        wanted = product(f"{scheme}://127.0.0.1:{server.port}/", body)
        received = await line.fetch(wanted)

    assert [0, 3 * BLOCK + 11] == file.ranges
    assert body == line.part(wanted)
    assert wanted.checksum == received.checksum()
    assert 1 == len(line.errors())
    assert "the connection broke" in line.errors()[0]


async def test_download_silence_ends_a_try_on_time(run, serve, scheme):
    body = content(3 * BLOCK)
    server = serve(file := File(body, stall=2 * BLOCK + 7))

    async with run(read_timeout=1.0) as line:
        wanted = product(f"{scheme}://127.0.0.1:{server.port}/", body)
        began = time.monotonic()
        received = await line.fetch(wanted)
        seconds = time.monotonic() - began

    assert [0, 2 * BLOCK + 7] == file.ranges
    assert ["the server stopped sending"] == [error.split(" (")[0] for error in line.errors()]
    assert body == line.part(wanted)
    assert wanted.checksum == received.checksum()
    assert seconds >= 1.0


async def test_download_cancelled_leaves_a_part_to_go_on_from_and_nothing_else(run, serve, scheme):
    body = content(4 * BLOCK)
    length = 2 * BLOCK + 99
    server = serve(file := File(body, stall=length))

    async with run() as line:
        wanted = product(f"{scheme}://127.0.0.1:{server.port}/", body)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(line.fetch, wanted)
            await line.received(length)
            assert threads_at_work() > 0
            began = time.monotonic()
            tasks.cancel_scope.cancel()
        seconds = time.monotonic() - began

        assert 0 == threads_at_work()
        assert seconds < 30  # 0.1 on a machine that does nothing else, and a read timeout would be 60
        assert body[:length] == line.part(wanted)
        assert await anyio.to_thread.run_sync(lambda: server.left.acquire(timeout=60))

        received = await line.fetch(wanted)

    assert [0, length] == file.ranges
    assert (wanted.checksum, length) == (received.checksum(), received.resumed_bytes)


async def test_download_rate_holds_for_all_together(run, serve, scheme):
    body = content(BLOCK + BLOCK // 2)
    server = serve(File(body))

    async with run(limit_rate=8 * BLOCK) as line:
        began = time.monotonic()
        async with anyio.create_task_group() as tasks:
            for name in "AB":
                tasks.start_soon(line.fetch, product(f"{scheme}://127.0.0.1:{server.port}/", body, name))
        seconds = time.monotonic() - began

    assert seconds >= 3 / 8 - 0.1  # 3 MiB at 8 MiB/s, but for the burst


async def test_download_cancelled_in_a_pause_of_the_throttle_ends_at_once(run, serve, scheme):
    body = content(2 * BLOCK)
    server = serve(File(body))

    async with run(limit_rate=BLOCK // 64) as line:
        wanted = product(f"{scheme}://127.0.0.1:{server.port}/", body)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(line.fetch, wanted)
            await line.progressed.wait()
            began = time.monotonic()
            tasks.cancel_scope.cancel()
        seconds = time.monotonic() - began

    assert 0 == threads_at_work()
    assert seconds < 60  # all of it would take two minutes
    assert 0 < len(line.part(wanted)) < BLOCK
    assert body.startswith(line.part(wanted))


async def test_download_bytes_behind_the_announced_length_are_left_alone(run, serve, scheme):
    body = content(2 * BLOCK + 1)
    server = serve(File(body, behind=b"more" * 50_000))

    async with run() as line:
        wanted = product(f"{scheme}://127.0.0.1:{server.port}/", body)
        received = await line.fetch(wanted)

    assert body == line.part(wanted)
    assert (wanted.checksum, "drained") == (received.checksum(), received.data_path)


async def test_download_hints_before_the_answer_change_nothing(run, serve, scheme):
    body = content(2 * BLOCK + 1)
    server = serve(File(body, before=b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"))

    async with run() as line:
        wanted = product(f"{scheme}://127.0.0.1:{server.port}/", body)
        received = await line.fetch(wanted)

    assert body == line.part(wanted)
    assert "drained" == received.data_path


UNUSUAL = [
    pytest.param(b"HTTP/1.1 200 OK\r\n\r\n%s", id="until-closed"),
    pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 2000000\r\n\r\n%s", id="http-1.0"),
    pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1e8480\r\n%s\r\n0\r\n\r\n", id="chunked"),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: aws-chunked\r\nContent-Length: 2000000\r\n\r\n%s", id="encoded"
    ),
]


@pytest.mark.parametrize("answer", UNUSUAL)
async def test_download_unusual_bodies_come_the_plain_way(run, serve, scheme, answer):
    body = content(2_000_000)
    server = serve(whole(answer % body))

    async with run() as line:
        wanted = product(f"{scheme}://127.0.0.1:{server.port}/", body)
        received = await line.fetch(wanted)

    assert body == line.part(wanted)
    assert (wanted.checksum, "plain") == (received.checksum(), received.data_path)


async def test_download_through_a_proxy_comes_the_plain_way(run, authority, monkeypatch):
    body = content(3 * BLOCK)
    with Server(File(body), authority.context) as server, Server(tunnel := Tunnel(server.port)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{proxy.port}")
        async with run() as line:
            wanted = product("https://archive.example/", body)
            received = await line.fetch(wanted)

    assert ["archive.example:443"] == tunnel.asked
    assert body == line.part(wanted)
    assert (wanted.checksum, "plain") == (received.checksum(), received.data_path)


async def test_download_full_disk_ends_everything(run, serve, scheme, monkeypatch):
    written = []

    def fails(file, block):
        written.append(len(block))
        raise OSError(errno.ENOSPC, "No space left on device")

    body = content(4 * BLOCK)
    server = serve(File(body))
    monkeypatch.setattr(direct, "write_all", fails)

    async with run() as line:
        with pytest.raises(DiskFullError):
            await line.fetch(product(f"{scheme}://127.0.0.1:{server.port}/", body))

        assert 1 == len(written)
        assert 0 == threads_at_work()
        assert await anyio.to_thread.run_sync(lambda: server.left.acquire(timeout=60))


async def test_download_full_disk_is_told_though_the_server_goes_silent(run, serve, scheme, monkeypatch):
    body = content(4 * BLOCK)

    def stalls(connection, head):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body[: 3 * BLOCK // 2])
        wait_until_gone(connection)
        return False

    def fails(file, block):
        raise OSError(errno.ENOSPC, "No space left on device")

    server = serve(stalls)
    monkeypatch.setattr(direct, "write_all", fails)

    async with run(read_timeout=2, retries=1) as line:
        with pytest.raises(DiskFullError):
            await line.fetch(product(f"{scheme}://127.0.0.1:{server.port}/", body))


async def test_download_many_at_once(run, serve, scheme):
    body = content(3 * BLOCK + 13)
    server = serve(File(body))
    received = []

    async def fetch(wanted):
        received.append(await line.fetch(wanted))

    async with run() as line:
        wanted = [product(f"{scheme}://127.0.0.1:{server.port}/", body, f"P{number}") for number in range(16)]
        async with anyio.create_task_group() as tasks:
            for one in wanted:
                tasks.start_soon(fetch, one)

    assert {(wanted[0].checksum, "drained")} == {(one.checksum(), one.data_path) for one in received}
    assert {hashlib.md5(body).hexdigest()} == {hashlib.md5(line.part(one)).hexdigest() for one in wanted}


async def test_download_server_that_never_answers_is_given_up(run, serve, scheme):
    def silent(connection, head):
        wait_until_gone(connection)
        return False

    server = serve(silent)

    async with run(read_timeout=0.1, retries=2) as line:
        with pytest.raises(TransferError, match="stopped sending"):
            await line.fetch(product(f"{scheme}://127.0.0.1:{server.port}/", b"x"))

    assert 2 == server.connections


async def test_download_nobody_listens(run, serve, scheme):
    with port_of_nobody() as port:
        async with run() as line:
            with pytest.raises(UnreachableError):
                await line.fetch(product(f"{scheme}://localhost:{port}/", b"x"))


async def test_download_finds_the_address_of_a_host_that_answers(run, serve, scheme):
    """`localhost` often has an IPv6 address too, where this server does not listen."""
    body = content(10)
    server = serve(File(body))

    async with run() as line:
        wanted = product(f"{scheme}://localhost:{server.port}/", body)
        assert body == (await line.fetch(wanted)).memory
