"""Relative orbits of products whose archive does not tell them, from the name and the absolute orbit."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_CYCLE = 175
"""Orbits of Sentinel-1 in a repeat cycle of 12 days."""
_OFFSETS = {"S1A": 73, "S1B": 27, "S1D": 42}
"""Absolute orbit of relative orbit 1, modulo the cycle (PEPS protocol notes, section 6)."""
_S1C_OFFSETS = (172, 99)
"""The same for Sentinel-1C, before and after it changed its orbit."""
_S1C_CHANGE = (datetime(2026, 6, 9, tzinfo=UTC), datetime(2026, 6, 24, tzinfo=UTC))
"""While it drifted, from 9 to 23 June 2026, no relative orbit holds."""
HIGHEST = {"S1": _CYCLE, "S2": 143, "S3": 385}
"""Relative orbit by mission; each has all from 1 on."""
_S1_NAME = re.compile(r"^S1[A-Z]_.*_(\d{8}T\d{6})_\d{8}T\d{6}_(\d{6})_[0-9A-F]{6}_[0-9A-F]{4}(?:$|[_.])")
_S2_NAME = re.compile(r"_R(\d{3})_")
_S3_NAME = re.compile(r"_\d{4}_\d{3}_(\d{3})_")
"""Duration, cycle and relative orbit in the name of a Sentinel-3 product."""


def relative_orbit(name: str, platform: str | None, orbit: int | None, start: datetime | None) -> int | None:
    """Return the relative orbit of a product.

    Args:
        name: Product name without extension. Sentinel-2 and -3 write the relative orbit there, Sentinel-1 its
            satellite, acquisition start and absolute orbit.
        platform: `S1A`, ...; None to take it from the name.
        orbit: Absolute orbit; None to take it from the name.
        start: Acquisition start, UTC, aware; None to take it from the name. Only Sentinel-1C needs it.

    Returns:
        1-175 for Sentinel-1, 1-143 for Sentinel-2, 1-385 for Sentinel-3; None when it cannot be known.
    """
    satellite = (platform or name[:3]).upper()
    if satellite.startswith("S1"):
        return _of_sentinel1(name, satellite, orbit, start)
    pattern = {"S2": _S2_NAME, "S3": _S3_NAME}.get(satellite[:2])
    match = pattern.search(name) if pattern else None
    return int(match[1]) if match and 1 <= int(match[1]) <= HIGHEST[satellite[:2]] else None


def _of_sentinel1(name: str, satellite: str, orbit: int | None, start: datetime | None) -> int | None:
    match = _S1_NAME.match(name) if orbit is None or start is None else None
    if orbit is None and match:
        orbit = int(match[2])
    if start is None and match:
        start = _instant(match[1])
    offset = _s1c_offset(start) if satellite == "S1C" else _OFFSETS.get(satellite)
    return (orbit - offset) % _CYCLE + 1 if orbit is not None and offset is not None else None


def _s1c_offset(start: datetime | None) -> int | None:
    if start is None or _S1C_CHANGE[0] <= start < _S1C_CHANGE[1]:
        return None
    return _S1C_OFFSETS[0] if start < _S1C_CHANGE[0] else _S1C_OFFSETS[1]


def _instant(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
