"""Who may write the journal: a file that its owner keeps changing.

Locks of shared file systems cannot be relied on, and neither can clocks of other machines. So a lease is alive as long
as its beat is seen to change, measured on the watcher's own monotonic clock. All functions here block.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import socket
import threading
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pepsasync.errors import ConfigError
from pepsasync.folder.files import disk_error, disk_errors, new_file, read_own, write_new
from pepsasync.processes import place, process_exists

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_BEAT_DIGITS = 20
"""The beat stands first and has a fixed width: it is overwritten in place, which needs no room on a full disk."""


class JournalBusyError(ConfigError):
    """Another pepsasync works in the folder."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds a lease."""

    host: str
    place: str
    """Within which a process id means one process: host, boot and process namespace."""
    pid: int
    token: str
    """Random, so that no two owners are the same."""
    since: float
    """Wall time of that machine, seconds since 1970; only for people to read."""

    @classmethod
    def here(cls, wall: Callable[[], float] = time.time) -> Owner:
        """This process, as a new owner."""
        return cls(socket.gethostname(), place(), os.getpid(), secrets.token_hex(8), wall())

    @classmethod
    def from_json(cls, text: str) -> Owner | None:
        """What a lease says of its owner; None when it says no such thing."""
        try:
            owner = cls(**json.loads(text))
        except (ValueError, TypeError, RecursionError):
            return None
        texts = (owner.host, owner.place, owner.token)
        is_process = type(owner.pid) is int and owner.pid > 0
        return owner if is_process and all(isinstance(one, str) for one in texts) else None

    @property
    def is_dead(self) -> bool:
        """True when it is certain that the process is no more; never for other machines."""
        return self.place == place() and not process_exists(self.pid)

    def __str__(self) -> str:
        """`process 4711 on node12 since 2026-11-22 10:00 UTC`."""
        return f"process {self.pid} on {self.host} since {_minute(self.since)}"


@dataclass(frozen=True, slots=True)
class Sight:
    """A lease as it was seen at one moment."""

    text: str
    """All that stands in the file; any change of it is a sign of life."""
    owner: Owner | None
    """None when the file is empty or damaged."""


class Lease:
    """One process's hold on a journal.

    Args:
        path: The lease file.
        wall: Wall clock, seconds since 1970.
    """

    def __init__(self, path: Path, wall: Callable[[], float] = time.time) -> None:
        self.path = path
        self.owner = Owner.here(wall)
        self._beat = 0
        self._one_at_a_time = threading.RLock()
        self._is_released = False
        self.is_lost = False
        """Whether the file was found not to name us any more, or cannot be there any more."""
        self.taken_by: Owner | None = None
        """Who was found to hold the lease in our place; None when that is not known."""
        self.had_successor = False
        """Whether another has held the lease in our place and has ended."""
        self.was_replaced = False
        """Whether a link, or a folder that never held the lease, was found in the place of its folder."""
        self._has_signed = False

    def take(self) -> bool:
        """Take a lease that nobody holds; False when somebody was first.

        Raises:
            ConfigError: The folder cannot be written.
            DiskFullError: There is no room for it.
        """
        try:
            self._create()
        except FileExistsError:
            return False
        except OSError as error:
            raise disk_error(self.path, error) from error
        return True

    def _create(self) -> None:
        with self.path.open("x", encoding="utf-8", newline="") as file:
            file.write(self._text())
        self._sign()

    def _sign(self) -> None:
        """Note beside the lease who had it last, which outlives it: whoever misses it knows whether another had it."""
        with contextlib.suppress(OSError):
            write_new(self._last, self.owner.token.encode())
            self._has_signed = True

    @property
    def _last(self) -> Path:
        return self.path.with_suffix(".owner")

    def _had_it_last(self) -> bool:
        try:
            return read_own(self._last) == self.owner.token
        except (OSError, ValueError):
            return True

    def _is_replaced(self) -> bool:
        """Whether something else stands in the place of our folder."""
        if self.path.parent.is_symlink():
            return True
        return self._has_signed and _is_missing(self.path) and _is_missing(self._last) and self.path.parent.is_dir()

    def take_over(self) -> None:
        """Put our lease in the place of a dead one.

        Two may do so at the same time and the later one wins, so look at `is_ours` again after a while.
        """
        new = new_file(self.path)
        with disk_errors(self.path):
            write_new(new, self._text().encode())
            new.replace(self.path)
        self._sign()

    def is_ours(self) -> bool:
        """Whether the file still names us. A lease that was lost stays lost.

        One that was removed by hand is taken again: nobody works in a folder without it. It is lost when a link or
        another folder stands in the place of its folder.

        Raises:
            OSError: It cannot be read.
        """
        with self._one_at_a_time:
            if not self._is_released and self._is_replaced():
                self.is_lost = self.was_replaced = True
                return False
            sight = look(self.path)
            if sight is None and not self.is_lost and not self._is_released:
                if not self._had_it_last():
                    self.is_lost = self.had_successor = True
                    return False
                try:
                    self._create()
                except FileNotFoundError:  # nor is its folder there
                    self.is_lost = True
                except FileExistsError:
                    sight = look(self.path)
                else:
                    return True
            if sight is not None and sight.owner is None:
                raise OSError(errno.EBUSY, "it is being written")  # or damaged: then somebody takes it over
            if sight is None or sight.owner != self.owner:
                self.is_lost, self.taken_by = True, sight.owner if sight else None
            return not self.is_lost

    def beat(self) -> bool:
        """Give a sign of life, from any thread; False when the lease is lost.

        A file that cannot be read or written at this moment is no lost lease, only a missing sign of life.
        """
        with self._one_at_a_time, contextlib.suppress(OSError):
            if self.is_ours():
                self._beat += 1
                with self.path.open("r+b", buffering=0) as file:
                    file.write(self._digits())
        return not self.is_lost

    def release(self) -> None:
        """Let others in at once."""
        with self._one_at_a_time, contextlib.suppress(OSError):
            self._is_released = True
            if self.is_ours():
                self.path.unlink(missing_ok=True)

    def _digits(self) -> bytes:
        return f"{self._beat:0{_BEAT_DIGITS}}".encode()

    def _text(self) -> str:
        return f"{self._digits().decode()}\n{json.dumps(asdict(self.owner))}\n"


class Heartbeat:
    """Gives signs of life in a thread of its own, also while a journal is opened and checked, or a disk is slow.

    Args:
        beat: Gives one.
        seconds: Between two signs.
    """

    def __init__(self, beat: Callable[[], object], seconds: float) -> None:
        self._beat = beat
        self._seconds = seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; waits for a sign that is being given."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._seconds):
            self._beat()


def _is_missing(path: Path) -> bool:
    """Whether it is certain that a file is not there; `lexists` says so, too, of what cannot be looked at."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def look(path: Path) -> Sight | None:
    """Read a lease; None when there is none.

    Raises:
        OSError: It cannot be read.
    """
    try:
        text = path.read_text("utf-8", "replace")
    except FileNotFoundError:
        return None
    return Sight(text, Owner.from_json(text[_BEAT_DIGITS:]))


class LeaseWatch:
    """Tells from repeated looks whether the owner of a lease lives.

    Args:
        patience: Seconds without any change after which a lease is dead.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._first: Sight | None = None
        self._since = 0.0

    def judge(self, sight: Sight, now: float) -> bool | None:
        """Return True when the owner was seen to live, False when it is dead, None when that is not known yet.

        Args:
            sight: What was just seen.
            now: This machine's monotonic clock, seconds.
        """
        if sight.owner is not None and sight.owner.is_dead:
            return False
        if self._first is None:
            self._first, self._since = sight, now
            return None
        if sight.text != self._first.text:
            return True
        return False if now - self._since >= self._patience else None


def busy(directory: Path, owner: Owner | None) -> JournalBusyError:
    """The error for a folder in which another process works."""
    who = str(owner) if owner else "another process"
    return JournalBusyError(
        f"pepsasync is already running in {directory}: {who}",
        hint="Wait for it or stop it, or choose another folder with -w DIR",
    )


def _minute(wall: float) -> str:
    try:
        return f"{datetime.fromtimestamp(wall, UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return "an unknown time"
