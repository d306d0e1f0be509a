"""Products that are one file and no zip: the name that the archive gives, size and checksum, no rules of zips."""

import gzip
import hashlib
import io
import tarfile
import zipfile

import pytest

from fakes import plain_archive, product
from pepsasync import Checksum, Config, IntegrityError, StorageTier
from pepsasync.errors import ExtractError, ServerError, TransferError
from pepsasync.folder.layout import Folder
from pepsasync.folder.names import is_single_file
from pepsasync.http.client import Http
from pepsasync.transfer.destination import IntoFolder
from pepsasync.transfer.download import download
from pepsasync.transfer.existing import find_existing, is_here, stands
from pepsasync.transfer.extract import extract
from pepsasync.transfer.part import open_part
from pepsasync.transfer.reverify import Verdict, noted_in, recheck
from pepsasync.transfer.verify import verify_and_promote
from servers import Server

pytestmark = pytest.mark.anyio
CONTENT = b"\x89HDF\r\n" + bytes(range(256)) * 30
NAME = "S5P_OFFL_L2__NO2____20240101T000000.nc"


def file(content=CONTENT, name=NAME, **changes):
    md5 = Checksum("md5", hashlib.md5(content).hexdigest())
    return product(name, **{"size": len(content), "checksum": md5, "tier": StorageTier.DISK} | changes)


@pytest.fixture
def folder(tmp_path):
    folder = Folder(tmp_path)
    folder.open()
    return folder


async def bring(folder, one, content=CONTENT):
    async with open_part(one, folder) as part:
        part.write(segment := part.division.claim_front(), bytearray(content))
        part.release(segment)
    return await verify_and_promote(part, folder)


@pytest.mark.parametrize(
    "name",
    [
        "A.nc",
        "A.h5",
        "A.h5.gz",
        "A.tar",
        "A.tar.gz",
        "A.TIF",
        "A-BURST.tiff",
        "S1A_OPER_AUX_POEORB_OPOD_V2.EOF",
        "A.xml",
    ],
)
def test_names_of_one_file(name):
    assert is_single_file(name)


@pytest.mark.parametrize("name", ["S1A_IW_GRDH_1SDV_A", "S2A_MSIL1C_B", "A.SAFE", "A.zip", "A", "A.v1", ".nc.SAFE"])
def test_names_of_others(name):
    assert not is_single_file(name)


@pytest.mark.parametrize("length", [100, 2_000_000])
async def test_a_file_keeps_its_name(folder, length):
    content = (CONTENT * (length // len(CONTENT) + 1))[:length]
    one = file(content)
    path = await bring(folder, one, content)

    assert path == folder.directory / NAME
    assert path.read_bytes() == content
    assert is_here(one, folder)
    assert stands(NAME, folder)
    assert (await find_existing(one, folder, extract=False)).path == path
    assert [NAME] == [each.name for each in folder.directory.iterdir() if each.name != ".pepsasync"]


@pytest.mark.parametrize("changes", [{"size": 7}, {"checksum": Checksum("md5", "0" * 32)}])
async def test_size_and_checksum_are_compared(folder, changes):
    with pytest.raises(IntegrityError):
        await bring(folder, file(**changes))

    assert not (folder.directory / NAME).exists()


async def test_what_is_called_a_file_and_is_a_zip_becomes_a_zip(folder):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(NAME, CONTENT)
    one = file(buffer.getvalue())
    path = await bring(folder, one, buffer.getvalue())

    assert path.name == f"{NAME}.zip"
    assert (await find_existing(one, folder, extract=False)).path == path


async def test_a_file_of_others_is_looked_at_and_kept_when_it_is_another(folder):
    place = folder.directory / NAME
    place.write_bytes(CONTENT)
    right = await find_existing(file(), folder, extract=False)
    place.write_bytes(CONTENT[::-1])
    wrong = await find_existing(file(), folder, extract=False)
    unknown = await find_existing(file(size=None, checksum=None, checksums=()), folder, extract=False)
    folder.record_path(place).unlink(missing_ok=True)
    await bring(folder, file())

    assert right.path == place
    assert wrong.path is None
    assert "its checksum is" in wrong.wrong
    assert "neither its size nor a checksum is known" in unknown.wrong
    assert [each.read_bytes() for each in folder.kept.iterdir()] == [CONTENT[::-1]]
    assert place.read_bytes() == CONTENT


async def test_unpacking_leaves_it_as_it_is(folder):
    path = await bring(folder, file())

    assert await extract(file(), folder) == path
    assert path.read_bytes() == CONTENT
    found = await find_existing(file(), folder, extract=True)
    assert (found.path, found.is_folder) == (path, False)


FILES = {"top/A.tif": CONTENT, "top/deep/B.xml": b"<b/>", "top/empty": b""}


def entry(name, **given):
    info = tarfile.TarInfo(name)
    for field, value in given.items():
        setattr(info, field, value)
    return info


def tar_of(files=FILES, *odd, mode="w", **options):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, **options) as tar:
        tar.addfile(entry("top", type=tarfile.DIRTYPE))
        for name, content in files.items():
            tar.addfile(entry(name, size=len(content)), io.BytesIO(content))
        for info in odd:
            tar.addfile(info)
    return buffer.getvalue()


@pytest.mark.parametrize(("name", "mode"), [("A.tar", "w"), ("A.tar.gz", "w:gz"), ("A.tgz", "w:gz")])
@pytest.mark.parametrize("layout", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
async def test_a_tar_is_unpacked_into_a_folder(folder, name, mode, layout):
    long = f"top/{'x' * 120}/{'y' * 90}.txt"
    content = tar_of(FILES | {long: b"long"}, mode=mode, format=layout)
    one = file(content, name)
    packed = await bring(folder, one, content)
    path = await extract(one, folder)

    assert path == folder.directory / f"{name}.SAFE"
    assert {each.relative_to(path).as_posix(): each.read_bytes() for each in path.rglob("*") if each.is_file()} == {
        name.removeprefix("top/"): content for name, content in (FILES | {long: b"long"}).items()
    }
    assert not packed.exists()
    found = await find_existing(one, folder, extract=True)
    assert (found.path, found.is_folder) == (path, True)
    assert recheck(folder.directory, name, noted_in(folder.directory)[name]).verdict is Verdict.RIGHT
    (path / "A.tif").write_bytes(CONTENT[::-1])
    assert recheck(folder.directory, name, noted_in(folder.directory)[name]).verdict is Verdict.WRONG


async def test_a_tar_may_begin_with_the_folder_that_was_packed(folder):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(entry("./", type=tarfile.DIRTYPE))
        for name in ("./A.tif", "./B.tif"):
            tar.addfile(entry(name, size=len(CONTENT)), io.BytesIO(CONTENT))
    one = file(buffer.getvalue(), "A.tar")
    await bring(folder, one, buffer.getvalue())
    path = await extract(one, folder)

    assert {each.name for each in path.iterdir()} == {"A.tif", "B.tif"}
    assert (await find_existing(one, folder, extract=True)).path == path


async def test_a_packed_file_is_unpacked_into_a_folder(folder):
    content = gzip.compress(CONTENT)
    one = file(content, "LAI.h5.gz")
    await bring(folder, one, content)
    path = await extract(one, folder)

    assert [(each.name, each.read_bytes()) for each in path.iterdir()] == [("LAI.h5", CONTENT)]
    assert not (folder.directory / "LAI.h5.gz").exists()


HOSTILE = {
    "a link": tar_of(FILES, entry("top/a", type=tarfile.SYMTYPE, linkname="/etc/passwd")),
    "a hard link": tar_of(FILES, entry("top/a", type=tarfile.LNKTYPE, linkname="../../a")),
    "a device": tar_of(FILES, entry("top/a", type=tarfile.CHRTYPE)),
    "a pipe": tar_of(FILES, entry("top/a", type=tarfile.FIFOTYPE)),
    "an absolute name": tar_of({"/tmp/a": b"x"}),
    "a name above": tar_of({"top/../../a": b"x"}),
    "a name of Windows": tar_of({"top/con.txt": b"x"}),
    "two of one name": tar_of({"top/a": b"x", "top/./a": b"y"}),
    "names that meet": tar_of({"top/a": b"x", "TOP/A": b"y"}),
}
BOMBS = {
    "zeros": tar_of({"top/a": bytes(50_000_000)}, mode="w:gz"),
    "a long header": gzip.compress(
        entry("x", type=tarfile.XHDTYPE, size=40_000_000).tobuf(tarfile.USTAR_FORMAT) + bytes(40_000_000)
    ),
}
DAMAGED = {
    "cut in a member": tar_of()[:5000],
    "cut between members": tar_of()[: 1024 + -(-len(CONTENT) // 512) * 512],
    "no tar": b"\x89HDF" * 1000,
    "nothing": b"",
    "zeros": bytes(10_240),
}


def outside(folder):
    return {each for each in folder.directory.parent.rglob("*") if ".pepsasync" not in each.parts}


@pytest.mark.parametrize("what", HOSTILE)
async def test_a_hostile_tar_is_kept_and_nothing_of_it_is_unpacked(folder, what):
    one = file(HOSTILE[what], "A.tar")
    await bring(folder, one, HOSTILE[what])
    before = outside(folder)
    with pytest.raises(ExtractError, match="unsafe"):
        await extract(one, folder)

    assert outside(folder) == before
    assert not any(folder.unpacking.rglob("*"))


@pytest.mark.parametrize("what", BOMBS)
async def test_a_bomb_is_kept(folder, what):
    one = file(BOMBS[what], "A.tar.gz")
    await bring(folder, one, BOMBS[what])
    before = outside(folder)
    with pytest.raises(ExtractError, match="unsafe"):
        await extract(one, folder)

    assert outside(folder) == before


@pytest.mark.parametrize("what", DAMAGED)
async def test_a_damaged_tar_is_kept(folder, what):
    place = folder.directory / "A.tar"
    place.write_bytes(DAMAGED[what])
    with pytest.raises(ExtractError, match="cannot unpack"):
        await extract(file(DAMAGED[what], "A.tar"), folder)

    assert place.read_bytes() == DAMAGED[what]
    assert not (folder.directory / "A.tar.SAFE").exists()


@pytest.mark.parametrize("name", ["A.tar.gz", "A.h5.gz"])
async def test_a_damaged_gzip_is_kept(folder, name):
    content = bytearray(tar_of(mode="w:gz"))
    content[-6] ^= 1  # of its checksum
    (folder.directory / name).write_bytes(content)
    with pytest.raises(ExtractError, match="cannot unpack"):
        await extract(file(bytes(content), name), folder)

    assert (folder.directory / name).read_bytes() == content


async def test_it_is_verified_again(folder):
    path = await bring(folder, file())
    known = noted_in(folder.directory)
    right = recheck(folder.directory, NAME, known[NAME])
    path.write_bytes(CONTENT[::-1])
    wrong = recheck(folder.directory, NAME, known[NAME])

    assert right.verdict is Verdict.RIGHT
    assert (wrong.verdict, wrong.path) == (Verdict.WRONG, path)
    assert not is_here(file(), folder)


async def test_it_is_taken_out(folder):
    path = await bring(folder, file())
    taken = folder.take_out(NAME, keep=False)

    assert taken == [(path, None)]
    assert not path.exists()


def closing(length):
    """An answer that ends with the connection, with or without its length."""

    def answer(connection, head):
        told = f"Content-Length: {len(CONTENT)}\r\n" if length else ""
        connection.sendall(f"HTTP/1.1 200 OK\r\n{told}Connection: close\r\n\r\n".encode() + CONTENT)
        connection.close()

    return answer


@pytest.mark.parametrize("has_length", [True, False])
async def test_a_file_without_size_has_to_be_announced_with_its_length(folder, has_length):
    config = Config(retries=1, retry_wait=0.01, retry_wait_max=0.01)
    with Server(closing(has_length)) as server:
        one = file(size=None, checksum=None, checksums=(), download_url=f"http://127.0.0.1:{server.port}/A")
        async with Http(config) as http:
            archive = plain_archive(http, config, lambda event: None)
            if has_length:
                part = await download(one, archive, IntoFolder(folder))
                path = await verify_and_promote(part, folder)
                assert path.read_bytes() == CONTENT
                return
            with pytest.raises((TransferError, ServerError), match="does not say how long the file is"):
                await download(one, archive, IntoFolder(folder))
