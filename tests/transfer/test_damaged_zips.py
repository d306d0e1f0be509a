"""Zips that are damaged anywhere: they are told as such, whatever their reader makes of them."""

import errno
import io
import random
import shutil
import struct
import zipfile

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fakes import product
from pepsasync.errors import ConfigError, ExtractError, IntegrityError, TransferError
from pepsasync.folder import zips
from pepsasync.folder.layout import Folder
from pepsasync.transfer.existing import find_existing
from pepsasync.transfer.extract import unpack
from pepsasync.transfer.reverify import Verdict, recheck
from pepsasync.transfer.verify import check_zip

ITEM = product("S1A_TEST")
FILES = {f"S1A_TEST.SAFE/{name}": random.Random(name).randbytes(20) * 3 for name in ("a/1", "a/2", "b/3")}


def pack():
    """A zip with a folder, and two kinds of files: their sizes known before, or only behind them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("S1A_TEST.SAFE/", b"")
        for name, content in FILES.items():
            with archive.open(name, "w", force_zip64=name.endswith("2")) as member:
                member.write(content)
    return buffer.getvalue()


RIGHT = pack()
DIRECTORY, END = RIGHT.index(b"PK\1\2"), RIGHT.index(b"PK\5\6")


def members(zipped):
    with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def changed(at, value):
    return RIGHT[:at] + bytes([value]) + RIGHT[at + 1 :]


def last_member(field, value):
    """The zip with another value in a field of the last entry of its directory."""
    return changed(RIGHT.rindex(b"PK\1\2") + field, value)


def called_lzma():
    """The zip whose last member says that it is of lzma, with options that there are not."""
    data = RIGHT.rindex(b"PK\3\4") + 30 + len("S1A_TEST.SAFE/b/3")
    return last_member(10, 14)[:data] + b"\x09\x04\x05\x00" + b"\xff" * 5 + last_member(10, 14)[data + 9 :]


DAMAGED = [
    pytest.param(changed(END + 19, 0x40), id="offset-of-the-directory"),
    pytest.param(changed(END + 12, 0), id="no-directory"),
    pytest.param(last_member(10, 12), id="deflated-called-bzip2"),
    pytest.param(called_lzma(), id="deflated-called-lzma"),
    pytest.param(changed(DIRECTORY + 32, 200), id="members-hidden-in-a-comment"),
    pytest.param(changed(RIGHT.rindex(b"a/1") + 2, ord("2")), id="two-of-one-name"),
]


@pytest.fixture
def folder(tmp_path):
    folder = Folder(tmp_path / "data")
    folder.open()
    return folder


@pytest.mark.parametrize("damaged", DAMAGED)
def test_damaged_zip_is_not_let_through(damaged, tmp_path):
    path = tmp_path / "part"
    path.write_bytes(damaged)

    for zipped in (path, io.BytesIO(damaged)):
        with pytest.raises(IntegrityError, match="not a readable zip: "):
            check_zip(ITEM, zipped, every_member=True)


def with_comment(comment):
    buffer = io.BytesIO(RIGHT)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = comment
    return buffer.getvalue()


def of_64_bits(comment=b""):
    """The zip with the end records of one that has too many members or bytes for the old one."""
    count, length, offset = struct.unpack("<HII", RIGHT[END + 10 : END + 20])
    record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, length, offset)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, END, 1)
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, *[0xFFFF] * 2, *[0xFFFF_FFFF] * 2, len(comment))
    return RIGHT[:END] + record + locator + end + comment


ENDS = [
    pytest.param(RIGHT, id="plain"),
    pytest.param(with_comment(b"made on demand"), id="comment"),
    pytest.param(with_comment(b"c" * 65_535), id="longest-comment"),
    pytest.param(of_64_bits(), id="zip64"),
    pytest.param(of_64_bits(b"made on demand"), id="zip64-comment"),
]


@pytest.mark.parametrize("right", ENDS)
@pytest.mark.parametrize("tail", [b"\n", b"<html>error: the node failed</html>", b"\0" * 22])
def test_zip_ends_with_its_end_record_and_comment(right, tail):
    check_zip(ITEM, io.BytesIO(right), every_member=True)

    with pytest.raises(IntegrityError, match="not a readable zip: "):
        check_zip(ITEM, io.BytesIO(right + tail), every_member=True)


def test_zip_whose_comment_is_cut_is_damaged():
    with pytest.raises(IntegrityError, match="not a readable zip: "):
        check_zip(ITEM, io.BytesIO(with_comment(b"made on demand")[:-1]), every_member=True)


@pytest.mark.parametrize("damaged", DAMAGED)
def test_damaged_zip_is_not_unpacked(damaged, folder):
    folder.zip_path(ITEM).write_bytes(damaged)

    with pytest.raises(ExtractError, match=r"cannot unpack|two members of one name"):
        unpack(ITEM, folder)

    assert folder.zip_path(ITEM).exists()
    assert not folder.folder_path(ITEM).exists()


def overlapping(count, method=zipfile.ZIP_DEFLATED, size=60_000):
    """A zip whose directory lists one member many times, each time under another name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("S1A_TEST.SAFE/0000", b"\0" * (size // 2) + random.Random(1).randbytes(size // 2))
    content = buffer.getvalue()
    at, end = content.index(b"PK\1\2"), content.rindex(b"PK\5\6")
    entry = content[at:end]
    entries = b"".join(entry.replace(b"/0000", f"/{number:04}".encode()) for number in range(count))
    record = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, len(entries), at, 0)
    return content[:at] + entries + record


@pytest.fixture
def read(monkeypatch):
    """Bytes of members that were read."""
    lengths, plain = [], zipfile.ZipExtFile.read

    def counting(member, *args):
        block = plain(member, *args)
        lengths.append(len(block))
        return block

    monkeypatch.setattr(zipfile.ZipExtFile, "read", counting)
    return lengths


@pytest.mark.parametrize("count", [2, 3000])
def test_members_made_of_the_same_bytes_are_not_read(folder, read, count):
    bomb = overlapping(count)
    folder.zip_path(ITEM).write_bytes(bomb)
    for zipped in (io.BytesIO(bomb), folder.zip_path(ITEM)):
        with pytest.raises(IntegrityError, match=r"overlaps|unpack to"):
            check_zip(ITEM, zipped, every_member=True)
    with pytest.raises(ExtractError, match=r"overlaps|unpack to"):
        unpack(ITEM, folder)

    assert not read


BOMBS = {
    "ratio": lambda: packed({"a": b"\0" * 50_000_000}),
    "members": lambda: packed({str(number): b"" for number in range(6)}),
    "twice": lambda: changed(RIGHT.rindex(b"a/1") + 2, ord("2")),
    "directory": lambda: packed({str(number): b"" for number in range(5)}, comment=b"c" * 60_000),
}


def packed(files, comment=b""):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type, info.comment = zipfile.ZIP_DEFLATED, comment
            archive.writestr(info, content)
    return buffer.getvalue()


@pytest.mark.anyio
@pytest.mark.parametrize("bomb", BOMBS)
async def test_limits_hold_when_a_zip_is_verified_and_when_it_is_looked_at(bomb, folder, read, monkeypatch):
    monkeypatch.setattr(zips, "MOST_MEMBERS", 5)
    monkeypatch.setattr(zips, "LARGEST_DIRECTORY", 200_000)
    path = folder.zip_path(ITEM)
    path.write_bytes(BOMBS[bomb]())
    for every_member in (True, False):
        with pytest.raises(IntegrityError, match="unsafe zip"):
            check_zip(ITEM, path, every_member=every_member)

    assert "unsafe zip" in (await find_existing(ITEM, folder, extract=False)).wrong
    assert recheck(folder.directory, ITEM.name, None).verdict is Verdict.WRONG
    assert not read


def test_directory_that_says_in_64_bits_how_long_it_is_is_not_read(monkeypatch):
    monkeypatch.setattr(zips, "LARGEST_DIRECTORY", 100)
    monkeypatch.setattr(zipfile, "ZipFile", pytest.fail)
    for zipped in (of_64_bits(), of_64_bits(b"made on demand"), RIGHT):
        with pytest.raises(IntegrityError, match="a directory of"):
            check_zip(ITEM, io.BytesIO(zipped), every_member=True)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_of_methods_that_cannot_be_bounded_are_not_read(method, folder, read):
    """`zipfile` unpacks all that it has read of them, whatever a member says that it unpacks to."""
    with zipfile.ZipFile(folder.zip_path(ITEM), "w") as archive:
        archive.writestr("S1A_TEST.SAFE/a", b"\0" * 1000, method)
    with pytest.raises(IntegrityError, match="unsupported compression method"):
        check_zip(ITEM, folder.zip_path(ITEM), every_member=True)
    with pytest.raises(ExtractError, match="unsupported compression method"):
        unpack(ITEM, folder)

    assert not read


changes = given(at=st.integers(0, len(RIGHT) - 1), value=st.integers(0, 255))
quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)


@quick
@changes
@example(at=END + 18, value=0xFF)
def test_zip_with_any_other_byte_is_right_or_told(tmp_path, at, value):
    path, content = tmp_path / "part", changed(at, value)
    path.write_bytes(content)

    for zipped in (path, io.BytesIO(content)):
        try:
            check_zip(ITEM, zipped, every_member=True)
        except IntegrityError:
            continue
        assert FILES == {name: data for name, data in members(content).items() if data}


@quick
@changes
@example(at=DIRECTORY + 29, value=1)  # a name of 256 bytes
def test_zip_with_any_other_byte_is_unpacked_right_or_refused(folder, at, value):
    shutil.rmtree(folder.folder_path(ITEM), ignore_errors=True)
    folder.zip_path(ITEM).write_bytes(changed(at, value))
    try:
        unpacked = unpack(ITEM, folder)
    except ExtractError:
        assert not folder.folder_path(ITEM).exists()
        return

    found = {path.relative_to(folder.directory).as_posix(): path for path in unpacked.rglob("*") if path.is_file()}
    assert FILES == {name: path.read_bytes() for name, path in found.items()}


@pytest.mark.parametrize(
    ("reason", "told"), [(errno.EIO, TransferError), (errno.EACCES, ConfigError), (errno.ESTALE, TransferError)]
)
def test_disk_that_cannot_be_read_is_not_taken_for_a_damaged_zip(reason, told, folder, monkeypatch):
    def fails(*_):
        raise OSError(reason, "the disk said no")

    folder.zip_path(ITEM).write_bytes(RIGHT)
    monkeypatch.setattr(zipfile.ZipExtFile, "read", fails)

    with pytest.raises(told, match="the disk said no"):
        check_zip(ITEM, folder.zip_path(ITEM), every_member=True)
    with pytest.raises(told, match="the disk said no"):
        unpack(ITEM, folder)


def test_disk_that_refuses_what_is_unpacked_is_not_taken_for_a_damaged_zip(folder, monkeypatch):
    """Some file systems say to a name or a sync they dislike what a reader says to a wrong offset."""

    def fails(*_):
        raise OSError(errno.EINVAL, "Invalid argument")

    folder.zip_path(ITEM).write_bytes(RIGHT)
    monkeypatch.setattr("os.fsync", fails)

    with pytest.raises(TransferError, match="cannot write"):
        unpack(ITEM, folder)
