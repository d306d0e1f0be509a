"""The ledger of an account on a shared file system. All functions here block.

The ledger is a row of numbered files, of which the highest counts. Whoever changes it makes the file with the next
number, which only one can: no lock is needed, and whoever was stopped half-way finds that another one was faster. Each
holder has a file of its own that it keeps replacing, its beat.

A folder that the group may write, as a lab makes it, is for the group: so is what is made in it. Else it is for one
user. One that everybody may write is refused.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pepsasync.errors import ConfigError
from pepsasync.folder.files import disk_error, foreign, new_file, removed_on_error, write_new
from pepsasync.limits.shared.state import Ledger, as_text, parse

if TYPE_CHECKING:
    from collections.abc import Iterable

KEPT = 64
"""Files before the newest one that are kept. One that was stopped for longer must not make a number again."""

LARGEST = 16_777_216
"""Bytes; a larger ledger is damaged."""

LONGEST_BEAT = 64
"""Bytes of a beat that are read."""

OLD = 86_400.0
"""Seconds after which what nobody has is removed."""

_NAME = re.compile(r"(\d{18})\.json")
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)


class DamagedError(Exception):
    """The newest ledger cannot be read.

    Args:
        version: Its number.
    """

    def __init__(self, version: int) -> None:
        super().__init__(version)
        self.version = version


class LedgerFiles:
    """The files of the ledger of one account.

    Args:
        shared: Folder of all accounts, given by the user.
        name: Of the account, as `account_name` made it.
    """

    def __init__(self, shared: Path, name: str) -> None:
        self._shared = shared
        self.path = shared / name
        self._mode = 0o600

    def prepare(self) -> None:
        """Make the folder unless it is there.

        Raises:
            ConfigError: It cannot be used, or everybody could write there.
        """
        try:
            if not self._shared.exists():
                self._shared.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self._shared.stat()
            if found.st_mode & stat.S_IWOTH:
                raise ConfigError(
                    f"everybody may write to {self._shared}, so the limits in it could not be relied on",
                    hint=f"chmod o-w {self._shared}",
                )
            for_group = found.st_mode & stat.S_IWGRP
            self._mode = 0o660 if for_group else 0o600
            with contextlib.suppress(FileExistsError):
                self.path.mkdir(mode=0o700)
                if for_group:
                    os.chown(self.path, -1, found.st_gid)
                    self.path.chmod(0o2770)
            if not stat.S_ISDIR(os.lstat(self.path).st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        except OSError as error:
            raise unusable(self.path, error) from error

    def versions(self) -> list[int]:
        """Numbers of the files that are there, in order.

        Raises:
            OSError: The folder cannot be read.
        """
        return sorted(int(match[1]) for entry in os.scandir(self.path) if (match := _NAME.fullmatch(entry.name)))

    def read(self) -> Ledger | None:
        """The newest ledger; None when there is none.

        Raises:
            DamagedError: It is none, or is still being written.
            OSError: It cannot be read.
        """
        while versions := self.versions():
            try:
                text = self._text(self._file(versions[-1]), LARGEST)
                return parse(text, versions[-1])
            except FileNotFoundError:  # so far have others come meanwhile
                continue
            except ValueError as error:
                raise DamagedError(versions[-1]) from error
            except OSError as error:
                if error.errno in (errno.EBUSY, errno.ELOOP, errno.EISDIR, errno.ENXIO):  # no file of ours
                    raise DamagedError(versions[-1]) from error
                raise
        return None

    def commit(self, ledger: Ledger) -> bool:
        """Make a ledger the newest one; False when another program was faster.

        Args:
            ledger: With the number after that which it was made from.

        Raises:
            OSError: It cannot be written.
        """
        target, new = self._file(ledger.version), new_file(self.path / "ledger")
        content = as_text(ledger).encode()
        self._write(new, content)
        with removed_on_error(new):
            is_first = self._link(new, target, content)
        new.unlink(missing_ok=True)
        # Whoever slept for so long that the number was used and removed is not first, although the file was not there.
        is_first = is_first and self.versions()[-1] - ledger.version < KEPT
        if is_first and ledger.version % (KEPT // 2) == 0:
            self._remove_old(ledger)
        return is_first

    def set_aside(self, version: int) -> Path:
        """Rename a damaged ledger after which there is another one; returns the new path."""
        aside = self.path / f"damaged-{version}"
        with contextlib.suppress(OSError):
            self._file(version).rename(aside)
        return aside

    def beat(self, token: str, text: str) -> float:
        """Give a sign of life; returns the time of the file system, not later than it is, in seconds since 1970.

        Whoever makes a file in a folder also sees what others have made there, on network file systems that keep
        copies.

        Raises:
            OSError: It cannot be written.
        """
        path = self._beat_file(token)
        new = new_file(path)
        self._write(new, text.encode())
        with removed_on_error(new):
            new.replace(path)
        before = time.monotonic()
        return path.stat().st_mtime + time.monotonic() - before

    def beats(self, tokens: Iterable[str]) -> dict[str, str]:
        """The last signs of life by token; nothing for holders without one."""
        found = {}
        for token in tokens:
            with contextlib.suppress(OSError, ValueError):
                found[token] = self._text(self._beat_file(token), LONGEST_BEAT)
        return found

    def end(self, token: str) -> None:
        """Remove the beat of a holder that is none any more."""
        with contextlib.suppress(OSError):
            self._beat_file(token).unlink(missing_ok=True)

    def _file(self, version: int) -> Path:
        return self.path / f"{version:018}.json"

    def _beat_file(self, token: str) -> Path:
        return self.path / f"{token}.beat"

    def _text(self, path: Path, most: int) -> str:
        with open(path, "rb", opener=_opener) as file:
            content = file.read(most + 1)
        if len(content) > most:
            raise ValueError("it is too large")
        return content.decode()

    def _write(self, path: Path, content: bytes) -> None:
        write_new(path, content)
        path.chmod(self._mode)

    def _link(self, new: Path, target: Path, content: bytes) -> bool:
        """Give a file its number; where files cannot have two names, write it there."""
        try:
            os.link(new, target)
        except FileExistsError:
            # A server that was asked twice says so although the first time has succeeded.
            return os.lstat(new).st_nlink > 1
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
        else:
            return True
        try:
            handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, self._mode)
        except FileExistsError:
            return False
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        return True

    def _remove_old(self, ledger: Ledger) -> None:
        """Remove ledgers that are long past, and what ended programs have left."""
        with contextlib.suppress(OSError):
            for version in self.versions():
                if version <= ledger.version - KEPT:
                    self._file(version).unlink(missing_ok=True)
            for entry in list(os.scandir(self.path)):
                is_beat = entry.name.endswith(".beat") and ledger.holder(entry.name.removesuffix(".beat")) is None
                if is_beat or entry.name.endswith(".new"):
                    with contextlib.suppress(OSError):
                        if entry.stat(follow_symlinks=False).st_mtime < time.time() - OLD:
                            Path(entry.path).unlink()


def unusable(path: Path, error: OSError) -> ConfigError:
    """The error for a ledger that cannot be read or written."""
    told = disk_error(path, error)
    hint = "Give a folder that you may write with --share-limits DIR, or leave it out"
    return ConfigError(told.message, hint=hint)


def _opener(path: str, flags: int) -> int:
    """Open a file of the ledger: its second name may not be gone yet."""
    found = os.lstat(path)
    if stat.S_ISREG(found.st_mode) and found.st_nlink <= 2:
        return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    raise OSError(errno.EBUSY, f"it is {foreign(found) or 'no file'}")
