"""Does memory grow with the length of a file?

`Client.fetch` of one file of each length, verified, each in a process of its own; nginx on the loopback serves. Every
length takes its bytes twice on the disk, once for the server and once for the download.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import measure
import server
from work import Work

GB = 10**9

SPARE = GB
"""Bytes of the disk that are left free."""


def need_room(size, folder):
    """End, and say why, unless the disk has room for a file of this size and its download."""
    needed, free = 2 * size + SPARE, shutil.disk_usage(folder).free
    if free < needed:
        sys.exit(f"{folder} has {free / GB:.0f} GB free, a file of {size / GB:g} GB needs {needed / GB:.0f}")


def measure_peak(size):
    """Bytes of memory that one download of so many bytes took."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        need_room(size, folder)
        with server.nginx(folder, with_tls=False) as (root, _):
            files = server.make_files(folder, root, 1, size, shared=False)
            return measure.run("pepsasync", Work(files, 1, verified=True, authority=None), folder).peak_bytes


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--gigabytes", type=float, nargs="+", default=[1, 20])
    given = options.parse_args()
    server.need_commands()
    for length in given.gigabytes:
        peak = measure_peak(int(length * GB))
        print(json.dumps({"GB": length, "peak_MB": round(peak / 1e6)}), flush=True)


if __name__ == "__main__":
    main()
