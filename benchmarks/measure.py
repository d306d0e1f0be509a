"""Ways measured in turns: each in processes of its own, in a fresh folder, nobody always first; then medians."""

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import commands
import server
import warmth
from work import find_wrong, write_work

HERE = Path(__file__).parent

PATIENCE = 300.0
"""Seconds after which a way is given up."""

SLOW = 40.0
"""Seconds: a way that takes longer the first time is not repeated, and its only run counts."""


@dataclass(frozen=True)
class Run:
    """What one run of one way took."""

    seconds: float
    """Of a Python way: from when everything is imported on."""
    cpu_seconds: float
    """Of all its processes; of a Python way from the same moment on."""
    peak_bytes: int
    """Of the largest of its processes."""
    server_seconds: float = 0.0
    """Processor seconds of the server meanwhile."""


class FailedError(Exception):
    """A way did not do its work."""


def measure(ways, work, repeats, scratch, tell, *, touched=None):
    """Run every way `repeats` times after a warm-up, in turns.

    Args:
        ways: Names.
        work: The same for all.
        repeats: Runs of each that count.
        scratch: Folder in which each run gets one of its own.
        tell: Called with each failure.
        touched: Bytes of memory to touch before each run (see `warmth`); None: as many as it writes.

    Returns:
        Runs of each way, in the order of the turns.
    """
    runs = {way: [] for way in ways}
    for turn in range(repeats + 1):
        for way in rotated(list(runs), turn):
            if turn and runs[way] and runs[way][0].seconds > SLOW:
                continue
            try:
                warmth.touch(work.size if touched is None else touched)
                runs[way].append(run(way, work, scratch))
            except FailedError as error:
                tell(f"{way}: {error}")
                del runs[way]
    return {way: values[1:] or values for way, values in runs.items()}


def rotated(ways, turn):
    """So that nobody always comes first, or always after the same one's leftovers."""
    first = turn % len(ways) if ways else 0
    return ways[first:] + ways[:first]


def run(way, work, scratch):
    with fresh_folder(scratch) as folder, fresh_folder(scratch) as home:
        served = server.cpu_seconds()
        taken = launch(command(way, work, folder, home), folder, environment(work, home))
        served = server.cpu_seconds() - served
        if taken["code"]:
            raise FailedError(f"exit code {taken['code']} {taken['errors']}")
        if way not in commands.LIMITS and (wrong := find_wrong(work, folder)):
            raise FailedError(f"{len(wrong)} of {len(work.files)} files are wrong")
    return Run(taken["seconds"], taken["cpu_seconds"], taken["peak_bytes"], served)


@contextlib.contextmanager
def fresh_folder(scratch):
    """A folder whose files are emptied in the end, and removed with `scratch`.

    For minutes after thousands of files were removed, ext4 takes thirty times as long to make new ones.
    """
    folder = Path(tempfile.mkdtemp(dir=scratch))
    try:
        yield folder
    finally:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                os.truncate(path, 0)


def command(way, work, folder, home):
    if way in commands.WAYS:
        return ["bash", "-c", commands.WAYS[way](work, folder)]
    write_work(work, home / "work.json")
    return [sys.executable, HERE / "one_way.py", way, home / "work.json", folder]


def environment(work, home):
    """Nobody's settings, and the certificate authority where each kind of client looks for it."""
    known = {"HOME": home, "XDG_CONFIG_HOME": home}
    names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if work.authority else ()
    return os.environ | known | dict.fromkeys(names, work.authority)


def launch(argv, folder, environ):
    """What `launch.py` tells of a command that works in a folder; and the end of what it said went wrong."""
    full = [sys.executable, "-I", "-S", HERE / "launch.py", *argv]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(full, cwd=folder, env=environ, start_new_session=True, **pipe) as process:
        try:
            said, errors = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise FailedError(f"took longer than {PATIENCE:.0f} s") from None
    if process.returncode:
        raise FailedError(last_words(errors))
    taken = json.loads(said.splitlines()[-1])
    return taken | own_figures(taken["printed"]) | {"errors": last_words(errors)}


def last_words(errors):
    """The line in which programs say what went wrong."""
    return errors.strip().rpartition("\n")[2][:150]


def own_figures(printed):
    """What a Python way says of itself takes the place of what was seen from outside."""
    last = printed.strip().rpartition("\n")[2]
    return json.loads(last) if last.startswith("{") else {}


def spread(values):
    """Median, smallest, largest."""
    return statistics.median(values), min(values), max(values)


def figures(runs, size, ours):
    """What is reported of one way.

    Args:
        runs: Of the way.
        size: Bytes that each run brought.
        ours: Runs of pepsasync, in the same turns.
    """
    rate, slowest, fastest = spread([size / run.seconds / 1e6 for run in runs])
    return {
        "runs": len(runs),
        "MB_s": round(rate),
        "MB_s_min": round(slowest),
        "MB_s_max": round(fastest),
        "seconds": round(statistics.median(run.seconds for run in runs), 3),
        "cpu_s_per_GB": round(statistics.median(run.cpu_seconds for run in runs) / size * 1e9, 2),
        "server_cpu_s_per_GB": round(statistics.median(run.server_seconds for run in runs) / size * 1e9, 2),
        "busy": round(statistics.median(map(busy, runs)), 2),
        "peak_MB": round(max(run.peak_bytes for run in runs) / 1e6),
        "pepsasync_times": compare(runs, ours),
    }


def busy(run):
    """The share of what all processors could do in that time that client and server did."""
    return (run.cpu_seconds + run.server_seconds) / (run.seconds * (os.cpu_count() or 1))


def compare(runs, ours):
    """How many times as fast as a way pepsasync was; turn by turn, so that a slow minute counts for both."""
    if not ours:
        return None
    if len(runs) == len(ours):
        return round(statistics.median(a.seconds / b.seconds for a, b in zip(runs, ours, strict=True)), 2)
    return round(statistics.median(run.seconds for run in runs) / statistics.median(run.seconds for run in ours), 2)
