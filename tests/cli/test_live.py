"""The live display, drawn into text."""

import io

import pytest
from rich.console import Console

from pepsasync.cli.counters import Counters
from pepsasync.cli.lines import NORMAL, VERBOSE
from pepsasync.cli.live import MOST_BARS, Progress, shorten
from pepsasync.events import (
    DownloadProgressed,
    DownloadRetried,
    DownloadStarted,
    Noticed,
    ProductDelivered,
    ProductDownloaded,
    ProductFailed,
    ProductFound,
    QuotaReached,
    SearchFinished,
    StagingRequested,
    TiersWatched,
)

LONG = "S2A_MSIL1C_20170102T104428_N0204_R008_T{:02d}TCJ_20170102T104437"


class Screen:
    def __init__(self, width=100, level=NORMAL):
        self.now = 1_000.0
        self.console = Console(
            file=io.StringIO(), width=width, force_terminal=True, color_system=None, legacy_windows=False
        )
        self.progress = Progress(self.console, counters=Counters(lambda: self.now), level=level)

    def take(self, *events):
        for event in events:
            self.progress.take(event)

    def lines(self):
        options = self.console.options
        rows = self.console.render_lines(self.progress.render(), options, pad=False)
        return ["".join(segment.text for segment in row).rstrip() for row in rows]


def who(number):
    return {"id": str(number), "name": LONG.format(number)}


def busy(screen, active, waiting):
    total = active + waiting + 2
    screen.take(SearchFinished(products=total, bytes=total * 10_000_000))
    screen.take(*(ProductFound(**who(n), tier="disk", size=10_000_000) for n in range(total)))
    screen.take(*(DownloadStarted(**who(n), offset=0, size=10_000_000) for n in range(active)))
    screen.take(*(DownloadProgressed(**who(n), received=0) for n in range(active)))
    screen.now += 10
    screen.take(*(DownloadProgressed(**who(n), received=5_000_000) for n in range(active)))
    screen.take(*(StagingRequested(**who(active + n), times=1, retry_after=None) for n in range(waiting)))
    screen.take(ProductDelivered(**who(total - 1), path="x", bytes=10_000_000))


def test_search_is_shown_before_anything_is_found():
    assert Screen().lines() == ["searching ..."]


def test_overall_line_has_products_bytes_speed_and_time_left():
    screen = Screen()
    busy(screen, active=2, waiting=0)

    assert screen.lines()[0].startswith("1/4 products · 20.0 MB of 40.0 MB · 1.00 MB/s · 20 s left ")


def test_downloads_have_bars_and_phases():
    screen = Screen()
    busy(screen, active=3, waiting=0)
    screen.take(
        ProductDownloaded(**who(0), bytes=10_000_000, seconds=1, resumed_bytes=0, data_path="plain"),
        DownloadRetried(**who(1), error="cut", attempt=1, wait=1),
    )

    rows = screen.lines()[1:]

    assert [f"…T{n:02d}TCJ " in row for n, row in enumerate(rows)] == [True, True, True]
    assert [row.rpartition("━")[2].strip() for row in rows] == ["verifying", "trying again", "5.00 MB of 10.0 MB"]


def test_tape_queue_says_how_many_since_when_and_when_the_next_look_is():
    screen = Screen()
    busy(screen, active=0, waiting=23)
    screen.take(TiersWatched(waiting=23, online=0, next_poll=42))
    screen.now += 20

    head, names = screen.lines()[-2:]

    assert head == "tape  23 products waiting for tape, oldest since 20 s, next look in 22 s"
    assert names.endswith(", 20 more")
    assert "left" not in screen.lines()[0]


def test_next_look_never_lies_in_the_past_and_its_trouble_is_shown():
    screen = Screen()
    busy(screen, active=0, waiting=1)
    screen.take(TiersWatched(waiting=1, online=0, next_poll=5, error="503 Service Unavailable"))
    screen.now += 60

    assert "looking now" in screen.lines()[-3]
    assert screen.lines()[-1] == "      the last look failed: 503 Service Unavailable"


def test_failures_are_counted_and_the_last_one_is_shown():
    screen = Screen()
    busy(screen, active=1, waiting=0)
    screen.take(ProductFailed(**who(0), error="X", message=f"{LONG.format(0)}: not found"))

    assert screen.lines()[-1] == f"1 failed, the last one {LONG.format(0)}: not found"


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_height_and_width_are_bounded_whatever_happens(width):
    screen = Screen(width)
    busy(screen, active=500, waiting=5_000)
    screen.take(TiersWatched(waiting=5_000, online=0, next_poll=5, error="x" * 500))
    screen.take(ProductFailed(id="0", name="y" * 500, error="X", message="z" * 500))

    lines = screen.lines()

    assert len(lines) <= MOST_BARS + 6 + (width < 80)
    assert max(map(len, lines)) <= width
    assert any("and 492 more" in line for line in lines)


@pytest.mark.parametrize(
    ("level", "told"),
    [pytest.param(NORMAL, ["note: look"], id="normal"), pytest.param(VERBOSE, ["note: look", "failed"], id="verbose")],
)
def test_what_must_not_be_lost_is_printed_above(level, told):
    screen = Screen(level=level)
    with screen.progress:
        screen.take(Noticed(message="look"), ProductFailed(**who(1), error="X", message="why"))

    text = screen.console.file.getvalue()
    assert all(words in text for words in told)
    assert ("failed 1/1 why" in text) is (level == VERBOSE)


def test_names_are_cut_in_the_middle():
    assert [shorten("abc", 5), shorten("abcdefghijkl", 9), len(shorten("x" * 100, 30))] == ["abc", "abcd…ijkl", 30]


def test_names_of_one_moment_are_told_apart_by_their_tiles():
    assert shorten(LONG.format(31), 44) == "S2A_MSIL1C_20170102T104428_N0204_R008…T31TCJ"
    assert shorten(LONG.format(31), 26) == "S2A_MSIL1C_20170102…T31TCJ"
    assert len(shorten(LONG.format(31), 12)) == 12


def test_a_quota_is_shown_until_it_opens():
    screen = Screen()
    busy(screen, active=1, waiting=0)
    screen.take(QuotaReached(wait=900, next_look=1.0), DownloadStarted(**who(1), offset=0, size=10_000_000))
    shown = [line for line in screen.lines() if line.startswith("quota ")]
    screen.take(QuotaReached(wait=0.0))

    assert len(shown) == 1
    assert "may begin in 15 min, at " in shown[0]
    assert shown[0].endswith("at the latest")
    assert not [line for line in screen.lines() if line.startswith("quota ")]


class Gone(io.StringIO):
    """A terminal that was closed."""

    def write(self, text):
        raise OSError(5, "Input/output error")


def test_a_terminal_that_is_gone_ends_no_run():
    screen = Screen()
    with screen.progress:
        screen.console.file = Gone()
        screen.take(Noticed(message="the work goes on"))
