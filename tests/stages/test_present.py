"""What an earlier run left is found, whichever mission it is of."""

import zipfile

import pytest

from fakes import product
from pepsasync.io.shelf import Shelf
from pepsasync.stages.extract import unpack
from pepsasync.stages.present import find_present, is_here

pytestmark = pytest.mark.anyio

LIST = '<xfdu><byteStream size="4"><fileLocation href="./a.nc"/></byteStream></xfdu>'


@pytest.fixture
def shelf(tmp_path):
    shelf = Shelf(tmp_path)
    shelf.open()
    return shelf


@pytest.mark.parametrize("manifest", ["manifest.safe", "xfdumanifest.xml"])
async def test_unpacked_product_is_there_while_all_that_its_manifest_lists_is(shelf, manifest):
    item = product("S3A_TEST")
    with zipfile.ZipFile(shelf.zip_path(item), "w") as archive:
        archive.writestr(f"S3A_TEST.SEN3/{manifest}", LIST)
        archive.writestr("S3A_TEST.SEN3/a.nc", "data")
    folder = unpack(item, shelf)

    assert folder == (await find_present(item, shelf, extract=True)).path
    assert is_here(item, shelf)

    (folder / "a.nc").write_text("cut")

    assert (await find_present(item, shelf, extract=True)).path is None
    assert not is_here(item, shelf)
