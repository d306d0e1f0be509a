"""When to look at what waits for tape, once it is known how long that takes and in which rhythm products come."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from pepsasync.engine.waits import ENOUGH, ENOUGH_GAPS, FINENESS, LATE, LEARNED, RHYTHM, Waits
from pepsasync.limits.estimate import TapePace


def learned(*seconds, shortest=5, longest=600):
    waits = Waits(shortest, longest)
    for one in seconds:
        waits.note(one, 0)
    return waits


def in_rhythm(*arrivals, waits=(100,)):
    known = learned(*waits, *[waits[-1]] * ENOUGH)
    for now in arrivals:
        known.note(waits[-1], now)
    return known


def test_pauses_grow_while_nothing_is_known():
    waits = learned(100, 100)

    assert not waits.are_known
    assert [5, 7.5, 5] == [
        waits.pause(None, moved=False, waited=0, now=0),
        waits.pause(5, moved=False, waited=0, now=0),
        waits.pause(7.5, moved=True, waited=0, now=0),
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
    assert learned(300, 400, 500).pause(None, moved=False, waited=waited, now=0) == pause


def test_pauses_stay_a_fraction_of_what_a_product_takes():
    waits = learned(*[1000] * ENOUGH)

    assert [100, 100, 5] == [
        waits.pause(90, moved=False, waited=1000, now=0),
        waits.pause(100, moved=False, waited=1000, now=0),
        waits.pause(100, moved=True, waited=1000, now=0),
    ]


def test_what_was_learned_long_ago_is_forgotten():
    assert learned(*[10_000] * LEARNED, *[100] * LEARNED).pause(None, moved=False, waited=0, now=0) == 100


def test_nobody_looks_before_the_next_arrival_is_nearly_due():
    waits = in_rhythm(0, 200, 400)

    assert waits.pause(5, moved=False, waited=1025, now=425) == pytest.approx(155)
    assert waits.pause(180, moved=False, waited=1180, now=580) == pytest.approx(10)  # the waits are shorter than gaps


def test_another_drive_may_be_done_a_moment_after_an_arrival():
    waits = in_rhythm(0, 200, 400, waits=(5000,))

    assert [5, 20] == [
        waits.pause(180, moved=True, waited=6000, now=400),
        waits.pause(5, moved=False, waited=6005, now=405),
    ]


def test_pauses_stay_a_fraction_of_the_gap_when_waits_are_long():
    waits = in_rhythm(0, 200, 400, waits=(5000,))

    assert waits.pause(180, moved=False, waited=6000, now=580) == 20


def test_one_gap_is_no_rhythm():
    assert in_rhythm(0, 200).pause(5, moved=True, waited=1000, now=200) == 5


def test_a_rhythm_is_over_when_nothing_comes_for_long():
    waits = in_rhythm(0, 200, 400, waits=(5000,))

    assert waits.pause(400, moved=False, waited=9000, now=400 + LATE * 200) == 20
    assert waits.pause(400, moved=False, waited=9000, now=401 + LATE * 200) == 500


def test_what_is_asked_for_after_a_rest_begins_no_gap():
    waits = in_rhythm(0, 200, 400)
    waits.rest()
    waits.note(100, 9000)
    waits.note(100, 9200)

    assert waits.pause(5, moved=False, waited=1025, now=9225) == pytest.approx(155)


def looks_at(arrivals, *, shortest=5.0, longest=600.0):
    """When each arrival is found, and how often was looked until all were; all were asked for at 0."""
    waits, now, looks, found, pause, before = Waits(shortest, longest), 0.0, 0, [], None, 0.0
    left = sorted(arrivals)
    pause = waits.pause(None, moved=False, waited=0.0, now=0.0)
    while left:
        now, looks = now + pause, looks + 1
        here = [one for one in left if one <= now]
        left = left[len(here) :]
        for _ in here:
            waits.note(before, now)
            found.append(now)
        before = now
        pause = waits.pause(pause, moved=bool(here), waited=now, now=now)
    return found, looks


@given(gap=st.floats(60, 3000), drives=st.integers(1, 4))
def test_a_steady_train_is_met_soon_with_few_looks(gap, drives):
    arrivals = [gap * (number // drives + 1) for number in range(40 * drives)]
    found, looks = looks_at(arrivals)
    late = [there - ready for ready, there in zip(arrivals, found, strict=True)][-20 * drives :]

    assert max(late) <= max(1.1 * gap / FINENESS, 5.0)
    assert looks <= 9 * 40


@given(st.floats(100, 3000), st.lists(st.floats(0, 0.09), min_size=40, max_size=40), st.integers(0, 39))
def test_drives_that_end_a_moment_apart_are_met_soon(gap, apart, together):
    apart[:together] = [0.0] * together
    arrivals = [gap * (number // 2 + 1 + share) for number, share in enumerate(apart)]
    found, _ = looks_at(arrivals)
    late = [there - ready for ready, there in zip(sorted(arrivals), found, strict=True)][-20:]

    assert max(late) <= 1.1 * gap / FINENESS


@given(st.lists(st.floats(1, 2000), min_size=1, max_size=60))
def test_nothing_is_found_later_than_the_longest_pause(gaps):
    arrivals = [sum(gaps[: number + 1]) for number in range(len(gaps))]
    found, _ = looks_at(arrivals)

    assert max(there - ready for ready, there in zip(arrivals, found, strict=True)) <= 600


@given(
    st.lists(st.floats(0, 1e6), min_size=RHYTHM + ENOUGH_GAPS, max_size=RHYTHM + ENOUGH_GAPS),
    st.lists(st.floats(0, 1e5), max_size=RHYTHM + ENOUGH_GAPS).map(sorted),
    st.none() | st.floats(1, 1e4),
    st.booleans(),
    st.floats(0, 1e7),
)
def test_pauses_keep_their_bounds(seconds, arrivals, previous, moved, waited):
    waits = Waits(5, 600)
    for one, now in zip(seconds, arrivals, strict=False):
        waits.note(one, now)

    assert 5 <= waits.pause(previous, moved=moved, waited=waited, now=1e5) <= 600


def test_the_pace_is_known_as_far_as_it_was_learned():
    assert TapePace() == learned(100, 100).pace
    assert TapePace(wait=(80, 100)) == learned(100, 80, 90).pace


def test_products_that_one_look_finds_share_the_gap_before_them():
    waits = learned(300, 300, 300)
    for now, products in ((100, 4), (160, 1), (200, 2), (290, 3)):
        for _ in range(products):
            waits.note(300, now)

    assert TapePace(wait=(300, 300), interval=(20, 60)) == waits.pace


def test_a_pause_in_which_nothing_was_awaited_is_no_gap():
    waits = in_rhythm(0, 60, 120)
    waits.rest()
    for now in (5_000, 5_000, 5_060):
        waits.note(100, now)

    assert waits.pace.interval == (60, 60)
