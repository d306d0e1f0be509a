"""An account that gets fewer downloads at once than others do, as CDSE has it after many terabytes."""

import pytest

from archives import connect, credentials, everything, fetch_all, held, right_files, root, sandbox
from pepsasync import Client, Config
from pepsasync.events import Noticed, QuotaReached

pytestmark = pytest.mark.anyio


async def test_a_slowed_account_is_noticed_told_and_lived_with(tmp_path):
    options = {"faults": {"stall": 1.0}, "fault_limit": 1, "stall_seconds": 0.6}
    async with sandbox(8, tape_fraction=0, cdse_volume=0, **options) as archive:
        outcomes, events = await fetch_all(archive, tmp_path, "cdse", settings={"retries": 9, "jobs": 6})

        assert {each.error for each in outcomes.values()} == {None}
        assert right_files(archive, tmp_path) == 8
    told = [event.message for event in events if isinstance(event, Noticed) and "at once" in event.message]
    assert ["cdse gives this account 1 download at once, not 6"] == [text.partition(" (")[0] for text in told[-1:]]
    assert "12 TB in 30 days" in told[-1]
    assert not any(isinstance(event, QuotaReached) for event in events)


async def test_other_archives_bring_what_a_slowed_account_cannot(tmp_path):
    names = ("cdse", "asf")
    async with sandbox(24, tape_fraction=0, cdse_volume=0, faults={"stall": 1.0}, stall_seconds=0.2) as archive:
        async with Client(
            names,
            base_url={name: root(archive, name) for name in names},
            credentials={name: credentials(archive, name) for name in names},
            config=Config(retry_wait=0.01, retry_wait_max=0.05, jobs=4),
        ) as client:
            outcomes = [each async for each in client.fetch({"collection": "S1"}, tmp_path)]

        assert {each.error for each in outcomes} == {None}
        assert len(outcomes) == len(held(archive, "asf"))
        assert [each.source for each in outcomes].count("asf") > len(outcomes) / 2


async def test_one_connection_from_the_first_on(tmp_path):
    async with sandbox(8, tape_fraction=0, cdse_connections=1) as archive, connect(archive, "cdse") as client:
        outcomes = [each async for each in client.fetch(await everything(client), tmp_path)]

        assert {each.error for each in outcomes} == {None}
        assert right_files(archive, tmp_path) == 8
