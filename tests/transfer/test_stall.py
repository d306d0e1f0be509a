"""When a connection crawls."""

from types import SimpleNamespace

import anyio
import pytest

from fakes import FakeProvider, archive_of, product
from pepsasync.config import Config
from pepsasync.errors import ServerError
from pepsasync.transfer.progress import STALL_WINDOW, Progress

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]


class Body:
    """A body that comes at the rate of a test."""

    def __init__(self, *, received=0, **settings):
        self.part = SimpleNamespace(product=product(), received=received)
        archive = archive_of(FakeProvider({}), None, Config(**settings), lambda event: None)
        self.look = Progress(self.part, archive, None).watch()

    async def comes(self, count, seconds):
        await anyio.sleep(seconds)
        self.part.received += count
        self.look()


async def test_a_connection_that_moves_is_left_alone():
    body = Body(min_rate=10)

    await body.comes(0, STALL_WINDOW - 0.1)
    await body.comes(601, 0.1)
    await body.comes(0, STALL_WINDOW - 0.1)


async def test_a_connection_that_crawls_is_told_how_much_came():
    body = Body(min_rate=10, received=100)

    with pytest.raises(ServerError, match="stalled: only 599 bytes in a minute"):
        await body.comes(599, STALL_WINDOW)


async def test_each_minute_is_judged_by_itself():
    body = Body(min_rate=10)

    await body.comes(1_000_000, STALL_WINDOW)
    with pytest.raises(ServerError, match="only 10 bytes"):
        await body.comes(10, STALL_WINDOW)


@pytest.mark.parametrize("settings", [{"min_rate": 0}, {"min_rate": 10, "limit_rate": 1}])
async def test_any_rate_will_do_when_none_is_asked_or_the_user_limits_it(settings):
    await Body(**settings).comes(0, 1e6)
