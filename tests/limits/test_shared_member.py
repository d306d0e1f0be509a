"""Gates of several programs with one account: who enters, who is stopped, and what costs nothing when it is not used."""

import contextlib
import subprocess
import sys

import anyio
import pytest

from pepsasync.config import Config
from pepsasync.errors import ConfigError, LeaseLostError, NotNowError, ServerError, UnreachableError
from pepsasync.events import Noticed, QuotaReached
from pepsasync.limits.gate import Gate
from pepsasync.limits.shared import member
from pepsasync.limits.shared.book import Pace
from pepsasync.limits.shared.files import LedgerFiles
from pepsasync.limits.shared.state import dropped
from pepsasync.model import Account, Limits, Quota

pytestmark = pytest.mark.anyio

HOUR = Quota(3, 3600.0)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(member, "PACE", Pace(beat=0.05, deadline=30.0, turn=0.1, look=0.02))


@contextlib.asynccontextmanager
async def gates(folder, count, *, downloads=2, events=None, **settings):
    """Gates of so many programs."""
    limits = Limits(page_size=1, downloads=downloads, staging_requests=2, poll_batch=1, bounded_ranges=False)

    async def account():
        return Account(None, None)

    async def name():
        return "account"

    def emit(event):
        if events is not None:
            events.append(event)

    config = Config(share_limits=folder / "shared", **settings)
    async with contextlib.AsyncExitStack() as stack:
        made = [Gate("archive", limits, account, config, emit, name) for _ in range(count)]
        for gate in made:
            await stack.enter_async_context(gate.shared.running())
        yield made


class Told:
    """Takes events."""

    def __init__(self):
        self.quota_reached = anyio.Event()

    def append(self, event):
        if isinstance(event, QuotaReached):
            self.quota_reached.set()


def ledger(folder):
    return LedgerFiles(folder / "shared", "account").read()


async def test_all_together_have_as_many_slots_as_the_account(tmp_path):
    now, peak, served = 0, 0, [0] * 4

    async def work(number, gate):
        nonlocal now, peak
        for _ in range(5):
            async with gate.download(1):
                now += 1
                peak = max(peak, now)
                await anyio.sleep(0.03)
                now -= 1
            served[number] += 1

    async with gates(tmp_path, 4) as made, anyio.create_task_group() as working:
        for number, gate in enumerate(made):
            for _ in range(3):
                working.start_soon(work, number, gate)

    assert 2 == peak
    assert [15] * 4 == served
    assert () == ledger(tmp_path).holders, "everything is given back at the end"


async def test_nobody_waits_more_than_twice_as_long_as_others(tmp_path):
    served = [0] * 4

    async def work(number, gate):
        while True:
            async with gate.download(1):
                await anyio.sleep(0.02)
                served[number] += 1
                if sum(served) >= 300:
                    working.cancel_scope.cancel()

    async with gates(tmp_path, 4, downloads=3) as made, anyio.create_task_group() as working:
        for number, gate in enumerate(made):
            for _ in range(2 + 4 * number):  # some have far more to do
                working.start_soon(work, number, gate)

    assert max(served) <= 2 * min(served), served


async def test_a_quota_is_for_all_together(tmp_path):
    told, all_begun, begun = Told(), anyio.Event(), 0

    async def work(gate):
        nonlocal begun
        for _ in range(3):
            async with gate.download(1) as permit:
                permit.begin()
                begun += 1
            if begun == 3:
                all_begun.set()

    async with gates(tmp_path, 3, quota=HOUR, events=told) as made, anyio.create_task_group() as working:
        for gate in made:
            working.start_soon(work, gate)
        with anyio.fail_after(20):
            await all_begun.wait()
            await told.quota_reached.wait()
        with pytest.raises(NotNowError):
            async with made[0].download(1, wait=False):
                pytest.fail("the quota is used up")
        working.cancel_scope.cancel()

    assert 3 == begun
    assert 3 == len(ledger(tmp_path).starts)


async def test_what_was_not_sent_does_not_count_and_what_may_have_been_does(tmp_path):
    async with gates(tmp_path, 1, quota=HOUR) as (gate,):
        for error in (UnreachableError("none"), ServerError("cut")):
            with pytest.raises(type(error)):
                async with gate.download(1):
                    raise error

    assert 1 == len(ledger(tmp_path).starts)


async def test_a_download_whose_slot_others_have_ends_and_begins_again(tmp_path):
    events = []
    async with gates(tmp_path, 1, events=events) as (gate,):
        with pytest.raises(LeaseLostError):
            async with gate.download(1):
                files = LedgerFiles(tmp_path / "shared", "account")
                await anyio.to_thread.run_sync(_give_up_all, files)
                with anyio.fail_after(20):
                    await anyio.sleep_forever()
        async with gate.download(1):
            assert 1 == len(ledger(tmp_path).holders)

    assert [True] == ["stood still" in event.message for event in events if isinstance(event, Noticed)]


def _give_up_all(files):
    """What others do after the deadline."""
    from dataclasses import replace  # noqa: PLC0415

    while True:
        found = files.read()
        less = found
        for one in found.holders:
            less = dropped(less, one.token, 0.0)
        if files.commit(replace(less, version=found.version + 1)):
            return


async def test_whoever_slept_sends_nothing(tmp_path, monkeypatch):
    async with gates(tmp_path, 1) as (gate,):
        with pytest.raises(LeaseLostError):
            async with gate.download(1):
                later = member.awake() + 3600.0
                with monkeypatch.context() as patched:
                    patched.setattr(member, "awake", lambda: later)
                    await gate.shared.trace("http11.send_request_headers.started", {})
        async with gate.download(1):
            await gate.shared.trace("http11.send_request_headers.started", {})


async def test_a_folder_that_cannot_be_used_ends_the_run_with_words(tmp_path):
    (tmp_path / "shared").write_text("")
    async with gates(tmp_path, 1) as (gate,):
        with pytest.raises(ConfigError, match="share-limits"):
            async with gate.download(1):
                pytest.fail("no limits are known")


def test_nothing_of_it_is_imported_when_it_is_not_used():
    code = "import sys, pepsasync.client; sys.exit('pepsasync.limits.shared' in sys.modules)"

    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode
