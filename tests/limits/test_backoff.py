"""A pause that an archive asks for is everybody's."""

from dataclasses import replace
from types import SimpleNamespace

import anyio
import pytest

from fakes import FakeProvider, archive_of, product
from pepsasync.config import Config
from pepsasync.errors import NotFoundError, NotNowError, QuotaError, ServerError
from pepsasync.events import Noticed, QuotaReached
from pepsasync.limits.backoff import Backoff
from pepsasync.providers.base import StagingOutcome, StagingReply

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]

CONFIG = Config(retry_wait=0.001, retry_wait_max=0.2, staging_jobs=4)


class Busy(FakeProvider):
    """Answers the first requests for staging so, and accepts all others; notes when it was asked."""

    def __init__(self, *answers):
        super().__init__({})
        self.answers = [*answers]
        self.times = []

    async def request_staging(self, product):
        self.times.append(anyio.current_time())
        answer = self.answers.pop(0) if self.answers else StagingReply(StagingOutcome.ACCEPTED)
        await anyio.lowlevel.checkpoint()
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def pauses(self):
        """Seconds between requests."""
        return [after - before for before, after in zip(self.times, self.times[1:], strict=False)]


def archive(provider, config=CONFIG):
    events = []
    return archive_of(provider, SimpleNamespace(was_reached=True), config, events.append), events


@pytest.mark.parametrize("jobs", [1, 4])
@pytest.mark.parametrize(
    "answer", [ServerError("overloaded", retry_after=0.15), StagingReply(StagingOutcome.QUOTA, 0.15)]
)
async def test_nobody_asks_for_staging_while_the_archive_wants_a_pause(answer, jobs):
    provider = Busy(answer)
    one, _ = archive(provider, Config(retry_wait=0.001, retry_wait_max=0.2, staging_jobs=jobs))

    await request_refused(one)
    async with anyio.create_task_group() as tasks:
        for name in "BCDEF":
            tasks.start_soon(one.request_staging, product(name))

    assert sum(pause > 0.1 for pause in provider.pauses) == 1
    assert provider.pauses[0] >= 0.1


async def request_refused(one):
    """The first request, not repeated."""
    with anyio.move_on_after(0.05):
        await one.request_staging(product("A"))


async def refuse(gate, error):
    """A download that the archive refuses."""
    with pytest.raises(type(error)):
        async with gate.download(0):
            raise error


async def test_no_download_begins_while_the_archive_wants_a_pause():
    one, events = archive(FakeProvider({}))
    gate, began = one.gate, anyio.current_time()
    await refuse(gate, ServerError("overloaded", retry_after=0.15))

    assert not gate.is_open
    with pytest.raises(NotNowError):
        await gate.until_open(wait=False)
    with pytest.raises(NotNowError):
        async with gate.download(0, wait=False):
            pytest.fail("it began")
    async with gate.download(0):
        assert anyio.current_time() - began == pytest.approx(0.15)
    assert gate.is_open
    assert not [event for event in events if isinstance(event, QuotaReached)]


async def test_who_waits_for_a_slot_keeps_a_pause_that_has_begun_meanwhile():
    one, _ = archive(FakeProvider({}), replace(CONFIG, jobs=1))
    began, times = anyio.current_time(), []

    async def download():
        async with one.gate.download(0):
            times.append(anyio.current_time() - began)

    async with anyio.create_task_group() as tasks:
        with pytest.raises(ServerError):
            async with one.gate.download(0):
                for _ in range(3):
                    tasks.start_soon(download)
                await anyio.wait_all_tasks_blocked()
                assert one.gate.slots.is_wanted
                raise ServerError("overloaded", retry_after=0.15)

    assert times == pytest.approx([0.15] * 3)
    assert one.gate.slots.try_take()


async def test_a_pause_of_staging_requests_holds_no_download_and_the_other_way_round():
    provider = Busy(ServerError("overloaded", retry_after=0.15))
    one, _ = archive(provider)
    await request_refused(one)
    assert one.gate.is_open
    await anyio.sleep(0.2)

    await refuse(one.gate, ServerError("overloaded", retry_after=0.15))
    began = anyio.current_time()
    await one.request_staging(product("B"))
    assert anyio.current_time() - began < 0.1


@pytest.mark.parametrize(
    "error",
    [NotFoundError("gone"), ServerError("down"), ServerError("down", retry_after=0), QuotaError("x", retry_after=9)],
)
async def test_what_asks_for_no_pause_holds_nobody(error):
    backoff = Backoff("geodes", "downloads", Config(retry_wait_max=100.0), [].append)
    with pytest.raises(type(error)), backoff.obeyed():
        raise error

    assert backoff.left == 0


async def test_no_pause_is_longer_than_the_user_wants():
    backoff = Backoff("geodes", "downloads", Config(retry_wait_max=5.0), [].append)
    with pytest.raises(ServerError), backoff.obeyed():
        raise ServerError("overloaded", retry_after=900.0)

    assert backoff.left == 5


async def test_a_pause_is_told_once():
    events = []
    backoff = Backoff("geodes", "downloads", Config(), events.append)
    for seconds in (30.0, 30.0, 29.0, 60.0):
        backoff.keep(seconds)

    assert [
        Noticed(message="geodes asks for a pause; downloads pause for 30 s"),
        Noticed(message="geodes asks for a pause; downloads pause for 60 s"),
    ] == events


async def test_a_pause_ends_no_sooner_because_a_shorter_one_is_asked_for():
    backoff = Backoff("geodes", "downloads", Config(retry_wait_max=100.0), [].append)
    backoff.keep(50.0)
    backoff.keep(1.0)

    assert backoff.left == 50
