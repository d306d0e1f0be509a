"""What an account may do in a window of time, on a clock that the test moves."""

from pepsasync.sandbox.clock import Clock
from pepsasync.sandbox.limits import RateLimit


def make(most):
    now = [0.0]
    return now, RateLimit(Clock(1.0, lambda: now[0]), most, 60.0)


def test_window_moves_with_the_clock():
    now, limit = make(2)
    assert [limit.take("one"), limit.remaining("one")] == [True, 1]
    now[0] = 30.0
    assert [limit.take("one"), limit.take("one"), limit.remaining("one")] == [True, False, 0]
    now[0] = 59.9
    assert not limit.take("one")
    now[0] = 60.0
    assert [limit.take("one"), limit.take("one")] == [True, False]
    now[0] = 90.0
    assert limit.remaining("one") == 1


def test_accounts_are_counted_apart():
    _, limit = make(1)
    assert [limit.take("one"), limit.take("two"), limit.take("one")] == [True, True, False]


def test_no_limit():
    _, limit = make(None)
    assert all(limit.take("one") for _ in range(1000))
    assert limit.remaining("one") is None


def test_nothing_at_all():
    _, limit = make(0)
    assert not limit.take("one")
