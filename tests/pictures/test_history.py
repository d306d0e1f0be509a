"""What became of each product of a run, and when."""

import pytest

from fakes import product
from pepsasync import events
from pepsasync.errors import TransferError
from pepsasync.model import Delivery, DeliveryStatus
from pepsasync.pictures.history import MOST_BINS, History, Throughput


class Clock:
    """Wall time that a test sets."""

    now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def history(clock):
    return History(clock)


def watch(history, clock, *happened):
    """Events at their seconds after the begin."""
    for seconds, kind, more in happened:
        clock.now = 1_000.0 + seconds
        history.watch(kind(id="id-A", name="A", **more))
    return history.entries["A"]


def test_staging_and_downloads_become_stretches_of_time(history, clock):
    entry = watch(
        history,
        clock,
        (0, events.ProductFound, {"tier": "tape", "size": 100}),
        (1, events.StagingRequested, {"times": 1, "retry_after": None}),
        (5, events.StagingRequested, {"times": 2, "retry_after": None}),
        (20, events.ProductStaged, {"seconds": 19.0}),
        (21, events.DownloadStarted, {"offset": 0, "size": 100}),
        (22, events.DownloadProgressed, {"received": 40}),
        (23, events.DownloadRetried, {"error": "cut", "attempt": 1, "wait": 2.0}),
        (25, events.DownloadStarted, {"offset": 40, "size": 100}),
        (27, events.ProductDownloaded, {"bytes": 100, "seconds": 2.0, "resumed_bytes": 40, "data_path": "plain"}),
        (28, events.ProductDelivered, {"path": "A.zip", "bytes": 100}),
    )

    assert (1_001, 1_020) == (entry.asked, entry.staged)
    assert [(1_021, 1_023), (1_025, 1_027)] == entry.downloads
    assert ("delivered", 1_028, 100, 2, "tape") == (entry.state, entry.ended, entry.bytes, entry.tries, entry.tier)
    assert {1_022: 40, 1_027: 60} == history.throughput.bins


def test_a_product_that_goes_back_to_tape_waits_again(history, clock):
    entry = watch(
        history,
        clock,
        (1, events.StagingRequested, {"times": 1, "retry_after": None}),
        (2, events.ProductStaged, {"seconds": 1.0}),
        (3, events.StagingRequested, {"times": 2, "retry_after": None}),
        (9, events.ProductStaged, {"seconds": 8.0}),
    )

    assert (1_001, 1_009) == (entry.asked, entry.staged)


def test_what_is_open_when_the_run_ends_is_unfinished(history, clock):
    entry = watch(history, clock, (1, events.DownloadStarted, {"offset": 0, "size": 100}))
    clock.now = 1_004.0
    history.stop()

    assert [(1_001, 1_004)] == entry.downloads
    assert ("unfinished", None) == (entry.state, entry.ended)


def test_bytes_that_were_here_before_did_not_come(history, clock):
    watch(
        history,
        clock,
        (1, events.DownloadStarted, {"offset": 60, "size": 100}),
        (2, events.DownloadProgressed, {"received": 70}),
    )

    assert 10 == sum(history.throughput.bins.values())


def test_an_outcome_keeps_what_went_wrong_and_what_to_do(history):
    error = TransferError("broke too often", product="A", hint="Run the same command again")
    history.take(Delivery(product=product("A"), status=DeliveryStatus.FAILED, error=error, attempts=5))

    entry = history.entries["A"]
    assert ("failed", 5) == (entry.state, entry.tries)
    assert "A: broke too often. Run the same command again" == entry.error


def test_products_that_are_left_out_or_here_are_told_apart(history, clock):
    watch(history, clock, (1, events.ProductLeftOut, {"tier": "tape", "size": 1}))
    history.watch(events.ProductSkipped(id="id-B", name="B", path="B.zip", bytes=5))

    assert {"A": "left out, on tape", "B": "already here"} == {
        name: entry.state for name, entry in history.entries.items()
    }


def test_a_folder_without_a_journal_adds_nothing(history, tmp_path):
    history.add_journal(tmp_path)

    assert {} == history.entries


def test_bins_of_the_throughput_grow_and_lose_nothing():
    throughput = Throughput()
    for second in range(10_000):
        throughput.add(50_000.0 + second, 7)

    assert len(throughput.bins) <= MOST_BINS
    assert 70_000 == sum(throughput.bins.values())
    assert 8 == throughput.width
    assert 50_000 / 8 == min(throughput.bins)
