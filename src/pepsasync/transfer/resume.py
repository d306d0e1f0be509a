"""How to go on with a part: what to make of the answer to a request for what is missing.

The table that this implements stands in `docs/resume.md`. PEPS in PHP mode clamps ranges beyond the end
instead of answering 416, ignores the end of bounded ranges and has no validators (PEPS protocol notes, sections 5.4
and 8.17), so only open-ended ranges are asked and every Content-Range is checked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum


class Action(Enum):
    """What to do with the body that the archive sends."""

    APPEND = "append"
    """Write it behind the part."""
    FROM_START = "restart"
    """Write it from 0, as every first answer; what is here of another file is given up."""
    COMPLETE = "complete"
    """Do not read it: the part already holds every byte."""
    ASK_WHOLE = "ask whole"
    """Do not read it: ask once more, without Range."""
    CHANGED = "changed"
    """Do not read it: the archive has another file than it announced."""
    LATER = "later"
    """Do not read it: a proxy or server cut the announced length short; ask again."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an answer means for the part."""

    action: Action
    total: int | None
    """Bytes of the whole file as this answer tells, None when it does not."""


# No file has more bytes than 18 digits tell, and Python refuses to read numbers of thousands of them.
_CONTENT_RANGE = re.compile(r"^\s*bytes\s+(?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)\s*$", re.IGNORECASE)


def parse_content_range(text: str | None) -> tuple[int | None, int | None, int | None]:
    """Return first byte, last byte and total of a Content-Range; None for what is missing or makes no sense."""
    match = _CONTENT_RANGE.match(text or "")
    if match is None:
        return None, None, None
    first, last, total = (int(group) if group and group != "*" else None for group in match.groups())
    return first, last, total


def judge_answer(
    status: int, content_range: str | None, content_length: int | None, *, offset: int, size: int | None
) -> Judgement:
    """Decide what to do with a 200, 206 or 416.

    Args:
        status: 200, 206 or 416; other statuses never get here.
        content_range: The header as sent, None when absent.
        content_length: The header as a number, None when absent or chunked.
        offset: First byte that was asked for; 0 when no Range was sent.
        size: Announced bytes of the product, None when unknown.
    """
    first, _, total = parse_content_range(content_range)
    if status == 416:
        return Judgement(Action.COMPLETE if offset and offset == (total or size) else Action.ASK_WHOLE, total)
    if status == 200:
        # PEPS sends Content-Range even with 200; its total is then worth more than nothing.
        total = content_length if content_length is not None else total
        return Judgement(_judge_whole(total, size), total)
    if first != offset or first is None:
        # Clamped to the last byte: the archive's way to say that nothing is missing.
        return Judgement(Action.COMPLETE if offset and total == offset == size else Action.ASK_WHOLE, total)
    if size is not None and total is not None and total != size:
        return Judgement(Action.CHANGED, total)
    return Judgement(Action.APPEND if offset else Action.FROM_START, total)


def is_cut_to_32_bits(length: int, size: int) -> bool:
    """Whether a Content-Length is what REGARDS makes of a size of 2 GiB or more (GEODES protocol notes, section 6)."""
    return size >= 1 << 31 and length != size and (length - size) % (1 << 32) == 0


def _judge_whole(total: int | None, size: int | None) -> Action:
    if total is None or size is None or total == size or is_cut_to_32_bits(total, size):
        return Action.FROM_START
    return Action.CHANGED if total > size else Action.LATER
