"""A wall clock that is set back, between two runs and during one: nothing is lost, and no quota is overrun."""

import contextlib
import functools
import sqlite3
import time

import anyio
import pytest

from archives import connect, right_files, sandbox
from pepsasync.cli.status import read_status
from pepsasync.engine.recorder import Recorder
from pepsasync.events import QuotaReached
from pepsasync.model import Quota

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

DAY = 86_400.0


def set_clock_back(folder, seconds=DAY):
    """Make all that was written down later than now, as it is after the clock was set back."""
    with contextlib.closing(sqlite3.connect(folder / ".pepsasync" / "journal.db")) as connection, connection:
        for change in (
            "UPDATE downloads SET started = started + ?",
            "UPDATE orders SET created = created + ?",
            "UPDATE products SET updated = updated + ?, first_asked_at = first_asked_at + ?1",
            "UPDATE now SET value = value + ? WHERE name <> 'speed'",
        ):
            connection.execute(change, (seconds,))


async def fetch(client, wanted, folder):
    return {delivery.product.name: delivery async for delivery in client.fetch(wanted, folder)}


async def test_set_back_between_two_runs_costs_no_product(tmp_path):
    async with sandbox(6, tape_fraction=0.5) as archive:
        names = [product.name for product in archive.catalogue]
        async with connect(archive) as client:
            await fetch(client, names[:4], tmp_path)
        set_clock_back(tmp_path)
        async with connect(archive) as client:
            outcomes = await fetch(client, names, tmp_path)
        status = read_status(tmp_path)

        assert {delivery.error for delivery in outcomes.values()} == {None}
        assert right_files(archive, tmp_path) == 6
        assert max(archive.statistics.stagings.values()) == 1
    assert (status.here, status.is_complete) == (6, True)


async def test_a_quota_is_waited_for_no_longer_than_its_window(tmp_path):
    """Downloads that seem to begin tomorrow count as begun now: neither a day is waited, nor is the quota overrun."""
    settings, waits = {"quota": Quota(2, 3_600.0)}, []
    async with sandbox(4, tape_fraction=0) as archive:
        names = [product.name for product in archive.catalogue]
        async with connect(archive, **settings) as client:
            await fetch(client, names[:2], tmp_path)
        set_clock_back(tmp_path)
        async with connect(archive, **settings) as client:
            with anyio.move_on_after(60) as scope:

                def stop(event):
                    if isinstance(event, QuotaReached):
                        waits.append(event.wait)
                        scope.cancel()

                with client.listen(stop):
                    await fetch(client, names[2:], tmp_path)

        assert right_files(archive, tmp_path) == 2
    assert 3_000 < waits[0] <= 3_600


async def test_a_window_that_is_over_lets_the_run_go_on_though_the_clock_says_otherwise(tmp_path):
    settings = {"quota": Quota(2, 0.5)}
    async with sandbox(6, tape_fraction=0, geodes_quota=2, geodes_quota_seconds=0.4) as archive:
        names = [product.name for product in archive.catalogue]
        async with connect(archive, "geodes", **settings) as client:
            await fetch(client, names[:2], tmp_path)
        set_clock_back(tmp_path)
        async with connect(archive, "geodes", **settings) as client:
            with anyio.fail_after(60):
                outcomes = await fetch(client, names, tmp_path)

        assert {delivery.error for delivery in outcomes.values()} == {None}
        assert right_files(archive, tmp_path) == 6
        assert archive.statistics.quota_refusals == 0


async def test_set_back_during_a_run(tmp_path, monkeypatch):
    readings = iter(range(1_000_000))

    def clock():
        return time.time() - (DAY if next(readings) > 10 else 0)

    monkeypatch.setattr("pepsasync.engine.recorder.Recorder", functools.partial(Recorder, wall=clock))
    async with sandbox(6, tape_fraction=0.5) as archive:
        names = [product.name for product in archive.catalogue]
        async with connect(archive, quota=Quota(100, 60.0)) as client:
            outcomes = await fetch(client, names, tmp_path)

        assert next(readings) > 12, "the clock was set back"
        assert {delivery.error for delivery in outcomes.values()} == {None}
        assert right_files(archive, tmp_path) == 6
        assert max(archive.statistics.stagings.values()) == 1
    assert read_status(tmp_path).is_complete
