"""When to look at what waits for tape, once it is known how long that takes."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from pepsasync.decide.waits import ENOUGH, LEARNED, Waits


def learned(*seconds, shortest=5, longest=600):
    waits = Waits(shortest, longest)
    for one in seconds:
        waits.note(one)
    return waits


def test_pauses_grow_while_nothing_is_known():
    waits = learned(100, 100)

    assert not waits.are_known
    assert [5, 7.5, 5] == [
        waits.pause(None, moved=False, waited=0),
        waits.pause(5, moved=False, waited=0),
        waits.pause(7.5, moved=True, waited=0),
    ]


@pytest.mark.parametrize(
    ("waited", "pause"),
    [
        pytest.param(0, 300, id="nothing can be there yet"),
        pytest.param(290, 10, id="soon"),
        pytest.param(300, 5, id="from now on"),
        pytest.param(5000, 5, id="late"),
    ],
)
def test_nobody_looks_before_the_first_can_be_there(waited, pause):
    assert learned(300, 400, 500).pause(None, moved=False, waited=waited) == pause


def test_pauses_stay_a_fraction_of_what_a_product_takes():
    waits = learned(*[1000] * ENOUGH)

    assert [100, 100, 5] == [
        waits.pause(90, moved=False, waited=1000),
        waits.pause(100, moved=False, waited=1000),
        waits.pause(100, moved=True, waited=1000),
    ]


def test_what_was_learned_long_ago_is_forgotten():
    assert learned(*[10_000] * LEARNED, *[100] * LEARNED).pause(None, moved=False, waited=0) == 100


@given(
    st.lists(st.floats(0, 1e6), max_size=10),
    st.none() | st.floats(1, 1e4),
    st.booleans(),
    st.floats(0, 1e7),
)
def test_pauses_keep_their_bounds(seconds, previous, moved, waited):
    assert 5 <= learned(*seconds).pause(previous, moved=moved, waited=waited) <= 600
