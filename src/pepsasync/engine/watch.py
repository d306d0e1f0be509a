"""Watch: one poller for all products that wait for tape.

Waiting holds no slot and costs no request of its own: the poller asks for everything that waits, in batches, with
pauses that grow while nothing moves.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import anyio

from pepsasync.engine.waits import Waits
from pepsasync.errors import AuthError, ProviderError, ServerError, StagingTimeout
from pepsasync.events import TiersWatched
from pepsasync.limits.schedule import LONGEST_ADVICE, jittered, restage_streak
from pepsasync.model import StorageTier

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pepsasync.config import Config
    from pepsasync.errors import PepsasyncError
    from pepsasync.events import Emit
    from pepsasync.model import Product
    from pepsasync.providers.base import Provider


GROUP = 64
"""Waiting products that share an event: one for each would take more memory than the product."""


UNKNOWN_PAUSES = 6
"""Longest pauses (`Config.poll_interval_max`; by default an hour of them) for which a product must be unknown to be
given up: where looks are quick, many of them fit into minutes in which an archive's tape storage does not answer."""


class _Group:
    """Wakes a group of waiters; one without an answer waits again."""

    __slots__ = ("_event", "members")

    def __init__(self) -> None:
        self.members = 0
        self._event = anyio.Event()

    async def wait(self) -> None:
        await self._event.wait()

    def wake(self) -> None:
        self._event.set()
        self._event = anyio.Event()


@dataclass(slots=True, eq=False)
class _Waiter:
    product: Product
    group: _Group
    asked: int
    deadline: float
    since: float
    seen: float
    """When a poll last found it not online."""
    tier: StorageTier | None = None
    is_mentioned: bool = True
    """Whether the latest poll mentioned it."""
    still: int = 0
    """Polls in a row that found the same tier."""
    answer: bool | PepsasyncError | None = None
    """True: online. False: ask the archive again. An error: give up."""


class OnlineWatch:
    """Polls the tiers of all waiting products, and wakes each that is online.

    Args:
        provider: Whose `tiers` is asked.
        config: Poll intervals, `trials`, `unknown_requests`.
        emit: Gets a `TiersWatched` for each poll, and one before the first.
        chance: Returns numbers between 0 and 1, for jitter.
    """

    def __init__(
        self, provider: Provider, config: Config, emit: Emit, *, chance: Callable[[], float] = random.random
    ) -> None:
        self._provider = provider
        self._config = config
        self._emit = emit
        self._chance = chance
        self._shortest = config.poll_interval or provider.limits.poll_interval
        self._waits = Waits(self._shortest, config.poll_interval_max)
        self._waiting: dict[_Waiter, None] = {}  # by arrival
        self._group = _Group()
        self._arrived = anyio.Event()
        self._refusal: AuthError | None = None
        self._has_asked_again = False

    async def until_online(self, product: Product, asked: int, deadline: float = math.inf) -> bool:
        """Wait for one product.

        Args:
            product: On tape, or on its way from there.
            asked: How often staging was requested so far; each request earns more patience.
            deadline: When the wait has lasted long enough, on the clock of the event loop. Kept here rather than in a
                time-out of each product's own, which would cost a timer for each of thousands.

        Returns:
            True when it is online, False when it is still on tape, or nobody knows, and should be asked for again.

        Raises:
            StagingTimeout: The deadline passed, the archive does not know where the product is, or nothing moved for
                `trials` looks.

        Cancellation: the product is no longer asked for.
        """
        if self._refusal is not None:
            raise self._refusal
        now = anyio.current_time()
        waiter = _Waiter(product, self._next_group(), asked, deadline, now, now)
        self._waiting[waiter] = None
        self._arrived.set()
        try:
            while waiter.answer is None:
                await waiter.group.wait()
        finally:
            del self._waiting[waiter]
        if isinstance(waiter.answer, Exception):
            raise waiter.answer
        return bool(waiter.answer)

    def _next_group(self) -> _Group:
        if self._group.members >= GROUP:
            self._group = _Group()
        self._group.members += 1
        return self._group

    async def run(self) -> NoReturn:
        """Poll for ever; started once a run and cancelled when nothing is left to deliver.

        Raises:
            AuthError: The archive no longer accepts the credentials; all who wait get the same error.
        """
        try:
            await self._poll()
        except AuthError as error:
            self._refusal = error
            for waiter in self._waiting:
                waiter.answer = error
                waiter.group.wake()
            raise

    async def _poll(self) -> NoReturn:
        pause: float | None = None
        while True:
            if not self._waiting:
                pause = None
                self._arrived = anyio.Event()
                await self._arrived.wait()
            if not pause:
                pause = self._next_pause(None, moved=False)
                self._emit(TiersWatched(waiting=len(self._waiting), online=0, next_poll=pause, looked=False))
            await self._sleep(pause)
            if self._waiting:
                pause = await self._look(pause)

    def _next_pause(self, previous: float | None, *, moved: bool) -> float:
        now = anyio.current_time()
        first = min((waiter.since for waiter in self._waiting if waiter.answer is None), default=now)
        return self._waits.pause(previous, moved=moved, waited=now - first, now=now)

    async def _sleep(self, pause: float) -> None:
        """Pause before a poll.

        A product whose deadline comes shortens it; so does one that arrives, unless it is known how long that takes.
        """
        deadline = min((waiter.deadline for waiter in self._waiting), default=math.inf)
        until = min(anyio.current_time() + jittered(pause, self._chance()), deadline)
        self._arrived = anyio.Event()
        with anyio.CancelScope(deadline=until):
            await self._arrived.wait()
            if not self._waits.are_known:
                until = min(until, anyio.current_time() + self._shortest)
        await anyio.sleep_until(until)

    async def _look(self, pause: float) -> float:
        """Ask for the tiers of all that wait; returns the seconds until the next poll."""
        waiters, self._has_asked_again = list(self._waiting), False
        began, moved, online, trouble, advice = anyio.current_time(), False, 0, None, 0.0
        batch = self._provider.limits.poll_batch
        for first in range(0, len(waiters), batch):
            some = waiters[first : first + batch]
            tiers: Mapping[str, StorageTier] | None
            try:
                tiers = await self._provider.tiers([waiter.product for waiter in some])
            except AuthError:
                raise
            except ProviderError as error:
                trouble, tiers = error.message, None
                advice = (error.retry_after if isinstance(error, ServerError) else None) or 0.0
            for waiter in some:
                moved |= self._note(waiter, tiers, began)
                online += waiter.answer is True
        if all(waiter.answer is not None for waiter in waiters):
            self._waits.rest()
        after = max(self._next_pause(pause, moved=moved), min(advice, LONGEST_ADVICE))
        pace = self._waits.pace
        self._emit(
            TiersWatched(
                waiting=len(waiters) - online,
                online=online,
                next_poll=after,
                error=trouble,
                usual_wait=pace.wait,
                usual_interval=pace.interval,
            )
        )
        return after

    def _note(self, waiter: _Waiter, tiers: Mapping[str, StorageTier] | None, began: float) -> bool:
        """Note the result of one poll for a product (None: the poll failed); returns whether its tier changed."""
        if tiers is None:
            if anyio.current_time() >= waiter.deadline:
                waiter.answer = too_late(waiter.product, self._config.staging_timeout)
                waiter.group.wake()
            return False
        unmentioned = StorageTier.UNKNOWN if self._provider.limits.stages else StorageTier.TAPE
        waiter.is_mentioned = waiter.product.id in tiers
        tier = tiers.get(waiter.product.id, unmentioned)
        moved = tier is not waiter.tier
        waiter.still = 1 if moved else waiter.still + 1
        first, waiter.tier = waiter.tier is None, tier
        waiter.answer = self._answer(waiter)
        if waiter.answer is True and not first:  # one that was online already teaches nothing
            self._waits.note(waiter.seen - waiter.since, began)
        waiter.seen = anyio.current_time()
        if waiter.answer is not None:
            waiter.group.wake()
        return moved and (not first or waiter.answer is True)

    def _answer(self, waiter: _Waiter) -> bool | PepsasyncError | None:
        if waiter.tier is StorageTier.DISK:
            return True
        if anyio.current_time() >= waiter.deadline:
            return too_late(waiter.product, self._config.staging_timeout)
        is_patience_over = waiter.still >= restage_streak(waiter.asked)
        was_long = anyio.current_time() - waiter.since >= UNKNOWN_PAUSES * self._config.poll_interval_max
        is_unknown = waiter.tier is StorageTier.UNKNOWN and was_long
        if is_unknown and is_patience_over and waiter.asked >= self._config.unknown_requests:
            return StagingTimeout(
                f"the archive does not know where the product is, after {waiter.asked} requests",
                product=waiter.product.name,
                hint="Try again later; if this continues, write to the archive's help desk",
            )
        if self._config.trials is not None and waiter.still >= self._config.trials:
            return StagingTimeout(
                f"still {waiter.tier} after {waiter.still} polls without a change",
                product=waiter.product.name,
                hint="Run the same command again later, or allow more with --trials",
            )
        if waiter.tier in (StorageTier.TAPE, StorageTier.UNKNOWN) and is_patience_over and self._may_ask_again(waiter):
            return False  # only a request can tell
        return None

    def _may_ask_again(self, waiter: _Waiter) -> bool:
        """Whether a product may be asked for again; one a look where that is a download, which counts for a quota."""
        if waiter.is_mentioned or self._provider.limits.stages:
            return True
        is_first, self._has_asked_again = not self._has_asked_again, True
        return is_first


def too_late(product: Product, seconds: float) -> StagingTimeout:
    """The error of a product that did not come online within `Config.staging_timeout` seconds."""
    return StagingTimeout(
        f"not online {seconds:,.0f} s after it was first asked for",
        product=product.name,
        hint="Run the same command again later, or allow more with --staging-timeout",
    )
