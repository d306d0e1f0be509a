"""Directories and members of zips that are elsewhere: what is asked for, and what is made of the bytes."""

import hashlib
import io
import itertools
import re
import struct
import zipfile
from contextlib import asynccontextmanager

import anyio
import hypothesis
import pytest
from hypothesis import strategies as st

from fakes import PlainArchive, archive_of, plain_archive, product
from pepsasync import Config
from pepsasync.errors import IntegrityError, TransferError
from pepsasync.events import DownloadProgressed
from pepsasync.folder.layout import Folder
from pepsasync.folder.space import MARGIN, Space
from pepsasync.folder.zips import UnsafeZipError
from pepsasync.http.client import Http
from pepsasync.members import remote_zip
from pepsasync.members.fetch import fetch_members
from pepsasync.members.remote_zip import NoRangesError, RemoteZip
from pepsasync.members.zip_members import Entry, Run, Unpacker, entries_of, join
from pepsasync.query.members import build_selection
from pepsasync.transfer import progress
from servers import Server, wait_until_gone

TOP = "NAME.SAFE/"
CONTENT = {
    "manifest.safe": b"<manifest/>",
    "a/empty.txt": b"",
    "a/packed.xml": b"<packed/>" * 5_000,
    "b/stored.jp2": bytes(range(256)) * 400,
    "b/packed.jp2": b"0123456789" * 40_000,
}


def zipped(content=None, *, top=TOP, change=lambda info: None):
    """A zip with stored and compressed members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for path, data in (CONTENT if content is None else content).items():
            info = zipfile.ZipInfo(top + path)
            info.compress_type = zipfile.ZIP_DEFLATED if "packed" in path else zipfile.ZIP_STORED
            change(info)
            archive.writestr(info, data)
    return file.getvalue()


def entries(data):
    return entries_of(zipfile.ZipFile(io.BytesIO(data)))


def unpacked(data, run, *, size=1 << 20):
    """What becomes of a run whose bytes come in blocks of a size."""
    files, order = {}, []

    def begin(entry):
        files[entry.path] = io.BytesIO()
        return files[entry.path]

    unpacker = Unpacker(run, begin, lambda entry: order.append(entry.path))
    for first in range(run.first, run.end, size):
        unpacker.feed(data[first : min(first + size, run.end)])
    return {path: files[path].getvalue() for path in order}


def entry(first, end):
    info = zipfile.ZipInfo(f"m{first}")
    info.header_offset = first
    return Entry(info.filename, info, end)


def spans(runs):
    return [(run.first, run.end) for run in runs]


def test_neighbours_come_with_one_request():
    wanted = [entry(500, 600), entry(0, 100), entry(100, 200), entry(250, 300)]

    assert [(0, 300), (500, 600)] == spans(join(wanted, gap=50))
    assert [(0, 200), (250, 300), (500, 600)] == spans(join(wanted, gap=49))
    assert [(0, 600)] == spans(join(wanted, gap=float("inf"), longest=float("inf")))


def test_long_runs_are_divided_between_members():
    wanted = [entry(0, 100), entry(100, 200), entry(200, 1_000), entry(1_000, 1_100)]

    assert [(0, 200), (200, 1_000), (1_000, 1_100)] == spans(join(wanted, longest=250))
    assert [] == join([])


@hypothesis.given(
    st.lists(st.integers(1, 50), min_size=1, max_size=20), st.integers(0, 60), st.integers(1, 300), st.randoms()
)
def test_runs_hold_every_member_once_and_in_order(lengths, gap, longest, chance):
    ends = [sum(lengths[: number + 1]) for number in range(len(lengths))]
    every = [entry(end - length, end) for length, end in zip(lengths, ends, strict=True)]
    wanted = [one for one in every if chance.random() < 0.5]
    runs = join(chance.sample(wanted, len(wanted)), gap, longest)

    assert wanted == [one for run in runs for one in run.entries]
    for run in runs:
        assert run.end - run.first <= longest or len(run.entries) == 1
        for before, after in zip(run.entries, run.entries[1:], strict=False):
            assert after.first - before.end <= gap


def test_members_are_named_by_their_path_in_the_folder_of_the_product():
    assert list(CONTENT) == list(entries(zipped()))
    assert [TOP + path for path in CONTENT] == list(entries(zipped(top="OTHER/" + TOP)))
    assert ["loose.txt", "x/a.txt"] == list(entries(zipped({"loose.txt": b"1", "x/a.txt": b"2"}, top="")))


@pytest.mark.parametrize("size", [1, 7, 29, 30, 31, 1_000, 1 << 20])
def test_members_are_what_they_were_in_whatever_blocks_they_come(size):
    data = zipped()
    every = entries(data)

    assert CONTENT == unpacked(data, Run(tuple(every.values())), size=size)
    assert {"a/packed.xml": CONTENT["a/packed.xml"], "b/packed.jp2": CONTENT["b/packed.jp2"]} == unpacked(
        data, Run((every["a/packed.xml"], every["b/packed.jp2"])), size=size
    )


class Unseekable(io.RawIOBase):
    """A file that `zipfile` writes without going back: sizes stand behind each member."""

    def __init__(self):
        self.content = bytearray()

    def writable(self):
        return True

    def write(self, block):
        self.content += block
        return len(block)


@pytest.mark.parametrize("is_large", [False, True])
def test_sizes_behind_members_and_headers_of_64_bits_are_read(is_large):
    file = Unseekable()
    with zipfile.ZipFile(file, "w") as archive:
        for path, data in CONTENT.items():
            info = zipfile.ZipInfo(TOP + path)
            info.compress_type = zipfile.ZIP_DEFLATED if "packed" in path else zipfile.ZIP_STORED
            with archive.open(info, "w", force_zip64=is_large) as member:
                member.write(data)
    data = bytes(file.content)

    assert CONTENT == unpacked(data, Run(tuple(entries(data).values())), size=13)


@pytest.mark.parametrize("path", ["b/stored.jp2", "b/packed.jp2", "a/packed.xml"])
def test_a_wrong_byte_anywhere_in_a_member_is_seen(path):
    data = zipped()
    one = entries(data)[path]
    for at in range(one.first, one.end, max(1, (one.end - one.first) // 40)):
        if at - one.first in range(4, 26) or at - one.first in (28, 29):
            continue  # the directory says the same, and is believed
        wrong = bytearray(data)
        wrong[at] ^= 0x55
        with pytest.raises(zipfile.BadZipFile):
            assert {path: CONTENT[path]} == unpacked(bytes(wrong), Run((one,)))
            raise zipfile.BadZipFile  # bytes behind the end of what is compressed change nothing


def test_a_member_with_another_name_than_in_the_directory_is_refused():
    data = zipped()
    wrong = data.replace(b"NAME.SAFE/b/stored.jp2", b"NAME.SAFE/b/STORED.jp2", 1)

    with pytest.raises(zipfile.BadZipFile, match="another member"):
        unpacked(wrong, Run((entries(data)["b/stored.jp2"],)))


def test_more_than_the_directory_says_is_not_written():
    data = zipped({"a/packed.xml": b"0" * 10_000_000})
    one = entries(data)["a/packed.xml"]
    one.info.file_size = 1_000
    written = io.BytesIO()

    with pytest.raises(zipfile.BadZipFile, match="more bytes"):
        Unpacker(Run((one,)), lambda _: written, lambda _: None).feed(data[one.first : one.end])
    assert len(written.getvalue()) <= 1_000


def test_what_needs_a_password_is_refused():
    data = zipped()
    one = entries(data)["b/stored.jp2"]
    one.info.flag_bits |= 1

    with pytest.raises(zipfile.BadZipFile, match="packed in a way"):
        unpacked(data, Run((one,)))


@pytest.mark.parametrize(
    "content",
    [
        {"../../evil": b""},
        {"a\\b": b""},
        {"A/x": b"", "a/y": b""},
        {"x": b"1", "x/y": b"2"},
        {"con": b""},
        {"caf\u0065\u0301": b"", "caf\u00e9": b""},
    ],
)
def test_hostile_names_are_refused(content):
    with pytest.raises(UnsafeZipError):
        entries(zipped(content))


def test_links_are_refused():
    with pytest.raises(UnsafeZipError, match="link"):
        entries(zipped({"link": b"/etc/passwd"}, change=lambda info: setattr(info, "external_attr", 0o120777 << 16)))


def test_members_that_overlap_are_refused():
    data = bytearray(zipped({"one": b"x" * 100, "two": b"y" * 100}))
    second = data.index(b"PK\1\2", data.index(b"PK\1\2") + 4)
    data[second + 42 : second + 46] = struct.pack("<L", 40)

    with pytest.raises(UnsafeZipError, match="overlaps"):
        entries(bytes(data))


class RangeFile:
    """Serves ranges of a file as they are asked for; `changes` are done to it, one before each answer."""

    def __init__(self, content, *changes, headers=()):
        self.content, self.changes, self.headers = content, [*changes], headers
        self.asked = []

    def __call__(self, connection, head):
        first, last = map(int, re.search(rb"(?i)\r\nrange: bytes=(\d+)-(\d+)\r\n", head).groups())
        self.asked.append((first, last + 1))
        change = self.changes.pop(0) if self.changes else None
        cut = change(self) if change else None
        size = len(self.content)
        lines = [
            "HTTP/1.1 206 Partial Content",
            f"Content-Range: bytes {first}-{last}/{size}",
            f"Content-Length: {last + 1 - first}",
            *self.headers,
            "",
            "",
        ]
        connection.sendall("\r\n".join(lines).encode() + self.content[first : last + 1][:cut])
        return cut is None


def turn(data):
    """A change: the file has these bytes from now on."""
    return lambda file: setattr(file, "content", data)


def cut(count):
    """A change: this answer ends after so many bytes."""
    return lambda file: count


def wrong(text):
    """Content that is as long and compresses as well, and differs."""
    return {path: data.replace(b"0123", text) for path, data in CONTENT.items()}


@asynccontextmanager
async def archive_with(server, **settings):
    config = Config(retry_wait=0.01, retry_wait_max=0.02, **settings)
    async with Http(config) as http:
        yield plain_archive(http, config, lambda event: None)


def item(server, data, **more):
    return product("NAME", download_url=f"http://127.0.0.1:{server.port}/x", size=len(data), **more)


async def bring(server, data, folder, **given):
    async with archive_with(server) as archive:
        folder.open()
        return await fetch_members(item(server, data), archive, folder, build_selection(**given))


def files_in(folder):
    top = folder / "NAME.SAFE"
    return {path.relative_to(top).as_posix(): path.read_bytes() for path in top.rglob("*") if path.is_file()}


@pytest.mark.anyio
async def test_a_directory_of_any_length_is_found(monkeypatch):
    monkeypatch.setattr(remote_zip, "TAIL", 30)
    data = zipped()
    with Server(RangeFile(data)) as server:
        async with archive_with(server) as archive:
            assert list(CONTENT) == list(await RemoteZip(item(server, data), archive).read_directory())


@pytest.mark.anyio
async def test_the_size_of_a_zip_is_learned_where_the_catalogue_does_not_tell_it():
    data = zipped()
    with Server(RangeFile(data)) as server:
        async with archive_with(server) as archive:
            remote = RemoteZip(product("NAME", download_url=f"http://127.0.0.1:{server.port}/x"), archive)
            assert list(CONTENT) == list(await remote.read_directory())
            assert len(data) == remote.size


@pytest.mark.anyio
async def test_a_cut_is_gone_on_from(tmp_path):
    data = zipped()
    file = RangeFile(data, lambda file: None, cut(40_000), cut(1))
    with Server(file) as server:
        brought = await bring(server, data, Folder(tmp_path), include="b/")

    one = entries(data)["b/stored.jp2"]
    assert [(one.first, entries(data)["b/packed.jp2"].end)] == file.asked[1:2]
    assert [one.first + 40_000, one.first + 40_001] == [first for first, _ in file.asked[2:4]]
    assert {path: CONTENT[path] for path in ("b/stored.jp2", "b/packed.jp2")} == files_in(tmp_path)
    assert ("b/stored.jp2", "b/packed.jp2") == brought.members
    assert 4 == brought.requests


@pytest.mark.anyio
async def test_a_line_that_always_breaks_ends_with_an_error_and_no_final_name(tmp_path):
    data = zipped()
    with Server(RangeFile(data, lambda file: None, *[cut(0)] * 50)) as server, pytest.raises(TransferError):
        await bring(server, data, Folder(tmp_path), include="b/")

    assert {} == files_in(tmp_path)
    assert not any((tmp_path / ".pepsasync" / "unpack").iterdir())


@pytest.mark.anyio
@pytest.mark.parametrize("text", [b"4567", b"0124"])
async def test_a_file_that_was_changed_after_its_directory_was_read_is_seen(tmp_path, text):
    data, other = zipped(), zipped(wrong(text))
    file = RangeFile(data, lambda file: None, turn(other))
    with Server(file) as server, pytest.raises(IntegrityError):
        await bring(server, data, Folder(tmp_path), include="b/packed.jp2")

    assert {} == files_in(tmp_path)


@pytest.mark.anyio
async def test_another_etag_is_another_file(tmp_path):
    data = zipped()

    def change(file):
        file.headers = ('ETag: "2"',)

    file = RangeFile(data, lambda file: None, change, headers=('ETag: "1"',))
    with Server(file) as server, pytest.raises(IntegrityError, match="another one"):
        await bring(server, data, Folder(tmp_path), include="b/")
    assert {} == files_in(tmp_path)


@pytest.mark.anyio
async def test_ranges_that_begin_elsewhere_are_not_taken(tmp_path):
    data = zipped()

    def answer(connection, head):
        connection.sendall(
            f"HTTP/1.1 206 X\r\nContent-Range: bytes 0-99/{len(data)}\r\nContent-Length: 100\r\n\r\n".encode()
            + data[:100]
        )
        return True

    with Server(answer) as server, pytest.raises(NoRangesError):
        await bring(server, data, Folder(tmp_path), include="b/")


@pytest.mark.anyio
async def test_what_is_no_zip_is_told(tmp_path):
    data = b"<html>" * 1_000
    with Server(RangeFile(data)) as server, pytest.raises(IntegrityError, match="directory cannot be read"):
        await bring(server, data, Folder(tmp_path), include="*")
    assert not (tmp_path / "NAME.SAFE").exists()


@pytest.mark.anyio
async def test_a_directory_that_claims_to_be_huge_is_not_fetched(tmp_path):
    data = bytearray(zipped())
    end = data.rindex(b"PK\5\6")
    data[end + 12 : end + 16] = struct.pack("<L", 1 << 30)
    with Server(RangeFile(bytes(data))) as server, pytest.raises(IntegrityError, match="unsafe zip"):
        await bring(server, bytes(data), Folder(tmp_path), include="*")


@pytest.mark.anyio
async def test_a_directory_that_claims_to_begin_far_away_is_not_fetched(tmp_path):
    data = zipped({"b/stored.bin": bytes(40 << 20)})
    end = data.rindex(b"PK\5\6")
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1)
    marked = data[end : end + 8] + b"\xff" * 12 + data[end + 20 :]
    data = data[:end] + locator + marked
    file = RangeFile(data)
    with Server(file) as server, pytest.raises(IntegrityError, match="directory"):
        await bring(server, data, Folder(tmp_path), include="*")

    assert sum(end - first for first, end in file.asked) < 1 << 20


@pytest.mark.anyio
async def test_room_on_the_disk_is_given_back_as_members_are_written(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "INTERVAL", 0)
    data = zipped({"b/stored.bin": bytes(8 << 20)})
    room = MARGIN + (10 << 20)

    def free(directory):
        return room - sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())

    ticks = itertools.count(step=10)
    space = Space(tmp_path, free, lambda: next(ticks))
    folder, came = Folder(tmp_path, space=space), []

    def watch(event):
        if isinstance(event, DownloadProgressed):
            came.append(event.received)
            space.reserve("OTHER", 1 << 19)  # raises when what is written counts twice
            space.release("OTHER")

    config = Config()
    with Server(RangeFile(data)) as server:
        async with Http(config) as http:
            archive = plain_archive(http, config, watch)
            folder.open()
            brought = await fetch_members(item(server, data), archive, folder, build_selection(include="*"))

    assert 8 << 20 == brought.bytes
    assert came[-1] > 4 << 20


@pytest.mark.anyio
async def test_a_download_begins_with_its_first_answer(tmp_path):
    data, events = zipped(), []
    file = RangeFile(data, lambda file: None, lambda file: events.append("asked"))
    config = Config()
    with Server(file) as server:
        async with Http(config) as http:
            archive = plain_archive(http, config, events.append)
            folder = Folder(tmp_path)
            folder.open()
            await fetch_members(item(server, data), archive, folder, build_selection(include="b/"))

    kinds = [event if isinstance(event, str) else type(event).__name__ for event in events]
    assert ["asked", "DownloadStarted", "ProductDownloaded"] == [kind for kind in kinds if kind != "DownloadProgressed"]


@pytest.mark.anyio
async def test_complete_members_stay_when_a_run_is_cancelled(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "INTERVAL", 0)
    data = zipped({"a/one.txt": b"1" * 1_000, "b/two.bin": b"2" * 3_000_000})
    end = entries(data)["b/two.bin"].first + (1 << 20) + 500_000

    def answer(connection, head):
        first, last = map(int, re.search(rb"(?i)\r\nrange: bytes=(\d+)-(\d+)\r\n", head).groups())
        head = (
            f"HTTP/1.1 206 X\r\nContent-Range: bytes {first}-{last}/{len(data)}\r\nContent-Length: {last + 1 - first}"
        )
        connection.sendall(head.encode() + b"\r\n\r\n" + data[first : min(last + 1, end) if first == 0 else last + 1])
        if first:
            return True
        wait_until_gone(connection)
        return False

    config = Config()
    with Server(answer) as server:
        async with Http(config) as http, anyio.create_task_group() as tasks:
            received = anyio.Event()

            def watch(event):
                if isinstance(event, DownloadProgressed) and event.received > 1 << 20:
                    received.set()

            archive = plain_archive(http, config, watch)
            folder = Folder(tmp_path)
            folder.open()
            tasks.start_soon(fetch_members, item(server, data), archive, folder, build_selection(include="*"))
            with anyio.fail_after(60):
                await received.wait()
                while len([*(tmp_path / ".pepsasync" / "unpack" / "NAME").glob("*/*")]) < 2:  # the second has begun
                    await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()

    assert {"a/one.txt": b"1" * 1_000} == files_in(tmp_path)
    assert not any((tmp_path / ".pepsasync" / "unpack").iterdir())


class FilesBesideZip(PlainArchive):
    """An archive whose zip cannot be had in parts, and that serves the files of the product one by one."""

    def __init__(self, http, server, files):
        super().__init__(http, 4)
        self.server, self.content = server, files

    async def files(self, product):
        return {path: len(data) for path, data in self.content.items()}

    async def file_request(self, product, path):
        return self._http.build("GET", f"http://127.0.0.1:{self.server.port}/file/{path}")


def node_server(files, *, cut_first=(), length=True):
    """Sends whole files with 200, whatever range is asked for; zips, too."""
    asked, cut_next = [], {*cut_first}

    def answer(connection, head):
        path = head.split(b" ", 2)[1].decode().removeprefix("/file/")
        asked.append(path)
        body = files.get(path, b"a zip that is made while it is sent")
        told = f"Content-Length: {len(body)}\r\n" if length else ""
        connection.sendall(f"HTTP/1.1 200 OK\r\n{told}Connection: close\r\n\r\n".encode())
        is_cut = path in cut_next
        cut_next.discard(path)
        connection.sendall(body[: len(body) // 2] if is_cut else body)
        return False

    return answer, asked


def node_files():
    files = {"a/one.txt": b"first " * 1_000, "a/empty.txt": b"", "b/two.txt": b"second " * 400_000, "c/three": b"3"}
    streams = "".join(
        f'<byteStream size="{len(data)}"><fileLocation href="./{path}"/>'
        f'<checksum checksumName="MD5">{hashlib.md5(data).hexdigest()}</checksum></byteStream>'
        for path, data in files.items()
    )
    return files | {"manifest.safe": f"<xfdu>{streams}</xfdu>".encode()}


async def bring_files(tmp_path, files, answer, **given):
    config = Config(retry_wait=0.01, retry_wait_max=0.02)
    folder = Folder(tmp_path)
    folder.open()
    with Server(answer) as server:
        async with Http(config) as http:
            archive = archive_of(FilesBesideZip(http, server, files), http, config, lambda event: None)
            return await fetch_members(item(server, b"x" * 100), archive, folder, build_selection(**given))


@pytest.mark.anyio
@pytest.mark.parametrize("length", [True, False])
async def test_files_of_an_archive_that_ignores_ranges_come_whole(tmp_path, length):
    files = node_files()
    answer, asked = node_server(files, cut_first=["a/one.txt", "b/two.txt"], length=length)
    brought = await bring_files(tmp_path, files, answer, include="*")

    assert files == files_in(tmp_path)
    assert {*files} == {*brought.members}
    assert [2, 2, 1] == [asked.count(path) for path in ("a/one.txt", "b/two.txt", "manifest.safe")]


@pytest.mark.anyio
async def test_files_of_which_no_crc_is_known_are_not_fetched_again_when_they_are_right(tmp_path):
    files = node_files()
    answer, asked = node_server(files)
    await bring_files(tmp_path, files, answer, include="*")
    for note in (tmp_path / ".pepsasync" / "verified").iterdir():
        note.unlink()
    (tmp_path / "NAME.SAFE" / "c" / "three").write_bytes(b"?")
    asked.clear()
    await bring_files(tmp_path, files, answer, include="*")

    assert files == files_in(tmp_path)
    assert ["manifest.safe", "c/three"] == [path for path in asked if path in files]
    assert [b"?"] == [path.read_bytes() for path in (tmp_path / ".pepsasync" / "kept").iterdir()]


@pytest.mark.anyio
async def test_distant_members_come_with_requests_of_their_own(tmp_path, monkeypatch):
    content = {"one.txt": b"1", "large.bin": b"x" * 3_000_000, "two.txt": b"2"}
    data = zipped(content)
    file = RangeFile(data)
    with Server(file) as server:
        await bring(server, data, Folder(tmp_path), include="*.txt")

    assert {"one.txt": b"1", "two.txt": b"2"} == files_in(tmp_path)
    assert 3 == len(file.asked)
    assert sum(end - first for first, end in file.asked) < 200_000
