"""What passing failures and wrong answers do to a part: nothing that costs more than they have to."""

import contextlib
import hashlib
import io
import re
import zipfile
from dataclasses import replace
from types import SimpleNamespace

import anyio
import pytest

from fakes import leave_part, plain_archive
from pepsasync.config import Config
from pepsasync.errors import ProtocolError, TransferError
from pepsasync.folder.layout import Folder
from pepsasync.http.client import Http
from pepsasync.http.errors import error_for_status
from pepsasync.limits.throttle import Throttle
from pepsasync.model import Checksum, Product, StorageTier
from pepsasync.transfer.destination import IntoFolder
from pepsasync.transfer.download import download
from servers import Server

pytestmark = pytest.mark.anyio

SIZE = 700_000
CONTENT = b"".join(hashlib.sha256(n.to_bytes(8)).digest() * 16 for n in range(SIZE // 512 + 1))[:SIZE]
PART = 400_000

FAILED = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
WORDS = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsorry\r\n0\r\n\r\n"
GONE = f"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */{PART}\r\nContent-Length: 0\r\n\r\n".encode()


class Archive:
    """Answers from a list: bytes as they are; a number serves the file so far and cuts it; then serves all of it."""

    def __init__(self, *answers):
        self.answers = [*answers]
        self.asked = []
        self.heads = []

    def __call__(self, connection, head):
        found = re.search(rb"(?i)\r\nrange: bytes=(\d+)-\r\n", head)
        first = int(found[1]) if found else 0
        self.asked.append(first)
        self.heads.append(head)
        answer = self.answers.pop(0) if self.answers else SIZE
        if isinstance(answer, bytes):
            connection.sendall(answer)
            return True
        status = "206 Partial Content" if first else "200 OK"
        tell = f"Content-Range: bytes {first}-{SIZE - 1}/{SIZE}\r\n" if first else ""
        connection.sendall(f"HTTP/1.1 {status}\r\n{tell}Content-Length: {SIZE - first}\r\n\r\n".encode())
        connection.sendall(CONTENT[first:answer])
        return answer == SIZE


def judge(product, response, head):
    """What every provider says of an answer."""
    return None if response.status_code == 416 else error_for_status(response, head)


@pytest.fixture
def serve():
    with contextlib.ExitStack() as servers:
        yield lambda answer: servers.enter_context(Server(answer))


@pytest.fixture
def fetching(tmp_path, monkeypatch):
    @contextlib.asynccontextmanager
    async def opened(**settings):
        config = Config(**({"retry_wait": 0.001, "retry_wait_max": 0.002, "read_timeout": 60.0} | settings))
        folder = Folder(tmp_path)
        folder.open()
        async with Http(config) as http:
            archive = plain_archive(http, config, lambda event: None)
            monkeypatch.setattr(archive.provider, "judge_download", judge)
            yield SimpleNamespace(provider=archive.provider, archive=archive, folder=folder)

    return opened


def product(server, name="ONE"):
    return Product(
        id=name,
        name=name,
        provider="plain",
        collection="any",
        size=SIZE,
        checksum=Checksum("md5", hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()),
        tier=StorageTier.DISK,
        download_url=f"http://127.0.0.1:{server.port}/",
    )


def begin(line, wanted):
    """Leave a part as an earlier run would."""
    leave_part(line.folder, wanted, CONTENT, (0, PART))


async def test_failures_far_apart_are_not_taken_for_a_server_without_ranges(serve, fetching):
    server = serve(answer := Archive(FAILED, 500_000, FAILED, 600_000, FAILED))

    async with fetching() as line:
        begin(line, wanted := product(server))
        received = await download(wanted, line.archive, IntoFolder(line.folder))

        assert line.folder.part_path(wanted).read_bytes() == CONTENT
    assert answer.asked == [PART, PART, 500_000, 500_000, 600_000, 600_000]
    assert received.resumed_bytes == PART


async def test_cancelled_while_the_rate_is_limited_keeps_every_byte_that_came(serve, fetching):
    class Limited(Throttle):
        async def take(self, count):
            scope.cancel()
            await anyio.sleep_forever()

    def answer(connection, head):
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" + CONTENT[:1000] + b"\r\n")
        return True

    async with fetching() as line:
        wanted = product(serve(answer))
        with anyio.CancelScope() as scope:
            await download(wanted, replace(line.archive, throttle=Limited(1)), IntoFolder(line.folder))

        assert line.folder.part_path(wanted).read_bytes() == CONTENT[:1000]


async def test_part_outlives_failures_in_a_row_where_ranges_have_worked(serve, fetching):
    server = serve(answer := Archive(500_000, FAILED, FAILED, FAILED))

    async with fetching() as line:
        begin(line, wanted := product(server))
        await download(wanted, line.archive, IntoFolder(line.folder))

    assert answer.asked == [PART, 500_000, 500_000, 500_000, 500_000]


async def test_one_product_without_ranges_does_not_cost_the_others_theirs(serve, fetching):
    server = serve(answer := Archive(500_000, SIZE, FAILED, FAILED, SIZE))

    async with fetching(retries=3) as line:
        for name in ("ONE", "TWO", "THREE"):
            begin(line, wanted := product(server, name))
            await download(wanted, line.archive, IntoFolder(line.folder))

            assert line.folder.part_path(wanted).read_bytes() == CONTENT
    assert answer.asked == [PART, 500_000, PART, PART, 0, PART]


async def test_whole_file_is_asked_for_where_ranges_never_worked(serve, fetching):
    server = serve(answer := Archive(FAILED, FAILED, SIZE, FAILED, FAILED, SIZE))

    async with fetching() as line:
        for name in ("ONE", "TWO"):
            begin(line, wanted := product(server, name))
            received = await download(wanted, line.archive, IntoFolder(line.folder))

            assert received.resumed_bytes == 0
    assert answer.asked == [PART, PART, 0] * 2


@pytest.mark.parametrize("status", [408, 423, 425, 429, 502, 503, 504])
async def test_only_a_500_speaks_of_ranges(serve, fetching, status):
    busy = f"HTTP/1.1 {status} Busy\r\nRetry-After: 0.2\r\nContent-Length: 0\r\n\r\n".encode()
    server = serve(answer := Archive(FAILED, FAILED, busy, busy))

    async with fetching(retry_wait_max=9.0, retries=9) as line:
        begin(line, wanted := product(server))
        began = anyio.current_time()
        received = await download(wanted, line.archive, IntoFolder(line.folder))

        assert line.folder.part_path(wanted).read_bytes() == CONTENT
        assert anyio.current_time() - began >= 0.4
    assert answer.asked == [PART, PART, 0, PART, PART]
    assert received.resumed_bytes == PART


@pytest.mark.parametrize("failures", [0, 1])
async def test_failures_of_one_product_do_not_cost_the_others_their_parts(serve, fetching, failures):
    server = serve(answer := Archive(FAILED, FAILED, SIZE, *[FAILED] * failures))

    async with fetching() as line:
        begin(line, wanted := product(server))
        await download(wanted, line.archive, IntoFolder(line.folder))
        begin(line, other := product(server, "TWO"))
        received = await download(other, line.archive, IntoFolder(line.folder))

        assert line.folder.part_path(other).read_bytes() == CONTENT
    assert answer.asked == [PART, PART, 0, PART, *[PART] * failures]
    assert received.resumed_bytes == PART


async def test_part_is_kept_until_the_start_of_another_body_has_proved_to_be_one(serve, fetching, monkeypatch):
    server = serve(Archive(WORDS))

    def judge_start(product, response, head):
        return ProtocolError("words instead of a zip") if head == b"sorry" else None

    async with fetching(retries=1) as line:
        monkeypatch.setattr(line.provider, "judge_download", judge_start)
        begin(line, wanted := product(server))
        with pytest.raises(TransferError, match="words instead of a zip"):
            await download(wanted, line.archive, IntoFolder(line.folder))
        assert line.folder.part_path(wanted).read_bytes() == CONTENT[:PART]

        received = await download(wanted, line.archive, IntoFolder(line.folder))

    assert received.resumed_bytes == PART


async def test_validator_of_another_body_is_not_noted_beside_the_old_part(serve, fetching, monkeypatch):
    server = serve(Archive(WORDS.replace(b"\r\n", b'\r\nETag: "new"\r\n', 1)))

    async with fetching(retries=1) as line:
        monkeypatch.setattr(line.provider, "judge_download", lambda *answer: ProtocolError("no") if answer[2] else None)
        begin(line, wanted := product(server))
        with pytest.raises(TransferError):
            await download(wanted, line.archive, IntoFolder(line.folder))

        assert line.folder.read_record(wanted).note.validator is None


async def test_archive_that_believes_that_nothing_is_missing_is_not_asked_for_ever(serve, fetching):
    server = serve(answer := Archive(*[GONE] * 100))

    async with fetching(retries=3) as line:
        begin(line, wanted := product(server))
        with anyio.fail_after(60), pytest.raises(TransferError, match="gave up after 3 tries"):
            await download(wanted, line.archive, IntoFolder(line.folder))

    assert answer.asked == [PART] * 3


@pytest.mark.parametrize("has_checksum", [True, False])
async def test_validator_decides_only_where_no_checksum_does(serve, fetching, has_checksum):
    """Copies of one file in several stores differ in their ETags."""
    server = serve(answer := Archive(500_000))

    async with fetching() as line:
        wanted = product(server)
        wanted = wanted if has_checksum else replace(wanted, checksum=None)
        leave_part(line.folder, wanted, CONTENT, (0, PART), validator='"one"')
        await download(wanted, line.archive, IntoFolder(line.folder))

    assert [b'if-range: "one"' in head.lower() for head in answer.heads] == [not has_checksum] * 2


async def test_rest_of_another_file_is_not_put_behind_the_part(serve, fetching):
    """It has another validator, and no checksum would tell."""
    other = f'HTTP/1.1 206 Partial Content\r\nETag: "two"\r\nContent-Range: bytes {PART}-{SIZE - 1}/{SIZE}\r\n'
    server = serve(answer := Archive(f"{other}Content-Length: {SIZE - PART}\r\n\r\n".encode() + bytes(SIZE - PART)))

    async with fetching() as line:
        wanted = replace(product(server), checksum=None)
        leave_part(line.folder, wanted, CONTENT, (0, PART), validator='"one"')
        await download(wanted, line.archive, IntoFolder(line.folder))

    assert [PART, 0] == answer.asked
    assert CONTENT == line.folder.part_path(wanted).read_bytes()


async def test_part_that_is_longer_than_its_product_is_not_used(serve, fetching):
    server = serve(answer := Archive())

    async with fetching() as line:
        wanted = product(server)
        leave_part(line.folder, wanted, CONTENT + b"more", (0, SIZE + 4))
        with anyio.fail_after(60):
            await download(wanted, line.archive, IntoFolder(line.folder))

    assert [0] == answer.asked
    assert CONTENT == line.folder.part_path(wanted).read_bytes()


@pytest.mark.parametrize("announced", [SIZE - 250_000, SIZE, SIZE + 250_000, None])
async def test_a_length_that_is_an_estimate_is_not_insisted_on(serve, fetching, announced):
    server = serve(answer := Archive(500_000, 600_000))

    async with fetching() as line:
        wanted = replace(product(server), size=announced, size_is_estimate=True, checksum=None)
        begin(line, wanted)
        received = await download(wanted, line.archive, IntoFolder(line.folder))

        assert line.folder.part_path(wanted).read_bytes() == CONTENT
    assert answer.asked == [PART, 500_000, 600_000]
    assert (received.received, received.resumed_bytes) == (SIZE, PART)


def zipped():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("ONE.SAFE/data", CONTENT)
    return buffer.getvalue()


@pytest.mark.parametrize("has_ranges", [True, False])
async def test_body_that_ends_with_its_connection_goes_on_until_the_zip_is_whole(serve, fetching, has_ranges):
    body, cuts, asked = zipped(), [300_000, 500_000], []

    def answer(connection, head):
        found = re.search(rb"(?i)\r\nrange: bytes=(\d+)-\r\n", head) if has_ranges else None
        asked.append(first := int(found[1]) if found else 0)
        tell = f"206 Partial Content\r\nContent-Range: bytes {first}-{len(body) - 1}/*" if first else "200 OK"
        cut = cuts.pop(0) if cuts else None
        connection.sendall(f"HTTP/1.1 {tell}\r\nConnection: close\r\n\r\n".encode() + body[first:cut])
        return False

    async with fetching() as line:
        wanted = replace(product(serve(answer)), size=None, checksum=None)
        received = await download(wanted, line.archive, IntoFolder(line.folder))

        assert line.folder.part_path(wanted).read_bytes() == body
    assert received.received == len(body)
    assert asked == ([0, 300_000, 500_000] if has_ranges else [0, 0, 0])
