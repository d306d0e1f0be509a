"""Back-off: a pause that an archive asks for or needs, for all requests of one kind (downloads, staging)."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING

import anyio

from pepsasync.errors import LeaseLostError, ProviderError, QuotaError, ServerError, UnavailableError, UnreachableError
from pepsasync.events import Noticed
from pepsasync.limits.circuit_breaker import CircuitBreaker
from pepsasync.limits.schedule import next_pause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pepsasync.config import Config
    from pepsasync.events import Emit

NEWS = 1.0
"""Seconds by which a pause must grow to be reported again."""


class Backoff:
    """Pauses all requests of one kind when the archive answers with Retry-After, or no longer responds.

    Args:
        archive: Its name.
        what: The kind of requests, as a plural.
        config: `retry_wait` and `retry_wait_max` are the shortest and the longest pause of an outage, the latter also
            the longest that a failing server may ask for.
        emit: Gets a `Noticed` for each pause.
    """

    def __init__(self, archive: str, what: str, config: Config, emit: Emit) -> None:
        self._archive = archive
        self._what = what
        self._config = config
        self._emit = emit
        self._until = -math.inf
        self.breaker = CircuitBreaker()
        """Whether the archive serves no request of this kind."""
        self.last_answer = -math.inf
        """When a request last got an answer, on the clock of the event loop."""
        self._last_bytes = -math.inf
        self._failing: set[str] = set()
        self._failing_since = math.inf
        self._rest: float | None = None

    @property
    def left(self) -> float:
        """Seconds that the pause still lasts, at least 0."""
        return max(0.0, self._until - anyio.current_time())

    def keep(self, seconds: float) -> None:
        """Begin a pause, or make the one that lasts longer."""
        if seconds > self.left + NEWS:
            why = "is not responding" if self._rest else "asks for a pause"
            self._emit(Noticed(message=f"{self._archive} {why}; {self._what} pause for {seconds:.0f} s"))
        self._until = max(self._until, anyio.current_time() + seconds)

    @contextlib.contextmanager
    def obeyed(self, what: str = "") -> Iterator[None]:
        """Put around a request: begins a pause when the answer asks for one, or the archive does not respond.

        Quotas have rules of their own.

        Args:
            what: Is asked for; when nothing else fails while bytes come, it is not the archive that fails.
        """
        until = self._until
        try:
            yield
        except LeaseLostError:  # which no archive says
            raise
        except ServerError as error:
            if isinstance(error, QuotaError):
                self.answered()
                raise
            if isinstance(error, (UnavailableError, UnreachableError)):
                self._grow(what, is_news=until == self._until)
            if error.retry_after:
                self.keep(min(error.retry_after, self._config.retry_wait_max))
            raise
        except ProviderError:
            self.answered()
            raise

    def answered(self) -> None:
        """Note an answer to any request: an outage is over."""
        self.last_answer = anyio.current_time()
        self.breaker.answered()
        self._rest = None
        self._failing.clear()

    def served(self) -> None:
        """Note that bytes come of what was answered before."""
        self._last_bytes = anyio.current_time()

    def serves_others(self, since: float) -> bool:
        """Whether one thing alone fails, and others got an answer or bytes since a moment."""
        return len(self._failing) == 1 and max(self.last_answer, self._last_bytes) > since

    def _grow(self, what: str, *, is_news: bool) -> None:
        """Pause longer the longer an outage lasts; a request from before the last pause does not prolong it."""
        self.breaker.failed()
        if not self._failing:
            self._failing_since = anyio.current_time()
        self._failing.add(what)
        if is_news and self.breaker.is_on and not self.serves_others(self._failing_since):
            config = self._config
            self._rest = next_pause(self._rest, moved=False, shortest=config.retry_wait, longest=config.retry_wait_max)
            self.keep(self._rest)

    async def over(self) -> None:
        """Wait until no pause lasts."""
        while left := self.left:  # noqa: ASYNC110 - time is waited for, and it may have grown meanwhile
            await anyio.sleep(left)
