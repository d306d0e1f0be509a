"""Pieces of blocking work are gathered: on both event loops, whoever is cancelled, whatever fails."""

import threading

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pepsasync.transfer.batches import Batches

pytestmark = pytest.mark.anyio


class Work:
    """Doubles numbers, in batches that it remembers; can be held up."""

    def __init__(self):
        self.batches = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()

    def __call__(self, items):
        with self._lock:
            self.batches.append(list(items))
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.may_go_on.wait(10)
        with self._lock:
            self.at_once -= 1
        return [ValueError(f"no {item}") if item < 0 else item * 2 for item in items]

    @property
    def items(self):
        return sorted(item for batch in self.batches for item in batch)


async def until(condition):
    with anyio.fail_after(5):
        while not condition():
            await anyio.lowlevel.checkpoint()


async def do_all(batches, items):
    """Outcome or error by item, all asked for at once."""
    outcomes = {}

    async def one(item):
        try:
            outcomes[item] = await batches.do(item)
        except (ValueError, OSError) as error:
            outcomes[item] = error

    async with anyio.create_task_group() as tasks:
        for item in items:
            tasks.start_soon(one, item)
    return outcomes


@pytest.mark.parametrize("threads", [1, 2, 3])
async def test_everybody_gets_the_own_outcome_and_later_ones_come_together(threads):
    work = Work()

    outcomes = await do_all(Batches(work, threads=threads, most=8), range(50))

    assert outcomes == {item: 2 * item for item in range(50)}
    assert work.items == list(range(50))
    assert len(work.batches) < 50
    assert max(map(len, work.batches)) <= 8
    assert work.most_at_once <= threads


async def test_error_of_one_is_not_that_of_others():
    outcomes = await do_all(Batches(Work(), threads=1, most=4), [1, -2, 3, -4, 5])

    assert {item: str(outcome) for item, outcome in outcomes.items()} == {
        1: "2", -2: "no -2", 3: "6", -4: "no -4", 5: "10",
    }  # fmt: skip


async def test_work_that_fails_as_a_whole_fails_for_all_and_the_next_batch_goes_on():
    work, fails = Work(), [True]

    def breaks_once(items):
        if fails.pop() if fails else False:
            raise OSError("the folder is gone")
        return work(items)

    batches = Batches(breaks_once, threads=1, most=4)

    outcomes = await do_all(batches, range(3))

    [failed] = [item for item, outcome in outcomes.items() if isinstance(outcome, OSError)]
    assert outcomes | {failed: 2 * failed} == {0: 0, 1: 2, 2: 4}
    assert await batches.do(21) == 42


async def test_cancelled_while_waiting_is_never_worked_on():
    work = Work()
    work.may_go_on.clear()
    batches = Batches(work, threads=1, most=4)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(batches.do, 1)
        await until(lambda: work.batches)
        with anyio.move_on_after(0.01):
            await batches.do(2)
        work.may_go_on.set()

    assert await batches.do(3) == 6
    assert work.items == [1, 3]


async def test_cancelled_while_worked_on_ends_with_the_work_complete():
    work = Work()
    batches, ended = Batches(work, threads=1, most=4), []

    async def one(item):
        try:
            await batches.do(item)
            await anyio.sleep_forever()
        finally:
            ended.append((item, work.at_once))

    work.may_go_on.clear()
    async with anyio.create_task_group() as others, anyio.create_task_group() as tasks:
        others.start_soon(batches.do, 1)
        await until(lambda: work.batches)
        for item in (2, 3):
            tasks.start_soon(one, item)
        work.may_go_on.set()
        await until(lambda: work.items == [1, 2, 3])
        tasks.cancel_scope.cancel()

    assert sorted(ended) == [(2, 0), (3, 0)]
    assert await batches.do(4) == 8


async def test_thread_is_passed_on_when_whoever_was_called_to_it_is_cancelled():
    """The call and the cancellation come in the same turn of the event loop."""
    work = Work()
    batches, scope = Batches(work, threads=1, most=1), anyio.CancelScope()

    async def cancelled():
        with scope:
            await batches.do(2)

    async def cancels():
        await batches.do(1)
        scope.cancel()

    async with anyio.create_task_group() as tasks:
        for task in (cancels, cancelled):
            tasks.start_soon(task)
            await anyio.lowlevel.checkpoint()
    with anyio.fail_after(5):
        assert await batches.do(3) == 6


async def test_there_is_room_again_once_a_batch_was_taken():
    work = Work()
    work.may_go_on.clear()
    batches, let_in = Batches(work, threads=1, most=2), []

    async def another(item):
        await batches.until_room()
        let_in.append(item)
        await batches.do(item)

    async with anyio.create_task_group() as tasks:
        for item in (1, 2, 3):
            tasks.start_soon(batches.do, item)
        await until(lambda: work.batches)
        await anyio.wait_all_tasks_blocked()
        for item in (4, 5):
            tasks.start_soon(another, item)
        await anyio.wait_all_tasks_blocked()
        assert let_in == []
        work.may_go_on.set()

    assert sorted(let_in) == [4, 5]
    assert work.items == [1, 2, 3, 4, 5]


async def test_there_is_room_again_once_somebody_gave_up():
    work = Work()
    work.may_go_on.clear()
    batches, scope = Batches(work, threads=1, most=1), anyio.CancelScope()

    async def gives_up():
        with scope:
            await batches.do(2)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(batches.do, 1)
        await until(lambda: work.batches)
        tasks.start_soon(gives_up)
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(0.01):
            await batches.until_room()
            raise AssertionError("there was room")
        scope.cancel()
        with anyio.fail_after(5):
            await batches.until_room()
        work.may_go_on.set()

    assert work.items == [1]


@given(st.lists(st.tuples(st.integers(-3, 30), st.booleans()), max_size=25), st.integers(1, 3), st.integers(1, 5))
def test_whatever_is_cancelled_the_rest_is_done_once(asked, threads, most):
    work = Work()
    kept = sorted(item for item, is_cancelled in asked if not is_cancelled and item >= 0)
    done = []

    async def one(batches, item, is_cancelled):
        try:
            with anyio.CancelScope() as scope:
                if is_cancelled:
                    scope.deadline = anyio.current_time()
                done.append((await batches.do(item), is_cancelled))
        except ValueError:
            assert item < 0

    async def main():
        batches = Batches(work, threads=threads, most=most)
        async with anyio.create_task_group() as tasks:
            for item, is_cancelled in asked:
                tasks.start_soon(one, batches, item, is_cancelled)
        with anyio.fail_after(5):
            assert await batches.do(100) == 200

    anyio.run(main)

    assert sorted(item // 2 for item, is_cancelled in done if not is_cancelled) == kept
    assert work.most_at_once <= threads
