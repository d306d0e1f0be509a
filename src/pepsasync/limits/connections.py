"""How many downloads at once an archive really gives an account, learned from what it refuses."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING

import anyio

from pepsasync.events import Noticed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pepsasync.errors import TooManyAtOnceError
    from pepsasync.events import Emit
    from pepsasync.limits.slots import DownloadSlots

FIRST_LOOK, LONGEST_LOOK = 30.0, 600.0
"""Seconds until one more download is tried after one was refused; twice as long each time it is refused again."""
TOLD_AFTER = 3
"""Refusals before the user is told: an archive may count a download that has just ended."""


class Connections:
    """Makes the slots of an archive fewer while it refuses more downloads than it serves, and more again later.

    Args:
        archive: Its name.
        slots: What is made smaller, down to 1, and larger again, up to what there was.
        emit: Told once for each number that turns out to be lasting.
    """

    def __init__(self, archive: str, slots: DownloadSlots, emit: Emit) -> None:
        self._archive, self._slots, self._emit = archive, slots, emit
        self._usual = slots.total
        self._served = 0
        self._refusals = 0
        self._look: float = FIRST_LOOK
        self._next_look = math.inf
        self._told: int | None = None

    @contextlib.contextmanager
    def counted(self) -> Iterator[Callable[[], None]]:
        """Put around a download; what is given is to be called when the archive serves it."""
        is_served = False

        def serve() -> None:
            nonlocal is_served
            self._served += not is_served
            is_served = True

        try:
            yield serve
        finally:
            self._served -= is_served
            self.look()

    def refuse(self, error: TooManyAtOnceError) -> bool:
        """Note that a download was one too many.

        Returns:
            Whether others go on, so that there is nothing to wait for but them; else somebody else uses the account.
        """
        if not self._served:
            return False
        self._refusals += 1
        if self._served < self._slots.total:
            self._slots.resize(self._served)
        self._next_look = anyio.current_time() + self._look
        self._look = min(2 * self._look, LONGEST_LOOK)
        if self._refusals >= TOLD_AFTER and self._told != self._slots.total < self._usual:
            self._told = self._slots.total
            hint = f" ({error.hint})" if error.hint else ""
            number = f"{self._told} download{'s' if self._told > 1 else ''} at once"
            self._emit(Noticed(message=f"{self._archive} gives this account {number}, not {self._usual}{hint}"))
        return True

    def look(self) -> None:
        """Try one more, when it is time to."""
        if anyio.current_time() < self._next_look:
            return
        is_whole = self._slots.total + 1 >= self._usual
        self._next_look = math.inf if is_whole else anyio.current_time() + self._look
        self._slots.resize(min(self._slots.total + 1, self._usual))
