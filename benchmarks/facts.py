"""The machine and the versions that figures belong to."""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime

import rivals

COMMANDS = {"nginx": "-v", "curl": "--version", "aria2c": "--version", "wget2": "--version", "md5sum": "--version"}

LIBRARIES = ("pepsasync", "httpx", "httpcore", "anyio", "sniffio", "trio")


def machine():
    """What the figures depend on most."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "processor": _processor(),
        "processors": os.cpu_count(),
        "memory_GB": round(memory / 1e9, 1),
        "python": sys.version.split()[0],
        "load_before": round(os.getloadavg()[0], 2),
        "md5_MB_s": round(_md5_rate()),
    }


def versions():
    """Of everything that is measured; what is not installed is None."""
    found = {name: _command_version(name, option) for name, option in COMMANDS.items()}
    return found | {name: rivals.find_version(name) for name in (*LIBRARIES, *rivals.WAYS)}


def disk_rate(folder, size=256 << 20):
    """Bytes a second that the folder's disk takes, forced to it."""
    path, block = folder / "rate", os.urandom(1 << 20)
    began = time.perf_counter()
    with path.open("wb") as file:
        for _ in range(size >> 20):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    seconds = time.perf_counter() - began
    path.unlink()
    return size / seconds


def _md5_rate(size=256 << 20):
    block, digest = bytes(1 << 20), hashlib.md5(usedforsecurity=False)
    began = time.perf_counter()
    for _ in range(size >> 20):
        digest.update(block)
    return size / (time.perf_counter() - began) / 1e6


def _processor():
    try:
        with open("/proc/cpuinfo") as file:  # noqa: PTH123 - no file of ours
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def _command_version(name, option):
    path = shutil.which(name)
    if path is None:
        return None
    done = subprocess.run([path, option], capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+(\.\d+)*", done.stdout + done.stderr)
    return found[0] if found else "?"
