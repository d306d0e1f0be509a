"""One product over several connections: which bytes arrive, and what is left behind."""

import contextlib
import errno
import hashlib
import re
import threading
from pathlib import Path

import anyio
import pytest

from fakes import plain_line
from pepsasync.config import Config
from pepsasync.errors import ConfigError, TransferError
from pepsasync.events import DownloadProgressed
from pepsasync.folder.layout import Folder
from pepsasync.http.client import Http
from pepsasync.model import Checksum, Product, StorageTier
from pepsasync.transfer import old_segments as segments
from pepsasync.transfer.old_download import download
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
    """

    def __init__(self, *, hold=None, others=1, refuse=None, cut=None):
        self.hold, self.others, self.refuse, self.cut = hold, others, refuse, cut
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
        line = f"Content-Range: bytes {first}-{last}/{SIZE}\r\n".encode() if found else b""
        connection.sendall(status + line + f"Content-Length: {last + 1 - first}\r\n\r\n".encode())
        body = CONTENT[first : last + 1]
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
        settings = {"retry_wait": 0.001, "retry_wait_max": 0.002, "read_timeout": 10.0, "retries": 2} | settings
        config = Config(**settings)
        shelf = Folder(tmp_path)
        shelf.open()
        async with Http(config) as http:
            yield plain_line(http, shelf, config, see, downloads=4)

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
    assert line.shelf.part_path(wanted).read_bytes() == CONTENT
    assert (received.length, received.checksum) == (SIZE, wanted.checksum)
    line.shelf.discard_part(wanted)
    assert not list(line.shelf.parts.iterdir())


def begin(line, wanted, start):
    """Leave a part and a segment as an earlier run would."""
    line.shelf.claim_part(wanted)
    line.shelf.part_path(wanted).write_bytes(CONTENT[: 7 * SMALLEST])
    line.shelf.segments_path(wanted).mkdir()
    line.shelf.segment_path(wanted, start).write_bytes(CONTENT[start : start + SMALLEST])


async def test_several_connections_bring_one_product(serve, fetching):
    server = serve(answer := Ranged(hold=2 * SMALLEST, others=3))

    async with fetching(segments=4) as line:
        wanted = product(server)

        received = await download(wanted, line)
        check(line, wanted, received)
        assert line.slots.download.try_take()

    assert (0, None) in answer.asked
    assert len({first for first, _ in answer.asked}) == len(answer.asked) >= 4


async def test_free_slots_are_used_where_they_help(serve, fetching, monkeypatch):
    monkeypatch.setattr(segments, "LOOK_INTERVAL", 0.3)
    server = serve(Ranged(hold=2 * SMALLEST))

    async with fetching() as line:
        wanted = product(server)

        received = await download(wanted, line)
        check(line, wanted, received)


@pytest.mark.parametrize("settings", [{"segments": 1}, {"segments": 4, "jobs": 1}, {"limit_rate": 100_000_000}])
async def test_one_connection_where_there_shall_be_one(serve, fetching, settings):
    server = serve(answer := Ranged())

    async with fetching(**settings) as line:
        received = await download(wanted := product(server), line)
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

        received = await download(wanted, line)
        check(line, wanted, received)

    # Once for each connection, the one that leads included: all may have asked before the first is refused.
    assert len([last for _, last in answer.asked if last is not None]) <= 3


async def test_a_segment_that_is_cut_is_gone_on_with(serve, fetching):
    server = serve(Ranged(hold=2 * SMALLEST, cut=SMALLEST // 2))

    async with fetching(segments=2) as line:
        wanted = product(server)

        received = await download(wanted, line)
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
            tasks.start_soon(download, wanted, line)
            await came.wait()
            tasks.cancel_scope.cancel()
        part = line.shelf.part_length(wanted)
        kept = part + sum(length for _, length in line.shelf.segments(wanted))
        answer.let_go()
        before = len(answer.asked)
        received = await download(wanted, line)

        assert kept >= SIZE // 2
        assert received.resumed_bytes == kept
        assert (part, None) in answer.asked[before:]
        check(line, wanted, received)


async def test_a_segment_that_was_joined_in_part_is_joined_to_its_end(serve, fetching):
    server = serve(answer := Ranged())

    async with fetching(segments=1) as line:
        wanted = product(server)
        line.shelf.claim_part(wanted)
        line.shelf.part_path(wanted).write_bytes(CONTENT[: 7 * SMALLEST])
        line.shelf.segments_path(wanted).mkdir()
        for start, end in ((2, 5), (6, 20), (30, 41)):
            line.shelf.segment_path(wanted, start * SMALLEST).write_bytes(CONTENT[start * SMALLEST : end * SMALLEST])
        received = await download(wanted, line)
        check(line, wanted, received)

    assert answer.asked == [(20 * SMALLEST, None)]
    assert received.resumed_bytes == 30 * SMALLEST + 17


@pytest.mark.parametrize("segments", [None, 1, 3])
async def test_an_empty_segment_that_a_killed_run_left_is_nothing(serve, fetching, segments):
    server = serve(answer := Ranged())

    async with fetching(segments=segments) as line:
        wanted = product(server)
        line.shelf.claim_part(wanted)
        line.shelf.segments_path(wanted).mkdir()
        line.shelf.segment_path(wanted, SIZE // 2).touch()
        with anyio.fail_after(20):
            received = await download(wanted, line)
        check(line, wanted, received)

    assert len({first for first, _ in answer.asked}) == len(answer.asked)


@pytest.mark.parametrize("start", [SMALLEST, 9 * SMALLEST])
async def test_a_segment_that_somebody_else_removes_is_missed_by_nobody(serve, fetching, monkeypatch, start):
    """One that was joined by an earlier run, and one that is joined now."""
    server, unlink = serve(Ranged()), Path.unlink

    def unlink_twice(path, **options):
        unlink(path, missing_ok=True)
        unlink(path, **options)

    async with fetching(segments=1) as line:
        wanted = product(server)
        begin(line, wanted, start)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", unlink_twice)
            received = await download(wanted, line)
        check(line, wanted, received)


@pytest.mark.parametrize("start", [SMALLEST, 9 * SMALLEST])
async def test_a_segment_that_cannot_be_removed_is_told(serve, fetching, monkeypatch, start):
    server = serve(Ranged())

    def denied(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    async with fetching(segments=1) as line:
        wanted = product(server)
        begin(line, wanted, start)
        monkeypatch.setattr(Path, "unlink", denied)
        with pytest.raises(ConfigError, match="Permission denied"):
            await download(wanted, line)


async def test_a_file_where_the_folder_of_segments_should_be_is_told(serve, fetching):
    async with fetching(segments=1) as line:
        wanted = product(serve(Ranged()))
        line.shelf.claim_part(wanted)
        line.shelf.segments_path(wanted).touch()
        with pytest.raises(ConfigError, match="ONE"):
            await download(wanted, line)


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
        line.shelf.claim_part(wanted)
        line.shelf.segments_path(wanted).mkdir()
        line.shelf.segment_path(wanted, SIZE // 2).write_bytes(CONTENT[SIZE // 2 :])
        received = await download(wanted, line)
        check(line, wanted, received)

    assert len(answer.asked) == SIZE // 2 // SMALLEST + 1


async def test_segments_of_another_file_are_not_taken_for_this_one(serve, fetching):
    server = serve(answer := Ranged())

    async with fetching(segments=1) as line:
        wanted = product(server)
        line.shelf.segments_path(wanted).mkdir()
        line.shelf.segment_path(wanted, SMALLEST).write_bytes(bytes(3 * SMALLEST))
        received = await download(wanted, line)
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
            await download(product(server), line)
        assert all(line.slots.download.try_take() for _ in range(4))
