"""How much memory does a fetch use while thousands of products wait for tape?

A sandbox in this process, all of its products on tape and a robot that never ends; `pepsasync fetch` in another. Its
resident memory is read from /proc (Linux) once every product was asked for.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pepsasync.sandbox import Sandbox

LIMIT = 600.0
"""Seconds after which the measurement is given up."""


def resident_bytes(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def command(archive, folder, auth):
    base = [sys.executable, "-m", "pepsasync", "fetch", "--provider", "peps", "--base-url", archive.peps_url, "--quiet"]
    query = ["-d", "2015-01-01", "-f", "2018-01-01", "-c", "S1"]
    return [*base, *query, "-a", str(auth), "-w", str(folder), "--staging-jobs", "16", "--poll-interval", "5"]


def measure(count):
    """Peak resident memory in bytes, and the seconds until every product was asked for."""
    # Half of a catalogue is Sentinel-1.
    options = {"products": 2 * count, "product_size": 10_240, "tape_fraction": 1.0, "staging_seconds": 1e6}
    archive = Sandbox(**options, mount_seconds=0)
    archive.start()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "auth").write_text(f"{archive.username} {archive.password}\n")
        process = subprocess.Popen(command(archive, folder / "data", folder / "auth"))
        began = time.monotonic()
        try:
            while len(archive.statistics.stagings) < count and time.monotonic() - began < LIMIT:
                if process.poll() is not None:
                    sys.exit("the fetch ended early")
                time.sleep(1)
            staged = time.monotonic() - began
            peak = 0
            for _ in range(15):  # over a few looks at all that wait
                peak = max(peak, resident_bytes(process.pid))
                time.sleep(1)
        finally:
            process.kill()
            process.wait()
            archive.stop()
    return peak, staged


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--products", type=int, nargs="+", default=[100, 1000, 5000])
    for count in options.parse_args().products:
        peak, staged = measure(count)
        print(json.dumps({"waiting": count, "resident_MB": round(peak / 1e6, 1), "seconds_to_ask": round(staged, 1)}))


if __name__ == "__main__":
    main()
