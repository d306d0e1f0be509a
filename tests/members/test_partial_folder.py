"""What stands in the folder of a product while members come into it, and what is made of notes of others."""

import json
import zipfile
import zlib

import pytest

from fakes import product
from pepsasync.folder.layout import Folder
from pepsasync.members.partial_folder import PartialFolder
from pepsasync.members.zip_members import Entry
from pepsasync.query.members import build_selection
from pepsasync.transfer.verified import members_of

CONTENT = {"a/one.txt": b"first", "b/two.txt": b"second"}


def entry(path):
    info = zipfile.ZipInfo(path)
    info.file_size, info.CRC = len(CONTENT[path]), zlib.crc32(CONTENT[path])
    return Entry(path, info, 1)


def sizes():
    return {path: (entry(path).info.file_size, entry(path).info.CRC) for path in CONTENT}


@pytest.fixture
def folder(tmp_path):
    folder = Folder(tmp_path / "data")
    folder.open()
    return folder


def begin(folder):
    place = PartialFolder(product("NAME"), folder, build_selection(include="*"))
    return place, place.prepare(sizes())


def bring(place, path):
    place.begin(entry(path)).write(CONTENT[path])
    place.done(entry(path))


def test_members_that_wait_for_the_disk_keep_no_file_open(folder):
    place, missing = begin(folder)
    file = place.begin(entry("a/one.txt"))
    file.write(CONTENT["a/one.txt"])
    place.done(entry("a/one.txt"))

    assert file.file.closed
    assert [*CONTENT] == missing
    place.settle()
    assert CONTENT["a/one.txt"] == (place.final / "a/one.txt").read_bytes()
    place.close()


def test_less_is_to_be_written_with_every_byte(folder):
    place, _ = begin(folder)

    assert sum(map(len, CONTENT.values())) == place.left
    bring(place, "a/one.txt")
    assert len(CONTENT["b/two.txt"]) == place.left
    place.close()


@pytest.mark.parametrize("kind", ["above", "absolute", "link"])
def test_a_note_of_somebody_else_removes_nothing_outside_the_folder(folder, tmp_path, kind):
    place, _ = begin(folder)
    for path in CONTENT:
        bring(place, path)
    place.settle()
    place.finish()
    place.close()
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    victim = outside / "precious.txt"
    victim.write_bytes(b"mine")
    (place.final / "linked").symlink_to(outside)
    name = {"above": "../../elsewhere/precious.txt", "absolute": str(victim), "link": "linked/precious.txt"}[kind]
    note = folder.record_path(place.final)
    known = json.loads(note.read_text())
    known["members"][name] = [4, zlib.crc32(b"mine"), victim.stat().st_mtime_ns]
    note.write_text(json.dumps(known))

    again, missing = begin(folder)
    assert [] == missing
    again.finish()
    again.close()
    assert b"mine" == victim.read_bytes()
    assert CONTENT.keys() == members_of(place.final, folder).keys()


def test_members_of_an_earlier_file_of_the_archive_are_removed(folder, monkeypatch):
    place, _ = begin(folder)
    for path in CONTENT:
        bring(place, path)
    place.settle()
    place.finish()
    place.close()
    again = PartialFolder(product("NAME"), folder, build_selection(include="*"))
    left = {path: facts for path, facts in sizes().items() if path == "a/one.txt"}

    assert [] == again.prepare(left)
    assert not (place.final / "b/two.txt").exists()
    again.close()


def test_what_is_right_already_is_not_put_aside(folder):
    place, _ = begin(folder)
    bring(place, "a/one.txt")
    (place.final / "a").mkdir()
    (place.final / "a/one.txt").write_bytes(CONTENT["a/one.txt"])  # somebody else was faster
    place.settle()
    place.close()

    assert not folder.kept.exists()
    assert CONTENT["a/one.txt"] == (place.final / "a/one.txt").read_bytes()
