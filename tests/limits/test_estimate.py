"""How long an order takes at least."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pepsasync.limits.estimate import TapePace, TimeLeft, Work, quota_seconds, time_left, transfer_seconds
from pepsasync.model import Quota


def test_a_quota_lets_the_first_window_go_at_once():
    quota = Quota(50, 3600.0)

    assert quota_seconds(50, quota) == 0
    assert quota_seconds(51, quota) == 3600
    assert quota_seconds(150, quota) == 7200
    assert quota_seconds(10, quota, left=3) == 3600
    assert quota_seconds(10, None) == quota_seconds(0, quota, left=0) == 0


@given(st.integers(0, 10_000), st.integers(1, 100), st.integers(0, 100))
def test_more_products_never_take_less_time(products, window, left):
    quota = Quota(window, 60.0)

    assert quota_seconds(products + 1, quota, left) >= quota_seconds(products, quota, left) >= 0


def test_the_line_takes_its_time():
    assert transfer_seconds(1000, 100.0) == 10
    assert transfer_seconds(1000, None) is None


PACE = TapePace(wait=(60.0, 300.0), interval=(10.0, 30.0))


@pytest.mark.parametrize(
    ("work", "known", "left"),
    [
        pytest.param({"products": 0}, {}, TimeLeft(0, 0), id="nothing to do"),
        pytest.param({"products": 0, "is_searched": False}, {}, TimeLeft(0, None, ("search",)), id="searching"),
        pytest.param({"products": 2, "size": 500}, {"rate": 10}, TimeLeft(50, 50), id="the line alone"),
        pytest.param({"products": 2, "size": 500}, {}, TimeLeft(0, None, ("speed",)), id="unknown line"),
        pytest.param(
            {"products": 9, "size": 500, "on_tape": 3}, {"rate": 10}, TimeLeft(50, None, ("tape",)), id="unknown tape"
        ),
        pytest.param(
            {"products": 9, "size": 500, "on_tape": 3, "is_searched": False},
            {},
            TimeLeft(0, None, ("search", "speed", "tape")),
            id="nothing known",
        ),
        pytest.param(
            {"products": 3, "on_tape": 1, "waited": 20.0},
            {"pace": TapePace(wait=(60.0, 300.0))},
            TimeLeft(40, 280),
            id="one wait",
        ),
        pytest.param(
            {"products": 3, "on_tape": 1, "waited": 301.0},
            {"pace": TapePace(wait=(60.0, 300.0))},
            TimeLeft(0, None, ("tape",)),
            id="longer than ever",
        ),
        pytest.param({"products": 9, "on_tape": 9}, {"pace": PACE}, TimeLeft(90, 60 + 270), id="rhythm of the drives"),
        pytest.param(
            {"products": 9, "on_tape": 9, "idle": 8.0, "waited": 90.0},
            {"pace": PACE},
            TimeLeft(82, 270),
            id="the next is nearly due",
        ),
        pytest.param(
            {"products": 9, "on_tape": 9, "idle": 500.0, "waited": 500.0},
            {"pace": PACE},
            TimeLeft(0, None, ("tape",)),
            id="the rhythm is over",
        ),
        pytest.param(
            {"products": 9, "on_tape": 1, "maybe_on_tape": 4, "waited": 90.0},
            {"pace": PACE},
            TimeLeft(10, 150),
            id="others may be on tape",
        ),
        pytest.param(
            {"products": 120, "size": 500}, {"rate": 10, "quota": Quota(50, 3600)}, TimeLeft(7200, 10850), id="quota"
        ),
        pytest.param({"products": 50}, {"quota": Quota(50, 3600)}, TimeLeft(0, 0), id="a quota that suffices"),
        pytest.param(
            {"products": 5}, {"quota": Quota(50, 3600), "quota_wait": 900.0}, TimeLeft(900, 3600), id="no quota now"
        ),
    ],
)
def test_time_left_is_a_range_and_says_what_is_not_known(work, known, left):
    assert time_left(Work(**{"size": 0} | work), **{"rate": None} | known) == left


@given(
    st.builds(
        Work,
        products=st.integers(1, 1000),
        size=st.integers(0, 10**12),
        on_tape=st.integers(0, 1000),
        maybe_on_tape=st.integers(0, 1000),
        waited=st.floats(0, 1e6),
        idle=st.floats(0, 1e6),
        is_searched=st.booleans(),
    ),
    st.none() | st.floats(1, 1e9),
    st.sampled_from([TapePace(), PACE, TapePace(wait=(1.0, 2.0)), TapePace(interval=(1.0, 9.0))]),
    st.sampled_from([None, Quota(3, 60.0)]),
    st.floats(0, 1e5),
)
def test_the_end_of_the_range_is_never_before_its_beginning(work, rate, pace, quota, wait):
    left = time_left(work, rate=rate, pace=pace, quota=quota, quota_wait=wait)

    assert left.least >= 0
    assert (left.most is None) == bool(left.unknown)
    assert left.most is None or left.most >= left.least * 0.999999
