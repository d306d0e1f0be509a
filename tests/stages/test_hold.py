"""A pause that an archive asks for is everybody's."""

from types import SimpleNamespace

import anyio
import pytest

from fakes import FakeProvider, product
from pepsasync.config import Config
from pepsasync.engine.staging import request_staging
from pepsasync.errors import NotFoundError, QuotaError, ServerError
from pepsasync.events import Noticed, QuotaReached
from pepsasync.limits.backoff import Backoff
from pepsasync.limits.quota import NotNowError, QuotaLimiter
from pepsasync.providers.base import StagingOutcome, StagingReply
from pepsasync.transfer.line import Line, make_slots

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


def line(provider, config=CONFIG):
    events = []
    http = SimpleNamespace(was_reached=True)
    slots, pace = make_slots(config, provider.limits), QuotaLimiter(provider, config, events.append)
    return Line(provider, http, None, None, config, events.append, slots, pace), events


@pytest.mark.parametrize("jobs", [1, 4])
@pytest.mark.parametrize(
    "answer", [ServerError("overloaded", retry_after=0.15), StagingReply(StagingOutcome.QUOTA, 0.15)]
)
async def test_nobody_asks_for_staging_while_the_archive_wants_a_pause(answer, jobs):
    provider = Busy(answer)
    one, _ = line(provider, Config(retry_wait=0.001, retry_wait_max=0.2, staging_jobs=jobs))

    await request_refused(one)
    async with anyio.create_task_group() as tasks:
        for name in "BCDEF":
            tasks.start_soon(request_staging, product(name), one)

    assert sum(pause > 0.1 for pause in provider.pauses) == 1
    assert provider.pauses[0] >= 0.1


async def request_refused(one):
    """The first request, not repeated."""
    with anyio.move_on_after(0.05):
        await request_staging(product("A"), one)


async def test_no_download_begins_while_the_archive_wants_a_pause():
    one, events = line(FakeProvider({}))
    began = anyio.current_time()
    with pytest.raises(ServerError), one.pace.downloads.obeyed():
        raise ServerError("overloaded", retry_after=0.15)

    assert not one.pace.is_open
    with one.pace.turn(lambda: None) as turn:
        assert turn is None
    with pytest.raises(NotNowError):
        await one.pace.until_open(wait=False)
    await one.pace.until_open()
    assert anyio.current_time() - began == pytest.approx(0.15)
    assert one.pace.is_open
    assert not [event for event in events if isinstance(event, QuotaReached)]


@pytest.mark.parametrize(
    "error",
    [NotFoundError("gone"), ServerError("down"), ServerError("down", retry_after=0), QuotaError("x", retry_after=9)],
)
async def test_what_asks_for_no_pause_holds_nobody(error):
    hold = Backoff("geodes", "downloads", Config(retry_wait_max=100.0), [].append)
    with pytest.raises(type(error)), hold.obeyed():
        raise error

    assert hold.left == 0


async def test_no_pause_is_longer_than_the_user_wants():
    hold = Backoff("geodes", "downloads", Config(retry_wait_max=5.0), [].append)
    with pytest.raises(ServerError), hold.obeyed():
        raise ServerError("overloaded", retry_after=900.0)

    assert hold.left == 5


async def test_a_pause_is_told_once():
    events = []
    hold = Backoff("geodes", "downloads", 100.0, events.append)
    for seconds in (30.0, 30.0, 29.0, 60.0):
        hold.keep(seconds)

    assert [
        Noticed(message="geodes wants no further downloads for 30 s"),
        Noticed(message="geodes wants no further downloads for 60 s"),
    ] == events


async def test_a_pause_ends_no_sooner_because_a_shorter_one_is_asked_for():
    hold = Backoff("geodes", "downloads", Config(retry_wait_max=100.0), [].append)
    hold.keep(50.0)
    hold.keep(1.0)

    assert hold.left == 50
