"""Folders that were unpacked: what is theirs is known without a manifest, and what is the user's stays."""

import dataclasses
import functools
import json
import os
import shutil

import pytest

from archives import account_file, bytes_by_name, fetch_all, final_names, right_files, sandbox
from pepsasync.events import Noticed
from pepsasync.model import DeliveryStatus
from pepsasync.sandbox import content, safe

pytestmark = pytest.mark.anyio

MINE = b"the user's own"


def without_manifest(monkeypatch):
    make = content.ProductContent._members.func

    def members(self):
        manifest, *others = make(self)
        return [dataclasses.replace(manifest, path=manifest.path.replace("manifest.safe", "contents.text")), *others]

    renamed = functools.cached_property(members)
    renamed.__set_name__(content.ProductContent, "_members")
    monkeypatch.setattr(content.ProductContent, "_members", renamed)


def with_empty_manifest(monkeypatch):
    make = safe.manifest
    monkeypatch.setattr(safe, "manifest", lambda product, entries: make(product, []))


def as_usual(monkeypatch):
    """A manifest that lists everything."""


@pytest.fixture(params=[as_usual, without_manifest, with_empty_manifest])
def archive(request, monkeypatch):
    request.param(monkeypatch)
    made = sandbox(3, tape_fraction=0)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


def folders(archive, data):
    return [data / f"{product.name}.SAFE" for product in archive.catalogue]


def largest(folder):
    return max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_unpacked_products_are_not_fetched_again(archive, data):
    await fetch_all(archive, data, extract=True)
    sent = bytes_by_name(archive)
    outcomes, _ = await fetch_all(archive, data, extract=True)

    assert {delivery.status for delivery in outcomes.values()} == {DeliveryStatus.SKIPPED}
    assert bytes_by_name(archive) == sent


@pytest.mark.parametrize("harm", ["deleted", "cut", "flipped", "linked"])
async def test_missing_or_changed_file_is_noticed_and_brought_again(archive, data, tmp_path, harm):
    await fetch_all(archive, data, extract=True)
    harmed, *_ = folders(archive, data)
    image, before = largest(harmed), tree(harmed)
    right = image.read_bytes()
    if harm == "deleted":
        image.unlink()
    elif harm == "cut":
        image.write_bytes(right[:-1])
    elif harm == "linked":
        image.rename(tmp_path / "moved")
        image.symlink_to(tmp_path / "moved")
    else:
        image.write_bytes(bytes([right[0] ^ 1]) + right[1:])
        os.utime(image, ns=(1, 1))
    outcomes, _ = await fetch_all(archive, data, extract=True)

    assert outcomes.pop(harmed.stem).status is DeliveryStatus.DELIVERED
    assert {delivery.status for delivery in outcomes.values()} == {DeliveryStatus.SKIPPED}
    assert tree(harmed) == before
    assert not image.is_symlink()
    assert final_names(data) == sorted(path.name for path in folders(archive, data))


@pytest.mark.parametrize("archive", [as_usual], indirect=True)
@pytest.mark.parametrize("kind", ["folder", "zip"])
@pytest.mark.parametrize("keeps_time", [True, False])
def test_damage_is_noticed_when_the_notes_are_lost(run, archive, data, tmp_path, kind, keeps_time):
    """What the manifest lists is compared with it once; until then nothing counts as verified."""
    account_file(archive, tmp_path / "account")
    account = ["--provider", "peps", "-a", tmp_path / "account", "--base-url", archive.peps_url]
    fetch = ["fetch", *account, "-w", data, "-d", "2015-01-01", *(["-x"] if kind == "folder" else [])]
    assert run(*fetch).code == 0
    sent = bytes_by_name(archive)
    shutil.rmtree(data / ".pepsasync" / "verified")
    harmed = min(folders(archive, data)) if kind == "folder" else min(data.glob("*.zip"))
    file = largest(harmed) if kind == "folder" else harmed
    at, content_before = file.stat(), file.read_bytes()
    file.write_bytes(bytes([content_before[0] ^ 1]) + content_before[1:])
    if keeps_time:
        os.utime(file, ns=(at.st_atime_ns, at.st_mtime_ns))
    before = json.loads(run("status", data, "--format", "json").out)
    resumed = run("resume", data, *account[2:])
    after = json.loads(run("status", data, "--format", "json").out)

    assert (before["is_complete"], before["gone"]["products"]) == (False, 3)
    assert resumed.code == 0, resumed.err
    assert file.read_bytes() == content_before
    assert [name for name, count in bytes_by_name(archive).items() if count != sent[name]] == [harmed.stem]
    assert (after["is_complete"], after["gone"]["products"]) == (True, 0)
    assert run("verify", data).code == 0


async def test_files_that_were_only_touched_are_read_once_and_kept(archive, data):
    await fetch_all(archive, data, extract=True)
    copied = data.with_name("copied")
    shutil.copytree(data, copied, copy_function=shutil.copyfile)
    sent = bytes_by_name(archive)
    outcomes, _ = await fetch_all(archive, copied, extract=True)

    assert {delivery.status for delivery in outcomes.values()} == {DeliveryStatus.SKIPPED}
    assert bytes_by_name(archive) == sent


async def test_what_the_user_put_into_a_folder_stays_there(archive, data):
    await fetch_all(archive, data, extract=True)
    harmed, *_ = folders(archive, data)
    image = largest(harmed)
    (harmed / "notes.txt").write_bytes(MINE)
    (harmed / "empty").mkdir()
    (harmed / "results" / "deep").mkdir(parents=True)
    (harmed / "results" / "deep" / "ndvi.tif").write_bytes(MINE)
    (image.parent / "beside.aux.xml").write_bytes(MINE)
    (harmed / "link").symlink_to("results")
    mine = {path.relative_to(harmed) for path in harmed.rglob("*") if path.is_symlink() or path.is_dir()}
    image.unlink()
    outcomes, _ = await fetch_all(archive, data, extract=True)
    after = tree(harmed)

    assert outcomes[harmed.stem].status is DeliveryStatus.DELIVERED
    assert [after[name] for name in ("notes.txt", "results/deep/ndvi.tif")] == [MINE, MINE]
    assert (image.parent / "beside.aux.xml").read_bytes() == MINE
    assert mine <= {path.relative_to(harmed) for path in harmed.rglob("*")}
    assert image.exists()
    assert not (data / ".pepsasync" / "kept" / f"{harmed.name}-1").exists()


async def test_what_the_user_changed_is_kept_elsewhere_and_told(archive, data):
    await fetch_all(archive, data, extract=True)
    harmed, *_ = folders(archive, data)
    image, before = largest(harmed), tree(harmed)
    image.write_bytes(MINE)
    _, events = await fetch_all(archive, data, extract=True)
    kept = data / ".pepsasync" / "kept" / f"{harmed.name}-1"

    assert tree(harmed) == before
    assert tree(kept) == {image.relative_to(harmed).as_posix(): MINE}
    assert any(str(kept) in event.message for event in events if isinstance(event, Noticed))


async def test_folder_that_stood_there_first_loses_nothing(archive, data):
    theirs, *_ = folders(archive, data)
    (theirs / "measurement").mkdir(parents=True)
    (theirs / "measurement" / "mine.tif").write_bytes(MINE)
    (theirs / "manifest.safe").write_bytes(MINE)
    (theirs / "contents.text").write_bytes(MINE)
    outcomes, _ = await fetch_all(archive, data, extract=True)
    everywhere = [*theirs.rglob("*"), *(data / ".pepsasync" / "kept").rglob("*")]

    assert {delivery.status for delivery in outcomes.values()} == {DeliveryStatus.DELIVERED}
    assert (theirs / "measurement" / "mine.tif").read_bytes() == MINE
    assert sum(path.is_file() and path.read_bytes() == MINE for path in everywhere) == 3
    outcomes, _ = await fetch_all(archive, data, extract=True)
    assert {delivery.status for delivery in outcomes.values()} == {DeliveryStatus.SKIPPED}


@pytest.mark.parametrize("size", [200_000, 700_000])
async def test_zip_that_stood_there_first_is_kept_when_it_is_replaced(data, size):
    async with sandbox(2, tape_fraction=0, product_size=size) as archive:
        data.mkdir()
        theirs = data / f"{archive.catalogue[0].name}.zip"
        theirs.write_bytes(MINE)
        _, events = await fetch_all(archive, data)
        kept = data / ".pepsasync" / "kept" / f"{theirs.name}-1"

        assert right_files(archive, data) == 2
        assert kept.read_bytes() == MINE
        assert any(str(kept) in event.message for event in events if isinstance(event, Noticed))

        theirs.write_bytes(MINE)
        await fetch_all(archive, data)

        assert right_files(archive, data) == 2
        assert [kept] == list(kept.parent.iterdir()), "one of ours that was damaged is replaced"


def test_verify_compares_with_what_was_unpacked(run, archive, data, tmp_path):
    account_file(archive, tmp_path / "account")
    account = ["--provider", "peps", "-a", tmp_path / "account", "--base-url", archive.peps_url]
    assert run("fetch", *account, "-w", data, "-x", "-d", "2015-01-01").code == 0
    harmed, *_ = folders(archive, data)
    before, image = tree(harmed), largest(harmed)
    (harmed / "notes.txt").write_bytes(MINE)
    assert "3 products: 3 right" in run("verify", data).err
    at, content_before = image.stat(), image.read_bytes()
    image.write_bytes(bytes([content_before[0] ^ 1]) + content_before[1:])
    os.utime(image, ns=(at.st_atime_ns, at.st_mtime_ns))
    found = run("verify", data)
    repaired = run("verify", data, "--repair", *account)

    assert (found.code, repaired.code) == (1, 0), repaired.err
    assert "differs from what was unpacked" in found.out
    assert tree(harmed) == before | {"notes.txt": MINE}
    assert run("verify", data).code == 0
