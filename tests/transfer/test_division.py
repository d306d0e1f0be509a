"""However connections come, go and fail, every byte of the file is brought once, and put where it belongs."""

import itertools
from collections import Counter

import hypothesis.strategies as st
from hypothesis import example, given, settings

from pepsasync.transfer.division import Division

SMALLEST, SHARE = 10, 40


def claim(division, *, share=SHARE, leads=True):
    return division.claim(share=share, smallest=SMALLEST, leads=leads)


def bring(segment, count):
    segment.received += count
    segment.written += count


def test_whoever_leads_has_the_first_gap_alone():
    division = Division(100, [(0, 20), (50, 60)])

    leading = division.claim_front()

    assert (leading.start, leading.end) == (20, 50)
    assert division.claim_front() is None


def test_what_comes_next_stays_with_whoever_leads():
    division = Division(200)
    leading = division.claim_front()

    first, second = claim(division), claim(division)

    assert (leading.end, first.start, first.end) == (SHARE, SHARE, 2 * SHARE)
    assert (second.start, second.end) == (2 * SHARE, 3 * SHARE)


def test_first_gap_is_left_to_whoever_will_lead_soon():
    assert claim(Division(200)) is None
    assert claim(Division(200), leads=False).start == 0


def test_a_remainder_too_small_for_a_connection_is_added_to_the_segment():
    division = Division(2 * SHARE + SMALLEST - 1)

    first, rest = claim(division, leads=False), claim(division, leads=False)

    assert (first.end, rest.end) == (SHARE, division.size)


def test_the_rest_of_the_busiest_is_halved_when_nothing_is_free():
    division = Division(100)
    busy = division.claim_front()
    busy.received = 20

    further = claim(division, share=100)

    assert (busy.end, further.start, further.end) == (60, 60, 100)


def test_the_end_only_moves_towards_the_start():
    division = Division(1000)
    busy, ends = division.claim_front(), [1000]
    while further := claim(division, share=1000):
        division.release(further)
        bring(busy, 1)
        ends.append(busy.end)
        if busy.left < 2 * SMALLEST:
            break

    assert ends == sorted(ends, reverse=True)
    assert busy.end >= busy.position


def test_nothing_is_claimed_of_what_is_not_worth_a_connection():
    division = Division(2 * SMALLEST - 1)
    leading = division.claim_front()

    assert claim(division) is None
    assert leading.end == division.size


def test_what_was_received_and_not_written_is_nobodys_again():
    division = Division(100)
    leading = division.claim_front()
    leading.received, leading.written = 30, 10

    division.release(leading)

    assert (division.received, division.front, division.filled()) == (10, 10, [(0, 10)])
    assert division.claim_front().start == 10


def test_bytes_of_which_the_size_is_not_known_are_led_to_their_end():
    division = Division(None)
    leading = division.claim_front()
    bring(leading, 70)

    assert not division.is_complete
    division.release(leading)
    division.set_size(70)

    assert division.is_complete
    assert division.claim_front() is None


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["lead", "claim", "look", "receive", "write", "release"]),
        st.integers(0, 9),
        st.integers(1, 90),
        st.booleans(),
    ),
    max_size=80,
)


class Connections:
    """Threads that receive up to the end that they saw last, and write up to the end that holds now."""

    def __init__(self, size, filled=()):
        self.division = Division(size, filled)
        self.size = size
        self.seen = {}
        self.times = Counter(byte for start, end in filled for byte in range(start, end))

    def add(self, segment):
        if segment is not None:
            assert not {*range(segment.start, segment.end)} & self.times.keys()
            assert segment.start < segment.end <= self.size
            self.seen[segment] = segment.end

    def receive(self, segment, count):
        segment.received += max(0, min(count, self.seen[segment] - segment.position))

    def write(self, segment, count):
        count = max(0, min(count, segment.received - segment.written, segment.end - segment.filled))
        self.times.update(range(segment.filled, segment.filled + count))
        segment.written += count

    def release(self, segment):
        self.division.release(segment)
        del self.seen[segment]

    def do(self, kind, which, count, flag):
        segment = [*self.seen][which % len(self.seen)] if self.seen else None
        if kind == "lead":
            self.add(self.division.claim_front())
        elif kind == "claim":
            self.add(self.division.claim(share=max(count, SMALLEST), smallest=SMALLEST, leads=flag))
        elif segment is not None:
            match kind:
                case "look":
                    self.seen[segment] = segment.end
                case "receive":
                    self.receive(segment, count)
                case "write":
                    self.write(segment, count)
                case "release":
                    self.release(segment)

    def check(self):
        division, written = self.division, set(self.times)
        assert set(self.times.values()) <= {1}
        assert {byte for start, end in division.filled() for byte in range(start, end)} == written
        assert all(end < start for (_, end), (start, _) in itertools.pairwise(division.filled()))
        assert division.front == next(byte for byte in itertools.count() if byte not in written)
        assert division.is_complete == (len(written) == self.size)
        coming = {byte for one in self.seen for byte in range(one.start, min(one.position, one.end))}
        assert division.received == len(written | coming)
        running = sorted(self.seen, key=lambda one: one.start)
        assert all(one.end <= other.start for one, other in itertools.pairwise(running))

    def bring_the_rest(self):
        for segment in [*self.seen]:
            self.release(segment)
            self.check()
        assert self.division.received == len(self.times)
        while not self.division.is_complete:
            front = self.division.front
            self.add(leading := self.division.claim_front())
            assert leading.start == front
            self.receive(leading, self.size)
            self.write(leading, self.size)
            self.release(leading)
        assert self.times == dict.fromkeys(range(self.size), 1)
        assert self.division.filled() == [(0, self.size)]
        assert self.division.received == self.size


@settings(max_examples=400)
@given(st.integers(1, 500), STEPS)
@example(100, [("lead", 0, 1, True), ("claim", 0, 10, True), ("receive", 0, 90, True), ("write", 0, 90, True)])
def test_every_byte_comes_exactly_once(size, steps):
    """Leading and further connections come, receive, write and go in any order."""
    connections = Connections(size)
    for step in steps:
        connections.do(*step)
        connections.check()
    connections.bring_the_rest()


@st.composite
def stretches(draw):
    """A size, and stretches of it in their order, some of which touch each other."""
    size = draw(st.integers(1, 500))
    ends = sorted(draw(st.lists(st.integers(0, size), max_size=12, unique=True)))
    pairs = [*itertools.pairwise(ends)]
    kept = draw(st.lists(st.booleans(), min_size=len(pairs), max_size=len(pairs)))
    return size, [pair for pair, is_kept in zip(pairs, kept, strict=True) if is_kept]


@given(stretches(), STEPS)
def test_what_an_earlier_run_has_filled_is_not_asked_for_again(found, steps):
    size, filled = found
    connections = Connections(size, filled)
    connections.check()
    assert connections.division.received == sum(end - start for start, end in filled)
    for step in steps:
        connections.do(*step)
        connections.check()
    connections.bring_the_rest()
