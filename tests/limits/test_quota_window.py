"""The sliding window of a quota."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pepsasync.errors import ConfigError
from pepsasync.limits.quota import Window
from pepsasync.model import Quota


def begin(window, now):
    window.ask()
    window.begin(now)


def test_requests_without_an_answer_count():
    window = Window(Quota(2, 60.0))
    window.ask()
    window.ask()
    assert window.wait(1000.0) == 60.0
    window.begin(1000.0)
    assert window.wait(1060.0) == 0


def test_no_quota_never_waits():
    window = Window(None)
    for _ in range(1000):
        begin(window, 0.0)
    assert window.wait(0.0) == 0


def test_the_next_slot_opens_when_the_first_start_leaves_the_window():
    window = Window(Quota(2, 60.0))
    begin(window, 0.0)
    begin(window, 10.0)
    assert window.wait(15.0) == 45.0
    assert window.wait(60.0) == 0
    begin(window, 60.0)
    assert window.wait(60.0) == 10.0


def test_earlier_runs_count():
    assert Window(Quota(1, 60.0), [-20.0]).wait(0.0) == 40.0


def test_a_smaller_quota_waits_until_enough_have_left():
    assert Window(Quota(1, 60.0), [0.0, 10.0, 20.0]).wait(20.0) == 60.0


def test_the_archive_knows_better():
    window = Window(Quota(3, 60.0))
    window.correct(used=3, now=5.0)
    assert window.wait(5.0) == 60.0
    window.correct(used=2, now=6.0)
    assert window.wait(6.0) == 0


@given(
    st.integers(1, 5),
    st.floats(1, 100),
    st.lists(st.floats(0, 20), max_size=60),
)
def test_no_window_ever_holds_more_starts_than_the_quota(products, seconds, steps):
    window, now, starts = Window(Quota(products, seconds)), 0.0, deque()
    for step in steps:
        now += step
        if window.wait(now) == 0:
            begin(window, now)
            starts.append(now)
        recent = [start for start in starts if start + seconds > now]
        assert len(recent) <= products


@pytest.mark.parametrize(("products", "seconds"), [(0, 1.0), (1, 0.0), (-1, 5.0)])
def test_senseless_quotas_are_refused(products, seconds):
    with pytest.raises(ConfigError):
        Quota(products, seconds)
