"""Damaged, newer, older, full: a journal is put aside or left alone, never lost, and never ends a run."""

import random
import shutil
import sqlite3

import pytest

from fakes import product
from pepsasync.errors import ConfigError
from pepsasync.folder.journal import JournalReader, State, open_journal
from pepsasync.folder.journal.schema import MIGRATIONS
from pepsasync.folder.journal.writer import Writer

pytestmark = pytest.mark.anyio

NEXT = (*MIGRATIONS, "ALTER TABLE products ADD COLUMN colour TEXT")
"""A schema that only these tests have."""


async def filled(folder, count=200):
    async with open_journal(folder, tell=pytest.fail) as journal:
        journal.record_order({"collection": "S1"}, ["fake"], {})
        await journal.note_products(1, (product(f"{n}", size=10) for n in range(count)))
        journal.note("7", State.DELIVERED, bytes=10)
    return folder / ".pepsasync" / "journal.db"


def cut(length):
    def damage(path):
        path.write_bytes(path.read_bytes()[:length])

    return damage


def overwrite(offset, data):
    def damage(path):
        whole = bytearray(path.read_bytes())
        whole[offset : offset + len(data)] = data
        path.write_bytes(whole)

    return damage


def foreign(path):
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()


DAMAGES = [
    pytest.param(cut(0), id="empty"),
    pytest.param(cut(50), id="within-the-header"),
    pytest.param(cut(20_000), id="half"),
    pytest.param(cut(-1), id="last-byte-missing"),
    pytest.param(overwrite(0, b"<html>not a database</html>"), id="not-a-database"),
    pytest.param(overwrite(4096, bytes(65_536)), id="pages-of-zeros"),
    pytest.param(overwrite(60, b"\x00\x00\x00\x09"), id="schema-number"),
    pytest.param(foreign, id="another-program's"),
]


@pytest.mark.parametrize("damage", DAMAGES)
async def test_damaged_journal_is_put_aside_and_the_run_goes_on(tmp_path, damage):
    path = await filled(tmp_path)
    damage(path)
    damaged, told = path.read_bytes(), []

    async with open_journal(tmp_path, tell=told.append) as journal:
        journal.note("A", State.DELIVERED)
        with await journal.reader() as reader:
            assert 1 == sum(count.products for count in reader.counts().values())

    assert damaged == path.with_name("journal.db.damaged-1").read_bytes()
    assert 1 == len(told)
    assert "journal.db.damaged-1" in told[0]
    assert "no product is lost" in told[0]


@pytest.mark.parametrize("damage", DAMAGES)
async def test_damaged_journal_only_read_says_what_to_do_and_is_left_alone(tmp_path, damage):
    path = await filled(tmp_path)
    damage(path)
    before = {file: file.read_bytes() for file in path.parent.iterdir()}

    with pytest.raises(ConfigError, match=r"No product is lost.*pepsasync fetch"), JournalReader(tmp_path) as reader:
        list(reader.in_state(State.FOUND))

    assert before == {file: file.read_bytes() for file in path.parent.iterdir()}


async def test_bits_flipped_anywhere_never_end_a_run_nor_invent_a_product(tmp_path):
    whole = (await filled(tmp_path / "whole", 60)).read_bytes()
    chance, aside = random.Random(5), 0
    right = {f"{n}": product(f"{n}", size=10) for n in range(60)}
    for number in range(40):
        folder = tmp_path / f"{number}"
        path = folder / ".pepsasync" / "journal.db"
        path.parent.mkdir(parents=True)
        flipped = bytearray(whole)
        for _ in range(chance.choice([1, 1, 8, 64])):
            flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)

        async with open_journal(folder, tell=lambda _: None) as journal:
            journal.note("new", State.SKIPPED)
            with await journal.reader() as reader:
                counts = reader.counts()
                rows = [row for state in State for batch in reader.in_state(state) for row in batch]
                assert State.SKIPPED == reader.product("new").state
            assert not journal.is_quiet
        assert len(rows) == sum(count.products for count in counts.values())
        assert all(row.product in (None, right.get(row.product and row.product.name)) for row in rows)
        aside += path.with_name("journal.db.damaged-1").exists()
        shutil.rmtree(folder)

    assert 0 < aside < 40, "nothing was damaged, or everything"


async def test_damage_that_shows_while_running_is_put_aside_once(tmp_path):
    path = await filled(tmp_path)
    told = []
    async with open_journal(tmp_path, tell=told.append) as journal:
        with await journal.reader() as reader:
            assert reader.product("A") is None
            overwrite(0, bytes(8192))(path)
            journal.note("A", State.DELIVERED)
            await journal.flush()

            assert State.DELIVERED == reader.product("A").state
        assert 1 == len(told)

        overwrite(0, bytes(8192))(path)
        journal.note("B", State.DELIVERED)
        await journal.flush()
        assert journal.is_quiet
        assert 2 == len(told)

    assert path.with_name("journal.db.damaged-1").exists()


async def test_second_damage_does_not_replace_what_was_put_aside_first(tmp_path):
    for _ in range(2):
        cut(100)(await filled(tmp_path))
        async with open_journal(tmp_path, tell=lambda _: None):
            pass

    assert {"journal.db.damaged-1", "journal.db.damaged-2"} <= {
        file.name for file in (tmp_path / ".pepsasync").iterdir()
    }


async def test_newer_schema_is_refused_and_left_alone(tmp_path):
    async with open_journal(tmp_path, tell=pytest.fail, migrations=NEXT) as journal:
        journal.note("A", State.DELIVERED)
    path = tmp_path / ".pepsasync" / "journal.db"
    before = path.read_bytes()

    with pytest.raises(
        ConfigError, match=rf"schema {len(NEXT)}, this pepsasync knows schema {len(MIGRATIONS)}.*newer one"
    ):
        async with open_journal(tmp_path, tell=pytest.fail):
            pass
    with pytest.raises(ConfigError, match=f"schema {len(NEXT)}"):
        JournalReader(tmp_path)

    assert before == path.read_bytes()
    assert not path.with_name("journal.lease").exists()


async def test_older_schema_is_migrated_with_all_it_holds(tmp_path):
    await filled(tmp_path)

    async with open_journal(tmp_path, tell=pytest.fail, migrations=NEXT):
        pass

    with JournalReader(tmp_path, NEXT) as reader:
        assert (199, 1) == tuple(reader.counts()[state].products for state in (State.FOUND, State.DELIVERED))
        assert product("3", size=10) == reader.product("3").product


async def test_migration_that_fails_leaves_the_old_schema(tmp_path):
    await filled(tmp_path)
    broken = (*MIGRATIONS, "CREATE TABLE extra (x); INSERT INTO nowhere VALUES (1)")

    with pytest.raises(ConfigError, match=f"cannot migrate schema {len(MIGRATIONS)} to schema {len(NEXT)}"):
        async with open_journal(tmp_path, tell=pytest.fail, migrations=broken):
            pass

    with JournalReader(tmp_path) as reader:
        assert 199 == reader.counts()[State.FOUND].products


async def test_full_disk_silences_the_journal_once_and_keeps_it_whole(tmp_path):
    await filled(tmp_path)
    told = []
    async with open_journal(tmp_path, tell=told.append) as journal:
        connection = journal._writer._connection
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        for n in range(3):
            await journal.note_products(1, (product(f"more-{n}-{m}" * 9) for m in range(500)))
            await journal.flush()

        assert journal.is_quiet
        assert ["the journal cannot be written: database or disk is full; the run goes on without it"] == told

    with JournalReader(tmp_path) as reader:
        assert 199 == reader.counts()[State.FOUND].products
    async with open_journal(tmp_path, tell=pytest.fail):
        pass


async def test_file_system_without_locks(tmp_path, monkeypatch):
    monkeypatch.setattr("pepsasync.folder.journal.opening.has_locks", lambda folder: False)
    path = await filled(tmp_path)
    monkeypatch.setattr("pepsasync.folder.journal.opening.BUSY_SECONDS", 0.01)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")

    async with open_journal(tmp_path, tell=pytest.fail) as journal:
        journal.note("A", State.DELIVERED)
        with await journal.reader() as reader:
            assert State.DELIVERED == reader.product("A").state

    blocker.close()


def test_writer_tries_again_while_somebody_else_holds_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr("pepsasync.folder.journal.opening.BUSY_SECONDS", 0.01)
    path = tmp_path / ".pepsasync" / "journal.db"
    path.parent.mkdir()
    beats = iter(range(10))

    def beat():
        if next(beats) == 3:
            blocker.rollback()
        return True

    writer = Writer(path, tell=pytest.fail, beat=beat, beat_seconds=60)
    blocker = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    blocker.execute("BEGIN EXCLUSIVE")
    writer.add(lambda pending: pending.note("A", State.DELIVERED, {}, 1.0))
    writer.flush()
    writer.close()
    blocker.close()

    assert next(beats) >= 4, "it was not tried again"
    with JournalReader(tmp_path) as reader:
        assert State.DELIVERED == reader.product("A").state
