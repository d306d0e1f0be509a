"""Events go in, lines of a log come out."""

from datetime import UTC, datetime

import pytest

from pepsasync.display.counters import IDLE, Amount, Counters, Speedometer
from pepsasync.display.lines import Lines
from pepsasync.display.output import NORMAL, QUIET, SPARE, VERBOSE
from pepsasync.events import (
    DownloadProgressed,
    DownloadRetried,
    DownloadStarted,
    Noticed,
    PageSearched,
    ProductDelivered,
    ProductDownloaded,
    ProductExtracted,
    ProductFailed,
    ProductFound,
    ProductSkipped,
    ProductStaged,
    ProductVerified,
    QuotaReached,
    SearchFinished,
    StagingRequested,
    TiersWatched,
)
from pepsasync.limits.estimate import TapePace, TimeLeft
from pepsasync.model import Quota


class Clock:
    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


class Log:
    """Lines without their time, and a clock to turn."""

    def __init__(self, level=NORMAL):
        self.clock, self.raw = Clock(), []
        moment = datetime(2026, 11, 22, 10, tzinfo=UTC)
        self.lines = Lines(self.raw.append, level=level, counters=Counters(self.clock), now=lambda: moment)

    def take(self, *events):
        for event in events:
            self.lines.take(event)

    @property
    def text(self):
        assert all(line.startswith("2026-11-22T10:00:00Z ") for line in self.raw)
        return [line.partition(" ")[2] for line in self.raw]


def who(name):
    return {"id": f"id-{name}", "name": name}


def found(name, tier="disk", size=1_000_000):
    return ProductFound(**who(name), tier=tier, size=size)


def asked(name, times=1):
    return StagingRequested(**who(name), times=times, retry_after=None)


def test_whole_run_reads_as_a_story():
    log = Log()
    log.take(
        PageSearched(page=1, products=3, total=3),
        SearchFinished(products=3, bytes=3_000_000),
        found("A"),
        found("B", "tape"),
        found("C"),
        ProductSkipped(**who("C"), path="C.zip", bytes=1_000_000),
        asked("B"),
        DownloadStarted(**who("A"), offset=0, size=1_000_000),
    )
    log.clock.now += 2
    log.take(
        DownloadProgressed(**who("A"), received=600_000),
        ProductDownloaded(**who("A"), bytes=1_000_000, seconds=2, resumed_bytes=0, data_path="plain"),
        ProductVerified(**who("A"), checksum="md5:0"),
        ProductDelivered(**who("A"), path="A.zip", bytes=1_000_000),
        TiersWatched(waiting=1, online=0, next_poll=5),
    )
    log.take(ProductStaged(**who("B"), seconds=7), ProductFailed(**who("B"), error="TransferError", message="B: broke"))
    log.lines.flush()

    assert log.text == [
        "found 3 products, 3.00 MB: 2 on disk, 1 on tape",
        "already here: 1 product, complete and verified (2/3 done)",
        "staging requested for 1 product",
        "delivered 2/3 A, 1.00 MB, 500.0 kB/s",
        (
            "still waiting for tape: 1 product, oldest since 2.0 s, next look in 5.0 s, "
            "at least 2.0 s left, tape not known yet"
        ),
        "failed 3/3 B: broke",
    ]


def test_staging_requests_between_deliveries_make_one_line():
    log = Log()
    log.take(SearchFinished(products=40, bytes=40))
    for number in range(20):
        log.take(found(f"A{number}"), found(f"B{number}", "tape"), asked(f"B{number}"))
        log.take(ProductDelivered(**who(f"A{number}"), path="A.zip", bytes=1))
    log.clock.now += 2
    log.take(ProductDelivered(**who("B0"), path="B.zip", bytes=1))

    assert [line for line in log.text if line.startswith("staging")] == ["staging requested for 20 products"]
    assert log.text[-2:] == ["staging requested for 20 products", "delivered 21/40 B0, 1 B"]


def test_same_news_is_told_every_30_seconds_only():
    log = Log()
    log.take(asked("A"), asked("B"))
    for _ in range(12):
        log.take(TiersWatched(waiting=2, online=0, next_poll=5))
        log.clock.now += 5

    assert len([line for line in log.text if line.startswith("still waiting")]) == 2


def test_a_first_look_that_is_still_to_come_is_no_news_but_counts():
    log = Log()
    log.take(asked("A"), TiersWatched(waiting=1, online=0, next_poll=5, looked=False))

    assert log.text == []
    assert log.lines.counters.next_look == log.clock.now + 5


def test_changed_news_is_told_at_once():
    log = Log()
    log.take(asked("A"), asked("B"))
    log.take(TiersWatched(waiting=2, online=0, next_poll=5), TiersWatched(waiting=1, online=1, next_poll=5))
    log.take(
        TiersWatched(waiting=1, online=0, next_poll=9, error="503"), TiersWatched(waiting=0, online=1, next_poll=5)
    )

    assert [line for line in log.text if line.startswith("still")] == [
        "still waiting for tape: 2 products, oldest since 0.0 s, next look in 5.0 s",
        "still waiting for tape: 1 product, oldest since 0.0 s, next look in 5.0 s",
        "still waiting for tape: 1 product, oldest since 0.0 s, next look in 9.0 s (the last look failed: 503)",
    ]


def test_slow_download_is_told_from_a_hung_one():
    log = Log()
    log.take(SearchFinished(products=1, bytes=100_000_000), found("A", size=100_000_000))
    log.take(DownloadStarted(**who("A"), offset=0, size=100_000_000))
    for second in range(61):
        log.take(DownloadProgressed(**who("A"), received=second * 1_000_000))
        log.clock.now += 1

    assert log.text[1:] == [
        "downloading 1 product: 30.0 MB of 100.0 MB are here, 1.00 MB/s, about 1 min 10 s left",
        "downloading 1 product: 60.0 MB of 100.0 MB are here, 1.00 MB/s, about 40 s left",
    ]


def test_thousands_of_products_that_are_here_make_one_line():
    log = Log()
    names = [f"P{number}" for number in range(5_000)]
    log.take(SearchFinished(products=5_000, bytes=5_000_000_000), *map(found, names))
    log.take(*(ProductSkipped(**who(name), path="x", bytes=1_000_000) for name in names))
    log.lines.flush()

    assert log.text == [
        "found 5,000 products, 5.00 GB: 5,000 on disk",
        "already here: 5,000 products, complete and verified (5000/5000 done)",
    ]


def test_search_larger_than_the_window_is_told_when_work_begins():
    log = Log()
    log.take(
        SearchFinished(products=9, bytes=9), found("A"), asked("A"), TiersWatched(waiting=1, online=0, next_poll=5)
    )

    assert log.text[0] == "found 9 products, 9 B"


EVERYTHING = [
    PageSearched(page=1, products=500, total=1_234),
    SearchFinished(products=1, bytes=10),
    found("A", "tape"),
    asked("A"),
    ProductStaged(**who("A"), seconds=3.2),
    DownloadStarted(**who("A"), offset=5, size=10),
    DownloadRetried(**who("A"), error="cut", attempt=1, wait=2.0),
    Noticed(message="look"),
    ProductVerified(**who("A"), checksum=None),
    ProductExtracted(**who("A"), path="A.SAFE"),
    ProductFailed(**who("A"), error="X", message="A: why"),
]


@pytest.mark.parametrize(
    ("level", "lines"),
    [
        pytest.param(QUIET, ["failed 1/1 A: why"], id="quiet"),
        pytest.param(SPARE, ["note: look", "failed 1/1 A: why"], id="spare"),
        pytest.param(
            NORMAL,
            ["found 1 product, 10 B: 1 on tape", "trying again A in 2.0 s: cut", "note: look", "failed 1/1 A: why"],
            id="normal",
        ),
        pytest.param(
            VERBOSE,
            [
                "page 1: 500 products of 1,234",
                "found 1 product, 10 B: 1 on tape",
                "online A after 3.2 s",
                "downloading A from byte 5",
                "trying again A in 2.0 s: cut",
                "note: look",
                "verified A by size only",
                "extracted A.SAFE",
                "failed 1/1 A: why",
            ],
            id="verbose",
        ),
    ],
)
def test_levels_tell_more_and_more(level, lines):
    log = Log(level)
    log.take(*EVERYTHING)

    assert lines == log.text


def test_a_quota_is_told_once_and_not_when_it_is_about_to_open():
    log = Log()
    log.take(QuotaReached(wait=0.04), QuotaReached(wait=120), QuotaReached(wait=120))
    log.clock.now += 1
    log.take(QuotaReached(wait=119), QuotaReached(wait=500))

    assert log.text == [
        "the quota of the account is used up: the next download may begin in 2 min, at 10:02 UTC",
        "the quota of the account is used up: the next download may begin in 8 min 20 s, at 10:08 UTC",
    ]


def test_a_quota_that_may_open_earlier_is_told_as_such():
    log = Log()
    log.take(QuotaReached(wait=900, next_look=1.0), QuotaReached(wait=0.0))

    assert log.text == [
        (
            "the quota of the account is used up: the next download may begin in 15 min, at 10:15 UTC, at the latest; "
            "the archive is asked again in 1.0 s"
        )
    ]


def test_names_that_nobody_knows_are_told_as_such_only():
    log = Log()
    log.lines.counters.expected = 2
    for name in "AB":
        log.take(SearchFinished(products=0, bytes=0), ProductFailed(**who(name), error="X", message=f"{name}: unknown"))

    assert log.text == ["failed 1/2 A: unknown", "failed 2/2 B: unknown"]


def test_leaving_tells_what_was_only_counted():
    log = Log()
    with log.lines:
        log.take(found("A"), ProductSkipped(**who("A"), path="A.zip", bytes=1))

    assert log.text == ["already here: 1 product, complete and verified (1/1 done)"]


def test_received_bytes_count_the_network_only():
    counters = Counters(Clock())
    counters.take(found("A", size=100))
    counters.take(DownloadStarted(**who("A"), offset=60, size=100))
    counters.take(DownloadProgressed(**who("A"), received=80))
    counters.take(DownloadRetried(**who("A"), error="cut", attempt=1, wait=1))
    counters.take(DownloadStarted(**who("A"), offset=0, size=100))
    counters.take(DownloadProgressed(**who("A"), received=50))
    counters.take(DownloadProgressed(**who("unknown"), received=9))
    counters.take(ProductDownloaded(**who("A"), bytes=100, seconds=1, resumed_bytes=60, data_path="plain"))

    assert counters.received_bytes == 20 + 50 + 50
    assert counters.present_bytes == 100


def test_received_bytes_count_what_came_just_before_a_cut():
    counters = Counters(Clock())
    counters.take(DownloadStarted(**who("A"), offset=10, size=100))
    counters.take(DownloadProgressed(**who("A"), received=20))
    counters.take(DownloadStarted(**who("A"), offset=70, size=100))
    counters.take(ProductDownloaded(**who("A"), bytes=100, seconds=1, resumed_bytes=10, data_path="plain"))

    assert counters.received_bytes == 90


def test_received_bytes_count_once_what_other_connections_brought():
    counters = Counters(Clock())
    counters.take(DownloadStarted(**who("A"), offset=0, size=100))
    counters.take(DownloadProgressed(**who("A"), received=80))
    counters.take(DownloadStarted(**who("A"), offset=30, size=100))
    counters.take(DownloadProgressed(**who("A"), received=90))

    assert counters.received_bytes == 90


def test_time_left_is_a_range_with_tape_and_does_not_count_what_failed():
    clock = Clock()
    counters = Counters(clock)
    counters.take(SearchFinished(products=2, bytes=300))
    counters.take(found("A", size=200))
    counters.take(found("B", "tape", size=100))
    counters.take(asked("B"))
    counters.take(DownloadStarted(**who("A"), offset=0, size=200))
    for _ in range(10):
        clock.now += 1
        counters.take(DownloadProgressed(**who("A"), received=counters.active["A"].received + 10))
    assert counters.time_left() == TimeLeft(20.0, None, ("tape",))

    look = TiersWatched(waiting=1, online=0, next_poll=5, usual_wait=(50.0, 90.0))
    counters.take(look)
    assert counters.time_left() == TimeLeft(40.0, 80.0 + 20.0)

    counters.take(ProductFailed(**who("B"), error="X", message="no"))
    assert counters.time_left() == TimeLeft(10.0, 10.0)


def test_an_earlier_run_tells_what_this_one_has_not_learned_yet():
    pace = TapePace(wait=(50.0, 90.0), interval=(10.0, 20.0))
    counters = Counters(Clock(), usual_rate=100.0, pace=pace, quota=lambda: Quota(1, 3600.0))
    counters.take(
        SearchFinished(products=2, bytes=300),
    )
    counters.take(found("A", "tape", size=300))

    assert counters.time_left() == TimeLeft(3600.0, 7200.0 + 3.0)


def test_products_that_were_not_looked_at_yet_may_be_on_tape_as_often_as_the_others():
    counters = Counters(Clock(), usual_rate=100.0, pace=TapePace(interval=(10.0, 20.0)))
    counters.take(SearchFinished(products=10, bytes=0))
    for name in "ABCD":
        counters.take(found(name, "tape" if name < "C" else "disk", size=0))

    assert counters.time_left() == TimeLeft(20.0, (2 + 3) * 20.0)


def test_states_add_up():
    counters = Counters(Clock())
    counters.take(SearchFinished(products=6, bytes=600))
    for name in "ABCD":
        counters.take(found(name, "tape" if name == "B" else "disk", size=100))
    counters.take(asked("B"))
    counters.take(DownloadStarted(**who("A"), offset=0, size=100))
    counters.take(ProductDelivered(**who("C"), path="C.zip", bytes=101))
    counters.take(ProductFailed(**who("D"), error="X", message="no"))

    assert counters.amounts() == {
        "done": Amount(1, 101),
        "waiting": Amount(1, 100),
        "under way": Amount(1, 100),
        "queued": Amount(2, 200),
    }


def test_sizes_are_those_of_what_comes_not_of_what_was_announced():
    counters = Counters(Clock())
    counters.take(SearchFinished(products=3, bytes=300))
    for name in "ABC":
        counters.take(found(name, size=100))
    counters.take(DownloadStarted(**who("A"), offset=0, size=10))
    assert counters.total_bytes == 210

    counters.take(DownloadStarted(**who("A"), offset=5, size=10))
    counters.take(ProductDelivered(**who("A"), path="A.SAFE", bytes=12))
    counters.take(ProductSkipped(**who("B"), path="B.SAFE", bytes=8))
    counters.take(ProductFailed(**who("C"), error="X", message="no"))
    assert (counters.total_bytes, counters.present_bytes, counters.lost_bytes) == (120, 20, 100)


def test_speed_forgets_the_past():
    clock = Clock()
    counters = Counters(clock)
    assert counters.speed() == 0
    counters.take(DownloadStarted(**who("A"), offset=0, size=None))
    for second in range(60):
        clock.now += 1
        counters.take(DownloadProgressed(**who("A"), received=(1_000 if second < 40 else 3_000) * (second + 1)))
    assert counters.speed() == pytest.approx(3_000, rel=0.1)


def test_there_is_no_speed_while_nothing_moves_and_afterwards_the_pause_does_not_count():
    clock = Clock()
    meter = Speedometer(500)
    meter.take(clock(), 500)
    clock.now += 2
    meter.take(clock(), 2_500)
    assert meter.rate(clock()) == 1_000
    clock.now += IDLE
    assert meter.rate(clock()) == 2_000 / (2 + IDLE)
    clock.now += 0.1
    assert meter.rate(clock()) == 0

    clock.now += 3_600
    meter.take(clock(), 2_600)
    clock.now += 2
    meter.take(clock(), 4_600)
    assert meter.rate(clock()) == 1_000
    assert meter.moving == 4


def test_a_product_that_begins_anew_has_no_negative_speed():
    meter = Speedometer()
    for now, received in enumerate((0, 1_000, 2_000, 0, 500)):
        meter.take(now, received)

    assert meter.rate(4) == 500
