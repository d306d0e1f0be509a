"""An archive that answers nobody is waited for; a product that fails by itself is not."""

import contextlib
import itertools
import sys

import anyio
import pytest

from archives import connect, everything, right_files, sandbox
from fakes import FakeProvider, archive_of, product
from pepsasync import DeliveryStatus
from pepsasync.config import Config
from pepsasync.errors import (
    AuthError,
    NotFoundError,
    OfflineError,
    QuotaError,
    ServerError,
    TransferError,
    UnavailableError,
    UnreachableError,
)
from pepsasync.events import Noticed
from pepsasync.limits.attempts import Attempts
from pepsasync.limits.backoff import Backoff
from pepsasync.limits.circuit_breaker import FAILURES, CircuitBreaker

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


async def test_outage_without_end_is_not_waited_for_without_end(tmp_path, failing, monkeypatch):
    monkeypatch.setitem(Attempts.__init__.__kwdefaults__, "patience", 0.3)
    async with sandbox(3, tape_fraction=0) as archive, connect(archive, retries=3) as client:
        failing(client, sys.maxsize)
        with anyio.fail_after(120):
            outcomes = [delivery async for delivery in client.fetch(await everything(client), tmp_path)]

    assert [TransferError] * 3 == [type(delivery.error) for delivery in outcomes]


@pytest.mark.parametrize(
    "error", [UnavailableError("HTTP 503"), UnreachableError("cannot connect")], ids=["503", "gone"]
)
async def test_one_product_that_is_never_served_fails_after_its_tries_while_others_come(tmp_path, monkeypatch, error):
    """Also while the others are so large that no other request is answered meanwhile."""
    asked = []
    async with sandbox(3, tape_fraction=0, product_size=2_000_000) as archive:
        async with connect(archive, retries=4, limit_rate=1_000_000, segments=1) as client:
            products = await everything(client)
            judge = client.provider.judge_download

            def judge_download(product, response, head):
                if product.name != products[0].name:
                    return judge(product, response, head)
                asked.append(product)
                return type(error)(error.message)

            monkeypatch.setattr(client.provider, "judge_download", judge_download)
            with anyio.fail_after(120):
                ended = [delivery async for delivery in client.fetch(products, tmp_path)]

        assert ended[0].product.name == products[0].name
        assert isinstance(ended[0].error, TransferError)
        assert right_files(archive, tmp_path) == 2
    assert len(asked) < 40


@pytest.mark.virtual_time
async def test_several_products_that_are_refused_while_another_one_comes_use_up_no_tries():
    """An archive that is overloaded serves what it has begun, and nobody else."""
    backoff = Backoff("geodes", "downloads", Config(), [].append)
    began = anyio.current_time()
    for what in ("A", "B", "A"):
        await anyio.sleep(1)
        backoff.served()
        with pytest.raises(UnavailableError), backoff.obeyed(what):
            raise UnavailableError("no")

    assert backoff.left > 0
    assert not backoff.serves_others(began)


@pytest.mark.virtual_time
async def test_a_product_that_alone_is_refused_for_the_quota_is_not_waited_for_for_ever():
    config = Config(quota_patience=600.0, retries=3)
    archive = archive_of(FakeProvider({}), None, config, lambda event: None)
    times = []

    async def others():
        while True:
            async with archive.gate.download(0) as permit:
                permit.begin()
                permit.accept()
            await anyio.sleep(1)

    async def ask():
        async with archive.gate.download(0):
            times.append(anyio.current_time())
            raise QuotaError("enough")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(others)
        with anyio.fail_after(10_000), pytest.raises(QuotaError):
            await archive.attempts(product(), lambda: 0).call(ask)
        tasks.cancel_scope.cancel()

    assert times[-1] - times[0] > 600


async def test_failures_in_a_row_are_an_outage_until_somebody_gets_an_answer():
    outage, patient = CircuitBreaker(), CircuitBreaker(FAILURES + 1)
    for _ in range(FAILURES):
        assert not outage.is_on
        outage.failed()
        patient.failed()
    assert outage.is_on
    assert not patient.is_on
    outage.answered()
    assert not outage.is_on


async def test_pause_of_an_outage_grows_and_is_everybodys():
    events, pauses = [], []
    backoff = Backoff("geodes", "downloads", Config(retry_wait=4.0, retry_wait_max=7.0), events.append)
    for _ in range(5):
        with pytest.raises(ServerError), backoff.obeyed():
            raise UnavailableError("no")
        pauses.append(round(backoff.left))
        backoff._until = 0.0  # the pause is over

    assert pauses == [0, 0, 4, 6, 7]
    assert Noticed(message="geodes is not responding; downloads pause for 4 s") == events[0]
    backoff.answered()
    with pytest.raises(ServerError), backoff.obeyed():
        raise UnavailableError("no")
    assert backoff.left == 0


@pytest.mark.parametrize(
    "answer", [OfflineError("on tape"), NotFoundError("gone"), QuotaError("enough"), AuthError("no")]
)
async def test_any_other_answer_ends_an_outage(answer):
    backoff = Backoff("geodes", "downloads", Config(), [].append)
    for error in [UnavailableError("no")] * 5:
        with pytest.raises(ServerError), backoff.obeyed():
            raise error
    assert backoff.breaker.is_on
    with pytest.raises(type(answer)), backoff.obeyed():
        raise answer

    assert not backoff.breaker.is_on


async def test_broken_connections_neither_make_an_outage_nor_end_it():
    backoff = Backoff("geodes", "downloads", Config(), [].append)
    for error in [ServerError("broken")] * 9 + [UnavailableError("no")] * 3 + [ServerError("broken")]:
        with pytest.raises(ServerError), backoff.obeyed():
            raise error

    assert backoff.breaker.is_on


@pytest.mark.virtual_time
async def test_nobody_hammers_an_archive_that_takes_no_connection():
    """Thousands wait for a moment, and each has half an hour of patience."""
    backoff = Backoff("geodes", "downloads", Config(), [].append)
    tries = []

    async def ask():
        while anyio.current_time() < 1_000:
            await backoff.over()
            tries.append(anyio.current_time())
            with contextlib.suppress(UnreachableError), backoff.obeyed():
                await anyio.sleep(0.01)
                raise UnreachableError("cannot connect")

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(ask)

    assert len(tries) < 100


@pytest.mark.virtual_time
async def test_failures_that_were_under_way_do_not_make_the_pause_longer():
    backoff = Backoff("geodes", "downloads", Config(retry_wait=4.0, retry_wait_max=100.0), [].append)

    async def ask():
        with pytest.raises(ServerError), backoff.obeyed():
            await anyio.lowlevel.checkpoint()
            raise UnavailableError("no")

    async with anyio.create_task_group() as tasks:
        for _ in range(16):
            tasks.start_soon(ask)

    assert backoff.left == 4


@pytest.mark.parametrize(("is_out", "tries"), [(False, 3), (True, 6)])
async def test_tries_are_not_counted_in_an_outage(is_out, tries):
    answers = iter([UnavailableError("no")] * 5)
    config = Config(retries=3, retry_wait=0.001, retry_wait_max=0.001)
    budget = Attempts(config, outage=lambda: is_out)

    async def ask():
        for error in answers:
            raise error
        return "here"

    if is_out:
        assert await budget.call(ask) == "here"
    else:
        with pytest.raises(UnavailableError):
            await budget.call(ask)
    assert budget.count == tries
