"""Whole runs against the embedded archive: real sockets, real files, both event loops."""

from dataclasses import replace
from datetime import UTC, datetime

import anyio
import pytest

from archives import bytes_by_name, connect, everything, fetch_all, final_names, right_files, sandbox
from pepsasync import (
    AuthError,
    ConfigError,
    DeliveryStatus,
    ForbiddenError,
    IntegrityError,
    NotFoundError,
    Query,
    QuotaError,
    ReplacedError,
    StagingTimeout,
    TransferError,
    UnreachableError,
)
from pepsasync.errors import PepsasyncError
from pepsasync.events import Noticed, ProductSuperseded
from pepsasync.groups import Background
from pepsasync.limits.staging_window import StagingWindow
from pepsasync.providers import provider_names
from pepsasync.providers.base import SearchPage

pytestmark = pytest.mark.anyio
DELIVERED, SKIPPED, FAILED = DeliveryStatus


async def test_fetch_forty_products_with_tape_cuts_and_503(tmp_path):
    async with sandbox(40, tape_fraction=0.5, tape_drives=2, faults={"cut": 0.5, "error-503": 0.3}) as archive:
        outcomes, events = await fetch_all(archive, tmp_path)

        assert 40 == right_files(archive, tmp_path)
        assert {DELIVERED} == {delivery.status for delivery in outcomes.values()}
        assert archive.statistics.faults["cut"] > 5
        assert archive.statistics.peak_downloads <= 4
    assert not list((tmp_path / ".pepsasync" / "parts").iterdir())
    assert {"product_staged", "download_retried", "product_delivered"} <= {event.event for event in events}


async def test_fetch_online_products_are_not_held_up_by_tape(tmp_path):
    """With the tape robot stopped, everything that is online still arrives."""
    async with sandbox(12, tape_fraction=0.5, staging_seconds=3600) as archive, connect(archive) as client:
        products = await everything(client)
        online = {product.name for product in products if product.tier == "disk"}
        arrived = set()
        async for delivery in client.fetch(products, tmp_path):
            arrived.add(delivery.product.name)
            if len(arrived) == len(online):
                break

    assert online == arrived


@pytest.mark.parametrize("tape", [0, 1])
async def test_fetch_products_of_one_id_and_two_names_are_both_delivered(tmp_path, tape):
    async with sandbox(1, tape_fraction=tape) as archive, connect(archive) as client:
        [product] = await everything(client)
        wanted = [product, replace(product, name="ANOTHER")]
        outcomes = [delivery async for delivery in client.fetch(wanted, tmp_path)]

    assert [DELIVERED] * 2 == [delivery.status for delivery in outcomes]
    assert sorted(["ANOTHER.zip", f"{product.name}.zip"]) == final_names(tmp_path)


PASSING = [
    "cut", "stall", "truncate", "flip", "error-500", "error-502", "error-503", "html-200", "json-200", "fall-back",
    "unknown-once", "still-tape", "slow-202", "storage-down", "estimate", "page-shift",
]  # fmt: skip
LASTING = ["checksum-lower", "checksum-null", "size-text"]


async def test_fetch_brings_one_of_several_products_with_one_name(tmp_path):
    async with sandbox(3, tape_fraction=0) as archive, connect(archive) as client:
        first, second, third = await everything(client)
        older = replace(
            first, id="older", published=datetime(2001, 1, 1, tzinfo=UTC), download_url="http://127.0.0.1:9"
        )
        again = replace(second, id="again", download_url="http://127.0.0.1:9")
        wanted = [older, first, second, again, third, third.name]
        outcomes = [delivery async for delivery in client.fetch(wanted, tmp_path)]

        assert [DELIVERED] * 3 == [delivery.status for delivery in outcomes]
        assert {first, second, third} == {delivery.product for delivery in outcomes}
        assert 3 == right_files(archive, tmp_path)


@pytest.mark.parametrize("provider", provider_names())
@pytest.mark.parametrize("page_size", [1, 2, 500])
async def test_fetch_names_both_products_of_one_name_and_brings_the_newer(provider, page_size, tmp_path, monkeypatch):
    async with sandbox(4, tape_fraction=0) as archive, connect(archive, provider) as client:
        events, [newest, *others] = [], await everything(client)
        older = replace(
            newest, id="older", published=datetime(2001, 1, 1, tzinfo=UTC), download_url="http://127.0.0.1:9"
        )
        found = [older, newest, *others]

        async def search_page(query, page):
            part = found[(page - 1) * page_size : page * page_size]
            return SearchPage(tuple(part), is_last=page * page_size >= len(found), total=len(found))

        monkeypatch.setattr(client.provider, "search_page", search_page)
        with client.listen(events.append):
            outcomes = [delivery async for delivery in client.fetch(Query(), tmp_path)]

        assert [DELIVERED] * (1 + len(others)) == [delivery.status for delivery in outcomes]
        assert 1 + len(others) == right_files(archive, tmp_path)
    [told] = [event for event in events if isinstance(event, ProductSuperseded)]
    assert ("older", newest.name) == (told.id, told.name)


@pytest.mark.parametrize("fault", PASSING + LASTING)
async def test_fetch_survives(fault, tmp_path):
    options = {"faults": {fault: 1.0}, "fault_limit": 1, "tape_fraction": 0.5, "time_scale": 30, "stall_seconds": None}
    async with sandbox(4, **options) as archive:
        outcomes, _ = await fetch_all(archive, tmp_path, settings={"read_timeout": 0.5 if fault == "stall" else 20.0})

        assert len(outcomes) == sum(delivery.status is DELIVERED for delivery in outcomes.values()) >= 4
        assert len(outcomes) == right_files(archive, tmp_path)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("hidden", ReplacedError),
        ("missing-file", NotFoundError),
        ("quota-420", QuotaError),
        ("too-large", ForbiddenError),
        ("flip", IntegrityError),
        ("html-200", TransferError),
    ],
)
async def test_fetch_reports_what_does_not_pass(fault, expected, tmp_path):
    async with sandbox(3, faults={fault: 1.0}, fault_limit=1000, tape_fraction=0) as archive:
        outcomes, _ = await fetch_all(archive, tmp_path, settings={"retries": 2, "quota_patience": 0.1})

    causes = [delivery.error for delivery in outcomes.values()]
    assert {FAILED} == {delivery.status for delivery in outcomes.values()}
    assert all(isinstance(error, expected) or isinstance(error.__cause__, expected) for error in causes)
    assert all(delivery.product.name in str(delivery.error) for delivery in outcomes.values())
    assert [] == final_names(tmp_path)


@pytest.mark.parametrize("streaming", ["php", "xsendfile", "nginx", "php-behind-nginx"])
async def test_fetch_resumes_in_every_streaming_mode(streaming, tmp_path):
    async with sandbox(4, streaming=streaming, faults={"cut": 1.0}, tape_fraction=0) as archive:
        await fetch_all(archive, tmp_path)

        sent = bytes_by_name(archive)
        assert 4 == right_files(archive, tmp_path)
        assert {product.name: product.size for product in archive.catalogue} == sent


async def test_fetch_missing_properties_never_ends_the_run(tmp_path):
    async with sandbox(10, faults={"missing-properties": 0.5}) as archive:
        outcomes, _ = await fetch_all(archive, tmp_path)

    assert 10 == len(outcomes)
    assert {DELIVERED} == {delivery.status for delivery in outcomes.values()}


async def test_fetch_again_skips_what_is_there(tmp_path):
    async with sandbox(6) as archive:
        await fetch_all(archive, tmp_path)
        sent = bytes_by_name(archive)
        outcomes, _ = await fetch_all(archive, tmp_path)

        assert {SKIPPED} == {delivery.status for delivery in outcomes.values()}
        assert sent == bytes_by_name(archive)


async def test_fetch_replaces_a_file_that_was_changed(tmp_path):
    async with sandbox(3, tape_fraction=0) as archive:
        await fetch_all(archive, tmp_path)
        damaged, shorter, whole = sorted(tmp_path.glob("*.zip"))
        damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
        shorter.write_bytes(b"PK")
        outcomes, events = await fetch_all(archive, tmp_path)

        assert 3 == right_files(archive, tmp_path)
        assert SKIPPED is outcomes[whole.stem].status
        assert DELIVERED is outcomes[damaged.stem].status
        assert 2 == sum(event.event == "noticed" for event in events)


async def test_fetch_trusts_a_right_file_that_it_did_not_write(tmp_path):
    async with sandbox(2, tape_fraction=0) as archive:
        for product in archive.catalogue:
            (tmp_path / f"{product.name}.zip").write_bytes(archive.content(product.name).read())
        outcomes, _ = await fetch_all(archive, tmp_path)

        assert {SKIPPED} == {delivery.status for delivery in outcomes.values()}
        assert not bytes_by_name(archive)


async def test_fetch_extract_leaves_folders_and_skips_them_next_time(tmp_path):
    async with sandbox(3) as archive:
        outcomes, _ = await fetch_all(archive, tmp_path, extract=True)
        sent = bytes_by_name(archive)
        again, _ = await fetch_all(archive, tmp_path, extract=True)
        without, _ = await fetch_all(archive, tmp_path)

        assert sorted(f"{product.name}.SAFE" for product in archive.catalogue) == final_names(tmp_path)
        assert all((delivery.path / "manifest.safe").is_file() for delivery in outcomes.values())
        assert {SKIPPED} == {delivery.status for delivery in [*again.values(), *without.values()]}
        assert sent == bytes_by_name(archive)


async def test_fetch_extract_unpacks_a_zip_that_is_already_there(tmp_path):
    async with sandbox(2) as archive:
        await fetch_all(archive, tmp_path)
        sent = bytes_by_name(archive)
        await fetch_all(archive, tmp_path, extract=True)

        assert sorted(f"{product.name}.SAFE" for product in archive.catalogue) == final_names(tmp_path)
        assert sent == bytes_by_name(archive)


async def test_fetch_folder_that_lost_a_file_is_fetched_again(tmp_path):
    async with sandbox(1, tape_fraction=0) as archive:
        [delivery] = (await fetch_all(archive, tmp_path, extract=True))[0].values()
        victim = max(
            (path for path in delivery.path.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size
        )
        victim.unlink()
        [again] = (await fetch_all(archive, tmp_path, extract=True))[0].values()

    assert DELIVERED is again.status
    assert victim.is_file()


async def test_fetch_left_early_keeps_parts_and_goes_on(tmp_path):
    async with sandbox(4, tape_fraction=0, product_size=4_000_000) as archive:
        async with connect(archive, limit_rate=4_000_000) as client:
            products = await everything(client)
            with client.listen(lambda event: scope.cancel() if event.event == "download_progressed" else None):
                with anyio.CancelScope() as scope:
                    async for _ in client.fetch(products, tmp_path):
                        pass
        kept = sum(part.stat().st_size for part in (tmp_path / ".pepsasync" / "parts").glob("*.part"))
        names_after_cancel = final_names(tmp_path)
        outcomes, _ = await fetch_all(archive, tmp_path)

        assert scope.cancelled_caught
        assert kept > 0
        assert [] == names_after_cancel
        assert 4 == right_files(archive, tmp_path)
        assert kept == sum(delivery.resumed_bytes for delivery in outcomes.values())


@pytest.mark.parametrize("is_lost", [False, True])
async def test_fetch_only_what_was_delivered_lets_the_staging_window_grow(tmp_path, monkeypatch, is_lost):
    arrivals, leave = [], StagingWindow.leave

    def noted(window, size=0, *, arrived=False):
        arrivals.append(arrived)
        leave(window, size, arrived=arrived)

    monkeypatch.setattr(StagingWindow, "leave", noted)
    async with sandbox(1, tape_fraction=1) as archive, connect(archive) as client:
        [product] = await everything(client)
        if is_lost:
            archive.drop_file(product.name)
        [delivery] = [delivery async for delivery in client.fetch([product], tmp_path)]

    assert (FAILED if is_lost else DELIVERED) == delivery.status
    assert [not is_lost] == arrivals


async def test_fetch_small_window_still_delivers_everything(tmp_path):
    async with sandbox(20) as archive:
        outcomes, _ = await fetch_all(archive, tmp_path, settings={"in_flight": 3})

        assert 20 == right_files(archive, tmp_path)
    assert 20 == len(outcomes)


async def test_fetch_wrong_password_ends_the_run(tmp_path):
    async with sandbox(6) as archive, connect(archive, password="wrong") as client:
        products = await everything(client)
        with pytest.raises(AuthError, match="refused"):
            async for _ in client.fetch(products, tmp_path):
                pass

    assert [] == final_names(tmp_path)


async def test_fetch_no_right_on_a_collection_fails_only_its_products(tmp_path):
    async with sandbox(6, tape_fraction=0) as archive:
        archive.deny("S1")
        outcomes, _ = await fetch_all(archive, tmp_path)

    for delivery in outcomes.values():
        assert (FAILED if delivery.product.collection == "S1" else DELIVERED) is delivery.status


async def test_fetch_never_online_times_out(tmp_path):
    async with sandbox(2, tape_fraction=1.0, staging_seconds=3600) as archive:
        outcomes, _ = await fetch_all(archive, tmp_path, settings={"staging_timeout": 0.5})

    assert all(isinstance(delivery.error, StagingTimeout) for delivery in outcomes.values())


@pytest.mark.parametrize("mode", ["tier2", "unavailable", "unknown"])
async def test_fetch_storage_word_that_never_becomes_online_is_given_up(mode, tmp_path):
    """Words that this server answers with 202 for ever."""
    async with sandbox(1) as archive:
        archive.set_tier(archive.catalogue[0].name, mode)
        outcomes, _ = await fetch_all(
            archive, tmp_path, settings={"unknown_requests": 1, "staging_timeout": 2.0, "poll_interval": 0.01}
        )

    [delivery] = outcomes.values()
    assert isinstance(delivery.error, StagingTimeout)


async def test_fetch_name_that_does_not_exist_is_a_failed_outcome(tmp_path):
    async with sandbox(4, tape_fraction=0) as archive, connect(archive) as client:
        good, bad = archive.catalogue[0].name, "S1A_IW_GRDH_1SDV_20000101T000000_20000101T000025_000001_000001_0000"
        outcomes = {d.product.name: d async for d in client.fetch([good, bad], tmp_path)}

    assert DELIVERED is outcomes[good].status
    assert isinstance(outcomes[bad].error, NotFoundError)


async def test_download_returns_the_path(tmp_path):
    async with sandbox(4) as archive, connect(archive) as client:
        product = archive.catalogue[0]
        path = await client.download(product.name, tmp_path / "new" / "folder")

        assert tmp_path / "new" / "folder" / f"{product.name}.zip" == path
        assert archive.content(product.name).read() == path.read_bytes()


async def test_fetch_query_pages_and_limits(tmp_path):
    async with sandbox(10, tape_fraction=0) as archive, connect(archive) as client:
        deliveries = [d async for d in client.fetch(Query(collection="S1", limit=3), tmp_path)]

    assert [DELIVERED] * 3 == [delivery.status for delivery in deliveries]


async def test_fetch_names_beyond_the_limit_are_not_missing(tmp_path):
    async with sandbox(10, tape_fraction=0) as archive, connect(archive) as client:
        names = tuple(product.name for product in archive.catalogue)
        deliveries = [d async for d in client.fetch(Query(names=names, limit=3), tmp_path)]

    assert [DELIVERED] * 3 == [delivery.status for delivery in deliveries]


async def test_fetch_name_that_the_limit_leaves_room_for_is_missing(tmp_path):
    async with sandbox(2, tape_fraction=0) as archive, connect(archive) as client:
        good = archive.catalogue[0].name
        outcomes = {d.product.name: d async for d in client.fetch(Query(names=(good, "B"), limit=2), tmp_path)}

    assert DELIVERED is outcomes[good].status
    assert "no such product" in outcomes["B"].error.message


async def test_fetch_name_that_other_criteria_leave_out_is_not_said_to_be_unknown(tmp_path):
    async with sandbox(2, tape_fraction=0) as archive, connect(archive) as client:
        query = Query(names=(archive.catalogue[0].name,), start=datetime(2030, 1, 1, tzinfo=UTC))
        [delivery] = [d async for d in client.fetch(query, tmp_path)]

    assert "no such product that fits the other criteria" in delivery.error.message


async def test_fetch_unreachable_archive(tmp_path):
    async with sandbox(1) as archive:
        client = connect(archive)
    async with client:
        with pytest.raises(UnreachableError, match="cannot connect"):
            async for _ in client.fetch(Query(collection="S1"), tmp_path):
                pass


async def test_fetch_target_is_a_file(tmp_path):
    (tmp_path / "data").write_text("here")
    async with sandbox(1) as archive, connect(archive) as client:
        with pytest.raises(ConfigError, match="is a file"):
            async for _ in client.fetch(Query(collection="S1"), tmp_path / "data"):
                pass


async def test_fetch_unknown_collection(tmp_path):
    async with sandbox(1) as archive, connect(archive) as client:
        with pytest.raises(PepsasyncError, match="no collection 'NOPE'"):
            async for _ in client.fetch(Query(collection="NOPE"), tmp_path):
                pass


async def test_events_are_seen_by_a_loop(tmp_path):
    async with sandbox(3, tape_fraction=0) as archive, connect(archive) as client:
        seen = []

        async def watch():
            async for event in client.events():
                seen.append(event.event)
                if seen.count("product_delivered") == 3:
                    break

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            await anyio.wait_all_tasks_blocked()
            async for _ in client.fetch(await everything(client), tmp_path):
                pass

    assert "product_verified" in seen


async def test_a_listener_that_raises_is_told_once_and_ends_no_run(tmp_path):
    calls, events = [], []

    def fails(event):
        calls.append(event)
        raise ZeroDivisionError("no more")

    async with sandbox(4, tape_fraction=0) as archive, connect(archive) as client:
        with client.listen(events.append), client.listen(fails), client.listen(events.append):
            outcomes = [delivery async for delivery in client.fetch(await everything(client), tmp_path)]

        assert right_files(archive, tmp_path) == 4
    assert [delivery.error for delivery in outcomes] == [None] * 4
    assert len(calls) == 1
    told = [event.message for event in events if isinstance(event, Noticed)]
    assert told == ["a listener failed and was removed: no more"] * 2
    assert len({id(event) for event in events}) * 2 == len(events)


async def test_what_takes_replies_and_raises_ends_no_search():
    calls, events = [], []

    def fails(url, body):
        calls.append(url)
        raise ZeroDivisionError

    async with sandbox(4) as archive, connect(archive) as client:
        with client.listen(events.append), client.raw_replies(fails):
            assert len(await everything(client)) == 4

    assert len(calls) == 1
    assert ["ZeroDivisionError" in event.message for event in events if isinstance(event, Noticed)] == [True]


async def test_a_loop_over_events_that_raises_ends_no_run(tmp_path):
    async with sandbox(4, tape_fraction=0) as archive, connect(archive) as client:

        async def consume():
            with pytest.raises(ZeroDivisionError):
                async for _ in client.events():
                    raise ZeroDivisionError

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(consume)
            await anyio.wait_all_tasks_blocked()
            outcomes = [delivery async for delivery in client.fetch(await everything(client), tmp_path)]

    assert [delivery.error for delivery in outcomes] == [None] * 4


async def test_a_download_that_fails_leaves_nothing_open(tmp_path, monkeypatch):
    made = []

    class Remembered(Background):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr("pepsasync.client.Background", Remembered)
    async with sandbox(products=1) as archive, connect(archive) as client:
        with pytest.raises(NotFoundError):
            await client.download("S1A_no_such_product", tmp_path)

    assert [0] == [one._receive.statistics().open_receive_streams for one in made]
