from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pepsasync.limits.schedule import LONGEST_RETRY_AFTER, jittered, next_pause, parse_retry_after, restage_streak

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("previous", "moved", "expected"),
    [
        pytest.param(None, False, 5.0, id="first"),
        pytest.param(5.0, False, 7.5, id="nothing-moved"),
        pytest.param(500.0, False, 600.0, id="capped"),
        pytest.param(500.0, True, 5.0, id="moved"),
    ],
)
def test_next_pause(previous, moved, expected):
    assert expected == next_pause(previous, moved=moved, shortest=5.0, longest=600.0)


@given(st.floats(0.1, 1e4), st.booleans(), st.floats(0.1, 100), st.floats(0.1, 1000))
def test_next_pause_never_exceeds_the_longest(previous, moved, shortest, longest):
    assert next_pause(previous, moved=moved, shortest=shortest, longest=longest) <= longest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("120", 120.0, id="seconds"),
        pytest.param("14400", 14_400.0, id="hours"),
        pytest.param("99999999", 86_400.0, id="clamped"),
        pytest.param("0", 0.0, id="at-once"),
        pytest.param("-5", None, id="negative"),
        pytest.param("inf", None, id="infinite"),
        pytest.param("nan", None, id="not-a-number"),
        pytest.param("1e999", None, id="too-large"),
        pytest.param("Sun, 22 Nov 2026 10:02:00 GMT", 120.0, id="http-date"),
        pytest.param("Sunday, 22-Nov-26 10:02:00 GMT", 120.0, id="old-http-date"),
        pytest.param("Sun Nov 22 10:02:00 2026", 120.0, id="oldest-http-date"),
        pytest.param("Sun, 22 Nov 2026 10:02:00 -0000", 120.0, id="date-without-zone"),
        pytest.param("Sun, 22 Nov 2026 11:02:00 +0100", 120.0, id="date-of-another-zone"),
        pytest.param("Sun, 22 Nov 2026 14:00:00 GMT", 14_400.0, id="date-in-hours"),
        pytest.param("Mon, 30 Nov 2026 10:00:00 GMT", 86_400.0, id="date-clamped"),
        pytest.param("Fri, 31 Dec 1999 23:59:59 GMT", None, id="date-of-the-past"),
        pytest.param("Sun, 32 Nov 2026 10:02:00 GMT", None, id="no-such-day"),
        pytest.param("soon", None, id="word"),
        pytest.param("", None, id="empty"),
        pytest.param(None, None, id="absent"),
    ],
)
def test_parse_retry_after(text, expected):
    assert expected == parse_retry_after(text, NOW)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("180000", 180.0), ("900000", 900.0), ("9999", 9999.0), ("Sun, 22 Nov 2026 14:00:00 GMT", 14_400.0)],
)
def test_parse_retry_after_of_an_archive_that_counts_milliseconds(text, expected):
    assert expected == parse_retry_after(text, NOW, milliseconds_from=10_000)


@given(
    st.text() | st.from_regex(r"(Sun, )?\d{1,5} Nov -?\d{1,6}( \d\d:\d\d(:\d\d)?)? ?([+-]\d{1,6}|GMT)?", fullmatch=True)
)
def test_parse_retry_after_any_text(text):
    wait = parse_retry_after(text, NOW)

    assert wait is None or 0 <= wait <= LONGEST_RETRY_AFTER


def test_parse_retry_after_dates_are_compared_with_the_clock():
    soon = datetime.now(UTC) + timedelta(seconds=100)

    assert 90 < parse_retry_after(format_datetime(soon, usegmt=True)) <= 100


def test_restage_streak_doubles():
    assert [3, 6, 12, 24] == [restage_streak(asked) for asked in (1, 2, 3, 4)]


@given(st.floats(0, 1e5), st.floats(0, 1))
def test_jittered_stays_within_a_tenth(seconds, chance):
    assert 0.9 * seconds <= jittered(seconds, chance) <= 1.1 * seconds + 1e-9
