"""What is measured, at three scales, and what is promised of it."""

from collections.abc import Callable
from dataclasses import dataclass

import commands
import rivals
from work import Work

MIB = 1 << 20

ALONE = "pepsasync, transfer alone"

BLAKE3, UNVERIFIED_ALONE = f"{ALONE}, BLAKE3", f"{ALONE}, not verified"

LIBRARIES = tuple(rivals.WAYS)

SMALL = 100 << 10
"""Bytes of each of many small files."""


@dataclass(frozen=True)
class Case:
    """Files of one size, downloaded in several ways."""

    name: str
    title: str
    files: int
    size: int
    """Bytes of each file, about."""
    jobs: int
    ways: tuple[str, ...]
    verified: bool = True
    tls: bool = False
    shared: bool = True
    """All files are the same one under several names."""
    slow: bool = False
    """Each connection gets a few MB/s, so that all are busy at once."""
    round_trip: float | None = None
    """Seconds of the link to the server; None for none but the loopback."""

    def work(self, files, authority):
        return Work(files, self.jobs, self.verified, authority)


@dataclass(frozen=True)
class Target:
    """What is promised."""

    case: str
    way: str
    figure: str
    """`faster` (times the other way), `MB_s`, `peak_MB`, `cpu` (of the other way's seconds a GB), or `busy`."""
    limit: float
    other: str | None = None

    @property
    def is_ceiling(self):
        """Whether less is better."""
        return self.figure in ("peak_MB", "cpu")


SIZES = {
    "full": {"one": 2048 * MIB, "many": (20, 200 * MIB), "small": 2000, "crowd": 16 * MIB, "repeats": 3},
    "half": {"one": 1024 * MIB, "many": (10, 200 * MIB), "small": 1000, "crowd": 8 * MIB, "repeats": 3},
    "quick": {"one": 256 * MIB, "many": (8, 64 * MIB), "small": 400, "crowd": 4 * MIB, "repeats": 1},
}

OURS = ("pepsasync", ALONE)

CURL = "curl, then md5sum"
TO_DISK = "curl, md5sum, sync"
COMMANDS = (CURL, TO_DISK, "aria2c", "wget2, then md5sum")

ONE = ("curl, hashed on the way", *COMMANDS, *LIBRARIES)
SEVERAL = ("curl, md5sum on all cores", *COMMANDS, *LIBRARIES)
LINK = ("pepsasync", commands.BARE, CURL, "aiohttp", "stac-asset")
CROWD = ("pepsasync", CURL, "aria2c", "aiohttp", "obstore", "stac-asset")
UNVERIFIED = ("curl", "wget2", "aiohttp", "requests", "obstore", "httpx")


def make_cases(scale):
    """All cases, in the order in which they are shown."""
    size = SIZES[scale]
    one, (count, large), small = size["one"], size["many"], size["small"]
    single, verified = f"One file of {_words(one)}", "MD5 verified"
    files, small_files = f"{count} files of {_words(large)}, 4 at a time", f"{small:,} files of 100 KiB, 16 at a time"
    link = f"{small:,} files of 100 KiB, 4 at a time, over a link with a round trip of 20 ms"
    crowd = f"64 files of {_words(size['crowd'])} at once, 4 MiB/s each"
    one_way, bare_way = (*OURS, commands.ALONE, commands.IN_MEMORY, *ONE), (ALONE, *UNVERIFIED)
    by_checksum = (ALONE, BLAKE3, UNVERIFIED_ALONE)
    return (
        Case("one", f"{single}, {verified}", 1, one, 1, (*one_way, "pepsasync on trio")),
        Case("one-tls", f"{single} over TLS, {verified}", 1, one, 1, one_way, tls=True),
        Case("bare", f"{single}, not verified", 1, one, 1, bare_way, verified=False),
        Case("bare-tls", f"{single} over TLS, not verified", 1, one, 1, bare_way, verified=False, tls=True),
        Case("blake3", f"{single}, by checksum", 1, one, 1, by_checksum),
        Case("blake3-tls", f"{single} over TLS, by checksum", 1, one, 1, by_checksum, tls=True),
        Case("many", f"{files}, {verified}", count, large, 4, (*OURS, *SEVERAL)),
        Case("small", f"{small_files}, {verified}", small, SMALL, 16, (*OURS, *SEVERAL), shared=False),
        Case("link", f"{link}, {verified}", small, SMALL, 4, LINK, shared=False, round_trip=0.02),
        Case("crowd", f"{crowd}, {verified}: the memory", 64, size["crowd"], 64, CROWD, slow=True),
    )


TARGETS = (
    Target("one", ALONE, "faster", 0.95, commands.IN_MEMORY),
    Target("one", ALONE, "faster", 1.3, CURL),
    Target("one", "pepsasync", "faster", 1.3, TO_DISK),
    Target("one", ALONE, "faster", 4.0, "aria2c"),
    Target("one-tls", ALONE, "faster", 0.85, commands.IN_MEMORY),
    Target("one-tls", ALONE, "faster", 1.3, CURL),
    Target("bare", ALONE, "faster", 0.95, "curl"),
    Target("bare-tls", ALONE, "faster", 0.95, "curl"),
    Target("bare", ALONE, "cpu", 1.15, "curl"),
    Target("bare-tls", ALONE, "cpu", 1.15, "curl"),
    Target("blake3", BLAKE3, "faster", 0.95, UNVERIFIED_ALONE),
    Target("blake3-tls", BLAKE3, "faster", 0.95, UNVERIFIED_ALONE),
    Target("many", ALONE, "faster", 1.5, CURL),
    Target("many", ALONE, "busy", 0.9),
    Target("small", ALONE, "faster", 1.05, "stac-asset"),
    Target("small", "pepsasync", "faster", 1.05, "stac-asset"),
    Target("link", "pepsasync", "faster", 0.95, commands.BARE),
    Target("crowd", "pepsasync", "peak_MB", 100),
)


@dataclass(frozen=True)
class ScriptTarget:
    """What is promised of the lines that another script prints."""

    script: str
    what: str
    key: str
    limit: float
    """At most."""
    fold: Callable[[list[float]], float | None] = max
    """One figure of those of all lines."""
    way: str | None = None
    """Only lines of this way."""


def growth(values):
    """How many times the first is the last; None where there is nothing to compare with."""
    return values[-1] / values[0] if len(values) > 1 else None


SCRIPT_TARGETS = (
    ScriptTarget("page.py", "`pepsasync search` of one page, ms longer than the archive", "more_ms", 500),
    ScriptTarget("search.py", "Listing all products, times the archive's own time", "ratio", 1.2),
    ScriptTarget("search.py", "Parsing, microseconds a product", "parse_us", 50),
    ScriptTarget("length.py", "Memory of the longest file, times that of the shortest", "peak_MB", 1.1, growth),
    ScriptTarget("scale.py", "Memory of ten times as many products, times", "peak_MB", 1.25, growth),
    ScriptTarget("bands.py", "Three bands of 20 products, times their bytes on the line", "of_bound", 1.3),
    ScriptTarget("makespan.py", "A whole order with tape, times the lower bound", "of_bound", 1.03, way="pepsasync"),
)


def judge_script(target, lines):
    """What was reached; None when it was not measured."""
    values = [line[target.key] for line in lines if target.key in line and target.way in (None, line.get("way"))]
    reached = target.fold(values) if values else None
    return None if reached is None else round(reached, 2)


SLOWEST_START = {"pepsasync --version": 150, "pepsasync --help": 150}
"""Milliseconds, at most."""


def judge(target, figures):
    """What was reached of a target; None when it was not measured.

    Args:
        target: What is promised.
        figures: Of the target's case, by way.
    """
    ours, other = figures.get(target.way), figures.get(target.other)
    if ours is None or (target.other and other is None):
        return None
    match target.figure:
        case "faster":
            return round(other["seconds"] / ours["seconds"], 2)
        case "cpu":
            return round(ours["cpu_s_per_GB"] / other["cpu_s_per_GB"], 2)
    return ours.get(target.figure)


def is_met(target, reached):
    return reached <= target.limit if target.is_ceiling else reached >= target.limit


def find_missing(case):
    """Ways of a case that are not installed."""
    return [way for way in case.ways if not _is_there(way)]


def _is_there(way):
    if way in commands.WAYS:
        return commands.find_command(way) is not None
    if way in rivals.WAYS:
        return rivals.find_version(way) is not None
    return way != "pepsasync on trio" or rivals.find_version("trio") is not None


def _words(size):
    return f"{size // MIB >> 10} GiB" if size % (1 << 30) == 0 else f"{size // MIB} MiB"
