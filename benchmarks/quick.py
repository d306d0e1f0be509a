"""A slip in speed, seen within two minutes: pepsasync beside curl and md5sum, by ratio, with wide margins.

Nothing else is installed or measured. Ends with 1 when a margin is broken, with 0 when all hold, or when nginx or curl
are missing, which it says.
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cases
import measure
import server
from cases import MIB

REPEATS = 3


@dataclass(frozen=True)
class Margin:
    """A case, and what no change may fall behind."""

    case: cases.Case
    slowest: float
    """Times as fast as the case's second way, at least."""
    largest: int | None = None
    """MB of memory, at most."""


def margins():
    """About half of what is promised: the machine may be busy, the files are small, and starting counts."""
    ways, large = (cases.ALONE, cases.CURL), 256 * MIB
    several = cases.Case("many", "8 files, 4 at a time, verified", 8, 64 * MIB, 4, ways)
    small = cases.Case(
        "small", "300 small files, 16 at a time, verified", 300, cases.SMALL, 16, ("pepsasync", cases.CURL)
    )
    return (
        Margin(cases.Case("one", "one file, verified", 1, large, 1, ways), 0.6, 100),
        Margin(several, 0.5, 120),
        Margin(small, 0.06, 120),
        Margin(cases.Case("tls", "one file over TLS, verified", 1, large, 1, ways, tls=True), 0.6),
    )


def main():
    if missing := server.find_missing():
        print(f"skipped: on Debian, apt-get install {' '.join(missing)}")
        return
    broken = 0
    for with_tls in (False, True):
        with tempfile.TemporaryDirectory(prefix="bench-") as name, server.nginx(Path(name), with_tls=with_tls) as where:
            for margin in margins():
                if margin.case.tls is with_tls:
                    broken += not holds(margin, Path(name), *where)
    sys.exit(1 if broken else 0)


def holds(margin, folder, root, authority):
    """Measure one case and say how it went."""
    case = margin.case
    files = server.make_files(folder, root, case.files, case.size, shared=case.shared)
    failures = []
    runs = measure.measure(case.ways, case.work(files, authority), REPEATS, folder, failures.append)
    if failures:
        print(f"FAILED   {case.title}: {failures[0]}", flush=True)
        return False
    ours, other = (runs[way] for way in case.ways)
    # The best turn: a machine that was busy in the others tells nothing of the program.
    ratio = max(b.seconds / a.seconds for a, b in zip(ours, other, strict=True))
    memory = max(run.peak_bytes for run in ours) / 1e6
    is_good = ratio >= margin.slowest and (margin.largest is None or memory <= margin.largest)
    limits = f"at least {margin.slowest:g}" + (f", at most {margin.largest} MB" if margin.largest else "")
    reached = f"{ratio:.2f} times {case.ways[1]}, {memory:.0f} MB"
    print(f"{'ok' if is_good else 'BROKEN':8} {case.title}: {reached} ({limits})", flush=True)
    return is_good


if __name__ == "__main__":
    main()
