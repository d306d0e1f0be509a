"""Leases of products: which worker of a cluster may bring which product, as files in the shared folder.

`.pepsasync/leases/TOKEN.given`: the coordinator has sent a product to some worker. The one that begins renames the file
to `TOKEN.taken`, which only one can, and only once: whoever is told to do the same again finds nothing to rename. The
coordinator takes a product back by renaming it to `TOKEN.ended`; the worker, which looks all the time, stops, and
removes the file when it has: then nobody of that lease sends or writes any more. A worker stops as well when the folder
has another owner, when that owner gives no sign of life, and when it cannot see the folder.

Renames are atomic on shared file systems too, locks often are not. Everything here blocks for a moment, but `recall`.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from pepsasync.errors import TransferError
from pepsasync.folder.files import disk_errors, make_own_folder, open_own, write_new
from pepsasync.folder.journal.lease import LeaseWatch, Owner, look
from pepsasync.folder.journal.reading import LEASE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from pepsasync.folder.layout import Folder

BLIND = 15.0
"""Seconds for which a worker goes on without seeing the folder."""

SILENCE = 30.0
"""Seconds without a sign of life of the owner of the folder after which a worker stops."""

LOOK = 0.5
"""Seconds between two looks of a worker at its lease."""

DEADLINE = BLIND + 10.0
"""Seconds after which a worker that was told to stop has stopped, whether or not it can say so. Only one that stands
still, as a stopped process does, may break this; its connection stands still as well."""


LONGEST = 4096
"""Bytes of a lease that are read: the name of a product and its worker."""

PROBE = "probe."
"""Beginning of the names of files that tell whether a worker sees the folder."""


class TakenBackError(TransferError):
    """This worker may not bring the product any more."""


class Leases:
    """Those of one coordinator.

    Args:
        folder: Shared with the workers.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._path = folder.leases

    def prepare(self) -> None:
        """Make the folder for them.

        Raises:
            ConfigError, DiskFullError: It cannot be made.
        """
        with disk_errors(self._path):
            make_own_folder(self._path, self._folder.tell)

    def give(self, token: str, name: str) -> None:
        """Let some worker take a product.

        Args:
            token: Random; of one sending of a product.
            name: Of the product, for people who look.

        Raises:
            ConfigError, DiskFullError: It cannot be written.
        """
        path = self._file(token, "given")
        with disk_errors(path):
            write_new(path, f"{name}\n".encode())

    def has_begun(self, token: str) -> bool:
        """Whether a worker has taken it, at whatever time."""
        return not os.path.lexists(self._file(token, "given"))

    def take_back(self, token: str) -> None:
        """Have nobody begin with a product, and whoever has begun stop."""
        with contextlib.suppress(FileNotFoundError):
            self._file(token, "given").unlink()
            return
        with contextlib.suppress(OSError):
            self._file(token, "taken").rename(self._file(token, "ended"))

    def is_over(self, token: str) -> bool:
        """Whether nobody works on it, as is certain: it is given back, or its process on this machine has ended."""
        for path in (self._file(token, "taken"), self._file(token, "ended")):
            try:
                owner = _owner_in(path)
            except FileNotFoundError:
                continue
            except OSError:
                return False
            return owner is not None and owner.is_dead
        return True

    def worker(self, token: str) -> Owner | None:
        """The process that has taken it, if that is known."""
        for path in (self._file(token, "taken"), self._file(token, "ended")):
            with contextlib.suppress(OSError):
                return _owner_in(path)
        return None

    def forget(self, token: str) -> None:
        """Remove what is left of a lease that is over."""
        for state in ("given", "taken", "ended"):
            with contextlib.suppress(OSError):
                self._file(token, state).unlink()

    def left(self) -> set[str]:
        """Tokens of all that runs before have left, for who has just got the folder; other files are removed."""
        tokens = set()
        with contextlib.suppress(OSError):
            for path in () if self._path.is_symlink() else self._path.iterdir():
                if path.suffix in (".given", ".taken", ".ended"):
                    tokens.add(path.stem)
                elif path.name.startswith(PROBE):
                    path.unlink()
        return tokens

    async def recall(self, tokens: Collection[str], within: float = DEADLINE) -> None:
        """Have workers stop, and wait until they have.

        Args:
            tokens: Of their leases.
            within: Seconds after which it is not waited any longer.

        Cancellation: they stop all the same.
        """

        def still_at_work() -> set[str]:
            over = {token for token in waiting if self.is_over(token)}
            for token in over:
                self.forget(token)
            return waiting - over

        def take_back() -> None:
            for token in tokens:
                self.take_back(token)

        waiting = set(tokens)
        await to_thread.run_sync(take_back)
        with anyio.move_on_after(within):
            while waiting := await to_thread.run_sync(still_at_work):  # noqa: ASYNC110 - others remove the files
                await anyio.sleep(LOOK / 5)
        for token in waiting:
            await to_thread.run_sync(self.forget, token)

    def _file(self, token: str, state: str) -> Path:
        return self._path / f"{token}.{state}"


async def recall_all(folder: Folder, tell: Callable[[str], None]) -> None:
    """Have workers stop that a run before has left behind, and wait until they have; for the owner of the folder.

    Args:
        folder: Shared with them.
        tell: Gets a sentence for the user when there are any; called on the event loop.
    """
    leases = Leases(folder)
    if not (left := await to_thread.run_sync(leases.left)):
        return
    tell(f"waiting until workers of an earlier run have stopped ({len(left)} products)")
    await leases.recall(left)


class Claim:
    """A worker's side of a lease.

    Args:
        folder: As the worker sees it.
        token: Of the lease.
        owner: Coordinator that gave it: it holds the lease of the journal.
        clock: Monotonic, seconds.
    """

    def __init__(self, folder: Folder, token: str, owner: Owner, clock: Callable[[], float]) -> None:
        self._taken = folder.leases / f"{token}.taken"
        self._given = folder.leases / f"{token}.given"
        self._ended = folder.leases / f"{token}.ended"
        self._journal = folder.state / LEASE
        self._owner = owner
        self._clock = clock
        self._watch = LeaseWatch(SILENCE)
        self._seen = clock()

    def take(self) -> bool:
        """Begin; False when somebody has, or the lease was taken back."""
        try:
            self._given.rename(self._taken)
        except OSError:
            return False
        # Not to be made anew: it may have been taken back just now.
        with contextlib.suppress(OSError), open(self._taken, "r+b", buffering=0, opener=open_own) as file:
            file.seek(0, os.SEEK_END)
            file.write(json.dumps(asdict(Owner.here())).encode() + b"\n")
        return True

    def check(self) -> None:
        """Look whether the lease still holds.

        Raises:
            TakenBackError: It was taken back, or the folder has no such owner any more, or it is not to be seen.
        """
        try:
            open(self._taken, "rb", opener=open_own).close()
            sight = look(self._journal)
        except FileNotFoundError:
            raise TakenBackError("the product was taken back") from None
        except OSError as error:
            if self._clock() - self._seen > BLIND:
                raise TakenBackError(f"the folder cannot be seen: {error.strerror or error}") from error
            return
        self._seen = self._clock()
        if sight is None or (sight.owner is not None and sight.owner.token != self._owner.token):
            raise TakenBackError("the folder has no such owner any more")
        verdict = self._watch.judge(sight, self._seen)
        if verdict:
            self._watch = LeaseWatch(SILENCE)
        elif verdict is False:
            raise TakenBackError("the owner of the folder gives no sign of life")

    def give_back(self) -> None:
        """Say that nothing is done under this lease any more."""
        for path in (self._taken, self._ended):
            with contextlib.suppress(OSError):
                path.unlink()


def _owner_in(path: Path) -> Owner | None:
    """The process that has noted itself in a lease; None while it has not.

    Raises:
        OSError: The lease cannot be read, or is no file of ours.
    """
    with open(path, "rb", opener=open_own) as file:
        lines = file.read(LONGEST).decode("utf-8", "replace").split("\n")
    return Owner.from_json(lines[1]) if len(lines) > 1 else None
