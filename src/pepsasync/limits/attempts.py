"""Attempts, pauses and when to give up: the only module that knows tenacity."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeVar

import anyio
import tenacity

from pepsasync.errors import (
    AddressError,
    ProtocolError,
    QuotaError,
    ServerError,
    UnavailableError,
    UnreachableError,
    UnreadableReplyError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from pepsasync.config import Config

T = TypeVar("T")

OUTAGE_PATIENCE = 1800.0
"""Seconds for which an archive that had answered before is tried again when no connection can be made, or when it
serves no request."""

FIRST_CONTACT_TRIES = 3
"""Tries for an archive that never answered: more likely a wrong address than an outage."""


class Attempts:
    """The budget of one operation: `async for attempt in attempts: with attempt: ...`, or `await attempts.call(...)`.

    Only `ServerError` (with its children) and `ProtocolError` (without `AddressError` and `UnreadableReplyError`) are
    tried again. The count starts anew whenever `progress` has grown, so that a long download over a bad line ends as
    long as bytes move. The pauses double, with full jitter, and follow the server's Retry-After where it gives one.

    Args:
        config: `retries`, `retry_wait`, `retry_wait_max`.
        on_retry: Called before each pause with the error, the number of the try and the pause in seconds.
        progress: Says how far the operation has come.
        was_reached: Says whether the archive has ever answered; an outage is waited for longer then.
        outage: Says whether it does not respond, see `CircuitBreaker`: tries are not counted then.
        serves_others: Says whether it has served everybody else since a moment (of the event loop's clock): that is no
            outage.
        excuses_quota: Says whether somebody else waits until a quota that was refused opens again, to one who was
            refused first at a moment: such a refusal costs neither a try nor a pause here.
        patience: Seconds for which failures of an outage are tried again.
    """

    def __init__(
        self,
        config: Config,
        *,
        on_retry: Callable[[Exception, int, float], None] | None = None,
        progress: Callable[[], int] = lambda: 0,
        was_reached: Callable[[], bool] = lambda: True,
        outage: Callable[[], bool] = lambda: False,
        serves_others: Callable[[float], bool] = lambda since: False,  # noqa: ARG005
        excuses_quota: Callable[[float], bool] = lambda since: False,  # noqa: ARG005
        patience: float = OUTAGE_PATIENCE,
    ) -> None:
        self._config = config
        self._on_retry = on_retry
        self._progress = progress
        self._was_reached = was_reached
        self._outage = outage
        self._serves_others = serves_others
        self._excuses_quota = excuses_quota
        self._patience = patience
        self._reached = progress()
        self._tries_since_progress = self._excused = 0
        self.out_since: float | None = None
        """Since when every try has met what may be an outage; None while none did."""
        self._refused_since: float | None = None
        self.outage_since: float | None = None
        """Since when every try has met an outage that was waited for; None while none did."""
        self.count = 0
        """Attempts so far."""

    async def call(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Run an operation until it succeeds or the budget is used up.

        Raises:
            PepsasyncError: The error of the last try.
        """
        outcome: list[T] = []
        async for attempt in self:
            with attempt:
                outcome.append(await operation())
        return outcome[0]

    async def __aiter__(self) -> AsyncIterator[tenacity.AttemptManager]:
        pauses: list[float] = []
        retrying = tenacity.Retrying(  # AsyncRetrying looks again at each step whether all of these are coroutines
            retry=tenacity.retry_if_exception_type((ServerError, ProtocolError)),
            stop=self._is_over,
            wait=self._pause,
            sleep=pauses.append,
            before_sleep=self._tell,
            reraise=True,
        )
        for attempt in retrying:
            if pauses:
                await anyio.sleep(pauses.pop())
            self.count += 1
            self._tries_since_progress += 1
            yield attempt

    def _is_over(self, state: tenacity.RetryCallState) -> bool:
        error, reached, now = _error_of(state), self._progress(), anyio.current_time()
        if reached > self._reached:
            self._reached = reached
            self._tries_since_progress, self._excused, self.outage_since = 0, 0, None
            self.out_since = self._refused_since = None
        if isinstance(error, (AddressError, UnreadableReplyError)):
            return True
        if self._is_waited_for(error):
            self._excused += 1
            self.count -= 1
            return False
        if not isinstance(error, (UnreachableError, UnavailableError)):
            self.out_since = None
        elif self.out_since is None:
            self.out_since = now
        if isinstance(error, UnreachableError) and not self._was_reached():
            return self._tries_since_progress >= FIRST_CONTACT_TRIES
        is_out = isinstance(error, UnreachableError) or (isinstance(error, UnavailableError) and self._outage())
        if is_out and not (self.out_since is not None and self._serves_others(self.out_since)):
            self._excused += 1
            self.outage_since = now if self.outage_since is None else self.outage_since
            return now - self.outage_since >= self._patience
        self.outage_since = None
        return self._tries_since_progress - self._excused >= self._config.retries

    def _pause(self, state: tenacity.RetryCallState) -> float:
        error = _error_of(state)
        if self._is_waited_for(error):
            return 0.0
        longest = min(
            self._config.retry_wait * 2.0 ** min(self._tries_since_progress - 1, 30), self._config.retry_wait_max
        )
        pause = longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, hides nothing
        advice = error.retry_after if isinstance(error, ServerError) else None
        return max(pause, min(advice, self._config.retry_wait_max)) if advice else pause

    def _tell(self, state: tenacity.RetryCallState) -> None:
        error = _error_of(state)
        if self._on_retry and error is not None and not self._is_waited_for(error):
            self._on_retry(error, self.count, state.upcoming_sleep)

    def _is_waited_for(self, error: Exception | None) -> bool:
        if not isinstance(error, QuotaError):
            return False
        if self._refused_since is None:
            self._refused_since = anyio.current_time()
        return self._excuses_quota(self._refused_since)


def _error_of(state: tenacity.RetryCallState) -> Exception | None:
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, Exception) else None
