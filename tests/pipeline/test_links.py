"""Folders travel, and others may have filled them: nothing in the state folder is opened through a link."""

import json
import os
from dataclasses import asdict

import pytest

from archives import account_file, connect, everything, fetch_all, right_files, sandbox
from pepsasync.errors import ConfigError, DeliveryError
from pepsasync.events import Noticed
from pepsasync.folder.journal import JournalReader
from pepsasync.folder.layout import Folder
from pepsasync.model import DeliveryStatus

pytestmark = pytest.mark.anyio

PRECIOUS = b"whoever planted a link wants this changed" * 1000


@pytest.fixture
def archive():
    with_parts = sandbox(4, tape_fraction=0, product_size=700_000)
    with_parts.start()
    yield with_parts
    with_parts.stop()


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def elsewhere(tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "precious").write_bytes(PRECIOUS)
    (folder / "0").write_bytes(PRECIOUS)
    return folder


def snapshot(folder):
    """Everything below a folder, with what it holds and when it was written."""
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns) if path.is_file() else None for path in folder.rglob("*")
    }


def link(path, target):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def hard_link(path, target):
    path.parent.mkdir(parents=True, exist_ok=True)
    os.link(target, path)


async def one_product(archive):
    async with connect(archive) as client:
        return (await everything(client))[0]


def write_note(folder, product):
    """A note with which a part would be gone on with."""
    folder.parts.mkdir(parents=True, exist_ok=True)
    folder.part_record_path(product).write_text(json.dumps(asdict(folder.note_for(product))) + "\n0 600000\n")


FILES = {
    "part": lambda folder, product: folder.part_path(product),
    "part-record": lambda folder, product: folder.part_record_path(product),
    "older-note": lambda folder, product: folder.part_record_path(product).with_suffix(".json"),
    "record": lambda folder, product: folder.records / f"{product.name}.zip.json",
    "journal": lambda folder, product: folder.state / "journal.db",
    "rollback-journal": lambda folder, product: folder.state / "journal.db-journal",
    "write-ahead-log": lambda folder, product: folder.state / "journal.db-wal",
    "shared-memory": lambda folder, product: folder.state / "journal.db-shm",
    "new-journal": lambda folder, product: folder.state / "journal.db.new",
    "lock-probe": lambda folder, product: folder.state / f"locks.{os.getpid()}",
}


@pytest.mark.parametrize("plant", [link, hard_link])
@pytest.mark.parametrize("file", FILES)
async def test_file_that_is_a_link_leads_nowhere(archive, data, elsewhere, file, plant):
    folder, product = Folder(data), await one_product(archive)
    path = FILES[file](folder, product)
    plant(path, elsewhere / "precious")
    if file != "part-record":
        write_note(folder, product)
    before = snapshot(elsewhere)
    outcomes, events = await fetch_all(archive, data)

    assert snapshot(elsewhere) == before
    assert {delivery.status for delivery in outcomes.values()} == {DeliveryStatus.DELIVERED}
    assert right_files(archive, data) == 4
    assert not any(path.is_symlink() for path in data.iterdir())
    if file not in ("older-note", "new-journal", "lock-probe"):
        assert any(path.name in event.message for event in events if isinstance(event, Noticed))


FOLDERS = {
    "state": lambda folder, product: folder.state,
    "parts": lambda folder, product: folder.parts,
    "records": lambda folder, product: folder.records,
    "unpack": lambda folder, product: folder.state / "unpack",
    "unpacked": lambda folder, product: folder.unpack_path(product),
}


@pytest.mark.parametrize("place", FOLDERS)
async def test_folder_that_is_a_link_leads_nowhere(archive, data, elsewhere, place):
    folder, product = Folder(data), await one_product(archive)
    (elsewhere / product.name).mkdir()
    (elsewhere / product.name / "mine").write_bytes(PRECIOUS)
    link(FOLDERS[place](folder, product), elsewhere)
    if place not in ("state", "parts"):
        write_note(folder, product)
    before = snapshot(elsewhere)
    outcomes, events = await fetch_all(archive, data, extract=True)

    assert snapshot(elsewhere) == before
    assert {delivery.status for delivery in outcomes.values()} == {DeliveryStatus.DELIVERED}
    assert any("is now" in event.message for event in events if isinstance(event, Noticed))


@pytest.mark.parametrize("extract", [False, True])
@pytest.mark.parametrize("place", FOLDERS)
async def test_file_in_the_place_of_a_folder_is_renamed(archive, data, place, extract):
    folder, product = Folder(data), await one_product(archive)
    path = FOLDERS[place](folder, product)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(PRECIOUS)
    outcomes, events = await fetch_all(archive, data, extract=extract)

    assert {delivery.status for delivery in outcomes.values()} == {DeliveryStatus.DELIVERED}
    if extract or place in ("state", "parts", "records"):
        assert PRECIOUS == path.with_name(f"{path.name}.aside-1").read_bytes()
        assert any("is now" in event.message for event in events if isinstance(event, Noticed))


@pytest.mark.parametrize("file", ["rollback-journal", "write-ahead-log", "shared-memory"])
async def test_journal_beside_a_link_is_not_read(archive, data, elsewhere, file):
    product = await one_product(archive)
    await fetch_all(archive, data)
    path = FILES[file](Folder(data), product)
    path.unlink(missing_ok=True)
    link(path, elsewhere / "precious")

    with pytest.raises(ConfigError, match=f"{path.name} is a link; it is not read"):
        JournalReader(data)


def pipe(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)


def folder(path):
    path.mkdir(parents=True)
    (path / "mine").write_bytes(PRECIOUS)


@pytest.mark.parametrize("plant", [pipe, folder])
@pytest.mark.parametrize("file", [*FILES, "lease"])
async def test_what_is_no_file_is_renamed_and_nobody_waits_for_it(archive, data, file, plant):
    folder, product = Folder(data), await one_product(archive)
    plant(folder.state / "journal.lease" if file == "lease" else FILES[file](folder, product))
    outcomes, _ = await fetch_all(archive, data)

    assert {delivery.status for delivery in outcomes.values()} == {DeliveryStatus.DELIVERED}
    assert right_files(archive, data) == 4


def device(path):
    try:
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes devices")


def dangling(path):
    path.symlink_to(path.with_name("nowhere"))


@pytest.mark.parametrize("extract", [False, True])
@pytest.mark.parametrize("plant", [dangling, pipe, device, folder, "link"])
@pytest.mark.parametrize("ending", ["zip", "SAFE"])
async def test_final_name_of_something_else_fails_that_product_alone(archive, data, elsewhere, ending, plant, extract):
    product = await one_product(archive)
    path = data / f"{product.name}.{ending}"
    if plant == "link":
        path.symlink_to(elsewhere if ending == "SAFE" else elsewhere / "precious")
    elif plant is folder and ending == "SAFE":
        path.write_bytes(PRECIOUS)
    else:
        plant(path)
    before, mode = snapshot(elsewhere), os.lstat(path)
    outcomes, _ = await fetch_all(archive, data, extract=extract)
    failed = outcomes.pop(product.name)

    assert isinstance(failed.error, DeliveryError)
    assert str(path) in str(failed.error)
    assert "Move it away" in str(failed.error)
    assert {delivery.status for delivery in outcomes.values()} == {DeliveryStatus.DELIVERED}
    assert len(outcomes) == 3
    assert (os.lstat(path).st_mode, os.lstat(path).st_ino) == (mode.st_mode, mode.st_ino)
    assert snapshot(elsewhere) == before


@pytest.mark.parametrize("plant", ["link", "hard", "pipe", "state"])
def test_status_and_resume_read_no_journal_through_a_link(run, data, tmp_path, plant):
    state = data / ".pepsasync"
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "journal.db").write_bytes(PRECIOUS)
    if plant == "state":
        state.symlink_to(theirs)
    else:
        state.mkdir()
    journal = state / "journal.db"
    if plant == "link":
        journal.symlink_to(theirs / "journal.db")
    elif plant == "hard":
        os.link(theirs / "journal.db", journal)
    elif plant == "pipe":
        os.mkfifo(journal)
    for command in ("status", "resume"):
        done = run(command, data)

        assert done.code == 2
        assert "it is not read" in done.err


def test_folder_with_something_else_under_a_final_name_ends_with_1(run, archive, data, tmp_path):
    account_file(archive, tmp_path / "account")
    words = ["--base-url", archive.peps_url, "-a", tmp_path / "account", "-w", data, "-d", "2015-01-01"]
    path = data / f"{archive.catalogue[0].name}.zip"
    path.symlink_to(tmp_path / "nowhere")
    done = run("fetch", "--provider", "peps", *words)

    assert done.code == 1, done.err
    assert "is a link" in done.err
    assert path.is_symlink()


def test_verify_does_not_look_through_links(run, archive, data, tmp_path):
    account_file(archive, tmp_path / "account")
    words = ["--provider", "peps", "--base-url", archive.peps_url, "-a", tmp_path / "account"]
    assert run("fetch", *words, "-w", data, "-d", "2015-01-01").code == 0
    path = next(data.glob("*.zip"))
    path.symlink_to(path.rename(tmp_path / path.name))
    found, repaired = run("verify", data), run("verify", data, "--repair", *words)

    assert found.code == 1
    assert f"{path} is a link" in found.out
    assert repaired.code == 1
    assert path.is_symlink()
