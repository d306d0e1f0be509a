"""How long an order takes at least."""

from hypothesis import given
from hypothesis import strategies as st

from pepsasync.limits.estimate import quota_seconds, transfer_seconds
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
