"""The token bucket, with a clock of its own."""

import threading

import pytest

from pepsasync.limits.throttle import SMALLEST_PIECE, Throttle


def test_pause_for_no_rate_never_waits():
    throttle = Throttle(None)

    assert 0.0 == throttle.pause_for(1 << 40)
    assert 1 << 20 == throttle.piece(1 << 20)


def test_pause_for_waits_for_what_came_before():
    now = 1000.0
    throttle = Throttle(100, clock=lambda: now)

    assert 0.0 == throttle.pause_for(10)  # a tenth of a second may be used at once
    assert 0.5 == pytest.approx(throttle.pause_for(50))
    assert 1.0 == pytest.approx(throttle.pause_for(50))
    now += 1.0
    assert 0.5 == pytest.approx(throttle.pause_for(50))
    now += 100.0
    assert 0.0 == throttle.pause_for(10)  # time that was not used is lost
    assert 0.1 == pytest.approx(throttle.pause_for(10))


def test_pause_for_counts_every_thread():
    throttle = Throttle(1000, clock=lambda: 0.0)

    def take():
        for _ in range(1000):
            throttle.pause_for(1)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 8.0 == pytest.approx(throttle.pause_for(0), abs=0.11)


@pytest.mark.parametrize(("rate", "expected"), [(1, SMALLEST_PIECE), (1 << 20, 52_428), (1 << 30, 1 << 20)])
def test_piece_is_small_where_the_rate_is(rate, expected):
    assert expected == Throttle(rate).piece(1 << 20)
