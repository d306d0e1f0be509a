"""The journal as a run and as `status` use it, on both event loops, with real files and threads."""

import json
import os
import random
import sqlite3
import stat
import subprocess
import sys
from datetime import UTC, datetime
from types import MappingProxyType

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import product
from pepsasync.errors import ConfigError
from pepsasync.folder.journal import Count, JournalReader, State, open_journal
from pepsasync.folder.journal.rows import parse_product, product_text, text_crc, without_secrets
from pepsasync.model import Checksum, Product, StorageTier

pytestmark = pytest.mark.anyio

FULL = Product(
    id="id-1",
    name="S1A_IW_GRDH",
    provider="peps",
    collection="S1",
    download_url="https://peps.example/download?issuerId=peps",
    tier=StorageTier.TAPE,
    size=123,
    checksum=Checksum("md5", "00ff"),
    start=datetime(2015, 11, 1, 5, 44, 1, 5000, tzinfo=UTC),
    published=datetime(2015, 11, 2, tzinfo=UTC),
    cloud_cover=12.5,
    orbit=1,
    footprint={"type": "Point", "coordinates": [1.5, 43.25]},
)


async def test_journal_tells_what_was_recorded_and_noted(tmp_path):
    async with open_journal(tmp_path, tell=pytest.fail) as journal:
        order = journal.record_order({"collection": "S1"}, ["peps"], {"jobs": 4})
        await journal.note_products(order, [FULL, product("B"), product("C", size=7)])
        journal.note("S1A_IW_GRDH", State.STAGING, staging_requests=1, last_asked_at=100.0)
        journal.note("S1A_IW_GRDH", staging_requests=2, last_asked_at=160.0)
        journal.note("B", State.FAILED, error_type="TransferError", error_message="cut")
        journal.note("C", State.DELIVERED, bytes=7, path="C.zip", attempts=2)
        journal.note_download_started("me", 50.0)
        journal.note_download_started("me", 60.0)
        with await journal.reader() as reader:
            staging = reader.product("S1A_IW_GRDH")
            counts = reader.counts()

            assert FULL == staging.product
            assert (State.STAGING, 2, 100.0, 160.0, order) == (
                staging.state,
                staging.staging_requests,
                staging.first_asked_at,
                staging.last_asked_at,
                staging.order,
            )
            assert (1, 123) == (counts[State.STAGING].products, counts[State.STAGING].bytes)
            assert Count(1, 7) == counts[State.DELIVERED]
            assert Count(0, 0) == counts[State.SKIPPED]
            assert [("B", "TransferError", "cut")] == [
                (row.name, row.error_type, row.error_message) for row in reader.failures()
            ]
            assert [["S1A_IW_GRDH"]] == [[row.name for row in rows] for rows in reader.unfinished()]
            assert [60.0] == reader.downloads_since("me", 55.0)
            assert [] == reader.downloads_since("you", 0.0)
            assert [({"collection": "S1"}, ("peps",), {"jobs": 4})] == [
                (order.wanted, order.providers, order.options) for order in reader.orders()
            ]
            assert reader.product("no such") is None


async def test_journal_opened_again_goes_on(tmp_path):
    async with open_journal(tmp_path, tell=pytest.fail) as journal:
        first = journal.record_order(["A"], ["fake"], {})
        await journal.note_products(first, [product("A"), product("B"), product("C")])
        journal.note("A", State.DOWNLOADING, attempts=1)
        journal.note("B", State.FAILED, error_type="TransferError", error_message="cut")
        journal.note("C", State.DELIVERED, path="C.zip")

    async with open_journal(tmp_path, tell=pytest.fail) as journal:
        second = journal.record_order(["B"], ["fake"], {})
        await journal.note_products(second, [product("B"), product("C")])
        with await journal.reader() as reader:
            rows = {name: reader.product(name) for name in "ABC"}

    assert first < second
    assert (State.FOUND, 1) == (rows["A"].state, rows["A"].attempts), "nothing is downloading when a run begins"
    assert (State.FOUND, None) == (rows["B"].state, rows["B"].error_type), "a failed product was wanted anew"
    assert (State.DELIVERED, second) == (rows["C"].state, rows["C"].order)


async def test_journal_new_state_removes_the_error_of_the_old(tmp_path):
    async with open_journal(tmp_path, tell=pytest.fail) as journal:
        journal.note("A", State.FAILED, error_type="TransferError", error_message="cut")
        await journal.flush()
        journal.note("A", attempts=3)
        with await journal.reader() as reader:
            assert ("cut", 3) == (reader.product("A").error_message, reader.product("A").attempts)
            journal.note("A", State.DELIVERED)
            await journal.flush()

            assert reader.product("A").error_message is None


async def test_journal_failed_then_wanted_anew_before_a_commit(tmp_path):
    async with open_journal(tmp_path, tell=pytest.fail, interval=60) as journal:
        journal.note("A", State.FAILED, error_type="X", error_message="x")
        await journal.note_products(None, [product("A")])
        with await journal.reader() as reader:
            assert (State.FOUND, None) == (reader.product("A").state, reader.product("A").error_type)


async def test_note_unknown_field_is_refused(tmp_path):
    async with open_journal(tmp_path, tell=pytest.fail) as journal:
        with pytest.raises(TypeError, match="colour"):
            journal.note("A", colour="red")


async def test_journal_takes_hostile_names_and_numbers(tmp_path):
    names = ["\ud800", "nul\0", "é", "'; DROP TABLE products", ""]
    async with open_journal(tmp_path, tell=pytest.fail) as journal:
        await journal.note_products(None, [product(name, size=1 << 70) for name in names])
        for name in names:
            journal.note(name, State.FAILED, error_message="\udcff", path=tmp_path / "x")
        with await journal.reader() as reader:
            assert [State.FAILED] * 5 == [reader.product(name).state for name in names]
        assert not journal.is_quiet


async def test_unfinished_comes_in_batches_begun_ones_first(tmp_path):
    async with open_journal(tmp_path, tell=pytest.fail) as journal:
        await journal.note_products(None, (product(f"{n:02}") for n in range(7)))
        journal.note("06", State.DOWNLOADING)
        journal.note("05", State.FAILED)
        journal.note("04", State.SKIPPED)
        with await journal.reader() as reader:
            batches = [[row.name for row in rows] for rows in reader.unfinished(with_failed=True, batch=3)]

    assert [["06"], ["00", "01", "02"], ["03"], ["05"]] == batches


async def test_note_products_more_than_there_is_room_for_arrive_all(tmp_path, monkeypatch):
    monkeypatch.setattr("pepsasync.folder.journal.writer.ROOM", 100)
    async with open_journal(tmp_path, tell=pytest.fail, interval=0.001) as journal:
        await journal.note_products(1, (product(f"{n}") for n in range(12_000)))
        with await journal.reader() as reader:
            assert 12_000 == reader.counts()[State.FOUND].products


async def test_secrets_are_never_stored(tmp_path):
    secret = "hunter2-hunter2"
    options = {
        "jobs": 3,
        "api_key": secret,
        "nested": [{"Password": secret, "AUTH_FILE": secret, "x_token": secret, "kept": 1}],
        "base_url": f"https://me:{secret}@archive.example/resto",
    }
    async with open_journal(tmp_path, tell=pytest.fail) as journal:
        order = journal.record_order({"token": secret}, ["peps"], options)
        await journal.note_products(order, [product("A", download_url=f"https://me:{secret}@archive.example/A")])
        journal.note("A", State.FAILED, error_message=f"refused by https://me:{secret}@archive.example")
        with await journal.reader() as reader:
            assert {"jobs": 3, "nested": [{"kept": 1}], "base_url": "https://archive.example/resto"} == (
                reader.orders()[0].options
            )
    for path in (tmp_path / ".pepsasync").iterdir():
        assert secret.encode() not in path.read_bytes(), path


KEYS = st.sampled_from(["jobs", "Password", "apiKey", "token", "Authorization", "area"])
VALUES = st.recursive(
    st.just("SECRET") | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=6
)


@given(st.dictionaries(KEYS, VALUES))
def test_without_secrets_leaves_no_secret_key_at_any_depth(options):
    text = json.dumps(without_secrets(options)).lower()

    assert not any(f'{word}":' in text for word in ("password", "apikey", "token", "authorization"))
    assert ("jobs" in options) == ("jobs" in without_secrets(options))


TEXT = st.none() | st.text(max_size=20)
SOME_CHECKSUMS = (Checksum("md5", "aa"), Checksum("blake3", "bb"))
"""The second one is chosen."""
PRODUCTS = st.builds(
    Product,
    id=st.text(),
    name=st.text(),
    provider=st.text(),
    collection=st.text(),
    download_url=st.just("https://archive.example/x"),
    tier=st.sampled_from(StorageTier),
    size=st.none() | st.integers(),
    checksum=st.none() | st.builds(Checksum, st.sampled_from(["md5", "sha256"]), st.text("0123456789abcdef")),
    platform=TEXT,
    start=st.none() | st.datetimes(timezones=st.just(UTC)),
    end=st.none() | st.datetimes(timezones=st.just(UTC)),
    cloud_cover=st.none() | st.floats(allow_nan=False),
    orbit=st.none() | st.integers(),
    footprint=st.none() | st.just({"type": "Point", "coordinates": [1.0, 2.5]}),
)


@given(PRODUCTS)
def test_product_text_gives_the_same_product_back(product):
    text = product_text(product)

    assert product == parse_product(text, text_crc(text))


@pytest.mark.parametrize("checksum", [SOME_CHECKSUMS[1], None])
def test_product_text_has_all_checksums(checksum):
    one = product("A", checksum=checksum, checksums=SOME_CHECKSUMS)
    text = product_text(one)

    assert one == parse_product(text, text_crc(text))


@pytest.mark.usefixtures("without_blake3")
def test_products_recorded_where_blake3_was_there_are_compared_with_md5_where_it_is_not():
    text = product_text(product("A", checksum=SOME_CHECKSUMS[1], checksums=SOME_CHECKSUMS))
    read = parse_product(text, text_crc(text))

    assert (SOME_CHECKSUMS[0], SOME_CHECKSUMS) == (read.checksum, read.checksums)


def test_products_recorded_by_earlier_versions_have_the_one_checksum_that_these_knew():
    text = json.dumps(json.loads(product_text(product("A"))) | {"checksum": "md5:aa"})
    read = parse_product(text, text_crc(text))

    assert (Checksum("md5", "aa"), (Checksum("md5", "aa"),)) == (read.checksum, read.checksums)


def test_product_text_takes_a_read_only_footprint():
    text = product_text(product("A", footprint=MappingProxyType({"type": "Point"})))

    assert {"type": "Point"} == parse_product(text, text_crc(text)).footprint


def test_parse_product_damaged_or_strange_is_none():
    text = product_text(FULL)

    assert parse_product(text.replace("peps", "pops"), text_crc(text)) is None
    assert parse_product(None, None) is None
    for strange in ("{}", "[]", "no json", '{"tier": "disk", "start": 5}'):
        assert parse_product(strange, text_crc(strange)) is None


def test_parse_product_ignores_fields_of_a_newer_version():
    text = json.dumps(json.loads(product_text(FULL)) | {"colour": "red"})

    assert FULL == parse_product(text, text_crc(text))


async def test_reader_sees_every_commit_of_a_running_owner(tmp_path):
    async with open_journal(tmp_path, tell=pytest.fail, interval=0) as journal:
        await journal.note_products(1, (product(f"{n}") for n in range(500)))
        await journal.flush()
        with JournalReader(tmp_path) as reader:
            for n in range(500):
                journal.note(f"{n}", State.DELIVERED, bytes=1)
                counts = reader.counts()
                assert 500 == sum(count.products for count in counts.values()), "a product was in no state or in two"
            await journal.flush()

            assert 500 == reader.counts()[State.DELIVERED].products
            assert os.getpid() == reader.owner().pid
    assert reader.owner() is None


async def test_reader_in_a_read_only_folder(tmp_path):
    async with open_journal(tmp_path, tell=pytest.fail) as journal:
        journal.note("A", State.DELIVERED)
    state = tmp_path / ".pepsasync"
    before = {path: path.read_bytes() for path in state.iterdir()}
    state.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        with JournalReader(tmp_path) as reader:
            assert 1 == reader.counts()[State.DELIVERED].products
        assert before == {path: path.read_bytes() for path in state.iterdir()}
    finally:
        state.chmod(0o700)


def test_reader_without_journal_says_so(tmp_path):
    with pytest.raises(ConfigError, match="has no journal"):
        JournalReader(tmp_path)


WORK = """
import sys, anyio, itertools
from pathlib import Path
from pepsasync.folder.journal import State, open_journal

async def main(folder):
    async with open_journal(folder, tell=print, interval=0) as journal:
        for n in itertools.count():
            name = f"{n % 3000:04}" * 30
            journal.note(name, list(State)[n % 7], bytes=n, attempts=n)
            if n % 500 == 0:
                await journal.flush()
                print(n, flush=True)

anyio.run(main, Path(sys.argv[1]))
"""


def test_killed_at_any_moment_leaves_a_journal_that_can_be_read(tmp_path):
    chance = random.Random(7)
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", WORK, str(tmp_path)], stdout=subprocess.PIPE) as process:
            for _ in range(chance.randint(1, 12)):
                written = int(process.stdout.readline())
            process.kill()

        before = (tmp_path / ".pepsasync" / "journal.db").read_bytes()
        with JournalReader(tmp_path) as reader:
            counts = reader.counts()
            truth = {state: sum(map(len, reader.in_state(state))) for state in State}
            newest = max(row.attempts for rows in map(reader.in_state, State) for batch in rows for row in batch)
            assert reader.owner() is None
        assert truth == {state: count.products for state, count in counts.items()}
        assert written <= newest, "what was flushed is missing"
        assert before == (tmp_path / ".pepsasync" / "journal.db").read_bytes(), "reading wrote to the folder"


async def test_reader_undoes_half_a_commit_without_writing(tmp_path):
    """The owner was killed with changed pages on the disk: the folder holds a rollback journal."""
    async with open_journal(tmp_path, tell=pytest.fail) as journal:
        await journal.note_products(1, (product(f"{n}" * 50) for n in range(300)))
    half = f"""
import sqlite3, os
c = sqlite3.connect({str(tmp_path / ".pepsasync/journal.db")!r}, isolation_level=None)
c.execute("PRAGMA cache_size = 5"); c.execute("BEGIN")
c.execute("UPDATE products SET state = 'failed', error_message = hex(zeroblob(500))")
os.kill(os.getpid(), 9)
"""
    await anyio.run_process([sys.executable, "-c", half], check=False)
    rest = tmp_path / ".pepsasync" / "journal.db-journal"
    assert rest.stat().st_size > 0
    with pytest.raises(sqlite3.OperationalError):
        address = f"file:{tmp_path}/.pepsasync/journal.db?mode=ro"
        sqlite3.connect(address, uri=True).execute("SELECT * FROM counts")

    with JournalReader(tmp_path) as reader:
        assert 300 == reader.counts()[State.FOUND].products
        assert rest.stat().st_size > 0
        async with open_journal(tmp_path, tell=pytest.fail) as journal:
            journal.note("new", State.SKIPPED)
            await journal.flush()

            assert 1 == reader.counts()[State.SKIPPED].products, "an outdated copy was read"
