"""Dates as users write them: whole years and months, words, spans back from today, durations."""

from __future__ import annotations

import calendar
import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from pepsasync.errors import ConfigError

HINT = "Write YYYY-MM-DD, or YYYY-MM-DDTHH:MM:SS in UTC, such as 2015-11-01; or 2015, 2015-11, today, -3d, P1M"
_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?\s*([Zz]|[+-]\d{2}(:?\d{2})?)?")
_WORDS = {"yesterday": -1, "today": 0, "tomorrow": 1}
"""Days from today."""
_BACK = re.compile(r"-(\d{1,5})([hdwmy])", re.IGNORECASE)
_DURATION = re.compile(
    r"P(?=\d|T\d)(?:(\d{1,4})Y)?(?:(\d{1,5})M)?(?:(\d{1,5})W)?(?:(\d{1,6})D)?(?:T(?=\d)(?:(\d{1,6})H)?(?:(\d{1,6})M)?)?",
    re.IGNORECASE,
)
_SMALLEST_STEP = timedelta(milliseconds=1)
"""Archives write acquisition times in milliseconds."""


def now() -> datetime:
    """Return the present instant."""
    return datetime.now(UTC)


def parse_start(criterion: str, value: object) -> datetime:
    """Return the first instant of a period: a bare date is 00:00:00 UTC, a time without zone is UTC.

    A duration is so long ago.
    """
    if duration := _duration(value):
        return _shifted(criterion, value, _midnight(now()), duration, -1)
    return _instant(criterion, value)[0]


def parse_since(criterion: str, value: object) -> datetime:
    """Return the first instant of what is new; the last time is known to those who bring products only."""
    if isinstance(value, str) and value.strip().lower() == "last":
        hint = "It is for pepsasync fetch, which keeps in the folder what it has brought; sync does it anyway"
        raise ConfigError(f"{criterion}: nobody knows here when the last time was", hint=hint)
    return parse_start(criterion, value)


def parse_end(criterion: str, value: object) -> datetime:
    """Return the end of a period, exclusive.

    A bare date is exclusive already: `2015-11-02` is the last moment of 1 November. A time is meant inclusively, so
    `2015-11-01T23:59:59` becomes one millisecond later.
    """
    instant, has_time = _instant(criterion, value)
    try:
        return instant + _SMALLEST_STEP if has_time else instant
    except OverflowError as error:
        raise ConfigError(f"{criterion}: {value} is too late a date", hint=HINT) from error


def parse_period(start: object, end: object) -> tuple[datetime | None, datetime | None]:
    """Return first instant and exclusive end of a period; a duration counts from the other one.

    Args:
        start: As `parse_start`; None is open.
        end: As `parse_end`, or a duration after the start; None is open.

    Raises:
        ConfigError: No date, or two durations.
    """
    lasts, since = _duration(end), _duration(start)
    if lasts:
        if start is None or since:
            raise ConfigError(
                f"end: {end} is a duration, and there is no start", hint="Give a date as start, or as end"
            )
        first = parse_start("start", start)
        return first, _shifted("end", end, first, lasts, 1)
    last = None if end is None else parse_end("end", end)
    if since and last:
        return _shifted("start", start, last, since, -1), last
    return None if start is None else parse_start("start", start), last


def _instant(criterion: str, value: object) -> tuple[datetime, bool]:
    """An aware UTC instant, and whether a time of day was given."""
    try:
        if isinstance(value, str):
            return _from_text(value.strip())
        if getattr(getattr(value, "dtype", None), "kind", "") == "M":
            return _from_numpy(value)
        if isinstance(value, date) and value == value:  # noqa: PLR0124 - which NaT is not
            if isinstance(value, datetime):
                return _in_utc(value), True
            return datetime.combine(value, time(), UTC), False
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"{criterion}: {value!s} is not a date ({error})", hint=HINT) from error
    raise ConfigError(f"{criterion}: {value!r} is not a date", hint=HINT)


def _from_text(text: str) -> tuple[datetime, bool]:
    if match := _DATE.fullmatch(text):
        return datetime(int(match[1]), int(match[2] or 1), int(match[3] or 1), tzinfo=UTC), False
    if text.lower() in _WORDS:
        return _midnight(now()) + timedelta(days=_WORDS[text.lower()]), False
    if text.lower() == "now":
        return now(), True
    if match := _BACK.fullmatch(text):
        return _back(int(match[1]), match[2].lower())
    if not _INSTANT.fullmatch(text):
        raise ValueError("unknown format")
    return _in_utc(datetime.fromisoformat(re.sub(r"\s+(?=[Zz+-])", "", text).upper())), True


def _back(number: int, unit: str) -> tuple[datetime, bool]:
    """So long ago: an instant for hours, else a date."""
    if unit == "h":
        return now() - timedelta(hours=number), True
    days = {"d": number, "w": 7 * number}.get(unit, 0)
    months = {"m": number, "y": 12 * number}.get(unit, 0)
    return _later(_midnight(now()), -months, -timedelta(days=days)), False


def _from_numpy(value: Any) -> tuple[datetime, bool]:
    """A `datetime64`, which is a date when its unit is a day or longer."""
    instant = value.astype("datetime64[us]").item()
    if instant is None:
        raise ValueError("it is missing")
    return instant.replace(tzinfo=UTC), not re.search(r"\[(?:\d*)[YMWD]\]", str(value.dtype))


def _duration(value: object) -> tuple[int, timedelta] | None:
    """Months and time of a duration such as `P1M`; None for what is none."""
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    years, months, weeks, days, hours, minutes = (int(number or 0) for number in match.groups())
    return 12 * years + months, timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes)


def _shifted(
    criterion: str, value: object, instant: datetime, duration: tuple[int, timedelta], direction: int
) -> datetime:
    try:
        return _later(instant, direction * duration[0], direction * duration[1])
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"{criterion}: {value} is outside the calendar", hint=HINT) from error


def _later(instant: datetime, months: int, more: timedelta) -> datetime:
    """Months later, at the last day of shorter months, and then some time."""
    year, month = divmod(instant.year * 12 + instant.month - 1 + months, 12)
    if not 1 <= year <= 9999:
        raise ValueError("out of the calendar")
    day = min(instant.day, calendar.monthrange(year, month + 1)[1])
    return instant.replace(year=year, month=month + 1, day=day) + more


def _midnight(instant: datetime) -> datetime:
    return instant.replace(hour=0, minute=0, second=0, microsecond=0)


def _in_utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
