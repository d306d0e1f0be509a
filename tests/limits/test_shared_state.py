"""The ledger of an account: what each holder gets, who is next, and what is no ledger."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pepsasync.limits.shared.state import (
    Holder,
    Ledger,
    Needs,
    as_text,
    closed,
    dropped,
    free_permits,
    has_to_yield,
    opened,
    parse,
    quota_wait,
    settled,
)
from pepsasync.model import Quota

A, B, C = (letter * 16 for letter in "abc")
ALL = frozenset({A, B, C})
HOUR = Quota(4, 3600.0)


def needs(slots=0, wants=0, *, permits=0, wants_permits=0, begun=0):
    return Needs(slots=slots, permits=permits, begun=begun, wants_slots=wants, wants_permits=wants_permits)


def settle(ledger, token, *given, total=4, quota=None, now=1000.0, lively=ALL, **more):
    """The next version of a ledger."""
    found = settled(
        ledger, Holder(token=token), needs(*given, **more), total=total, quota=quota, now=now, lively=lively
    )
    return replace(found, version=ledger.version + 1)


def slots(ledger):
    return {one.token[0]: one.slots for one in ledger.holders}


def test_one_alone_gets_what_it_wants_and_no_more_than_there_is():
    assert {"a": 3} == slots(settle(Ledger(), A, 0, 3))
    assert {"a": 4} == slots(settle(Ledger(), A, 0, 9))


def test_what_is_given_up_is_for_others():
    ledger = settle(settle(Ledger(), A, 0, 4), B, 0, 4)
    assert {"a": 4, "b": 0} == slots(ledger)

    ledger = settle(settle(ledger, A, 2, 4), B, 0, 4)

    assert {"a": 2, "b": 2} == slots(ledger)


def test_what_is_free_is_left_for_whoever_has_least():
    ledger = settle(settle(settle(Ledger(), A, 0, 4), B, 0, 4), A, 3, 4)

    assert {"a": 3, "b": 0} == slots(ledger)


def test_nothing_is_left_for_those_that_stand_still():
    ledger = settle(settle(settle(Ledger(), A, 0, 4), B, 0, 4), A, 3, 4, lively=frozenset())

    assert {"a": 4, "b": 0} == slots(ledger)


def test_whoever_had_none_for_longest_is_next():
    ledger = settle(settle(settle(Ledger(), A, 0, 1, total=1), B, 0, 1, total=1), C, 0, 1, total=1)
    ledger = settle(ledger, A, 0, 1, total=1)  # gives up
    ledger = settle(settle(ledger, C, 0, 1, total=1), A, 0, 1, total=1)
    assert {"a": 0, "b": 0, "c": 0} == slots(ledger)

    ledger = settle(ledger, B, 0, 1, total=1)

    assert {"a": 0, "b": 1, "c": 0} == slots(ledger)


def test_a_slot_is_yielded_at_once_to_one_that_has_two_fewer_and_after_a_turn_to_one_that_has_one_fewer():
    ledger = settle(settle(Ledger(), A, 0, 4), B, 0, 4)
    assert has_to_yield(ledger, A, ALL, turn_is_over=False)

    ledger = settle(settle(Ledger(), A, 0, 2, total=3), B, 0, 4, total=3)

    assert not has_to_yield(ledger, B, ALL, turn_is_over=True)
    assert not has_to_yield(ledger, A, ALL, turn_is_over=False)
    assert has_to_yield(ledger, A, ALL, turn_is_over=True)
    assert not has_to_yield(ledger, A, frozenset(), turn_is_over=True)


def test_permits_and_starts_are_never_more_than_the_quota():
    ledger = settle(Ledger(), A, permits=0, wants_permits=3, quota=HOUR)
    ledger = settle(ledger, A, permits=1, begun=2, wants_permits=1, quota=HOUR)
    assert 1 == free_permits(ledger, HOUR, 1000.0)

    ledger = settle(ledger, B, wants_permits=4, quota=HOUR)

    assert [1, 1] == [one.permits for one in ledger.holders]
    assert 0 == free_permits(ledger, HOUR, 1000.0)


def test_a_start_counts_for_the_window_and_a_little_longer():
    ledger = settle(Ledger(), A, begun=4, quota=HOUR)
    assert quota_wait(ledger, HOUR, 1000.0) == pytest.approx(3636.1)
    assert 0 == free_permits(ledger, HOUR, 4636.0)

    assert 4 == free_permits(ledger, HOUR, 4636.2)
    assert () == settle(ledger, A, quota=HOUR, now=4636.2).starts


def test_a_start_in_the_future_counts_from_now():
    ledger = replace(Ledger(), starts=(9e9,), seconds=3600.0)

    assert (1000.0,) == settle(ledger, A, quota=HOUR).starts


def test_permits_of_the_dead_count_from_when_that_was_found():
    ledger = settle(Ledger(), A, 0, 2, wants_permits=3, quota=HOUR)

    ledger = dropped(ledger, A, 2000.0)

    assert () == ledger.holders
    assert (2000.0,) * 3 == ledger.starts
    assert ledger == dropped(ledger, A, 3000.0)


def test_a_closed_ledger_gives_nothing():
    ledger = settle(closed(0, C, 60.0), A, 0, 4, wants_permits=4, quota=HOUR)
    assert {"a": 0} == slots(ledger)
    assert 0 == ledger.holders[0].permits

    assert {"a": 4} == slots(settle(opened(ledger), A, 0, 4))


def test_starts_are_kept_for_the_longest_window_that_anybody_goes_by():
    ledger = settle(Ledger(), A, begun=1, quota=Quota(5, 7200.0))

    ledger = settle(ledger, B, quota=HOUR, now=6000.0)

    assert (1000.0,) == ledger.starts


def test_what_is_written_is_read():
    ledger = settle(settle(Ledger(), A, 0, 3, wants_permits=2, quota=HOUR), B, 0, 3, begun=1, quota=HOUR)

    assert ledger == parse(as_text(ledger), 2)


@pytest.mark.parametrize(
    "change",
    [
        ('"version":1', '"version":2'),
        ('"version":1', '"version":true'),
        ('"slots":3', '"slots":-1'),
        ('"slots":3', '"slots":1000000000'),
        ('"slots":3', '"slots":3.0'),
        ('"permits":0', '"permits":"0"'),
        ('"host":""', '"host":"\\u001b[2J"'),
        (f'"token":"{A}"', '"token":"../../etc/pass"'),
        ('"starts":[]', '"starts":[NaN]'),
        ('"starts":[]', '"starts":[-1]'),
        ('"starts":[]', '"starts":null'),
        ('"starts":[]', '"starts":{"a":1}'),
        ('"seconds":0.0', '"seconds":1e99'),
        ('"closed":""', '"closed":"x"'),
        ('"closed":""', '"closed":null'),
        ('"holders":[', '"holders":["x",'),
        ('"holders":[', '"more":1,"holders":['),
        ("}\n", ""),
    ],
)
def test_damage_is_no_ledger(change):
    text = as_text(settle(Ledger(), A, 0, 3))
    assert change[0] in text

    with pytest.raises(ValueError, match=r"it is|Expecting|delimiter|char"):
        parse(text.replace(*change, 1), 1)


@given(st.text() | st.from_regex(r'\{"holders":.*\}') | st.integers().map(str) | st.just("[" * 100_000))
def test_no_text_does_more_than_be_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - JSON has many words
        parse(text, 1)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from([A, B, C]), st.integers(0, 5), st.integers(0, 6), st.integers(0, 3), st.integers(0, 4),
        st.sampled_from(["settle", "die"]), st.floats(0, 40),
    ),
    max_size=60,
)  # fmt: skip


@given(EVENTS, st.integers(1, 5), st.integers(1, 5))
def test_whatever_holders_tell_slots_and_quota_hold(events, total, products):
    quota, ledger, now, begun = Quota(products, 100.0), Ledger(), 1000.0, []
    for token, keep, wants, starts, wants_permits, what, later in events:
        now += later
        if what == "die":
            mine = ledger.holder(token)
            begun += [now] * (mine.permits if mine else 0)
            ledger = dropped(ledger, token, now)
        else:
            mine = ledger.holder(token) or Holder(token=token)
            has_begun = min(starts, mine.permits)
            begun += [now] * has_begun
            kept = mine.permits - has_begun
            ledger = settle(
                ledger, token, keep, wants, total=total, quota=quota, now=now,
                permits=kept, begun=has_begun, wants_permits=max(kept, wants_permits),
            )  # fmt: skip
        counted = sum(start > now - quota.seconds for start in begun)
        assert sum(one.slots for one in ledger.holders) <= total
        assert sum(one.permits for one in ledger.holders) + counted <= products
