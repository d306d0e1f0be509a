"""Who is asked for next of those that wait for tape."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from pepsasync.limits.tape_order import TapeOrder

EPOCH = datetime(2015, 1, 1, tzinfo=UTC)


def day(number):
    return None if number is None else EPOCH + timedelta(days=number)


def waiting(*days, **settings):
    order = TapeOrder(**settings)
    for number in days:
        order.add(number, day(number))
    return order


def taken(order):
    everything = []
    while order:
        everything.append(order.first)
        assert order.take_first() == everything[-1]
    return everything


def test_the_earliest_acquisition_goes_first():
    assert taken(waiting(3, 1, None, 2)) == [1, 2, 3, None]


def test_the_same_acquisition_goes_in_the_order_of_arrival():
    order = TapeOrder()
    for name in "DACB":
        order.add(name, day(1))

    assert taken(order) == [*"DACB"]


def test_what_goes_first_goes_before_all_others():
    order = waiting(1, 2)
    order.add("late", day(9), goes_first=True)
    order.add("early", day(8), goes_first=True)

    assert taken(order) == ["early", "late", 1, 2]


def test_who_comes_too_late_for_this_sweep_goes_with_the_next():
    order = waiting(3, 5, 7)
    assert order.take_first() == 3
    for number in (6, 2, 1):
        order.add(number, day(number))

    assert taken(order) == [5, 6, 7, 1, 2]


def test_a_sweep_takes_in_only_so_many_latecomers():
    order = waiting(1, 9, latecomers=2)
    assert order.take_first() == 1
    for number in (3, 4, 5, 6):
        order.add(number, day(number))

    assert taken(order) == [3, 4, 9, 5, 6]


@pytest.mark.parametrize("is_taken", [True, False])
def test_a_sweep_is_over_when_nobody_waits(is_taken):
    order = waiting(7)
    order.take_first()
    place = order.add(8, day(8))
    if is_taken:
        order.take_first()
    else:
        order.remove(place)
    for number in (9, 4, 3):
        order.add(number, day(number))

    assert taken(order) == [3, 4, 9]


def test_a_catalogue_that_begins_with_the_latest_is_not_asked_for_backwards():
    """A new product comes into reach for each that is asked for."""
    reach, order, asked = 10, TapeOrder(), []
    for number in range(100, 0, -1):
        order.add(number, day(number))
        if number <= 100 - reach:
            asked.append(order.take_first())
    asked += taken(order)

    assert sum(after < before for before, after in pairwise(asked)) <= 100 / reach


@given(st.lists(st.none() | st.integers(0, 50)), st.data())
def test_who_gives_up_changes_nothing_for_the_others(days, data):
    order = TapeOrder()
    places = [order.add(number, day(number)) for number in days]
    leaving = data.draw(st.sets(st.sampled_from(range(len(days))))) if days else set()
    for which in leaving:
        order.remove(places[which])

    left = [number for which, number in enumerate(days) if which not in leaving]
    assert taken(order) == sorted(left, key=lambda number: 99 if number is None else number)


@given(
    days=st.lists(st.none() | st.integers(0, 9), min_size=1, max_size=200),
    reach=st.integers(1, 8),
    latecomers=st.integers(0, 5),
)
@example(days=[9, *[0] * 99], reach=2, latecomers=1)
@example(days=[0, *range(99)], reach=2, latecomers=1)
@example(days=[5, 5, 1, *range(5, 99)], reach=2, latecomers=3)
def test_nobody_is_passed_over_for_ever(days, reach, latecomers):
    """By those who wait too, and by those who may join two sweeps."""
    order, passed_over = TapeOrder(latecomers=latecomers), [0] * len(days)
    here = set()

    def take():
        now = order.take_first()
        here.remove(now)
        for earlier in here:
            passed_over[earlier] += earlier < now

    for arrival, number in enumerate(days):
        order.add(arrival, day(number))
        here.add(arrival)
        if len(here) == reach:
            take()
    while here:
        take()

    assert max(passed_over) <= reach + 2 * latecomers
