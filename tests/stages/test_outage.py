"""An archive that answers nobody is waited for; a product that fails by itself is not."""

import itertools
import sys

import anyio
import pytest

from archives import connect, everything, right_files, sandbox
from pepsasync import DeliveryStatus, UnreachableError
from pepsasync.config import Config
from pepsasync.errors import ServerError, TransferError, UnavailableError
from pepsasync.events import Noticed
from pepsasync.io.outage import FAILURES, Outage
from pepsasync.io.retries import Retries
from pepsasync.stages.hold import Hold

pytestmark = pytest.mark.anyio


@pytest.fixture
def failing(monkeypatch):
    """Have an archive answer so many requests for products with 503, whoever asks."""

    def fail(client, times):
        judge, answers = client.provider.judge_download, itertools.count()

        def judge_download(product, response, head):
            return UnavailableError("HTTP 503") if next(answers) < times else judge(product, response, head)

        monkeypatch.setattr(client.provider, "judge_download", judge_download)

    return fail


async def test_outage_costs_no_product(tmp_path, failing):
    async with sandbox(30, tape_fraction=0) as archive, connect(archive, retries=3) as client:
        failing(client, 60)
        outcomes = [delivery async for delivery in client.fetch(await everything(client), tmp_path)]

        assert {DeliveryStatus.DELIVERED} == {delivery.status for delivery in outcomes}
        assert right_files(archive, tmp_path) == 30


async def test_outage_without_end_ends_the_run(tmp_path, failing, monkeypatch):
    monkeypatch.setitem(Retries.__init__.__kwdefaults__, "patience", 0.3)
    async with sandbox(9, tape_fraction=0) as archive, connect(archive, retries=3) as client:
        failing(client, sys.maxsize)
        products = await everything(client)
        with anyio.fail_after(30), pytest.raises(UnreachableError, match="answers nobody"):
            async for _ in client.fetch(products, tmp_path):
                pass


async def test_product_that_fails_alone_is_given_up_alone(tmp_path, failing, monkeypatch):
    monkeypatch.setitem(Retries.__init__.__kwdefaults__, "patience", 0.3)
    async with sandbox(1, tape_fraction=0) as archive, connect(archive, retries=3) as client:
        failing(client, sys.maxsize)
        outcomes = [delivery async for delivery in client.fetch(await everything(client), tmp_path)]

    assert [TransferError] == [type(delivery.error) for delivery in outcomes]


async def test_failures_in_a_row_are_an_outage_until_somebody_gets_an_answer():
    outage = Outage()
    for _ in range(FAILURES):
        assert outage.seconds is None
        outage.failed("A")
        await anyio.sleep(0.002)
    assert outage.seconds >= 0.002
    assert not outage.is_of_many
    outage.failed("B")
    assert outage.is_of_many
    outage.answered()
    assert (outage.seconds, outage.is_of_many) == (None, False)


async def test_pause_of_an_outage_grows_and_is_everybodys():
    events, pauses = [], []
    hold = Hold("geodes", "downloads", Config(retry_wait=4.0, retry_wait_max=7.0), events.append)
    for name in "ABCDE":
        with pytest.raises(ServerError), hold.obeyed(name):
            raise UnavailableError("no")
        pauses.append(round(hold.left))
        hold._until = 0.0  # the pause is over

    assert pauses == [0, 0, 4, 6, 7]
    assert Noticed(message="geodes answers nobody: no further downloads for 4 s") == events[0]
    hold.answered()
    with pytest.raises(ServerError), hold.obeyed("A"):
        raise UnavailableError("no")
    assert hold.left == 0


async def test_failures_that_were_under_way_do_not_make_the_pause_longer():
    hold = Hold("geodes", "downloads", Config(retry_wait=4.0, retry_wait_max=100.0), [].append)

    async def ask():
        with pytest.raises(ServerError), hold.obeyed():
            await anyio.lowlevel.checkpoint()
            raise UnavailableError("no")

    async with anyio.create_task_group() as tasks:
        for _ in range(16):
            tasks.start_soon(ask)

    assert 3 < hold.left <= 4


@pytest.mark.parametrize(("seconds", "tries"), [(None, 3), (0.0, 6), (5.0, 6)])
async def test_tries_are_not_counted_in_an_outage(seconds, tries):
    answers = iter([UnavailableError("no")] * 5)
    config = Config(retries=3, retry_wait=0.001, retry_wait_max=0.001)
    budget = Retries(config, outage=lambda: seconds)

    async def ask():
        for error in answers:
            raise error
        return "here"

    if seconds is not None:
        assert await budget.call(ask) == "here"
    else:
        with pytest.raises(UnavailableError):
            await budget.call(ask)
    assert budget.attempts == tries
