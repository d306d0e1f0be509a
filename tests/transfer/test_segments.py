"""One product over several connections: which bytes arrive, and what is left behind."""

import contextlib
import hashlib
import os
import re
import threading
from types import SimpleNamespace

import anyio
import pytest

from fakes import leave_part, plain_archive
from pepsasync.config import Config
from pepsasync.errors import TransferError
from pepsasync.events import DownloadProgressed
from pepsasync.folder.layout import Folder
from pepsasync.http.client import Http
from pepsasync.model import Checksum, Product, StorageTier
from pepsasync.transfer import segments
from pepsasync.transfer.destination import IntoFolder
from pepsasync.transfer.download import download
from servers import Server, wait_until_gone

pytestmark = pytest.mark.anyio

SMALLEST = 100_000
SIZE = 40 * SMALLEST + 17
CONTENT = b"".join(hashlib.sha256(n.to_bytes(8)).digest() * 16 for n in range(SIZE // 512 + 1))[:SIZE]


class Ranged:
    """Serves ranges with both ends.

    Args:
        hold: Bytes of the answer to whoever leads after which it hardly moves until others come.
        others: Requests that it waits for then.
        refuse: Status line for requests that name both ends; None serves them.
        cut: Bytes after which the first answer to such a request is cut.
        total: Bytes of the file that such requests get a part of; another one has nothing but zeros.
    """

    def __init__(self, *, hold=None, others=1, refuse=None, cut=None, total=SIZE):
        self.hold, self.others, self.refuse, self.cut, self.total = hold, others, refuse, cut, total
        self._came = threading.Semaphore(0)
        self.is_let_go = False
        self.asked = []
        self.sent = 0
        self._lock = threading.Lock()

    def __call__(self, connection, head):
        found = re.search(rb"(?i)\r\nrange: bytes=(\d+)-(\d*)\r\n", head)
        first = int(found[1]) if found else 0
        last = int(found[2]) if found and found[2] else SIZE - 1
        is_bounded = bool(found and found[2])
        with self._lock:
            self.asked.append((first, last) if is_bounded else (first, None))
            cut, self.cut = (self.cut, None) if is_bounded else (None, self.cut)
            hold, self.hold = (None, self.hold) if is_bounded else (self.hold, None)
        if is_bounded:
            self._came.release()
        if is_bounded and self.refuse:
            connection.sendall(self.refuse + b"Content-Length: 0\r\n\r\n")
            return True
        status = b"HTTP/1.1 206 Partial Content\r\n" if found else b"HTTP/1.1 200 OK\r\n"
        total = self.total if is_bounded else SIZE
        line = f"Content-Range: bytes {first}-{last}/{total}\r\n".encode() if found else b""
        connection.sendall(status + line + f"Content-Length: {last + 1 - first}\r\n\r\n".encode())
        body = CONTENT[first : last + 1] if total == SIZE else bytes(last + 1 - first)
        if hold is not None:
            self._send(connection, body[:hold])
            body = body[hold:]
            for _ in range(self.others):
                while not self._came.acquire(timeout=0.01) and not self.is_let_go:
                    self._send(connection, body[:500])
                    body = body[500:]
        self._send(connection, body[:cut])
        return cut is None

    def let_go(self):
        """Wait for nobody any more."""
        self.is_let_go = True
        self._came.release(self.others)

    def _send(self, connection, body):
        for at in range(0, len(body), 65_536):
            connection.sendall(body[at : at + 65_536])
            with self._lock:
                self.sent += len(body[at : at + 65_536])


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(segments, "SMALLEST", SMALLEST)
    monkeypatch.setattr(segments, "LOOK_INTERVAL", 0.01)
    monkeypatch.setattr(segments, "WORTH", 0.001)


@pytest.fixture
def serve():
    with contextlib.ExitStack() as servers:
        yield lambda answer: servers.enter_context(Server(answer))


@pytest.fixture
def fetching(tmp_path):
    @contextlib.asynccontextmanager
    async def opened(see=lambda event: None, **settings):
        settings = {"retry_wait": 0.001, "retry_wait_max": 0.002, "read_timeout": 60.0, "retries": 2} | settings
        config = Config(**settings)
        folder = Folder(tmp_path)
        folder.open()
        async with Http(config) as http:
            archive = plain_archive(http, config, see, downloads=4)
            yield SimpleNamespace(archive=archive, folder=folder)

    return opened


def product(server):
    return Product(
        id="one",
        name="ONE",
        provider="plain",
        collection="any",
        size=SIZE,
        checksum=Checksum("md5", hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()),
        tier=StorageTier.DISK,
        download_url=f"http://127.0.0.1:{server.port}/",
    )


def check(line, wanted, received):
    assert line.folder.part_path(wanted).read_bytes() == CONTENT
    assert (received.received, received.checksum()) == (SIZE, wanted.checksum)
    line.folder.discard_part(wanted)
    assert not list(line.folder.parts.iterdir())


async def test_several_connections_bring_one_product(serve, fetching):
    server = serve(answer := Ranged(hold=2 * SMALLEST, others=3))

    async with fetching(segments=4) as line:
        wanted = product(server)

        received = await download(wanted, line.archive, IntoFolder(line.folder))
        check(line, wanted, received)
        assert line.archive.gate.slots.try_take()

    assert (0, None) in answer.asked
    assert len({first for first, _ in answer.asked}) == len(answer.asked) >= 4


async def test_free_slots_are_used_where_they_help(serve, fetching, monkeypatch):
    monkeypatch.setattr(segments, "LOOK_INTERVAL", 0.3)
    server = serve(Ranged(hold=2 * SMALLEST))

    async with fetching() as line:
        wanted = product(server)

        received = await download(wanted, line.archive, IntoFolder(line.folder))
        check(line, wanted, received)


@pytest.mark.parametrize("settings", [{"segments": 1}, {"segments": 4, "jobs": 1}, {"limit_rate": 100_000_000}])
async def test_one_connection_where_there_shall_be_one(serve, fetching, settings):
    server = serve(answer := Ranged())

    async with fetching(**settings) as line:
        received = await download(wanted := product(server), line.archive, IntoFolder(line.folder))
        check(line, wanted, received)

    assert answer.asked == [(0, None)]


@pytest.mark.parametrize(
    "refuse",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n", id="whole file"),
        pytest.param(b"HTTP/1.1 429 Too Many Requests\r\n", id="too many"),
        pytest.param(b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/2\r\n", id="another range"),
    ],
)
async def test_one_connection_brings_everything_where_others_are_refused(serve, fetching, refuse):
    server = serve(answer := Ranged(hold=2 * SMALLEST, refuse=refuse))

    async with fetching(segments=3) as line:
        wanted = product(server)

        received = await download(wanted, line.archive, IntoFolder(line.folder))
        check(line, wanted, received)

    # Once for each connection, the one that leads included: all may have asked before the first is refused.
    assert len([last for _, last in answer.asked if last is not None]) <= 3


async def test_a_segment_of_another_file_is_not_taken(serve, fetching):
    server = serve(answer := Ranged(hold=2 * SMALLEST, total=SIZE + 1))

    async with fetching(segments=3) as line:
        received = await download(wanted := product(server), line.archive, IntoFolder(line.folder))
        check(line, wanted, received)

    assert any(last is not None for _, last in answer.asked)


async def test_a_segment_that_is_cut_is_gone_on_with(serve, fetching):
    server = serve(Ranged(hold=2 * SMALLEST, cut=SMALLEST // 2))

    async with fetching(segments=2) as line:
        wanted = product(server)

        received = await download(wanted, line.archive, IntoFolder(line.folder))
        check(line, wanted, received)


async def test_what_several_connections_brought_outlives_a_cancellation(serve, fetching):
    server = serve(answer := Ranged(hold=2 * SMALLEST, others=1_000))
    came = anyio.Event()

    def see(event):
        if isinstance(event, DownloadProgressed) and event.received >= SIZE // 2:
            came.set()

    async with fetching(see, segments=3) as line:
        wanted = product(server)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(download, wanted, line.archive, IntoFolder(line.folder))
            await came.wait()
            tasks.cancel_scope.cancel()
        filled = line.folder.read_record(wanted).filled
        part = filled[0][1] if filled[0][0] == 0 else 0
        kept = line.folder.unfinished_length(wanted)
        answer.let_go()
        before = len(answer.asked)
        received = await download(wanted, line.archive, IntoFolder(line.folder))

        assert kept >= SIZE // 2
        assert received.resumed_bytes == kept
        assert (part, None) in answer.asked[before:]
        check(line, wanted, received)


async def test_what_earlier_runs_left_anywhere_is_not_asked_for_again(serve, fetching):
    server = serve(answer := Ranged())

    async with fetching(segments=1) as line:
        wanted = product(server)
        stretches = [(2, 5), (0, 7), (6, 20), (30, 41)]
        ends = [(start * SMALLEST, min(SIZE, end * SMALLEST)) for start, end in stretches]
        leave_part(line.folder, wanted, CONTENT, *ends)
        received = await download(wanted, line.archive, IntoFolder(line.folder))
        check(line, wanted, received)

    assert answer.asked == [(20 * SMALLEST, None)]
    assert received.resumed_bytes == 30 * SMALLEST + 17


@pytest.mark.parametrize("line_end", ["", "7", "100000 2", "100000 nothing\n", "-5 200000\n"])
async def test_a_record_that_a_killed_run_left_in_the_middle_of_a_line(serve, fetching, line_end):
    server = serve(answer := Ranged())

    async with fetching(segments=1) as line:
        wanted = product(server)
        leave_part(line.folder, wanted, CONTENT, (0, SMALLEST))
        with line.folder.part_record_path(wanted).open("a") as record:
            record.write(line_end)
        received = await download(wanted, line.archive, IntoFolder(line.folder))
        check(line, wanted, received)

    assert answer.asked[0][0] in {0, SMALLEST}


async def test_stretches_behind_the_end_of_the_part_are_not_there(serve, fetching):
    server = serve(answer := Ranged())

    async with fetching(segments=1) as line:
        wanted = product(server)
        leave_part(line.folder, wanted, CONTENT, (0, SMALLEST), (2 * SMALLEST, 3 * SMALLEST))
        os.truncate(line.folder.part_path(wanted), 2 * SMALLEST + 5)
        received = await download(wanted, line.archive, IntoFolder(line.folder))
        check(line, wanted, received)

    assert answer.asked == [(SMALLEST, None), (2 * SMALLEST + 5, None)]


async def test_a_part_of_version_0_1_is_gone_on_with(serve, fetching):
    server = serve(answer := Ranged())

    async with fetching(segments=1) as line:
        wanted = product(server)
        leave_part(line.folder, wanted, CONTENT, (0, 3 * SMALLEST))
        record = line.folder.part_record_path(wanted)
        record.with_suffix(".json").write_text(record.read_text().splitlines()[0])
        record.unlink()
        received = await download(wanted, line.archive, IntoFolder(line.folder))
        check(line, wanted, received)

    assert answer.asked == [(3 * SMALLEST, None)]


async def test_bytes_count_as_progress_though_a_segment_is_there(serve, fetching):
    server = serve(answer := Ranged())
    ends = iter(range(SMALLEST, SIZE, SMALLEST))

    def send_little(connection, body):
        connection.sendall(body[:SMALLEST])
        next(ends)
        raise OSError("cut")

    answer._send = send_little

    async with fetching(segments=1) as line:
        wanted = product(server)
        leave_part(line.folder, wanted, CONTENT, (SIZE // 2, SIZE))
        received = await download(wanted, line.archive, IntoFolder(line.folder))
        check(line, wanted, received)

    assert len(answer.asked) == SIZE // 2 // SMALLEST + 1


async def test_a_part_of_another_file_is_not_taken_for_this_one(serve, fetching):
    server = serve(answer := Ranged())

    async with fetching(segments=1) as line:
        wanted = product(server)
        leave_part(line.folder, wanted, bytes(SIZE), (SMALLEST, 4 * SMALLEST), checksum="md5:other")
        received = await download(wanted, line.archive, IntoFolder(line.folder))
        check(line, wanted, received)

    assert answer.asked == [(0, None)]


async def test_tries_end_when_nothing_comes_any_more(serve, fetching):
    def answer(connection, head):
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n".encode() + CONTENT[:SMALLEST])
        wait_until_gone(connection)
        return False

    server = serve(answer)

    async with fetching(segments=3, read_timeout=0.1) as line:
        with pytest.raises(TransferError, match="gave up"):
            await download(product(server), line.archive, IntoFolder(line.folder))
        assert all(line.archive.gate.slots.try_take() for _ in range(4))
