"""Quota: when downloads of an account may begin.

A quota belongs to the account, not to a download: the engine counts the downloads that it starts and stays below the
quota; when the archive refuses nevertheless, all downloads wait. `Window` is the arithmetic, `QuotaLimiter` waits.
"""

from __future__ import annotations

import contextlib
import math
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio

from pepsasync.errors import AuthError, ProviderError
from pepsasync.events import QuotaReached
from pepsasync.limits.backoff import NEWS
from pepsasync.limits.schedule import next_pause

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from pepsasync.config import Config
    from pepsasync.errors import QuotaError
    from pepsasync.events import Emit
    from pepsasync.model import Account, Limits, Quota

LOOKS = 12
"""Requests for what is left, at least, in one window of the quota while no download may begin."""


class Window:
    """Downloads as long as they count against a quota.

    The archive counts a download when its request arrives. We know only that this is before its answer does, so a
    request that waits for its answer counts whatever the time is, and one with an answer from then on.

    Args:
        quota: Products in a window of time; None for no quota.
        starts: Earlier ones, on the same clock, in order.
    """

    def __init__(self, quota: Quota | None, starts: Iterable[float] = ()) -> None:
        self._quota = quota
        self._starts = deque(starts)
        self._asked = 0
        self.begun = 0
        """Downloads that began since this window was opened."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing counts, as far as is known."""
        return not self._starts and not self._asked

    def wait(self, now: float) -> float:
        """Seconds until the next download may begin; 0 when it may now."""
        if self._quota is None:
            return 0.0
        self._forget(now, self._quota)
        excess = len(self._starts) + self._asked - self._quota.products
        if excess < 0:
            return 0.0
        # The one that must leave first: were the quota made smaller, more than one has to.
        leaving = self._starts[excess] if excess < len(self._starts) else now
        return max(0.0, leaving + self._quota.seconds - now)

    def ask(self) -> None:
        """Note that a download is asked for."""
        self._asked += 1

    def begin(self, now: float) -> None:
        """Note that one that was asked for got an answer."""
        self._asked -= 1
        self.begun += 1
        if self._quota is not None:
            self._starts.append(now)

    def withdraw(self) -> None:
        """Note that one that was asked for gets no answer: an archive that is not reached counts nothing."""
        self._asked -= 1

    def correct(self, used: int, now: float, quota: Quota | None = None, *, keeps_own: bool = False) -> None:
        """Take over from the archive how many products of this window it has counted, and its quota.

        Others may use the same account, and an earlier run may have. What this window has not counted counts from now:
        its start is unknown, and too late is better than too early.

        Args:
            used: Products.
            now: On the clock of the window.
            quota: The archive's; None for the one that is known.
            keeps_own: Whether what this window has counted counts in any case.
        """
        self._quota = quota or self._quota
        if self._quota is None:
            return
        self._forget(now, self._quota)
        while len(self._starts) > max(0, used) and not keeps_own:
            self._starts.popleft()
        self._starts.extend([now] * (used - len(self._starts)))

    def _forget(self, now: float, quota: Quota) -> None:
        while self._starts and self._starts[0] + quota.seconds <= now:
            self._starts.popleft()


class Permit:
    """One download that was requested: it counts while it waits for its answer.

    Args:
        window: Counts it.
        counted: Called when the window counts it.
        accepted: Called when the archive lets it begin.
    """

    def __init__(self, window: Window, counted: Callable[[], None], accepted: Callable[[], None]) -> None:
        self._window = window
        self._counted = counted
        self._accepted = accepted
        self.has_begun = False
        """Whether an answer came."""

    def begin(self) -> None:
        """Note that its answer is there; only the first call counts."""
        if not self.has_begun:
            self.has_begun = True
            self._window.begin(anyio.current_time())
            self._counted()

    def accept(self) -> None:
        """Note that the archive let it begin: what it refused before is forgotten."""
        self._accepted()


class QuotaLimiter:
    """Lets downloads begin no faster than the quota of the account allows.

    Args:
        limits: Of the archive; its quota.
        ask: Asks the archive what is left of the account's quota.
        config: `quota` replaces the archive's; `retry_wait` and `retry_wait_max` are for limits nobody published.
        emit: Gets a `QuotaReached` for each wait, and one when it ends earlier than announced.
    """

    def __init__(self, limits: Limits, ask: Callable[[], Awaitable[Account]], config: Config, emit: Emit) -> None:
        self._limits = limits
        self._ask = ask
        self._config = config
        self._emit = emit
        self.quota = config.quota or limits.quota
        self._is_published = self.quota == limits.quota
        self._window = Window(self.quota)
        self._was_freed = anyio.Event()
        self._lock = anyio.Lock()
        self._was_asked = False
        self._paused_until = -math.inf
        self._pause: float | None = None
        self._look: float | None = None
        self._refused_since: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether a download may begin now, as far as is known."""
        return self._wait() <= 0

    def remember(self, ago: Iterable[float]) -> None:
        """Count downloads of earlier runs, unless this client has counted some of its own.

        Args:
            ago: How many seconds ago each began, oldest first.
        """
        if self._window.is_empty:
            now = anyio.current_time()
            self._window = Window(self.quota, [now - seconds for seconds in ago])

    async def ask_first(self) -> None:
        """Before the first download, ask the archive what is left, which also tells whether it knows the account.

        Raises:
            AuthError: The archive refused the credentials.
        """
        if not self._was_asked:
            async with self._lock:
                if not self._was_asked:
                    await self.ask()
                    self._was_asked = True

    async def until_open(self) -> None:
        """Wait until a download may begin. One caller waits for all, so that the archive is asked once.

        Raises:
            AuthError: The archive refused the credentials.
        """
        if not self.is_open:
            async with self._lock:
                await self._pass()

    async def _pass(self) -> None:
        """Wait, and ask now and then whether a download may begin earlier than expected."""
        told = -math.inf
        while not self.is_open:
            left, now, look = self._wait(), anyio.current_time(), self._until_look()
            if now + left > told + NEWS:
                self._emit(QuotaReached(wait=left, next_look=look if look < left else None))
                told = now + left
            with anyio.move_on_after(min(left, look)) as pause:
                await self._was_freed.wait()
            if pause.cancelled_caught and self._wait() > 0:
                await self.ask()
        if anyio.current_time() + NEWS < told:
            self._emit(QuotaReached(wait=0.0))

    @contextlib.contextmanager
    def permit(self, counted: Callable[[], None], accepted: Callable[[], None]) -> Iterator[Permit]:
        """Count a download while it is asked for.

        Whoever has no answer at the end of the block is counted no longer: only answers count, and an archive that has
        seen such a request nevertheless tells so when it is asked what is left.

        Args:
            counted: Called when a quota counts it.
            accepted: Called when the archive lets it begin.
        """
        window = self._window
        window.ask()
        permit = Permit(window, counted if self.quota else lambda: None, accepted)
        try:
            yield permit
        finally:
            if not permit.has_begun:
                window.withdraw()
                self._was_freed.set()
                self._was_freed = anyio.Event()

    @property
    def is_patient(self) -> bool:
        """Whether it is waited for until the quota opens again; not any more when the archive has refused too long."""
        return self._refused_since is None or self._is_bearable(self._refused_since)

    def is_patient_with(self, since: float) -> bool:
        """Whether somebody still waits whom the archive has refused since a moment, and whoever else it served."""
        return self.is_patient and self._is_bearable(since)

    def _is_bearable(self, since: float) -> bool:
        patience = max(self._config.quota_patience, 2 * self.quota.seconds if self.quota else 0)
        return anyio.current_time() - since <= patience

    def refuse(self, error: QuotaError) -> None:
        """Make all downloads wait because the archive refused one, unless it has refused for too long."""
        now = anyio.current_time()
        self._refused_since = self._refused_since if self._refused_since is not None else now
        if not self.is_patient:
            return
        if now < self._paused_until:
            return
        shortest, longest = self._config.retry_wait, self._config.retry_wait_max
        if self.quota is not None:
            shortest = longest = self.quota.seconds / 4
        self._pause = next_pause(self._pause, moved=False, shortest=shortest, longest=longest)
        advice = max(error.retry_after, self._config.retry_wait) if error.retry_after else None
        self._paused_until = now + (advice or self._pause)

    def accept(self) -> None:
        """Note that the archive let a download begin: what it refused before is forgotten."""
        self._refused_since = self._pause = self._look = None

    async def ask(self) -> None:
        """Ask the archive what is left of the quota, if it has one; a failure tells nothing and changes nothing.

        Raises:
            AuthError: The archive refused the credentials.
        """
        if self._limits.quota is None:
            return
        begun = self._window.begun
        try:
            account = await self._ask()
        except AuthError:
            raise
        except ProviderError:
            return
        left, told = account.quota_left, account.quota_products
        if left is None or left < 0 or self.quota is None or not self._is_published:
            return  # or it counts by another window than the user
        now, products = anyio.current_time(), max(self.quota.products if told is None else told, left, 1)
        if self._config.quota is None:
            self.quota = replace(self.quota, products=products)
        # What began while the answer was on its way may not be in it.
        used = products - left + self._window.begun - begun
        self._window.correct(used, now, self.quota, keeps_own=account.is_share)
        if left > 0:
            self._paused_until = min(self._paused_until, now)

    def _until_look(self) -> float:
        """Seconds until the archive is asked what is left: soon at first, since refusals may be mistakes.

        Never, where its answer would tell nothing: it counts otherwise than the user.
        """
        if self.quota is None or not self._is_published:
            return math.inf
        longest = self.quota.seconds / LOOKS
        self._look = next_pause(self._look, moved=False, shortest=self._config.retry_wait, longest=longest)
        return self._look

    def _wait(self) -> float:
        now = anyio.current_time()
        return max(self._window.wait(now), self._paused_until - now)
