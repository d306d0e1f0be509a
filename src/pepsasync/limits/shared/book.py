"""What one program reads in the ledger of an account and writes there. All functions here block, in any thread.

A holder is dead when its beat was not seen to change for the deadline, on the watcher's own clock while it was awake.
One whose process still stands on this machine is not: its connections are open, and the archive counts them.
"""

from __future__ import annotations

import os
import random
import secrets
import socket
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pepsasync.limits.shared.files import DamagedError
from pepsasync.limits.shared.state import (
    Holder,
    Ledger,
    Needs,
    closed,
    dropped,
    has_to_yield,
    opened,
    quota_wait,
    settled,
)
from pepsasync.processes import place, process_exists, start_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pepsasync.limits.shared.files import LedgerFiles
    from pepsasync.model import Quota

TRIES = 50
"""Attempts to change the ledger before others are let go on for a while."""

QUIET = 3
"""Beats without a change after which nothing is left for a holder."""

NOTHING = Needs(slots=0, permits=0, begun=0, wants_slots=0, wants_permits=0)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often and how long, in seconds."""

    beat: float = 2.0
    """Between two signs of life."""
    deadline: float = 60.0
    """Without a sign of life until a holder is dead; its connections have to be closed at the archive by then."""
    turn: float = 5.0
    """For which a slot is kept at least when others wait for it."""
    look: float = 0.2
    """Between two looks while something is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a program knows after a look."""

    mine: Holder
    """What it has."""
    is_lost: bool = False
    """Whether others have given it up; it is somebody else now, and has nothing."""
    is_settled: bool = True
    """Whether its needs were told; not when others were faster all the time."""
    others: tuple[Holder, ...] = ()
    still: tuple[Holder, ...] = ()
    """Those of the others that have slots and do not move."""
    lively: frozenset[str] = frozenset()
    others_wait: bool = False
    """Whether one of them has fewer slots than it could use."""
    yields: bool = False
    """Whether it is to give up a slot before its turn is over."""
    yields_after_turn: bool = False
    wait: float = 0.0
    """Seconds until the quota lets another download begin, 0 when that is not known."""
    news: str = ""
    """For the user."""


@dataclass(slots=True)
class _Watched:
    text: str
    quiet: float = 0.0
    """Seconds for which it did not change while we looked."""
    looked: float = 0.0


def awake() -> float:
    """Seconds on a clock that also counts while the machine sleeps, where there is one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Book:
    """One program's hold on the ledger of an account.

    Args:
        files: Of the account.
        pace: The same for all programs.
        clock: Seconds that only grow.
        where: Place of this process; another one for tests.
    """

    def __init__(
        self, files: LedgerFiles, pace: Pace, clock: Callable[[], float] = awake, where: Callable[[], str] = place
    ) -> None:
        self._files = files
        self._pace = pace
        self._clock = clock
        self._place = where()
        self._lock = threading.Lock()
        """Held while the token is used or changes."""
        self._at_work = threading.Lock()
        """Held while the ledger is changed: whoever was left alone by its task may still be at it."""
        self._has_left = False
        self.me = self._new_holder()
        self._beats = 0
        self._has_joined = False
        self.told = 0
        """Downloads of this program that began and are in the ledger."""
        self._file_time, self._file_time_at = 0.0, 0.0
        self.beat_at = -float("inf")
        """When the last sign of life was given, on the clock."""
        self._watched: dict[str, _Watched] = {}
        self._closed: dict[str, float] = {}
        self._damaged: tuple[int, float] | None = None

    def _new_holder(self) -> Holder:
        pid = os.getpid()
        host = "".join(letter for letter in socket.gethostname() if letter.isprintable())[:255]
        return Holder(token=secrets.token_hex(8), host=host, place=self._place[:1_000], pid=pid, began=start_of(pid))

    def open(self) -> None:
        """Begin.

        Raises:
            ConfigError: The folder cannot be used.
            OSError: It cannot be written.
        """
        self._files.prepare()
        self.beat()

    def beat(self) -> None:
        """Give a sign of life.

        Raises:
            OSError: It cannot be written.
        """
        with self._lock:
            begun = self._clock()
            self._beats += 1
            told = self._files.beat(self.me.token, str(self._beats))
            self._file_time, self._file_time_at = told, self._clock()
            self.beat_at = begun

    def settle(self, needs: Needs, total: int, quota: Quota | None) -> View:
        """Tell what is needed, and see what we have.

        Args:
            needs: Ours; all downloads that began since this object was made.
            total: Slots of the account.
            quota: Of the account.

        Raises:
            OSError: The ledger cannot be read or written; what was told may have arrived or not.
        """
        with self._at_work:
            return self._settle(needs, total, quota)

    def _settle(self, needs: Needs, total: int, quota: Quota | None) -> View:
        news = ""
        for attempt in range(TRIES):
            if self._has_left:
                break
            try:
                ledger = self._files.read()
            except DamagedError as error:
                news = self._replace_damaged(error.version, quota)
                if not news:
                    break
                continue
            if ledger is None:
                self._files.commit(closed(1, secrets.token_hex(8), QUIET * self._pace.beat))
                continue
            if self._has_joined and ledger.holder(self.me.token) is None:
                self._leave_name()
                return View(mine=self.me, is_lost=True, news=news)
            self._watch(ledger)
            now = self._file_time + self._clock() - self._file_time_at
            lively = self._lively(ledger)
            changed = self._cleared(ledger, now)
            news_of_us = replace(needs, begun=max(0, needs.begun - self.told))
            changed = settled(changed, self.me, news_of_us, total=total, quota=quota, now=now, lively=lively)
            if changed != ledger:
                changed = replace(changed, version=ledger.version + 1)
                if not self._files.commit(changed):
                    time.sleep(random.uniform(0, 0.001 * 2 ** min(attempt, 6)))  # noqa: S311 - spreads load
                    continue
            self._has_joined = True
            self.told = max(self.told, needs.begun)
            return self._view(changed, lively, quota, now, news)
        return View(mine=self.me, is_settled=False, news=news)

    def leave(self, begun: int) -> None:
        """Give everything back.

        Args:
            begun: Downloads that began, or may have, since this object was made.

        Raises:
            OSError: The ledger cannot be read or written; the others will find that we are gone.
        """
        self._has_left = True
        with self._at_work:
            self._leave(begun)
        self._files.end(self.me.token)

    def _leave(self, begun: int) -> None:
        for _ in range(TRIES if self._has_joined else 0):
            try:
                ledger = self._files.read()
            except DamagedError:
                break
            mine = ledger.holder(self.me.token) if ledger else None
            if ledger is None or mine is None:
                break
            now = self._file_time + self._clock() - self._file_time_at
            told = settled(
                ledger,
                mine,
                replace(NOTHING, begun=max(0, begun - self.told)),
                total=0,
                quota=None,
                now=now,
                lively=frozenset(),
            )
            told = replace(dropped(told, mine.token, now), version=ledger.version + 1)
            if self._files.commit(told):
                break
            time.sleep(random.uniform(0, 0.01))  # noqa: S311 - spreads load

    def _leave_name(self) -> None:
        with self._lock:
            self._files.end(self.me.token)
            self.me, self._has_joined = self._new_holder(), False
        self.beat()

    def _replace_damaged(self, version: int, quota: Quota | None) -> str:
        """Put a closed ledger after a damaged one, once it is certain that nobody is writing it; returns what to say.

        What the damaged one said is not known: so nothing is given out before all holders know that they are none any
        more, and the whole quota counts as used.
        """
        now = self._clock()
        if self._damaged is None or self._damaged[0] != version:
            self._damaged = version, now
        if now - self._damaged[1] < QUIET * self._pace.beat:
            return ""
        used = self._file_time + now - self._file_time_at
        starts = (used,) * (quota.products if quota else 0)
        window = quota.seconds if quota else 0.0
        if self._files.commit(
            closed(version + 1, secrets.token_hex(8), self._pace.deadline, starts=starts, window=window)
        ):
            aside = self._files.set_aside(version)
            return f"the ledger of limits was damaged; it is now {aside}, and downloads pause until it is safe to go on"
        return "the ledger of limits was damaged"

    def _watch(self, ledger: Ledger) -> None:
        """Look at the beats of the others."""
        now = self._clock()
        tokens = [one.token for one in ledger.holders if one.token != self.me.token]
        beats = self._files.beats(tokens)
        for token in self._watched.keys() - set(tokens):
            del self._watched[token]
        for token in tokens:
            text, seen = beats.get(token, ""), self._watched.get(token)
            if seen is None or seen.text != text:
                self._watched[token] = _Watched(text, looked=now)
            else:  # who was stopped meanwhile has not looked
                seen.quiet += min(now - seen.looked, 2 * self._pace.beat)
                seen.looked = now
        if ledger.closed:
            self._closed.setdefault(ledger.closed, now)

    def _lively(self, ledger: Ledger) -> frozenset[str]:
        quiet = QUIET * self._pace.beat
        return frozenset(
            one.token for one in ledger.holders if one.token in self._watched and self._watched[one.token].quiet < quiet
        )

    def _cleared(self, ledger: Ledger, now: float) -> Ledger:
        """The ledger without those that are dead, and open when that is due."""
        for one in ledger.holders:
            seen = self._watched.get(one.token)
            if seen and seen.quiet >= self._pace.deadline and not self._stands_here(one):
                ledger = dropped(ledger, one.token, now)
                self._files.end(one.token)
        if ledger.closed and self._clock() - self._closed[ledger.closed] >= ledger.closed_for:
            ledger = opened(ledger)
        return ledger

    def _stands_here(self, one: Holder) -> bool:
        """Whether it is certain that the process of a holder is there, if only stopped."""
        is_here = one.place == self._place and one.began is not None
        return is_here and process_exists(one.pid) and start_of(one.pid) == one.began

    def _view(self, ledger: Ledger, lively: frozenset[str], quota: Quota | None, now: float, news: str) -> View:
        others = tuple(one for one in ledger.holders if one.token != self.me.token)
        token = self.me.token
        return View(
            mine=ledger.holder(token) or self.me,
            others=others,
            still=tuple(one for one in others if one.slots and one.token not in lively),
            lively=lively,
            others_wait=any(one.slots < one.wants_slots for one in others if one.token in lively),
            yields=has_to_yield(ledger, token, lively, turn_is_over=False),
            yields_after_turn=has_to_yield(ledger, token, lively, turn_is_over=True),
            wait=quota_wait(ledger, quota, now) if quota else 0.0,
            news=news,
        )
