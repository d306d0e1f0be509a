"""However connections come, go and fail, every byte of the file is brought, and the part grows to its end."""

import itertools

import hypothesis.strategies as st
from hypothesis import given

from pepsasync.transfer.old_division import Division

SMALLEST, SHARE = 10, 40


def test_what_comes_next_belongs_to_whoever_leads():
    division = Division(200)

    first = division.claim(20, share=SHARE, smallest=SMALLEST, is_led=True)
    second = division.claim(20, share=SHARE, smallest=SMALLEST, is_led=True)

    assert (first.start, first.end, division.limit(20)) == (60, 100, 60)
    assert (second.start, second.end) == (100, 140)


def test_a_remainder_too_small_for_a_connection_is_added_to_the_segment():
    division = Division(2 * SHARE + SMALLEST - 1)

    claimed = division.claim(0, share=SHARE, smallest=SMALLEST, is_led=False)
    rest = division.claim(0, share=SHARE, smallest=SMALLEST, is_led=False)

    assert (claimed.end, rest.end) == (SHARE, division.size)


def test_the_rest_of_the_busiest_is_halved_when_nothing_is_free():
    division = Division(100)
    busy = division.claim(0, share=100, smallest=SMALLEST, is_led=False)
    busy.received = 20

    helper = division.claim(0, share=100, smallest=SMALLEST, is_led=False)

    assert (busy.end, helper.start, helper.end) == (60, 60, 100)


def test_nothing_is_claimed_of_what_is_not_worth_a_connection():
    assert Division(2 * SMALLEST - 1).claim(0, share=SHARE, smallest=SMALLEST, is_led=True) is None


@given(st.integers(1, 500), st.lists(st.tuples(st.integers(0, 3), st.integers(1, 60), st.booleans()), max_size=60))
def test_every_byte_comes_exactly_where_it_belongs(size, steps):
    """One leads, others come and go; the part only ever grows by what is right behind it."""
    division, part, came = Division(size), 0, set()

    def join():
        nonlocal part
        while (segment := division.at(part)) and not segment.is_running:
            assert set(range(part, segment.position)) <= came
            part = segment.position
            division.forget(segment)

    for kind, count, is_led in steps:
        running = division.running()
        if kind == 0:
            division.claim(part, share=SHARE, smallest=SMALLEST, is_led=is_led)
        elif kind == 1 and running:
            segment = running[count % len(running)]
            more = min(count, segment.end - segment.position)
            came |= set(range(segment.position, segment.position + more))
            segment.received += more
        elif kind == 2 and running:
            division.release(running[count % len(running)])
        elif kind == 3 and division.at(part) is None:
            part = min(part + count, division.limit(part))
        segments = sorted(division.running(), key=lambda one: one.start)
        assert all(one.end <= other.start for one, other in itertools.pairwise(segments))
        join()

    for segment in division.running():
        division.release(segment)
    while part < size:
        join()
        part = max(part, division.limit(part) if division.at(part) is None else part)
    assert part == size
