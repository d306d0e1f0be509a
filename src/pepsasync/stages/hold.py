"""Hold: a pause that an archive asks for, kept by everybody who would ask it for the same."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING

import anyio

from pepsasync.errors import QuotaError, ServerError
from pepsasync.events import Noticed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pepsasync.events import Emit

NEWS = 1.0
"""Seconds by which a pause must grow to be told again."""


class Hold:
    """Makes everybody wait when an archive answers one of them with Retry-After.

    Args:
        archive: Its name.
        what: What is not asked for meanwhile, as a plural.
        longest: Seconds of the longest pause that a failing server may ask for.
        emit: Gets a `Noticed` for each pause.
    """

    def __init__(self, archive: str, what: str, longest: float, emit: Emit) -> None:
        self._archive = archive
        self._what = what
        self._longest = longest
        self._emit = emit
        self._until = -math.inf

    @property
    def left(self) -> float:
        """Seconds that it still lasts, at least 0."""
        return max(0.0, self._until - anyio.current_time())

    def keep(self, seconds: float) -> None:
        """Begin a pause, or make the one that lasts longer."""
        if seconds > self.left + NEWS:
            self._emit(Noticed(message=f"{self._archive} wants no further {self._what} for {seconds:.0f} s"))
        self._until = max(self._until, anyio.current_time() + seconds)

    @contextlib.contextmanager
    def obeyed(self) -> Iterator[None]:
        """Begin a pause when the request within fails and the answer asks for one; quotas have rules of their own."""
        try:
            yield
        except QuotaError:
            raise
        except ServerError as error:
            self.keep(min(error.retry_after or 0.0, self._longest))
            raise

    async def over(self) -> None:
        """Wait until no pause lasts."""
        while left := self.left:  # noqa: ASYNC110 - time is waited for, and it may have grown meanwhile
            await anyio.sleep(left)
