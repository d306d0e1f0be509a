"""Which mission the words of a query are of: words of two missions match nothing together. Pure functions."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

from pepsasync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pepsasync.model import Query

TYPES = {"1": ("GRD", "SLC", "OCN", "RAW"), "2": ("S2MSI1C", "S2MSI2A")}
"""Product types by mission."""
MODES = {"1": ("IW", "EW", "SM", "WV"), "2": ("INS-NOBS",)}
"""Sensor modes by mission."""
OURS = ("1", "2", "3")
"""Missions whose words are known well enough to say what does not go together."""
SATELLITES = {mission: tuple(f"S{mission}{letter}" for letter in "ABCD") for mission in "12"}
NEUTRAL = ("S1", "S2", "S2ST", "S3")
"""Collections that mean the same in every archive; others are an archive's own."""

_MISSION = re.compile(r"(?<![A-Z])S(?:ENTINEL[-_ ]?)?(\d)", re.IGNORECASE)
_SATELLITE = re.compile(r"S(\d)[A-Z]")
_RADAR_TYPE = re.compile(r"(?:^|_)(?:GRD|SLC|OCN|RAW)", re.IGNORECASE)
_LEVEL = re.compile(r"(?:S2)?(?:MSI)?[-_]?(?:L|LEVEL)?[-_]?(1C|2A)", re.IGNORECASE)
"""Ways to write a level of Sentinel-2 that no archive has as a product type."""
_CLOSE = 0.6


def mission_of(collection: str | None) -> str | None:
    """Number of the mission that a collection's name tells; None for others."""
    match = _MISSION.search(collection or "")
    return match[1] if match else None


def is_radar(query: Query) -> bool:
    """Whether only products of Sentinel-1 can match, which know no clouds."""
    return "1" in (
        mission_of(query.collection),
        _of_type(query.product_type),
        _of_mode(query.sensor_mode),
        _of_satellite(query.platform),
    )


def check_words(query: Query) -> None:
    """Refuse words that match nothing: of two missions, or not quite those of one.

    Raises:
        ConfigError: With the words that are right.
    """
    collection, kind, mode, satellite = query.collection, query.product_type, query.sensor_mode, query.platform
    told = [
        ("collection", collection, mission_of(collection)),
        ("satellite", satellite, _of_satellite(satellite)),
        ("product type", kind, _of_type(kind)),
        ("sensor mode", mode, _of_mode(mode)),
    ]
    known = [(f"{what} {word}", what, mission) for what, word, mission in told if mission in OURS]
    for words, what, mission in known[1:]:
        others, _, of = known[0]
        if mission != of:
            both = f"{others} is of Sentinel-{of}, {words} of Sentinel-{mission}: no product is of both"
            raise ConfigError(both, hint=_right(what, of))
    if collection is not None and collection not in NEUTRAL:
        return
    right = f"S2MSI{level[1].upper()}" if (level := _LEVEL.fullmatch(kind or "")) else kind
    if kind and kind != right:
        raise ConfigError(f"there is no product type {kind}", hint=f"Did you mean {right}?")
    if known:
        mission = known[0][2]
        _check_spelling("product type", kind, _of_type(kind), TYPES.get(mission, ()))
        _check_spelling("sensor mode", mode, _of_mode(mode), MODES.get(mission, ()))
        _check_spelling("satellite", satellite, _of_satellite(satellite), SATELLITES.get(mission, ()))


def _check_spelling(what: str, word: str | None, mission: str | None, right: Sequence[str]) -> None:
    """Refuse a word that is almost one of those that are known; an archive may have others."""
    if not word or mission:
        return
    close = get_close_matches(word.upper(), right, n=1, cutoff=_CLOSE) or [
        known for known in right if known.startswith(word.upper())
    ]
    if close:
        raise ConfigError(f"there is no {what} {word}", hint=f"Did you mean {close[0]}?")


def _right(what: str, mission: str) -> str:
    """The words of a mission."""
    words = {"product type": TYPES, "sensor mode": MODES, "satellite": SATELLITES}[what].get(mission)
    return f"Sentinel-{mission} has {', '.join(words)}" if words else "Leave out one of them"


def _of_type(kind: str | None) -> str | None:
    if not kind:
        return None
    if kind.upper().startswith("S2MSI") or _LEVEL.fullmatch(kind):
        return "2"
    return "1" if _RADAR_TYPE.search(kind) else None


def _of_mode(mode: str | None) -> str | None:
    return next((mission for mission, modes in MODES.items() if mode and mode.upper() in modes), None)


def _of_satellite(satellite: str | None) -> str | None:
    match = _SATELLITE.fullmatch(satellite or "")
    return match[1] if match else None
