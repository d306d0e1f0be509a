"""Who enters the gate of an archive next, and what its answers tell."""

import contextlib
from datetime import UTC, datetime

import anyio
import anyio.lowlevel
import pytest

from fakes import FakeProvider, gate_of, product
from pepsasync.config import Config
from pepsasync.errors import AuthError, ServerError, UnavailableError, UnreachableError
from pepsasync.limits.circuit_breaker import FAILURES
from pepsasync.model import Account, Limits, Quota

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]


class Archive(FakeProvider):
    """Answers what is left of the account's quota, and how often it was asked."""

    def __init__(self, answer=None):
        limits = Limits(
            page_size=1, downloads=1, staging_requests=1, poll_batch=1, bounded_ranges=True, quota=Quota(9, 60.0)
        )
        super().__init__({}, limits=limits)
        self.answer = answer
        self.asked_for_account = 0

    async def account(self):
        self.asked_for_account += 1
        if self.answer:
            raise self.answer
        return Account(9, 9)


def gate(provider=None, **settings):
    return gate_of(provider or FakeProvider({}), Config(**settings), lambda event: None)


async def test_the_largest_download_enters_first():
    narrow, order = gate(jobs=1), []

    async def download(size):
        async with narrow.download(size):
            order.append(size)

    async with anyio.create_task_group() as tasks, narrow.download(0):
        for size in (1, 5, 3):
            tasks.start_soon(download, size)
            await anyio.wait_all_tasks_blocked()

    assert order == [5, 3, 1]


async def test_the_earliest_acquisition_is_asked_for_first_unless_another_one_goes_first():
    narrow, order = gate(staging_jobs=1), []

    async def ask(day, goes_first=False):
        start = datetime(2015, 11, day, tzinfo=UTC)
        async with narrow.staging(product(start=start), goes_first=goes_first):
            order.append(day)

    async with anyio.create_task_group() as tasks, narrow.staging(product()):
        for day, goes_first in [(9, False), (3, False), (7, True), (5, False)]:
            tasks.start_soon(ask, day, goes_first)
            await anyio.wait_all_tasks_blocked()

    assert order == [7, 3, 5, 9]


@pytest.mark.parametrize("accepts", [True, False])
async def test_a_download_that_begins_ends_an_outage(accepts):
    one, began = gate(retry_wait=1.0), anyio.current_time()
    for _ in range(FAILURES):
        with pytest.raises(UnavailableError):
            async with one.download(0):
                raise UnavailableError("HTTP 503")
    assert one.backoff.outage.is_on
    assert not one.has_served_since(began)

    with contextlib.suppress(UnreachableError):
        async with one.download(0) as permit:
            if accepts:
                permit.accept()
            raise UnreachableError("cut")

    assert one.has_served_since(began) is accepts
    assert not one.has_served_since(None)


async def test_a_staging_request_with_an_answer_ends_an_outage():
    one = gate(retry_wait=1.0)
    for _ in range(FAILURES):
        with pytest.raises(UnavailableError):
            async with one.staging(product()):
                raise UnavailableError("HTTP 503")
    assert one.staging_backoff.outage.is_on

    async with one.staging(product()):
        pass

    assert not one.staging_backoff.outage.is_on


async def test_who_gives_up_holds_nothing():
    one = gate(jobs=1, staging_jobs=1)
    for enter in (lambda: one.download(0), lambda: one.staging(product())):
        async with anyio.create_task_group() as tasks:

            async def use(enter=enter):
                async with enter():
                    await anyio.sleep_forever()

            for _ in range(3):
                tasks.start_soon(use)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(1):
            async with enter():
                pass


async def test_the_account_is_looked_at_once_however_many_ask():
    provider, requests = Archive(), []
    one = gate(provider)

    async def request():
        requests.append(1)
        await anyio.sleep(1.0)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(one.check_account, request)

    assert (len(requests), provider.asked_for_account) == (1, 1)


async def test_refused_credentials_are_told_each_time():
    one = gate(Archive(AuthError("no")))
    for _ in range(2):
        with pytest.raises(AuthError):
            await one.check_account(anyio.lowlevel.checkpoint)


async def test_an_archive_that_does_not_tell_about_the_account_stops_nobody():
    async def request():
        raise ServerError("down")

    await gate(Archive()).check_account(request)
