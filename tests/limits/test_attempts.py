"""When an operation is tried again, how long that pauses, and when it is given up."""

import itertools

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pepsasync.config import Config
from pepsasync.errors import (
    AddressError,
    AuthError,
    NotFoundError,
    OfflineError,
    ProtocolError,
    QuotaError,
    ServerError,
    UnavailableError,
    UnreachableError,
)
from pepsasync.limits import attempts as module
from pepsasync.limits.attempts import FIRST_CONTACT_TRIES, OUTAGE_PATIENCE, Attempts
from virtual_time import backend

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]

CONFIG = Config(retries=3, retry_wait=1.0, retry_wait_max=8.0)


class Operation:
    """Fails with what a test lists, and then succeeds; each failure may come after some bytes."""

    def __init__(self, *failures):
        self.failures = iter(failures)
        self.times = []
        self.received = 0

    async def __call__(self):
        self.times.append(anyio.current_time())
        match next(self.failures, None):
            case None:
                return "here"
            case (received, failure):
                self.received = received
                raise failure
            case failure:
                raise failure


@pytest.fixture
def no_jitter(monkeypatch):
    monkeypatch.setattr(module.random, "uniform", lambda least, most: most)


def broken(count):
    return [ServerError("broken")] * count


async def test_an_operation_that_succeeds_is_done_once():
    budget, operation = Attempts(CONFIG), Operation()

    assert await budget.call(operation) == "here"
    assert (budget.count, len(operation.times)) == (1, 1)


@pytest.mark.parametrize("error", [ServerError("broken"), ProtocolError("nonsense"), UnavailableError("no")])
async def test_what_may_pass_is_tried_so_often_and_the_last_error_is_raised(error):
    budget, operation = Attempts(CONFIG), Operation(*[error] * 9)

    with pytest.raises(type(error)) as caught:
        await budget.call(operation)

    assert caught.value is error
    assert budget.count == len(operation.times) == CONFIG.retries


@pytest.mark.parametrize(
    "error",
    [AddressError("no such host"), NotFoundError("gone"), OfflineError("tape"), AuthError("no"), ValueError("a fault")],
)
async def test_what_does_not_pass_is_not_tried_again(error):
    budget, operation = Attempts(CONFIG), Operation(error)

    with pytest.raises(type(error)):
        await budget.call(operation)
    assert len(operation.times) == 1


async def test_pauses_double_up_to_the_longest_and_are_told(no_jitter):
    told, operation = [], Operation(*broken(5))
    config = Config(retries=9, retry_wait=1.0, retry_wait_max=8.0)
    budget = Attempts(config, on_retry=lambda error, number, pause: told.append((str(error), number, pause)))

    await budget.call(operation)

    assert [after - before for before, after in itertools.pairwise(operation.times)] == [1, 2, 4, 8, 8]
    assert told == [("broken", number, pause) for number, pause in enumerate([1, 2, 4, 8, 8], 1)]


@pytest.mark.parametrize(("advice", "pause"), [(5.0, 5.0), (0.1, 1.0), (900.0, 8.0)])
async def test_the_servers_advice_is_followed_within_bounds(no_jitter, advice, pause):
    operation = Operation(ServerError("busy", retry_after=advice))

    await Attempts(CONFIG).call(operation)

    assert operation.times[1] - operation.times[0] == pause


async def test_pauses_differ_and_are_at_least_half_as_long():
    pauses = []
    for _ in range(30):
        operation = Operation(*broken(1))
        await Attempts(CONFIG).call(operation)
        pauses.append(operation.times[1] - operation.times[0])

    assert 0.5 <= min(pauses) < max(pauses) <= 1.0


async def test_the_count_starts_anew_whenever_something_came(no_jitter):
    operation = Operation(*[(number, ServerError("cut")) for number in range(1, 50)])
    budget = Attempts(CONFIG, progress=lambda: operation.received)

    assert await budget.call(operation) == "here"
    assert budget.count == 50
    assert {after - before for before, after in itertools.pairwise(operation.times)} == {1.0}  # the pauses, too


async def test_what_comes_again_and_again_is_no_progress():
    """A server that ignores ranges and always cuts must not be tried for ever."""
    operation = Operation(*[(received, ServerError("cut")) for received in (5, 0, 5, 3, 5)])
    budget = Attempts(CONFIG, progress=lambda: operation.received)

    with pytest.raises(ServerError):
        await budget.call(operation)
    assert len(operation.times) == 4  # one that brought something, and three


async def test_what_was_here_before_is_no_progress():
    operation = Operation(*broken(9))
    operation.received = 7
    budget = Attempts(CONFIG, progress=lambda: operation.received)

    with pytest.raises(ServerError):
        await budget.call(operation)
    assert budget.count == CONFIG.retries


@given(st.lists(st.integers(0, 3), max_size=40), st.integers(1, 4))
def test_it_is_given_up_after_so_many_failures_without_progress(steps, retries):
    failures, expected, in_row, received = [], None, 0, 0
    for number, step in enumerate(steps, 1):
        received += step // 2  # half of the failures bring nothing
        in_row = 0 if step // 2 else in_row + 1
        failures.append((received, ServerError("cut")))
        if expected is None and in_row >= retries:
            expected = number

    async def main():
        operation = Operation(*failures)
        budget = Attempts(
            Config(retries=retries, retry_wait=0.1, retry_wait_max=0.1), progress=lambda: operation.received
        )
        try:
            await budget.call(operation)
        except ServerError:
            assert len(operation.times) == expected
        else:
            assert expected is None

    name, options = backend("asyncio")
    anyio.run(main, backend=name, backend_options=options)


async def test_waiting_for_a_quota_costs_neither_tries_nor_pauses_and_is_not_told():
    told, operation = [], Operation(*[QuotaError("enough", retry_after=60.0)] * 50, *broken(2))
    budget = Attempts(CONFIG, on_retry=lambda *retry: told.append(retry[1]), excuses_quota=lambda since: True)

    assert await budget.call(operation) == "here"
    assert operation.times[50] == operation.times[0]
    assert budget.count == 3
    assert told == [1, 2]


async def test_refusals_between_failures_do_not_renew_the_count():
    errors = [error for _ in range(5) for error in (QuotaError("enough"), ServerError("broken"))]
    budget, operation = Attempts(CONFIG, excuses_quota=lambda since: True), Operation(*errors)

    with pytest.raises(ServerError, match="broken"):
        await budget.call(operation)
    assert budget.count == CONFIG.retries


async def test_a_quota_for_which_nobody_waits_costs_tries():
    budget, operation = Attempts(CONFIG), Operation(*[QuotaError("enough")] * 9)

    with pytest.raises(QuotaError):
        await budget.call(operation)
    assert budget.count == CONFIG.retries


@pytest.mark.parametrize("place", ["operation", "pause"])
async def test_cancellation_is_raised_again_at_once(place):
    budget, tries = Attempts(CONFIG), []

    async def operation():
        tries.append(None)
        if place == "operation":
            await anyio.sleep_forever()
        raise ServerError("broken", retry_after=5.0)

    began = anyio.current_time()
    with anyio.move_on_after(0.5) as scope:
        await budget.call(operation)

    assert scope.cancelled_caught
    assert anyio.current_time() == began + 0.5
    assert len(tries) == 1


async def test_an_archive_that_never_answered_is_tried_a_few_times():
    budget, operation = Attempts(Config(), was_reached=lambda: False), Operation(*[UnreachableError("nobody")] * 9)

    with pytest.raises(UnreachableError):
        await budget.call(operation)
    assert budget.count == FIRST_CONTACT_TRIES


@pytest.mark.parametrize("error", [UnreachableError("nobody"), UnavailableError("no")])
async def test_an_outage_is_waited_for_as_long_as_patience_lasts(error):
    budget, operation = Attempts(CONFIG, outage=lambda: True), Operation(*[error] * 9999)

    with pytest.raises(type(error)):
        await budget.call(operation)

    waited = operation.times[-1] - operation.times[0]
    assert OUTAGE_PATIENCE <= waited <= OUTAGE_PATIENCE + CONFIG.retry_wait_max
    assert budget.outage_since == operation.times[0]


async def test_an_outage_costs_no_tries(no_jitter):
    outage = [UnreachableError("nobody")] * 40
    budget, operation = Attempts(CONFIG), Operation(*broken(2), *outage)

    assert await budget.call(operation) == "here"

    operation = Operation(*broken(2), *outage, *broken(1))
    with pytest.raises(ServerError, match="broken"):
        await Attempts(CONFIG).call(operation)


async def test_patience_begins_anew_when_something_else_was_met_or_came():
    def outage(count):
        return [UnreachableError("nobody")] * count

    operation = Operation(*outage(5), ServerError("broken"), *outage(5))
    budget = Attempts(CONFIG, patience=40.0)
    assert await budget.call(operation) == "here"
    assert budget.outage_since == operation.times[6]

    operation = Operation(*outage(5), (9, UnreachableError("nobody")), *outage(4))
    budget = Attempts(CONFIG, patience=40.0, progress=lambda: operation.received)
    assert await budget.call(operation) == "here"
    assert budget.outage_since == operation.times[5]


async def test_the_loop_may_be_written_out():
    budget, failures = Attempts(CONFIG), [ServerError("broken"), ProtocolError("nonsense")]

    async for attempt in budget:
        with attempt:
            if failures:
                raise failures.pop()
            done = budget.count

    assert done == 3
