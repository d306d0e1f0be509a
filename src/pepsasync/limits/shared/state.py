"""The ledger of an account: who holds how many slots and permits, and what the quota counts. Pure functions.

A slot is for one download at once. A permit is for one download that a quota counts: it is held while the download is
asked for, and becomes a start when that was answered. Every change makes a new `Ledger`.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

    from pepsasync.model import Quota

MOST = 1_000_000
"""Holders, starts and counts beyond it are damage."""

LONGEST = 366 * 86_400.0
"""Seconds; a longer time is damage."""

CLOCKS = 0.1, 0.01
"""Seconds, and share of its window, for which a start counts longer than the quota says: clocks differ."""

_TOKEN = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """One program that takes part."""

    token: str
    """Random: a program that was given up comes back under another one."""
    host: str = ""
    place: str = ""
    """Within which a process id means one process: host, boot and process namespace."""
    pid: int = 0
    began: int | None = None
    """When the process began, in ticks of its machine; None when that is not known."""
    slots: int = 0
    permits: int = 0
    wants_slots: int = 0
    """Slots that it could use, with those that it has."""
    wants_permits: int = 0
    slot_turn: int = 0
    """Version of the ledger in which it last took or gave up a slot: who had none for longest is next."""
    permit_turn: int = 0

    def __str__(self) -> str:
        """`process 4711 on node12`."""
        return f"process {self.pid} on {self.host}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a program has in use and could use."""

    slots: int
    """That it keeps, of those that it has."""
    permits: int
    """That it keeps, of those that it has."""
    begun: int
    """Downloads that were answered since it told last."""
    wants_slots: int
    wants_permits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What all programs with an account know together."""

    version: int = 0
    holders: tuple[Holder, ...] = ()
    starts: tuple[float, ...] = ()
    """When downloads began that a quota may count, seconds since 1970 on the clock of the file system."""
    seconds: float = 0.0
    """For how long starts are kept: the longest window that any holder goes by."""
    closed: str = ""
    """A token while nothing is given out, since holders may be at work that are not in here."""
    closed_for: float = 0.0
    """Seconds for which that lasts from when somebody first sees it."""

    def holder(self, token: str) -> Holder | None:
        """The one with this token."""
        return next((one for one in self.holders if one.token == token), None)


def closed(version: int, token: str, seconds: float, starts: tuple[float, ...] = (), window: float = 0.0) -> Ledger:
    """A ledger without holders that gives out nothing at first.

    Args:
        version: Before it.
        token: Random.
        seconds: For how long.
        starts: That count nevertheless.
        window: For how long, seconds.
    """
    return Ledger(version=version, closed=token, closed_for=seconds, starts=starts, seconds=window)


def opened(ledger: Ledger) -> Ledger:
    """The same, giving out."""
    return replace(ledger, closed="", closed_for=0.0)


def dropped(ledger: Ledger, token: str, now: float) -> Ledger:
    """The same without a holder. Its permits count from now: their downloads may have begun."""
    gone = ledger.holder(token)
    if gone is None:
        return ledger
    holders = tuple(one for one in ledger.holders if one is not gone)
    return replace(ledger, holders=holders, starts=ledger.starts + (now,) * gone.permits)


def settled(
    ledger: Ledger, me: Holder, needs: Needs, *, total: int, quota: Quota | None, now: float, lively: Collection[str]
) -> Ledger:
    """The same after a holder has told what it needs, and has got what it may have.

    Args:
        ledger: The newest one.
        me: The holder; as it comes when it is not in there yet.
        needs: Of it.
        total: Slots of the account.
        quota: Of the account, None for no limit.
        now: Seconds since 1970 on the clock of the file system.
        lively: Tokens of the others that were seen to live: nothing is left for those that stand still.
    """
    mine = ledger.holder(me.token) or me
    rest = tuple(one for one in ledger.holders if one.token != me.token)
    slots, permits = min(mine.slots, needs.slots), min(mine.permits, needs.permits)
    given_up = slots < mine.slots
    mine = replace(
        mine,
        slots=slots,
        permits=permits,
        wants_slots=needs.wants_slots,
        wants_permits=needs.wants_permits,
        slot_turn=ledger.version + 1 if given_up else mine.slot_turn,
    )
    window = max(ledger.seconds, quota.seconds if quota else 0.0)
    starts = (*ledger.starts, *(now,) * needs.begun)
    starts = tuple(sorted(kept for start in starts if (kept := min(start, now)) + _longer(window) > now))
    ledger = replace(ledger, holders=(*rest, mine), starts=starts, seconds=window)
    if ledger.closed:
        return ledger
    more_slots = _share(ledger, me.token, total - sum(one.slots for one in ledger.holders), "slot", lively)
    more_permits = _share(ledger, me.token, free_permits(ledger, quota, now), "permit", lively) if quota else 0
    mine = replace(
        mine,
        slots=mine.slots + more_slots,
        permits=mine.permits + more_permits,
        slot_turn=ledger.version + 1 if more_slots else mine.slot_turn,
        permit_turn=ledger.version + 1 if more_permits else mine.permit_turn,
    )
    return replace(ledger, holders=(*rest, mine))


def free_permits(ledger: Ledger, quota: Quota, now: float) -> int:
    """How many downloads may be asked for now, beside those for which somebody has a permit."""
    counted = sum(start + _longer(quota.seconds) > now for start in ledger.starts)
    return max(0, quota.products - counted - sum(one.permits for one in ledger.holders))


def quota_wait(ledger: Ledger, quota: Quota, now: float) -> float:
    """Seconds until the next permit is free; 0 when one is, or when those that are held have to come back first."""
    held = sum(one.permits for one in ledger.holders)
    counted = sorted(start for start in ledger.starts if start + _longer(quota.seconds) > now)
    excess = len(counted) + held - quota.products
    return counted[excess] + _longer(quota.seconds) - now if 0 <= excess < len(counted) else 0.0


def has_to_yield(ledger: Ledger, token: str, lively: Collection[str], *, turn_is_over: bool) -> bool:
    """Whether a holder should give up a slot when its next download ends, since another one has too few.

    Args:
        ledger: The newest one.
        token: Of the holder.
        lively: Of the others, as for `settled`.
        turn_is_over: Whether it has had its slots for long enough to leave them even to one that has but one fewer.
    """
    mine = ledger.holder(token)
    fewest = min(
        (one.slots for one in ledger.holders if one.token in lively and one.slots < one.wants_slots), default=math.inf
    )
    return mine is not None and mine.slots > fewest + (0 if turn_is_over else 1)


def _share(ledger: Ledger, token: str, free: int, what: str, lively: Collection[str]) -> int:
    """How much of what is free is for one holder, when it goes to whoever has least, one after the other."""
    wanting = {one.token: one for one in ledger.holders if one.token == token or one.token in lively}
    has = {name: getattr(one, f"{what}s") for name, one in wanting.items()}
    before = has[token]
    for _ in range(min(free, MOST)):
        able = [one for name, one in wanting.items() if has[name] < getattr(one, f"wants_{what}s")]
        if not able:
            break
        chosen = min(able, key=lambda one: (has[one.token], getattr(one, f"{what}_turn"), one.token))
        has[chosen.token] += 1
    return int(has[token] - before)


def _longer(seconds: float) -> float:
    return seconds + CLOCKS[0] + seconds * CLOCKS[1]


def as_text(ledger: Ledger) -> str:
    """The ledger as it stands in its file."""
    return json.dumps(asdict(ledger), separators=(",", ":")) + "\n"


def parse(text: str, version: int) -> Ledger:
    """Read a ledger, and judge it.

    Args:
        text: Of a file.
        version: That its name says.

    Raises:
        ValueError: It is damaged.
    """
    try:
        found = json.loads(text)
        holders = tuple(Holder(**one) for one in found.pop("holders"))
        ledger = Ledger(holders=holders, starts=tuple(found.pop("starts")), **found)
    except (TypeError, AttributeError, KeyError, RecursionError) as error:
        raise ValueError("it is no ledger") from error
    if ledger.version != version or not _is_sound(ledger):
        raise ValueError("it is damaged")
    return ledger


def _is_sound(ledger: Ledger) -> bool:
    counts = [name for name, kind in _KINDS.items() if kind == "int"]
    numbers = [getattr(one, name) for one in ledger.holders for name in counts]
    texts = [text for one in ledger.holders for text in (one.host, one.place)]
    tokens = [one.token for one in ledger.holders] + ([ledger.closed] if ledger.closed != "" else [])
    return (
        len(ledger.holders) <= MOST
        and len(ledger.starts) <= MOST
        and all(type(number) is int and 0 <= number < 2**62 for number in (ledger.version, *numbers))
        and all(one.slots <= MOST and one.permits <= MOST for one in ledger.holders)
        and all(one.began is None or type(one.began) is int for one in ledger.holders)
        and all(isinstance(text, str) and text.isprintable() and len(text) <= 1_000 for text in texts)
        and all(isinstance(token, str) and _TOKEN.fullmatch(token) for token in tokens)
        and len(tokens) == len(set(tokens))
        and all(_is_time(start, math.inf) for start in ledger.starts)
        and _is_time(ledger.seconds, LONGEST)
        and _is_time(ledger.closed_for, LONGEST)
    )


def _is_time(value: Any, longest: float) -> bool:
    return type(value) in (int, float) and 0 <= value <= longest and math.isfinite(value)


_KINDS = {one.name: one.type for one in fields(Holder)}
