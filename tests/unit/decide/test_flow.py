"""When a transfer crawls."""

from pepsasync.transfer.flow import Flow


def test_a_transfer_that_moves_is_left_alone():
    flow = Flow(10, 0, 0.0, window=60)

    assert flow.crawled(0, 59.9) is None
    assert flow.crawled(601, 60.0) is None
    assert flow.crawled(601, 100.0) is None


def test_a_transfer_that_crawls_is_told_how_much_came():
    flow = Flow(10, 100, 0.0, window=60)

    assert flow.crawled(699, 60.0) == 599


def test_each_window_is_judged_by_itself():
    flow = Flow(10, 0, 0.0, window=60)

    assert flow.crawled(1_000_000, 60.0) is None
    assert flow.crawled(1_000_010, 120.0) == 10


def test_any_rate_will_do_when_none_is_asked():
    assert Flow(0, 0, 0.0, window=60).crawled(0, 1e6) is None
