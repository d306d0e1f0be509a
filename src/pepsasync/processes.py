"""Processes of this machine: which one this is, and whether another one still exists. All functions here block."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path


def place() -> str:
    """Within which a process id means one process: host, boot and process namespace."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts += [
            Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip(),
            str(Path("/proc/self/ns/pid").readlink()),
        ]
    return " ".join(parts)


def process_exists(pid: int) -> bool:
    """Whether a process of this place has not ended; True when that cannot be known."""
    if os.name == "nt":
        return True  # signal 0 would end the process there
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError, TypeError):
        return True
    return not _is_zombie(pid)


def start_of(pid: int) -> int | None:
    """When a process began, in ticks since the machine did: ids are used again. None when that is not told."""
    fields = _stat(pid)
    return int(fields[19]) if len(fields) > 19 and fields[19].isdigit() else None


def _is_zombie(pid: int) -> bool:
    """Whether a process has ended, with all its threads, and only waits for its parent: for ever, in many containers.

    Source: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html.
    """
    try:
        return _stat(pid)[0] == "Z" and len(list(Path(f"/proc/{pid}/task").iterdir())) == 1
    except (OSError, IndexError):
        return False


def _stat(pid: int) -> list[str]:
    """What stands behind the name of a process; nothing when that is not told."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return []
