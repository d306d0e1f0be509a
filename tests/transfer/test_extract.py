"""Unpacking: nothing leaves its folder, nothing half-unpacked gets a final name, the zip goes last."""

import errno
import os
import stat
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from fakes import product
from pepsasync.errors import ConfigError, ExtractError
from pepsasync.folder import zips
from pepsasync.folder.layout import Folder
from pepsasync.transfer.existing import is_here
from pepsasync.transfer.extract import unpack

ITEM = product("S1A_TEST")


@pytest.fixture
def folder(tmp_path):
    folder = Folder(tmp_path / "data")
    folder.open()
    return folder


def pack(folder, members):
    with zipfile.ZipFile(folder.zip_path(ITEM), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def names(folder):
    return sorted(path.name for path in folder.directory.iterdir() if path.name != ".pepsasync")


def test_unpack_makes_the_folder_and_removes_the_zip(folder):
    pack(folder, {"S1A_TEST.SAFE/": b"", "S1A_TEST.SAFE/manifest.safe": b"m", "S1A_TEST.SAFE/a/b/c.tiff": b"t" * 9})

    unpacked = unpack(ITEM, folder)

    assert folder.directory / "S1A_TEST.SAFE" == unpacked
    assert ["S1A_TEST.SAFE"] == names(folder)
    assert b"t" * 9 == (unpacked / "a" / "b" / "c.tiff").read_bytes()
    assert not folder.unpack_path(ITEM).exists()


def test_unpack_zip_without_a_single_top_folder_is_wrapped(folder):
    pack(folder, {"manifest.safe": b"m", "other/file": b"x"})

    assert b"m" == (unpack(ITEM, folder) / "manifest.safe").read_bytes()


def test_unpack_top_folder_of_another_name_gets_the_products_name(folder):
    pack(folder, {"OTHER.SAFE/manifest.safe": b"m"})

    assert "S1A_TEST.SAFE" == unpack(ITEM, folder).name


@pytest.mark.parametrize(
    "name",
    [
        *(
            "../evil",
            "a/../../evil",
            "/etc/evil",
            "C:/evil",
            "a\\..\\evil",
            "S1A.SAFE/C:evil",
            "S1A.SAFE/manifest.safe:hidden",
        ),
        *("CON", "S1A.SAFE/nul.txt", "S1A.SAFE/aux /x", "lpt1/x", "S1A.SAFE/Com\u00b9.tiff", "S1A.SAFE/CONIN$"),
        *("S1A.SAFE./x", "S1A.SAFE/x.", "S1A.SAFE/x ", "S1A.SAFE/... /x", "S1A.SAFE /x/", "S1A.SAFE/\x1b[2Jx"),
    ],
)
def test_unpack_name_that_leaves_the_folder_is_refused(name, folder):
    pack(folder, {"S1A_TEST.SAFE/manifest.safe": b"m", name: b"x"})

    with pytest.raises(ExtractError, match="unsafe zip"):
        unpack(ITEM, folder)

    assert ["S1A_TEST.zip"] == names(folder)
    assert not folder.unpack_path(ITEM).exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_unpack_links_and_special_files_are_refused(kind, folder):
    info = zipfile.ZipInfo("S1A_TEST.SAFE/link")
    info.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(folder.zip_path(ITEM), "w") as archive:
        archive.writestr(info, "/etc/passwd")

    with pytest.raises(ExtractError, match="link or a special file"):
        unpack(ITEM, folder)


def test_unpack_names_that_only_look_like_those_of_devices_are_written(folder):
    names = ["console.xml", "aux_data/x.xml", "com10.tiff", ".hidden", "a.b/c d.xml", "nullify", "ECMWF.nul"]
    pack(folder, {f"S1A_TEST.SAFE/{name}": b"x" for name in names})
    unpacked = unpack(ITEM, folder)

    assert {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()} == set(names)


def test_unpack_bomb_is_refused(folder):
    pack(folder, {"S1A_TEST.SAFE/zeros": b"\0" * 50_000_000})

    with pytest.raises(ExtractError, match="unpack to 50,000,000"):
        unpack(ITEM, folder)


def test_unpack_too_many_members_is_refused(folder, monkeypatch):
    monkeypatch.setattr(zips, "MOST_MEMBERS", 2)
    pack(folder, {f"S1A_TEST.SAFE/{n}": b"x" for n in range(3)})

    with pytest.raises(ExtractError, match="3 members"):
        unpack(ITEM, folder)


def test_unpack_damaged_member_leaves_the_zip(folder):
    pack(folder, {"S1A_TEST.SAFE/data": bytes(range(256)) * 100})
    content = bytearray(folder.zip_path(ITEM).read_bytes())
    content[60] ^= 0xFF
    folder.zip_path(ITEM).write_bytes(content)

    with pytest.raises(ExtractError, match="cannot unpack"):
        unpack(ITEM, folder)

    assert ["S1A_TEST.zip"] == names(folder)


def test_unpack_same_name_twice_is_refused(folder):
    with zipfile.ZipFile(folder.zip_path(ITEM), "w") as archive:
        archive.writestr("S1A_TEST.SAFE/x", "1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("S1A_TEST.SAFE/x", "2")

    with pytest.raises(ExtractError, match="two members of one name"):
        unpack(ITEM, folder)


@pytest.mark.parametrize(
    "members",
    [
        pytest.param(["S1A_TEST.SAFE/" + "n" * 300], id="long-name"),
        pytest.param(["S1A_TEST.SAFE/" + "a/" * 3000 + "b"], id="long-path"),
        pytest.param(["S1A_TEST.SAFE/" + "a/" * 1500 + "b"], id="deep-path"),
        pytest.param(["S1A_TEST.SAFE/a", "S1A_TEST.SAFE/a/b/c"], id="file-as-folder"),
        pytest.param(["S1A_TEST.SAFE/a/b/c", "S1A_TEST.SAFE/a"], id="folder-as-file"),
        pytest.param(["S1A_TEST.SAFE/a", "S1A_TEST.SAFE/a/"], id="file-and-folder"),
    ],
)
def test_unpack_names_that_the_disk_cannot_hold_are_an_error_of_that_product(members, folder):
    pack(folder, dict.fromkeys(members, b""))

    with pytest.raises(ExtractError):
        unpack(ITEM, folder)

    assert ["S1A_TEST.zip"] == names(folder)
    assert not folder.unpack_path(ITEM).exists()


def test_unpack_folder_that_cannot_be_written_is_still_told_as_such(folder, monkeypatch):
    pack(folder, {"S1A_TEST.SAFE/manifest.safe": b"m"})

    def refuse(path, *_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ConfigError, match="cannot write"):
        unpack(ITEM, folder)

    assert names(folder) == ["S1A_TEST.zip"]


@pytest.mark.parametrize("place", ["folder", "product"])
def test_unpack_renames_a_file_in_the_place_of_its_folder_and_tells_so(folder, place):
    told = []
    folder = replace(folder, tell=told.append)
    pack(folder, {"S1A_TEST.SAFE/manifest.safe": b"m"})
    stood = folder.unpacking if place == "folder" else folder.unpack_path(ITEM)
    stood.parent.mkdir(exist_ok=True)
    stood.write_bytes(b"a file where a folder should be")

    assert (unpack(ITEM, folder) / "manifest.safe").read_bytes() == b"m"
    aside = stood.with_name(f"{stood.name}.aside-1")
    assert aside.read_bytes() == b"a file where a folder should be"
    assert [f"it is now {aside.name}" in line for line in told] == [True]


def test_unpack_goes_on_after_a_run_that_was_killed_while_unpacking(folder):
    pack(folder, {"S1A_TEST.SAFE/manifest.safe": b"m"})
    left = folder.unpack_path(ITEM) / "S1A_TEST.SAFE"
    left.mkdir(parents=True)
    (left / "manifest.safe").write_bytes(b"half")

    assert b"m" == (unpack(ITEM, folder) / "manifest.safe").read_bytes()


def test_unpack_has_all_on_the_disk_before_the_zip_goes(folder, monkeypatch):
    pack(folder, {"S1A_TEST.SAFE/manifest.safe": b"m", "S1A_TEST.SAFE/a/b/c.tiff": b"t", "S1A_TEST.SAFE/empty/": b""})
    fsync, unlink, synced, seen = os.fsync, Path.unlink, set(), []

    def note(handle):
        synced.add(os.fstat(handle).st_ino)
        fsync(handle)

    def look(path):
        unpacked = folder.folder_path(ITEM)
        seen.extend(
            one for one in (folder.directory, unpacked, *unpacked.rglob("*")) if one.stat().st_ino not in synced
        )
        seen.append(path)
        unlink(path)

    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(Path, "unlink", look)
    unpack(ITEM, folder)

    assert [folder.zip_path(ITEM)] == seen


@pytest.mark.parametrize(
    "names",
    [("N/a", "N/A"), ("N/\u00e9", "N/e\u0301"), ("N/d/a", "N/D/b"), *((f"N/a{mark}b",) for mark in '*?"<>|\u202e')],
)
def test_unpack_names_that_meet_or_mean_something_else_elsewhere_are_refused(names, folder):
    item = product("S1A_TEST")
    with zipfile.ZipFile(folder.zip_path(item), "w") as archive:
        for name in names:
            archive.writestr(name, "data")

    with pytest.raises(ExtractError, match="on other systems"):
        unpack(item, folder)
    assert folder.zip_path(item).exists()
    assert not folder.folder_path(item).exists()


def test_unpack_zip_of_folders_alone_is_known_again(folder):
    item = product("S1A_TEST")
    with zipfile.ZipFile(folder.zip_path(item), "w") as archive:
        archive.mkdir("S1A_TEST.SAFE")
        archive.mkdir("S1A_TEST.SAFE/empty")
    unpack(item, folder)

    assert is_here(item, folder)
