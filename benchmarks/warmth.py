"""Memory that was touched a moment ago, which is what a run shall write to.

The first writes to fresh memory are slow on virtual machines. Where the host takes free memory back after seconds
(Linux calls it free page reporting), most free memory is fresh again before a run ends, and whether a run meets it is
chance: writing a file then takes ten times as long, or not. `held` leaves so little free that all of it can be touched
before each run.
"""

import contextlib
import os
import subprocess
import sys

TOUCH = "block = bytearray({size}); block[::4096] = b'1' * len(block[::4096])"

HOLD = f"{TOUCH}; print('held', flush=True); import sys; sys.stdin.read()"

SPARE = 512 << 20
"""Bytes that are left alone when all free memory is touched."""


HELP = "leave no more memory free than can be touched before each run; for virtual machines, see warmth.py"
"""Of the option of the scripts."""

LEFT = 5
"""Times what a run writes: Linux slows writers down when a fifth of what is left waits for the disk."""

LEAST = 2 << 30
"""Bytes that are left at least."""


@contextlib.contextmanager
def held(written):
    """Hold all free memory but what runs that write so many bytes need; takes a minute for 20 GB.

    Gives the process that holds it.
    """
    held = max(0, free_memory() - needed(written) - SPARE)
    pipe = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(_python(HOLD, held), **pipe) as process:
        process.stdout.readline()
        try:
            yield process
        finally:
            process.stdin.close()


def needed(written):
    """Bytes of memory that runs that write so many meet."""
    return max(LEFT * written, LEAST)


def touch(size):
    """Touch and free so much memory, or what there is."""
    subprocess.run(_python(TOUCH, max(0, min(size, free_memory() - SPARE))), check=True)


def free_memory():
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _python(code, size):
    return [sys.executable, "-I", "-S", "-c", code.format(size=size)]
