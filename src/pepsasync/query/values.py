"""Single values as users write them: numbers, satellites, product names.

Each function takes the name of the criterion for its messages, and raises `ConfigError` when the value makes no sense.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable
from typing import SupportsFloat, cast

from pepsasync.errors import ConfigError
from pepsasync.model import CHOICES
from pepsasync.paths import in_home
from pepsasync.query.missions import POLARISATIONS
from pepsasync.text import decoded_text

_NO_TEXT = re.compile("[\ud800-\udfff]")
"""Bytes of a command line that are no UTF-8."""
_SATELLITE = re.compile(r"(?:SENTINEL[\s_-]?|S)(\d)([A-Z]?)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*")
_EXTENSION = re.compile(r"\.(zip|safe|sen3)$", re.IGNORECASE)
_FLAGS = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("0", "false", "no", "off"), False)
_WORDS = ("GRD", "SLC", "OCN", "RAW", "S2MSI1C", "S2MSI2A", "S2MSI2Ap", "IW", "EW", "SM", "WV", "INS-NOBS")
_SPELLING = {word.lower(): word for word in _WORDS}
_TIMELINESS = {
    re.sub(r"[\W_]", "", word).lower(): word
    for word in ("Fast-24h", "NRT", "NRT-10m", "NRT-1h", "NRT-3h", "Off-line", "Reprocessing", "Nominal", "STC", "NTC")
}
"""The archives' spelling of a timeliness by its letters and digits."""


def each_value(criterion: str, value: object, *, has_commas: bool = True) -> tuple[object, ...]:
    """Return the values of a criterion that takes several.

    Args:
        criterion: For messages.
        value: One, or text with commas, or `@FILE` with values apart by commas and ends of lines, or several of these.
        has_commas: Whether commas set values apart; otherwise they are part of them.

    Raises:
        ConfigError: An empty value, or a file that cannot be read or has none.
    """
    if not isinstance(value, str | Iterable):
        return (value,)
    if isinstance(value, str) and not value.strip().startswith("@"):
        found: tuple[object, ...] = tuple(part.strip() for part in (value.split(",") if has_commas else [value]))
    else:
        items = _lines(criterion, value.strip()[1:]) if isinstance(value, str) else value
        found = tuple(each for item in items for each in each_value(criterion, item, has_commas=has_commas))
    if not found or "" in found:
        what = f": a value is empty in {value!r}" if isinstance(value, str) and value.strip() else " is empty"
        raise ConfigError(f"{criterion}{what}", hint="Leave it out, or give it a value")
    return found


def _lines(criterion: str, path: str) -> list[str]:
    """Lines of a file of values, without comments and the commas at their ends."""
    file = None if path == "-" else in_home(path, f"{criterion}: cannot read {path}")
    try:
        text = decoded_text(file.read_bytes() if file else sys.stdin.buffer.read())
    except UnicodeDecodeError as error:
        raise ConfigError(f"{criterion}: {path} is not text", hint="Save it as UTF-8") from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{criterion}: cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    lines = (line.partition("#")[0].strip().strip(",").strip() for line in text.splitlines())
    return [line for line in lines if line]


def parse_number(criterion: str, value: object) -> float:
    """Return a finite number, from a number or its text."""
    try:
        number = math.nan if isinstance(value, bool) else float(cast("SupportsFloat | str", value))
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"{criterion}: {value!r} is not a number")
    return number


def parse_whole(criterion: str, value: object) -> int:
    """Return a whole number, from a number or its text."""
    number = parse_number(criterion, value)
    if not number.is_integer():
        raise ConfigError(f"{criterion}: {value!r} is not a whole number")
    return int(number)


def parse_percent(criterion: str, value: object) -> float:
    """Return a number that may be followed by a percent sign; whether it is within 0-100 is for `Query` to say."""
    return parse_number(criterion, value.strip().removesuffix("%") if isinstance(value, str) else value)


def parse_percents(criterion: str, value: object) -> tuple[float | None, float | None]:
    """Return lowest and highest percentage, from `5..20`, `5..`, `..20`, a pair, or the highest alone."""
    if isinstance(value, str) and ".." in value:
        value = value.split("..", 1)
    if not isinstance(value, tuple | list):
        return None, parse_percent(criterion, value)
    ends = [None if end is None or end == "" else parse_percent(criterion, end) for end in value]
    if len(ends) != 2 or ends == [None, None]:
        raise ConfigError(f"{criterion}: {value!r} is not a range", hint="Write MIN..MAX, such as 5..20")
    return ends[0], ends[1]


def parse_length(criterion: str, value: object) -> float:
    """Return metres, from `5km`, `500 m` or a number of metres."""
    match = re.fullmatch(r"(.*?)\s*(km|m)", value.strip(), re.IGNORECASE) if isinstance(value, str) else None
    if isinstance(value, str) and match is None:
        raise ConfigError(f"{criterion}: {value!r} has no unit", hint="Write 5km or 500m")
    metres = parse_number(criterion, match[1]) * (1_000 if match[2].lower() == "km" else 1) if match else None
    metres = parse_number(criterion, value) if metres is None else metres
    if metres <= 0:
        raise ConfigError(f"{criterion}: {value!r} is not a distance", hint="Write 5km or 500m")
    return metres


def parse_words(criterion: str, value: object) -> tuple[str, ...]:
    """Return words in lower case."""
    return tuple(parse_text(criterion, each).lower() for each in each_value(criterion, value))


def parse_direction(criterion: str, value: object) -> str:
    """Return `ascending` or `descending`, from its beginning in any case."""
    text = parse_text(criterion, value).lower()
    found = [word for word in CHOICES["orbit_direction"] if text and word.startswith(text)]
    if not found:
        raise ConfigError(f"{criterion}: {value!r} is not a direction", hint="Write ascending or descending")
    return found[0]


def parse_polarisation(criterion: str, value: object) -> str:
    """Return channels as `VV VH`, from `VV+VH`, `VV,VH`, `vv&vh` or a list."""
    text = value if isinstance(value, str) or not isinstance(value, Iterable) else "+".join(map(str, value))
    channels = set(re.split(r"[\s+&/,]+", parse_text(criterion, text).upper()))
    for polarisation in POLARISATIONS:
        if channels == set(polarisation.split()):
            return polarisation
    known = ", ".join(polarisation.replace(" ", "+") for polarisation in POLARISATIONS)
    raise ConfigError(f"{criterion}: {value!r} is not a polarisation", hint=f"Use one of {known}")


def parse_timeliness(criterion: str, value: object) -> str:
    """Return a timeliness in the archives' spelling: `Fast-24h` from `fast24h`; others as they are."""
    text = parse_text(criterion, value)
    return _TIMELINESS.get(re.sub(r"[\W_]", "", text).lower(), text)


def parse_months(criterion: str, value: object) -> tuple[int, ...]:
    """Return months from `6-8`, `11-2` over the turn of the year, `3,9`, a number or several."""
    months: list[int] = []
    for each in each_value(criterion, value):
        first, dash, last = str(each).partition("-")
        begin = parse_whole(criterion, first)
        end = parse_whole(criterion, last) if dash else begin
        if not (1 <= begin <= 12 and 1 <= end <= 12):
            raise ConfigError(
                f"{criterion}: {each!r} is not a month or a range of months",
                hint="Write numbers, such as 6-8 or 12,1,2",
            )
        months += [(begin - 1 + step) % 12 + 1 for step in range((end - begin) % 12 + 1)]
    return tuple(sorted(set(months)))


def parse_text(criterion: str, value: object) -> str:
    """Return text without the spaces around it."""
    if not isinstance(value, str) or (not value.isascii() and _NO_TEXT.search(value)):
        raise ConfigError(f"{criterion}: {value!r} is not text")
    return value.strip()


def parse_word(criterion: str, value: object) -> str:
    """Return a product type or sensor mode: the usual ones in the archives' spelling, others as they are."""
    text = parse_text(criterion, value)
    return _SPELLING.get(text.lower(), text)


def parse_satellite(criterion: str, value: object) -> str:
    """Return a satellite as `S1A`, from any case and from `Sentinel-1A`; unknown ones in upper case."""
    text = parse_text(criterion, value).upper()
    match = _SATELLITE.fullmatch(text)
    if match is None:
        return text
    if not match[2]:
        hint = f"Satellites are S{match[1]}A, S{match[1]}B, ...; for all of them use the collection S{match[1]}"
        raise ConfigError(f"{criterion}: {value!r} is a mission, not a satellite", hint=hint)
    return f"S{match[1]}{match[2]}"


def parse_flag(criterion: str, value: object) -> bool:
    """Return a switch, from a bool or from words."""
    if isinstance(value, str):
        if (flag := _FLAGS.get(value.strip().lower())) is None:
            raise ConfigError(f"{criterion}: {value!r} is neither true nor false")
        return flag
    return bool(value)


def parse_bbox(criterion: str, value: object) -> tuple[float, float, float, float]:
    """Return west, south, east, north, from four numbers or text such as `1,43,2,44`."""
    items = re.split(r"\s*[,;]\s*|\s+", value.strip()) if isinstance(value, str) else value
    numbers = [parse_number(criterion, item) for item in items] if isinstance(items, Iterable) else []
    if len(numbers) != 4:
        raise ConfigError(f"{criterion}: {value!r} is not four numbers", hint="Write west,south,east,north in degrees")
    west, south, east, north = numbers
    return west, south, east, north


def parse_name(criterion: str, value: object) -> str:
    """Return a product name without extension.

    Raises:
        ConfigError: Empty, a path, or with characters that no product name has.
    """
    text = parse_text(criterion, value)
    name = text
    while _EXTENSION.search(name):
        name = _EXTENSION.sub("", name)
    if "/" in text or "\\" in text:
        raise ConfigError(f"{criterion}: {text!r} is a path, not a product name", hint="Leave out the folders")
    if not _NAME.fullmatch(name):
        hint = "Names look like S2A_MSIL1C_20200815T005251_N0209_R002_T55PCR_20200815T023440"
        raise ConfigError(f"{criterion}: {text!r} is not a product name", hint=hint)
    return name
