"""What a run writes down, and what the next run makes of it."""

import contextlib
import json
import math
import sqlite3
from datetime import UTC

import anyio
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from archives import QUICK, connect, credentials, everything, fetch_all, right_files, root, sandbox
from pepsasync import AuthError, Client, Config, ConfigError
from pepsasync.engine.order import InProgress
from pepsasync.engine.recorder import Recorder
from pepsasync.events import (
    DownloadProgressed,
    DownloadStarted,
    Noticed,
    ProductAwaited,
    ProductDownloaded,
    ProductFailed,
    QuotaReached,
    StagingRequested,
    TiersWatched,
)
from pepsasync.folder.journal import Asked, JournalBusyError, JournalReader, State, open_journal
from pepsasync.folder.journal.schema import MIGRATIONS
from pepsasync.model import Query, Quota
from pepsasync.query.criteria import build_query
from pepsasync.query.saved import query_from_json, wanted_as_json

pytestmark = pytest.mark.anyio


def states(folder):
    with JournalReader(folder) as reader:
        return {state.value: count.products for state, count in reader.counts().items() if count.products}


def version(folder):
    with contextlib.closing(sqlite3.connect(folder / ".pepsasync" / "journal.db")) as journal:
        return journal.execute("PRAGMA user_version").fetchone()[0]


async def test_a_run_is_written_down(tmp_path):
    async with sandbox(8) as archive:
        outcomes, _ = await fetch_all(archive, tmp_path)
        again, _ = await fetch_all(archive, tmp_path)

        with JournalReader(tmp_path) as reader:
            row = reader.product(archive.catalogue[0].name)
            orders = reader.orders()
            asked = sum(row.staging_requests for batch in reader.in_state(State.SKIPPED) for row in batch)

        assert states(tmp_path) == {"skipped": 8}
        assert len(outcomes) == len(again) == 8
        assert row.product.name == row.name
        assert row.checksum == f"md5:{archive.content(row.name).md5.lower()}"
        assert asked == sum(archive.statistics.stagings.values())
        assert [order.is_searched for order in orders] == [True, True]
        assert sorted(orders[0].wanted) == sorted(product.name for product in archive.catalogue)


async def test_failures_and_left_out_products_are_written_down(tmp_path):
    async with sandbox(4, tape_fraction=0.5) as archive:
        lost = next(product.name for product in archive.catalogue if product.mode == "disk")
        archive.drop_file(lost)
        await fetch_all(archive, tmp_path, settings={"skip_tape": True})

        with JournalReader(tmp_path) as reader:
            (failure,) = reader.failures()

    assert (failure.name, failure.error_type) == (lost, "NotFoundError")
    assert states(tmp_path) == {"failed": 1, "delivered": 1, "left_out": 2}


async def test_a_query_that_was_cut_short_stays_open(tmp_path):
    async with sandbox(6) as archive:
        query = build_query(collection="S1")
        async with connect(archive) as client:
            async for _ in client.fetch(query, tmp_path):
                break
        async with connect(archive) as client:
            assert [delivery.error async for delivery in client.fetch(query, tmp_path)] == [None] * 3

        with JournalReader(tmp_path) as reader:
            assert all(order.is_searched for order in reader.orders()), "the same order given again is one order"
            assert query_from_json(reader.orders()[-1].wanted) == query


async def test_a_list_of_names_that_was_cut_short_stays_open(tmp_path, monkeypatch):
    monkeypatch.setattr("pepsasync.engine.wanted.TOGETHER", 2)
    async with sandbox(8, tape_fraction=0) as archive:
        names = [product.name for product in archive.catalogue]
        async with connect(archive) as client:
            search_page = client.provider.search_page

            async def fails_later(query, page):
                if names.index(query.names[0]) >= 4:
                    raise AuthError("no more")
                return await search_page(query, page)

            monkeypatch.setattr(client.provider, "search_page", fails_later)
            with pytest.raises(AuthError):
                async for _ in client.fetch(names, tmp_path):
                    pass

    with JournalReader(tmp_path) as reader:
        assert [order.is_searched for order in reader.orders()] == [False]


async def test_what_was_asked_for_is_not_asked_for_again(tmp_path):
    """The first run is ended while everything waits for tape; the second goes on waiting, and then it comes."""
    async with sandbox(4, tape_fraction=1.0, staging_seconds=3600.0) as archive:
        with anyio.move_on_after(60) as first:
            async with connect(archive) as client:
                asked = set()

                def stop(event):
                    if isinstance(event, StagingRequested):
                        asked.add(event.name)
                    if len(asked) == 4:
                        first.cancel()

                with client.listen(stop):
                    async for _ in client.fetch(await everything(client), tmp_path):
                        pass
        assert states(tmp_path) == {"staging": 4}
        before = dict(archive.statistics.stagings)
        async with connect(archive) as client:

            def bring(event):
                if isinstance(event, ProductAwaited):
                    archive.set_tier(event.name, "disk")

            with client.listen(bring), anyio.fail_after(120):
                products = await everything(client)
                outcomes = [delivery async for delivery in client.fetch(products, tmp_path)]

        assert {delivery.error for delivery in outcomes} == {None}
        assert right_files(archive, tmp_path) == 4
        assert archive.statistics.stagings == before


@pytest.mark.parametrize("providers", [["geodes"], ["geodes", "peps"]])
async def test_what_was_asked_for_at_one_archive_was_not_asked_for_at_another(providers, tmp_path):
    """PEPS stages when it is asked; with GEODES somebody has to ask by hand, which the second run has to tell."""
    async with sandbox(2, tape_fraction=1.0, staging_seconds=3600.0) as archive:
        await stop_when_waiting(archive, ["geodes", "peps"], tmp_path, StagingRequested)
        with JournalReader(tmp_path) as reader:
            assert [source for source, _ in reader.asked()] == ["peps", "peps"]
        before = dict(archive.statistics.stagings)

        events = await stop_when_waiting(archive, providers, tmp_path, ProductAwaited, advice)

        assert archive.statistics.stagings == before
    assert [event for event in events if advice(event)]


def advice(event):
    return isinstance(event, Noticed) and "request their transfer" in event.message


async def stop_when_waiting(archive, providers, folder, sign, also=None):
    """End a run once each of its two products has sent some event, and another one has come, and a moment later."""
    events = []

    def see(event):
        events.append(event)
        has_all = len({one.name for one in events if isinstance(one, sign)}) == 2
        if has_all and (also is None or any(map(also, events))) and scope.deadline == math.inf:
            scope.deadline = anyio.current_time() + 1

    with anyio.fail_after(120), anyio.CancelScope() as scope:
        async with Client(
            providers,
            base_url={name: root(archive, name) for name in providers},
            credentials={name: credentials(archive, name) for name in providers},
            config=Config(**(QUICK | {"poll_interval": 3600.0, "poll_interval_max": 3600.0})),
        ) as client:
            with client.listen(see):
                async for _ in client.fetch(await everything(client), folder):
                    pass
    return events


async def test_what_older_journals_tell_of_requests_is_kept(tmp_path):
    async with open_journal(tmp_path, tell=print, migrations=MIGRATIONS[:1]):
        pass
    insert = "INSERT INTO products (name, id, source, state, staging_requests, updated) VALUES (?, ?, 'peps', ?, ?, 0)"
    rows = ("A", "staging", 2), ("B", "staging", 0), ("C", "failed", 1)
    with contextlib.closing(sqlite3.connect(tmp_path / ".pepsasync" / "journal.db")) as database, database:
        database.executemany(insert, [(name, f"id-{name}", *rest) for name, *rest in rows])

    async with open_journal(tmp_path, tell=print) as journal:
        recorder = Recorder(journal, lambda event: None, ["peps"], {}, in_progress=InProgress())
        assert await recorder.asked_before() == {("peps", "id-A"): Asked(2)}


async def test_the_quota_of_an_earlier_run_counts(tmp_path):
    async with sandbox(4, tape_fraction=0, geodes_quota=None) as archive:
        settings = {"quota": Quota(2, 3600.0)}
        names = [product.name for product in archive.catalogue]
        async with connect(archive, "geodes", **settings) as client:
            async for _ in client.fetch(names[:2], tmp_path):
                pass
        waits = []
        with anyio.move_on_after(60) as scope:
            async with connect(archive, "geodes", **settings) as client:

                def stop(event):
                    if isinstance(event, QuotaReached):
                        waits.append(event.wait)
                        scope.cancel()

                with client.listen(stop):
                    async for _ in client.fetch(names[2:], tmp_path):
                        pass

    assert 3000 < waits[0] <= 3600


async def test_a_recorder_forgets_how_far_failed_downloads_came(tmp_path):
    async with open_journal(tmp_path, tell=print) as journal:
        recorder = Recorder(journal, lambda event: None, ["peps"], {}, in_progress=InProgress())
        for name in ("A", "B"):
            recorder.take(DownloadStarted(id=name, name=name, offset=0, size=10))
        recorder.take(ProductFailed(id="A", name="A", error="TransferError", message="gave up"))

        assert ["B"] == list(recorder._received)


async def test_what_was_learned_of_the_tape_outlives_the_run(tmp_path):
    async with open_journal(tmp_path, tell=print) as journal:
        recorder = Recorder(journal, lambda event: None, ["peps"], {}, in_progress=InProgress(), wall=lambda: 1000.0)
        look = {"waiting": 1, "next_poll": 5.0}
        recorder.take(TiersWatched(**look, online=2, usual_wait=(60.0, 90.0), usual_interval=(2.0, 4.0)))
        recorder.take(TiersWatched(**look, online=0))
        await journal.flush()

        with await journal.reader() as reader:
            now = reader.now()

    assert [1005.0, 1000.0] == [now["next_poll"], now["arrival"]]
    assert [60.0, 90.0, 2.0, 4.0] == [now[f"{what}_{end}"] for what in ("wait", "interval") for end in ("low", "high")]


async def test_the_speed_counts_what_came_just_before_a_cut_and_at_the_end(tmp_path):
    wall, who = iter((0.0, 0.0, 10.0, 10.0)), {"id": "A", "name": "A"}
    async with open_journal(tmp_path, tell=print) as journal:
        recorder = Recorder(
            journal, lambda event: None, ["peps"], {}, in_progress=InProgress(), wall=lambda: next(wall)
        )
        recorder.take(DownloadStarted(**who, offset=0, size=100))
        recorder.take(DownloadStarted(**who, offset=60, size=100))
        recorder.take(ProductDownloaded(**who, bytes=100, seconds=1, resumed_bytes=0, data_path="plain"))
        recorder.take(DownloadStarted(id="B", name="B", offset=0, size=100))
        recorder.take(DownloadProgressed(id="B", name="B", received=0))
        recorder.take(DownloadProgressed(id="B", name="B", received=100))
        await journal.flush()

        with await journal.reader() as reader:
            assert reader.now()["speed"] == 20.0


async def test_several_runs_of_a_client_share_a_folder(tmp_path):
    async with sandbox(6) as archive, connect(archive) as client:
        products = await everything(client)
        async with anyio.create_task_group() as tasks:
            for product in products:
                tasks.start_soon(client.download, product, tmp_path)

        assert right_files(archive, tmp_path) == 6
    assert states(tmp_path) == {"delivered": 6}


async def test_a_second_program_is_refused(tmp_path):
    async with sandbox(2, tape_fraction=1.0, staging_seconds=60) as archive, connect(archive) as client:
        products = await everything(client)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.download, products[0], tmp_path)
            with client.listen(lambda event: waiting.set() if isinstance(event, StagingRequested) else None):
                waiting = anyio.Event()
                await waiting.wait()
            async with connect(archive) as other:
                with pytest.raises(JournalBusyError, match="process"):
                    await other.download(products[1], tmp_path)
            tasks.cancel_scope.cancel()


async def test_a_journal_of_a_newer_version_is_refused_and_kept(tmp_path):
    async with sandbox(2, tape_fraction=0) as archive:
        await fetch_all(archive, tmp_path)
        with contextlib.closing(sqlite3.connect(tmp_path / ".pepsasync" / "journal.db")) as newer:
            newer.executescript("PRAGMA user_version = 99; UPDATE about SET schema = 99;")
        with pytest.raises(ConfigError, match="99"):
            await fetch_all(archive, tmp_path)
        assert version(tmp_path) == 99


queries = st.builds(
    Query,
    collection=st.sampled_from(["S1", None]),
    start=st.datetimes(timezones=st.just(UTC)) | st.none(),
    published_since=st.datetimes(timezones=st.just(UTC)) | st.none(),
    tile=st.sampled_from(["31TCJ", ("31TCJ", "31TDJ"), None]),
    months=st.lists(st.integers(1, 12), max_size=3).map(tuple),
    per=st.sampled_from([(), ("day",), ("day", "tile")]),
    polarisation=st.sampled_from(["VV VH", None]),
    relative_orbit=st.sampled_from([51, (8, 51), None]),
    area=st.builds(shapely.Point, st.floats(-180, 180), st.floats(-90, 90)) | st.none(),
    cloud_cover=st.floats(0, 100) | st.none(),
    names=st.lists(st.text(min_size=1), max_size=3).map(tuple),
    latest=st.booleans(),
    limit=st.integers(1, 9) | st.none(),
)


@given(queries)
def test_an_order_is_read_as_it_was_written(query):
    assert query_from_json(json.loads(json.dumps(wanted_as_json(query)))) == query


@given(
    st.dictionaries(st.sampled_from(["version", "start", "area", "names", "limit", "other"]), st.integers() | st.text())
)
def test_a_strange_order_is_refused_clearly(values):
    with contextlib.suppress(ConfigError):
        query_from_json(values)


def test_an_order_of_before_there_were_versions_is_read():
    assert query_from_json({"collection": "S1", "tile": "31TCJ"}) == Query(collection="S1", tile="31TCJ")


def test_an_order_of_a_newer_version_is_refused():
    with pytest.raises(ConfigError, match="newer pepsasync"):
        query_from_json(wanted_as_json(Query(collection="S1")) | {"version": 99})


def test_products_are_written_as_their_names():
    assert wanted_as_json(["A", Query(collection="S1"), "B"]) == ["A", "B"]
