"""A folder that another program has taken over: who lost it changes nothing more, who has it is not held up."""

import fcntl
import json
import os
import shutil
import threading
from dataclasses import asdict

import anyio
import pytest

from archives import connect, everything, final_names, right_files, sandbox
from fakes import leave_part
from pepsasync import ConfigError, DeliveryStatus
from pepsasync.events import DownloadStarted, ProductDelivered, ProductDownloaded
from pepsasync.folder.journal import JournalBusyError, JournalReader, Owner, Pulse, State, open_journal
from pepsasync.folder.journal import writer as journal_writer
from pepsasync.folder.journal.lease import look
from pepsasync.folder.journal.reading import LEASE
from pepsasync.folder.layout import Folder

pytestmark = pytest.mark.anyio

ELSEWHERE = Owner("node12", "node12 boot pid:[1]", 4711, "00", 1_700_000_000.0)


def hand_over(folder):
    """Another program has the folder now."""
    new = folder / ".pepsasync" / "lease of another"
    new.write_text(f"{7:020}\n{json.dumps(asdict(ELSEWHERE))}\n")
    new.replace(folder / ".pepsasync" / LEASE)


@pytest.mark.parametrize("size", [20_000, 900_000])
async def test_who_lost_the_folder_gives_no_product_its_name(size, tmp_path):
    def see(event):
        if isinstance(event, ProductDownloaded):
            hand_over(tmp_path)

    async with sandbox(3, tape_fraction=0, product_size=size) as archive, connect(archive, jobs=1) as client:
        products = await everything(client)
        with anyio.fail_after(120), client.listen(see), pytest.raises(JournalBusyError, match="taken over"):
            async for _ in client.fetch(products, tmp_path):
                pass

    assert final_names(tmp_path) == []


async def test_who_lost_the_folder_neither_begins_nor_removes_a_part(tmp_path):
    async with sandbox(1, tape_fraction=0, product_size=900_000) as archive, connect(archive) as client:
        [product] = await everything(client)
        folder = Folder(tmp_path)
        folder.open()
        leave_part(folder, product, b"of the one who has the folder now", (0, 33))

        async def take(folder):
            async with open_journal(folder, tell=lambda _: None) as journal:
                hand_over(folder)
                mine = Folder(folder, check_owner=journal.confirm_owner)
                for change in (mine.prepare_part, mine.discard_part):
                    with pytest.raises(JournalBusyError):
                        change(product)

        await take(tmp_path)
        assert folder.part_path(product).read_bytes() == b"of the one who has the folder now"
        assert folder.read_record(product).filled == [(0, 33)]


async def test_run_whose_lease_was_removed_takes_it_again_and_goes_on_with_its_journal(tmp_path):
    lease, removed, holders = tmp_path / ".pepsasync" / LEASE, [], []

    def see(event):
        match event:
            case ProductDownloaded() if not removed:
                removed.append(lease.unlink())
            case ProductDelivered():
                holders.append(look(lease).owner.pid)

    async with sandbox(2, tape_fraction=0) as archive, connect(archive, jobs=1) as client:
        products = await everything(client)
        with client.listen(see):
            outcomes = [delivery async for delivery in client.fetch(products, tmp_path)]
        with JournalReader(tmp_path) as reader:
            assert reader.counts()[State.DELIVERED].products == 2

    assert [delivery.status for delivery in outcomes] == [DeliveryStatus.DELIVERED] * 2
    assert holders == [os.getpid()] * 2
    assert not lease.exists()


@pytest.mark.parametrize("removed", [".pepsasync", "."])
@pytest.mark.parametrize("size", [20_000, 900_000])
async def test_folder_that_is_removed_during_a_run_is_a_clear_error(size, removed, tmp_path):
    def see(event):
        if isinstance(event, ProductDownloaded):
            shutil.rmtree(tmp_path / "data" / removed, ignore_errors=True)

    async with sandbox(3, tape_fraction=0, product_size=size) as archive, connect(archive, jobs=1) as client:
        products = await everything(client)
        with anyio.fail_after(120), client.listen(see), pytest.raises(ConfigError, match="was removed while"):
            async for _ in client.fetch(products, tmp_path / "data"):
                pass


@pytest.mark.parametrize("kind", ["link", "link to itself", "folder"])
@pytest.mark.parametrize("moment", [DownloadStarted, ProductDownloaded, ProductDelivered])
async def test_run_ends_when_something_else_is_put_in_the_place_of_its_state_folder(moment, kind, tmp_path):
    state, elsewhere, swapped = tmp_path / "data" / ".pepsasync", tmp_path / "elsewhere", []

    def see(event):
        if isinstance(event, moment) and not swapped:
            state.rename(tmp_path / "moved")
            if kind == "folder":
                elsewhere.rename(state)
            else:
                state.symlink_to(elsewhere if kind == "link" else tmp_path / "moved")
            swapped.append(True)

    async with sandbox(4, tape_fraction=0, product_size=20_000) as archive, connect(archive, jobs=1) as client:
        products = await everything(client)
        for place in ("parts", "verified"):
            (elsewhere / place).mkdir(parents=True)
        for one in products:  # what somebody else knows better
            (elsewhere / "parts" / f"{one.name}.part").write_bytes(b"theirs")
        with anyio.fail_after(120), client.listen(see), pytest.raises(ConfigError, match="in the place of"):
            async for _ in client.fetch(products, tmp_path / "data"):
                pass
        right = {f"{one.name}.zip": archive.content(one.name).read() for one in products}

    for path in (tmp_path / "data").glob("*.zip"):
        assert right[path.name] == path.read_bytes()


@pytest.mark.parametrize("moment", [DownloadStarted, ProductDownloaded, ProductDelivered])
@pytest.mark.parametrize("removed", ["parts", "verified"])
@pytest.mark.parametrize("size", [20_000, 900_000])
async def test_folder_of_parts_that_is_removed_during_a_run_is_made_again(size, removed, moment, tmp_path):
    moments = [moment]

    def see(event):
        if moments and isinstance(event, moments[0]):
            moments.pop()
            shutil.rmtree(tmp_path / ".pepsasync" / removed, ignore_errors=True)

    async with sandbox(4, tape_fraction=0, product_size=size) as archive, connect(archive, in_flight=1) as client:
        products = await everything(client)
        with anyio.fail_after(120), client.listen(see):
            outcomes = [one async for one in client.fetch(products, tmp_path)]

        assert not moments
        assert [one.error for one in outcomes] == [None] * 4
        assert right_files(archive, tmp_path) == 4
        assert (tmp_path / ".pepsasync" / removed).is_dir(), "made again"


@pytest.mark.parametrize("provider", ["peps", "cdse"])
async def test_parts_that_a_stopped_program_keeps_locked_are_gone_on_with(provider, tmp_path):
    started = []

    def see(event):
        if isinstance(event, DownloadStarted):
            started.append(event.offset)

    async with sandbox(1, tape_fraction=0, product_size=900_000) as archive, connect(archive, provider) as client:
        [product] = await everything(client)
        body = archive.content(product.name).read()
        folder = Folder(tmp_path)
        folder.open()
        leave_part(folder, product, body, (0, 300_000))
        with folder.part_path(product).open("r+b") as stopped:
            fcntl.flock(stopped, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with client.listen(see):
                [delivery] = [one async for one in client.fetch([product], tmp_path)]
            stopped.seek(0)
            stopped.write(b"it goes on")  # into bytes that nobody uses any more

        assert delivery.status is DeliveryStatus.DELIVERED, delivery.error
        assert started == [300_000]
        assert right_files(archive, tmp_path) == 1


async def test_lease_beats_while_the_journal_is_opened_and_checked(tmp_path, monkeypatch):
    lease, opened, beats = tmp_path / ".pepsasync" / LEASE, journal_writer.open_for_writing, []

    def slowly(*arguments):
        first, pause = look(lease).text, threading.Event()
        beats.append(any(look(lease).text != first or pause.wait(0.005) for _ in range(20_000)))
        return opened(*arguments)

    monkeypatch.setattr(journal_writer, "open_for_writing", slowly)
    async with open_journal(tmp_path, tell=pytest.fail, pulse=Pulse(beat=0.01)):
        assert beats == [True]


async def test_two_programs_that_bring_a_small_product_do_not_write_one_file(tmp_path):
    async with sandbox(1, tape_fraction=0) as archive, connect(archive) as client:
        [product] = await everything(client)
    other = Folder(tmp_path)
    other.open()

    def check():
        """At this moment, with the bytes written and not yet named, the other one brings the same product."""
        assert other.promote(product, bytearray(b"theirs")).read_bytes() == b"theirs"

    ours = Folder(tmp_path, check_owner=check)
    assert ours.promote(product, bytearray(b"all of ours")).read_bytes() == b"all of ours"
    assert [*other.parts.iterdir()] == []
