"""What a killed run leaves half done goes when the next one gets the folder; what others put there stays."""

import pytest

from pepsasync.folder.layout import Folder


@pytest.fixture
def folder(tmp_path):
    folder = Folder(tmp_path / "data")
    folder.open()
    folder.unpacking.mkdir()
    return folder


def test_what_was_half_written_or_half_unpacked_goes(folder):
    (folder.parts / "1234.new").write_bytes(b"half")
    (folder.parts / "A.part").write_bytes(b"to go on with")
    (folder.unpacking / "A" / "5678" / "A.SAFE").mkdir(parents=True)
    (folder.unpacking / "A" / "5678" / "A.SAFE" / "manifest.safe").write_bytes(b"half")
    folder.remove_leftovers()

    assert [path.name for path in folder.parts.iterdir()] == ["A.part"]
    assert [*folder.unpacking.iterdir()] == []


def test_links_are_not_followed(folder, tmp_path):
    (tmp_path / "elsewhere" / "A").mkdir(parents=True)
    (folder.unpacking / "A").symlink_to(tmp_path / "elsewhere" / "A")
    folder.remove_leftovers()
    (folder.unpacking / "A").unlink()
    folder.unpacking.rmdir()
    folder.unpacking.symlink_to(tmp_path / "elsewhere")
    folder.remove_leftovers()

    assert (tmp_path / "elsewhere" / "A").is_dir()


def test_a_folder_without_any_is_fine(tmp_path):
    Folder(tmp_path).remove_leftovers()
