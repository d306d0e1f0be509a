"""The live display, on the screen of a terminal emulator."""

import os
import signal
import threading
from functools import partial

import pytest
from rich.console import Console

from pepsasync.display.counters import Counters
from pepsasync.display.live import MOST_BARS, Progress
from pepsasync.display.output import NORMAL, VERBOSE, tell
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
from pepsasync.text import shorten

pytest.importorskip("pyte", reason="screens are read by pyte")
from screens import Terminal

LONG = "S2A_MSIL1C_20170102T104428_N0204_R008_T{:02d}TCJ_20170102T104437"


class Screen:
    """A live display on a terminal, whose clock is turned and whose drawings are asked for."""

    def __init__(self, columns=100, rows=40, level=NORMAL, terminal=Terminal, **console):
        self.now = 1_000.0
        self.terminal = terminal(columns, rows)
        options = {"color_system": "truecolor", "legacy_windows": False, "_environ": {}} | console
        self.progress = Progress(
            Console(file=self.terminal, force_terminal=True, **options),
            counters=Counters(lambda: self.now),
            level=level,
            size=lambda: self.terminal.size,
            every=None,
        )

    def take(self, *events):
        for event in events:
            self.progress.take(event)

    def lines(self):
        """What is drawn, without what scrolled by above it."""
        columns, rows = self.terminal.size
        drawn = Terminal(columns, rows)
        drawn.write("".join(f"{line}\n" for line in self.progress.lines(columns - 1, rows - 1)))
        return drawn.lines

    def screen(self):
        self.progress.draw()
        return self.terminal.lines


def who(number):
    return {"id": str(number), "name": LONG.format(number)}


def busy(screen, active, waiting):
    """One product is here, some are half here at 500 kB/s, and some are awaited."""
    total = active + waiting + 2
    screen.take(SearchFinished(products=total, bytes=total * 10_000_000))
    screen.take(*(ProductFound(**who(n), tier="disk", size=10_000_000) for n in range(total)))
    screen.take(*(DownloadStarted(**who(n), offset=0, size=10_000_000) for n in range(active)))
    for second in range(1, 11):
        screen.now += 1
        screen.take(*(DownloadProgressed(**who(n), received=second * 500_000) for n in range(active)))
    screen.take(*(StagingRequested(**who(active + n), times=1, retry_after=None) for n in range(waiting)))
    screen.take(ProductDelivered(**who(total - 1), path="x", bytes=10_000_000))


def story(screen):
    busy(screen, active=2, waiting=3)
    screen.take(TiersWatched(waiting=3, online=1, next_poll=42, usual_wait=(60.0, 300.0), usual_interval=(20.0, 40.0)))
    screen.take(ProductFailed(**who(5), error="X", message=f"{LONG.format(5)}: not found"))
    return screen


def test_search_is_shown_before_anything_is_found():
    assert Screen().lines() == ["searching ... · 0.0 s elapsed"]


def test_a_screen_of_80_columns():
    screen = story(Screen(80, 24))

    assert screen.screen() == [
        "found 7 products, 70.0 MB: 7 on disk",
        "delivered 1/7 S2A_MSIL1C_20170102T104428_N0204_R008_T06TCJ_20170102T104437, 10.0",
        " MB",
        "failed 2/7 S2A_MSIL1C_20170102T104428_N0204_R008_T05TCJ_20170102T104437: not fou",
        "nd",
        "29 % ━━━━━━━━━━━╺━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 20.0 MB of 70.0 MB",
        "1.00 MB/s · 2/7 products · 10 s elapsed · 1 min to 3 min 40 s left",
        "  done             1 10.0 MB 14 %",
        "  waiting for tape 3 30.0 MB 43 %",
        "  under way        2 20.0 MB 29 %",
        "S2A_MSIL1C_20170102T104428_N0…T00TCJ ━━━━━━╺━━━━━  50 % 500.0 kB/s         10 s",
        "S2A_MSIL1C_20170102T104428_N0…T01TCJ ━━━━━━╺━━━━━  50 % 500.0 kB/s         10 s",
        "tape  next look in 42 s, oldest since 0.0 s",
        "      S2A_MSIL1C_2…T04TCJ, S2A_MSIL1C_2…T03TCJ, S2A_MSIL1C_2…T02TCJ",
        "1 failed, the last one S2A_MSIL1C_20170102T104428_N0204_R008_T05TCJ_20170102T1…",
    ]


def test_a_screen_of_40_columns():
    screen = story(Screen(40, 24))

    assert screen.screen()[7:] == [
        "29 % ━━━━╺━━━━━━━━━ 20.0 MB of 70.0 MB",
        "1.00 MB/s · 2/7 products · 10 s elapsed",
        "1 min to 3 min 40 s left",
        "  done             1 10.0 MB 14 %",
        "  waiting for tape 3 30.0 MB 43 %",
        "  under way        2 20.0 MB 29 %",
        "S2…T00TCJ  50 % 500.0 kB/s         10 s",
        "S2…T01TCJ  50 % 500.0 kB/s         10 s",
        "tape  next look in 42 s, oldest since …",
        "      S2A_M…T04TCJ, S2A_M…T03TCJ, S2A_…",
        "1 failed, the last one S2A_MSIL1C_2017…",
    ]


def test_a_screen_of_200_columns_has_names_in_full():
    screen = story(Screen(200, 24))

    assert [LONG.format(0) in line for line in screen.screen()].count(True) == 1


@pytest.mark.parametrize("rows", [12, 24, 60])
@pytest.mark.parametrize("columns", [20, 40, 60, 80, 100, 200])
def test_height_and_width_are_bounded_whatever_happens(columns, rows):
    screen = Screen(columns, rows)
    busy(screen, active=500, waiting=5_000)
    screen.take(TiersWatched(waiting=5_000, online=0, next_poll=5, error="x" * 500))
    screen.take(ProductFailed(id="0", name="y" * 500, error="X", message="z" * 500))

    lines = screen.progress.lines(columns - 1, rows - 1)
    drawn = screen.lines()

    assert len(lines) <= min(rows - 1, MOST_BARS + 14)
    assert len(drawn) == len(lines), "no line is wrapped"
    assert rows == 12 or any("more" in line for line in drawn)


def test_64_downloads_fit_the_screen_and_the_others_are_counted():
    screen = Screen(80, 24)
    busy(screen, active=64, waiting=0)

    lines = screen.lines()

    assert len([line for line in lines if "━ " in line and "T104" not in line]) <= MOST_BARS + 1
    assert "and 56 more" in lines


@pytest.mark.parametrize("sizes", [[(40, 24)], [(200, 24)], [(40, 24), (80, 24)], [(80, 12)], [(80, 12), (200, 50)]])
def test_after_a_change_of_size_nothing_old_is_left(sizes):
    screen = story(Screen(80, 24))
    screen.screen()
    for size in sizes:
        screen.terminal.resize(*size)
        for _ in range(2):
            screen.screen()
    fresh = story(Screen(*sizes[-1]))

    assert screen.terminal.lines == fresh.screen()


@pytest.mark.skipif(not hasattr(signal, "SIGCONT"), reason="programs are not stopped there")
def test_after_it_was_stopped_and_goes_on_nothing_old_is_left():
    screen, before = story(Screen(80, 24)), signal.getsignal(signal.SIGCONT)
    with screen.progress:
        drawn = screen.screen()
        screen.terminal.write("^Z\n[1]+  Stopped\n$ fg\npepsasync fetch\n")  # so does a shell
        os.kill(os.getpid(), signal.SIGCONT)
        assert drawn == screen.screen()

    assert before == signal.getsignal(signal.SIGCONT)


def test_the_display_is_gone_at_the_end_and_all_that_scrolled_by_is_there():
    screen = Screen(80, 12)
    with screen.progress:
        screen.take(SearchFinished(products=50, bytes=50))
        for number in range(50):
            screen.take(
                ProductFound(id=str(number), name=f"P{number}", tier="disk", size=1),
                ProductDelivered(id=str(number), name=f"P{number}", path="x", bytes=1),
            )
            if number % 7 == 0:
                screen.progress.draw()

    told = screen.terminal.scrolled_off + screen.terminal.lines
    assert told == ["found 50 products, 50 B", *(f"delivered {n + 1}/50 P{n}, 1 B" for n in range(50))]


def test_what_other_parts_tell_scrolls_by_above():
    screen = story(Screen(80, 30))
    with screen.progress:
        screen.progress.draw()
        tell("pepsasync: warning: look\x1b[2J here")
        drawn = screen.screen()

    overall = next(number for number, line in enumerate(drawn) if "products ·" in line)
    assert drawn.index("pepsasync: warning: look\\x1b[2J here") < overall
    assert screen.terminal.lines[-1] == "pepsasync: warning: look\\x1b[2J here"


def test_without_colours_there_are_none():
    coloured, plain = story(Screen(80, 24)), story(Screen(80, 24, no_color=True))

    assert plain.screen()[6:] == [line.replace("━━━━━━╺━━━━━", "━━━━━━      ") for line in coloured.screen()[6:]]
    assert plain.terminal.colours == {("default", "default")} != coloured.terminal.colours


def test_a_terminal_of_few_characters_gets_no_wider_lines():
    screen = story(Screen(80, 24, terminal=partial(Terminal, encoding="ascii")))

    assert len(screen.screen()) == 15
    assert screen.terminal.getvalue().isascii()
    assert screen.terminal.lines[-1].endswith("T1?")


class Stopped(Terminal):
    """A terminal whose user has pressed Ctrl-S."""

    def __init__(self):
        super().__init__()
        self.is_writing, self.goes_on = threading.Event(), threading.Event()

    def write(self, text):
        self.is_writing.set()
        assert self.goes_on.wait(60)
        return super().write(text)


def test_a_paused_terminal_holds_up_nothing(monkeypatch):
    monkeypatch.setattr("pepsasync.display.region.PATIENCE", 60.0)  # of a busy machine
    terminal = Stopped()
    console = Console(file=terminal, force_terminal=True, legacy_windows=False, _environ={})
    progress = Progress(console, size=lambda: terminal.size, every=0.001)
    with progress:
        assert terminal.is_writing.wait(60)
        for number in range(100):
            progress.take(Noticed(message=f"message {number}"))
        assert terminal.getvalue() == ""
        terminal.goes_on.set()

    assert [line for line in terminal.lines if line.startswith("note")][-1] == "note: message 99"


def test_no_speed_is_shown_while_nothing_moves():
    screen = Screen(80, 24)
    busy(screen, active=1, waiting=0)
    assert screen.lines()[1] == "500.0 kB/s · 1/3 products · 10 s elapsed · about 30 s left"
    screen.now += 4

    assert screen.lines()[1] == "1/3 products · 14 s elapsed · about 30 s left", "the line is as fast as it was"
    assert screen.lines()[-1].split()[2:] == ["50", "%"]


def test_downloads_have_bars_and_phases():
    screen = Screen()
    busy(screen, active=3, waiting=0)
    screen.take(
        ProductDownloaded(**who(0), bytes=10_000_000, seconds=1, resumed_bytes=0, data_path="plain"),
        DownloadRetried(**who(1), error="cut", attempt=1, wait=1),
    )

    rows = screen.lines()[-3:]

    assert [f"…T{n:02d}TCJ " in row for n, row in enumerate(rows)] == [True, True, True]
    assert [row.rpartition("━")[2].split() for row in rows] == [
        ["100", "%", "verifying"],
        ["50", "%", "trying", "again"],
        ["50", "%", "500.0", "kB/s", "10", "s"],
    ]


def test_tape_queue_says_how_many_since_when_and_when_the_next_look_is():
    screen = Screen()
    busy(screen, active=0, waiting=23)
    screen.take(TiersWatched(waiting=23, online=0, next_poll=42))
    screen.now += 20

    head, names = screen.lines()[-2:]

    assert head == "tape  next look in 22 s, oldest since 20 s"
    assert names.endswith(", 20 more")
    assert screen.lines()[1].endswith("time left: speed and tape not known yet")


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


@pytest.mark.parametrize(
    ("level", "is_told"),
    [pytest.param(NORMAL, False, id="normal"), pytest.param(VERBOSE, True, id="verbose")],
)
def test_steps_scroll_by_for_those_who_want_them(level, is_told):
    screen = Screen(level=level)
    screen.take(
        Noticed(message="look"),
        ProductFailed(**who(1), error="X", message="why"),
        DownloadRetried(**who(1), error="cut", attempt=1, wait=1),
    )

    shown = screen.screen()
    assert ["note: look", "failed 1/1 why"] == shown[:2]
    assert any(line.startswith("trying again") for line in shown) is is_told


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
    assert screen.lines()[1].endswith("about 15 min 15 s left")
    screen.take(QuotaReached(wait=0.0))

    assert len(shown) == 1
    assert "may begin in 15 min, at " in shown[0]
    assert shown[0].endswith("at the latest")
    assert not [line for line in screen.lines() if line.startswith("quota ")]


class Gone(Terminal):
    """A terminal that was closed."""

    def write(self, text):
        raise OSError(5, "Input/output error")


def test_a_terminal_that_is_gone_ends_no_run():
    screen = Screen(terminal=Gone)
    with screen.progress:
        screen.take(Noticed(message="the work goes on"))
        screen.progress.draw()
