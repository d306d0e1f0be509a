"""What an earlier run left is found, whichever mission it is of."""

import errno
import zipfile
from pathlib import Path

import pytest

from fakes import product
from pepsasync.folder.layout import Folder
from pepsasync.transfer.existing import find_existing, is_here
from pepsasync.transfer.extract import unpack

pytestmark = pytest.mark.anyio

LIST = '<xfdu><byteStream size="4"><fileLocation href="./a.nc"/></byteStream></xfdu>'


@pytest.fixture
def folder(tmp_path):
    folder = Folder(tmp_path)
    folder.open()
    return folder


@pytest.mark.parametrize("manifest", ["manifest.safe", "xfdumanifest.xml"])
async def test_unpacked_product_is_there_while_all_that_its_manifest_lists_is(folder, manifest):
    item = product("S3A_TEST")
    with zipfile.ZipFile(folder.zip_path(item), "w") as archive:
        archive.writestr(f"S3A_TEST.SEN3/{manifest}", LIST)
        archive.writestr("S3A_TEST.SEN3/a.nc", "data")
    unpacked = unpack(item, folder)

    assert unpacked == (await find_existing(item, folder, extract=True)).path
    assert is_here(item, folder)

    (unpacked / "a.nc").write_text("cut")

    assert (await find_existing(item, folder, extract=True)).path is None
    assert not is_here(item, folder)


@pytest.mark.parametrize(
    "listed",
    [
        pytest.param(f'<byteStream size="4"><fileLocation href="./{"n" * 300}"/></byteStream>', id="long-name"),
        pytest.param(f'<byteStream size="{"9" * 5000}"><fileLocation href="a.nc"/></byteStream>', id="long-size"),
        pytest.param('<byteStream size="²"><fileLocation href="a.nc"/></byteStream>', id="no-number"),
    ],
)
async def test_folder_whose_manifest_lists_what_cannot_be_is_not_right(listed, folder):
    item = product("S1A_TEST")
    unpacked = folder.folder_path(item)
    unpacked.mkdir()
    (unpacked / "a.nc").write_text("data")
    (unpacked / "manifest.safe").write_text(f"<xfdu>{listed}</xfdu>", "utf-8")

    assert (await find_existing(item, folder, extract=True)).path is None
    assert not is_here(item, folder)


async def test_folder_that_cannot_be_looked_into_is_not_right(folder, monkeypatch):
    item = product("S1A_TEST")
    unpacked, stat = folder.folder_path(item), Path.stat
    unpacked.mkdir()

    def denied(path, **options):
        if unpacked in path.parents:
            raise PermissionError(errno.EACCES, "Permission denied")
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", denied)

    assert (await find_existing(item, folder, extract=True)).path is None
    assert not is_here(item, folder)
