"""Products that are one file and no zip: the name that the archive gives, size and checksum, no rules of zips."""

import hashlib
import io
import zipfile

import pytest

from fakes import plain_archive, product
from pepsasync import Checksum, Config, IntegrityError, StorageTier
from pepsasync.errors import ServerError, TransferError
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
