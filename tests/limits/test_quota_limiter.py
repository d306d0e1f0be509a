"""When downloads may begin: own count, the archive's word, and refusals."""

from dataclasses import replace

import anyio
import pytest

from fakes import FakeProvider, gate_of
from pepsasync.config import Config
from pepsasync.errors import AuthError, QuotaError, ServerError, UnreachableError
from pepsasync.events import QuotaReached
from pepsasync.model import Account, Limits, Quota

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]
TWO = Quota(2, 0.4)


class Archive(FakeProvider):
    """Tells what is left of its quota from a list, the last figure for ever."""

    def __init__(self, *left, quota=TWO):
        limits = Limits(page_size=10, downloads=2, staging_requests=2, poll_batch=9, bounded_ranges=False, quota=quota)
        super().__init__({}, limits=limits)
        self.left = [*left]
        self.asked_for_account = 0

    async def account(self):
        self.asked_for_account += 1
        left = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        if isinstance(left, Exception):
            raise left
        return Account(left, self.limits.quota.products if self.limits.quota else None)


def gate(provider, events=None, **settings):
    config = Config(**({"retry_wait": 0.02, "retry_wait_max": 0.05} | settings))
    return gate_of(provider, config, (events if events is not None else []).append)


async def begin(gate):
    async with gate.download(0) as permit:
        permit.begin()


async def refuse(gate, **advice):
    """A download that the archive refuses, since the account has had enough."""
    with pytest.raises(QuotaError):
        async with gate.download(0):
            raise QuotaError("enough", **advice)


async def test_downloads_stay_below_the_quota():
    events, began = [], anyio.current_time()
    slow = gate(Archive(None), events)
    for _ in range(5):
        await begin(slow)

    assert anyio.current_time() - began == pytest.approx(0.8)
    assert [event.wait for event in events if isinstance(event, QuotaReached)] == pytest.approx([0.4, 0.4])


async def test_what_is_told_is_the_latest_moment_while_the_archive_is_asked_before(anyio_backend):
    events, provider = [], Archive(0, 0, 0, 2, quota=Quota(2, 3600.0))
    slow = gate(provider, events, retry_wait=1.0, retry_wait_max=60.0)
    slow.quota.refuse(QuotaError("enough"))
    await slow.until_open()

    assert [(event.wait, event.next_look) for event in events] == [(pytest.approx(3600.0), 1.0), (0.0, None)]


async def test_looks_that_tell_nothing_are_neither_made_nor_told():
    events, provider = [], Archive(1, quota=Quota(9, 3600.0))
    own = gate(provider, events, quota=Quota(1, 600.0))
    await begin(own)
    await begin(own)

    assert [(event.wait, event.next_look) for event in events] == [(pytest.approx(600.0), None)]
    assert provider.asked_for_account == 1


async def test_what_others_used_counts():
    provider, began = Archive(0, 0, 0, 2), anyio.current_time()
    await begin(gate(provider))

    assert provider.asked_for_account >= 4
    assert anyio.current_time() - began >= 0.06


@pytest.mark.parametrize(("is_share", "wait"), [(True, 0.4), (False, 0.0)])
async def test_of_a_shared_account_no_part_begins_more_than_its_share(is_share, wait):
    class Shared(Archive):
        async def account(self):
            return replace(await super().account(), is_share=is_share)

    shared = gate(Shared(2))
    for _ in range(2):
        await begin(shared)
    began = anyio.current_time()
    await shared.quota.ask()  # the other part has used nothing: of all that is left, half is ours
    await begin(shared)

    assert anyio.current_time() - began == pytest.approx(wait)


async def test_an_account_without_quota_is_not_asked():
    provider = Archive(0, quota=None)
    await begin(gate(provider))

    assert provider.asked_for_account == 0


async def test_refused_credentials_are_known_before_the_first_download():
    with pytest.raises(AuthError):
        await gate(Archive(AuthError("no"))).until_open()


async def test_an_archive_that_does_not_tell_changes_nothing():
    await begin(gate(Archive(ServerError("down"))))


async def test_a_refusal_makes_everybody_wait_and_an_acceptance_forgets_it():
    quick = gate(Archive(None, quota=None))
    pauses = []
    for is_accepted in (False, False, True, False):
        await refuse(quick)
        assert not quick.is_open
        began = anyio.current_time()
        async with quick.download(0) as permit:
            pauses.append(anyio.current_time() - began)
            if is_accepted:
                permit.accept()

    assert pauses == pytest.approx([0.02, 0.03, 0.045, 0.02])


async def test_refusals_end_the_patience():
    impatient, began = gate(Archive(None, quota=None), quota_patience=0.05), anyio.current_time()
    with anyio.fail_after(10):
        while impatient.quota.is_patient:
            await refuse(impatient)

    assert anyio.current_time() - began > 0.05
    assert impatient.is_open
    async with impatient.download(0) as permit:
        permit.accept()
    assert impatient.quota.is_patient


async def test_a_request_counts_until_it_is_known_that_it_has_no_answer():
    narrow, began = gate(Archive(None, quota=Quota(1, 60.0))), anyio.current_time()
    async with anyio.create_task_group() as tasks:
        with pytest.raises(UnreachableError):
            async with narrow.download(0):
                assert not narrow.is_open
                tasks.start_soon(begin, narrow)
                await anyio.sleep(1.0)
                raise UnreachableError("no route")

    assert anyio.current_time() - began == pytest.approx(1.0)
    assert not narrow.is_open


@pytest.mark.parametrize(
    ("quota", "jobs", "expected"),
    [(Quota(1, 60.0), 2, [1.0, 62.0, 123.0, 184.0]), (Quota(2, 60.0), 1, [1.0, 2.0, 62.0, 63.0])],
)
async def test_those_who_wait_together_stay_below_the_quota(quota, jobs, expected):
    narrow, began, times = gate(Archive(None, quota=quota), jobs=jobs), anyio.current_time(), []

    async def download():
        async with narrow.download(0) as permit:
            await anyio.sleep(1.0)
            permit.begin()
            times.append(anyio.current_time() - began)

    async with anyio.create_task_group() as tasks:
        for _ in expected:
            tasks.start_soon(download)

    assert times == pytest.approx(expected)


async def test_a_download_that_begins_while_the_archive_is_asked_counts_too():
    """The archive may have counted before it began."""

    class Slow(Archive):
        async def account(self):
            await anyio.sleep(1.0)
            return await super().account()

    slow = gate(Slow(2, quota=Quota(2, 3600.0)))
    await begin(slow)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(slow.quota.ask)
        await anyio.wait_all_tasks_blocked()
        await begin(slow)

    assert slow.is_open
    await begin(slow)
    assert not slow.is_open


@pytest.mark.parametrize(("quota", "count"), [(TWO, 1), (None, 0)])
async def test_a_download_that_a_quota_counts_is_told_once(quota, count):
    counted = []
    async with gate(Archive(None, quota=quota)).download(0, counted=lambda: counted.append(1)) as permit:
        assert not counted
        permit.begin()
        permit.begin()

    assert len(counted) == count


async def test_the_archive_is_believed_when_it_tells_more_than_it_published():
    class Generous(Archive):
        async def account(self):
            return Account(*self.left[0])

    for told, rest in [((7, 9), 7), ((7, None), 7), ((1, 1), 1), ((0, 0), 0), ((-1, -1), 2), ((1, None), 1)]:
        quick = gate(Generous(told, quota=Quota(2, 3600.0)))
        await quick.quota.ask()
        for _ in range(rest):
            assert quick.is_open
            await begin(quick)
        assert not quick.is_open


async def test_the_users_own_quota_stays_when_the_archive_tells_more():
    own = gate(Archive(9, quota=Quota(9, 3600.0)), quota=Quota(1, 3600.0))
    await begin(own)

    assert not own.is_open


@pytest.mark.parametrize("advice", [0, 0.0, 0.001])
async def test_an_archive_that_says_at_once_is_not_asked_at_once(advice):
    quick, began = gate(Archive(None, quota=None)), anyio.current_time()
    await refuse(quick, retry_after=advice)
    await quick.until_open()

    assert anyio.current_time() - began >= 0.02


async def test_the_archives_count_of_an_hour_is_not_taken_for_the_users_of_a_moment():
    provider, began = Archive(1, quota=Quota(9, 3600.0)), anyio.current_time()
    own = gate(provider, quota=Quota(2, 0.1))
    with anyio.fail_after(10):
        for _ in range(5):
            await begin(own)

    assert anyio.current_time() - began >= 0.2
