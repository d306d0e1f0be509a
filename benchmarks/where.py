"""Where does the time of a download go? Processor seconds of each thread of pepsasync, and functions of its event loop.

`where.py --files 1 --size 1073741824`, `where.py --files 2000 --size 102400 --jobs 16`; nginx on the loopback serves.
Threads are read from /proc (Linux). With `--functions` the event loop runs under cProfile, which makes it slower: look
at the shares.
"""

import argparse
import contextlib
import cProfile
import json
import os
import pstats
import tempfile
import threading
import time
from pathlib import Path

import ours
import server
import warmth
from work import Work

LOOK_INTERVAL = 0.02
"""Seconds between two looks; a thread that lives shorter is missed."""


def look(taken):
    """Note the ticks of every thread, user and system."""
    for thread in threading.enumerate():
        try:
            fields = Path(f"/proc/self/task/{thread.native_id}/stat").read_text().rpartition(") ")[2].split()
        except OSError:  # it has just ended
            continue
        taken[thread.native_id] = (thread.name, int(fields[11]), int(fields[12]))


def watch(taken, stop):
    while not stop.wait(LOOK_INTERVAL):
        look(taken)


def measure(way, work, folder, profile):
    """Processor seconds by thread, and the seconds that it took."""
    taken, before, stop = {}, {}, threading.Event()
    watcher = threading.Thread(target=watch, args=(taken, stop), name="this watch")
    look(before)
    watcher.start()
    began = time.perf_counter()
    if profile:
        profile.enable()
    ours.WAYS[way](work, folder)
    if profile:
        profile.disable()
    seconds = time.perf_counter() - began
    stop.set()
    watcher.join()
    look(taken)
    return seconds, threads(taken, before)


def threads(taken, before):
    """One line for each thread, the busiest first."""
    tick = os.sysconf("SC_CLK_TCK")
    lines = []
    for number, (name, user, system) in taken.items():
        _, user_before, system_before = before.get(number, (name, 0, 0))
        spent = {"user_s": (user - user_before) / tick, "system_s": (system - system_before) / tick}
        lines.append({"thread": name} | spent)
    return sorted(lines, key=lambda line: line["user_s"] + line["system_s"], reverse=True)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--files", type=int, default=1)
    options.add_argument("--size", type=int, default=1 << 30, help="bytes of each file")
    options.add_argument("--jobs", type=int, default=4)
    options.add_argument("--way", choices=ours.WAYS, default="pepsasync")
    options.add_argument("--tls", action="store_true")
    options.add_argument("--functions", type=int, default=0, metavar="N", help="also the N costliest of the event loop")
    options.add_argument("--hold-memory", action="store_true", help=warmth.HELP)
    given = options.parse_args()
    server.need_commands()
    profile = cProfile.Profile() if given.functions else None
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        tempfile.TemporaryDirectory(prefix="bench-") as target,
        server.nginx(Path(name), with_tls=given.tls) as (root, authority),
    ):
        files = server.make_files(Path(name), root, given.files, given.size, shared=False)
        work = Work(files, given.jobs, verified=True, authority=authority)
        with warmth.held(work.size) if given.hold_memory else contextlib.nullcontext():
            warmth.touch(warmth.needed(work.size) if given.hold_memory else work.size)
            seconds, lines = measure(given.way, work, target, profile)
    print(json.dumps({"MB_s": round(work.size / seconds / 1e6), "seconds": round(seconds, 2)}))
    for line in lines:
        print(json.dumps(line))
    if profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(given.functions)


if __name__ == "__main__":
    main()
