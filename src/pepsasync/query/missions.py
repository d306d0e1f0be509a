"""Which mission the words of a query are of: words of two missions match nothing together. Pure functions."""

from __future__ import annotations

import re
from dataclasses import replace
from difflib import get_close_matches
from itertools import product
from typing import TYPE_CHECKING, Any

from pepsasync.errors import ConfigError
from pepsasync.model import several

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pepsasync.model import Query

TYPES = {"1": ("GRD", "SLC", "OCN", "RAW"), "2": ("S2MSI1C", "S2MSI2A")}
"""Product types by mission."""
MODES = {"1": ("IW", "EW", "SM", "WV"), "2": ("INS-NOBS",)}
"""Sensor modes by mission."""
OURS = ("1", "2", "3")
"""Missions whose words are known well enough to say what does not go together."""
SATELLITES = {mission: tuple(f"S{mission}{letter}" for letter in "ABCD") for mission in OURS}
_USUAL = {"product type": TYPES, "sensor mode": MODES, "satellite": SATELLITES}
POLARISATIONS = ("VV", "VH", "HH", "HV", "VV VH", "HH HV")
"""Of Sentinel-1 products."""
NEUTRAL = ("S1", "S2", "S2ST", "S3")
"""Collections that mean the same in every archive; others are an archive's own."""

_MISSION = re.compile(r"(?<![A-Z])S(?:ENTINEL[-_ ]?)?(\d)", re.IGNORECASE)
_SATELLITE = re.compile(r"S(\d)[A-Z]")
_RADAR_TYPE = re.compile(r"(?:^|_)(?:GRD|SLC|OCN|RAW)", re.IGNORECASE)
_TYPES = {
    "1": re.compile(
        r"(?:GRD|SLC|OCN|RAW|BURST)|\w\w_(?:GRD[FHM]?|SLC|OCN|RAW)(?:[_-].*)?|(?!.*(?:GRD|SLC|OCN|RAW)).*[_-].*"
    ),
    "2": re.compile(r"S2MSI[0-3][ABC]?P?|.*[_-].*"),
}
"""Product types that an archive may have: besides the usual ones their long forms, and auxiliary files, whose words
have more than one part."""
_MODES = {
    "1": re.compile("IW|EW|SM|WV|[SN][1-6]|Z[1-6EIW]|EN|IM|RF|GP|HK|A[IN]"),
    "2": re.compile("INS-.+"),
}
"""Sensor modes that an archive may have: for radar also beams, calibration and housekeeping."""
_SHORTEST = 3
"""Letters of a satellite's name."""
_LEVEL = re.compile(r"(?:S2)?(?:MSI)?[-_]?(?:L|LEVEL)?[-_]?(1C|2A)", re.IGNORECASE)
"""Ways to write a level of Sentinel-2 that no archive has as a product type."""
_CLOSE = 0.6


def mission_of(collection: str | None) -> str | None:
    """Number of the mission that a collection's name tells; None for others."""
    match = _MISSION.search(collection or "")
    return match[1] if match else None


def is_radar(query: Query) -> bool:
    """Whether only products of Sentinel-1 can match, which know no clouds."""
    return any(
        {of(word) for word in several(getattr(query, name))} == {"1"}
        for name, of in {"collection": mission_of, **_MISSION_OF}.items()
    )


def is_optical(query: Query) -> bool:
    """Whether only products of Sentinel-2 can match, which have no polarisation."""
    return any(
        {of(word) for word in several(getattr(query, name))} == {"2"}
        for name, of in {"collection": mission_of, **_MISSION_OF}.items()
    )


def with_channels(polarisation: str | None) -> tuple[str, ...]:
    """Polarisations of products, as archives write them, that have some channels: `VV` has `VV` and `VV VH`."""
    wanted = set((polarisation or "").split())
    return tuple(word for word in POLARISATIONS if wanted <= set(word.split())) if wanted else ()


def has_tiles(collection: str | None) -> bool:
    """Whether products of a collection have a tile; for others, and for all together, the footprint is searched."""
    return mission_of(collection) == "2"


def by_collection(query: Query) -> Iterator[Query]:
    """Split a query by collection, and give each part the words that its products may have.

    Where products have tiles, the area that stands for them in the other collections is left out. A collection whose
    products have none of the words is left out altogether.
    """
    if not isinstance(query.collection, tuple):
        yield query
        return
    words = {name: several(getattr(query, name)) for name in _MISSION_OF}
    for collection in query.collection:
        mission = mission_of(collection)
        fitting: dict[str, Any] = {
            name: tuple(word for word in words[name] if mission not in OURS or of(word) in (None, mission))
            for name, of in _MISSION_OF.items()
        }
        if all(bool(words[name]) == bool(fitting[name]) for name in words):
            area = None if query.tile and has_tiles(collection) else query.area
            yield replace(query, collection=collection, area=area, **fitting)


def check_words(query: Query) -> None:
    """Refuse words that match nothing: of two missions, or not those of one. An archive's own collections may have any.

    Of several words for one thing each needs others that it goes with.

    Raises:
        ConfigError: With the words that are right.
    """
    names = ("collection", *_MISSION_OF)
    refused: dict[tuple[str, str], ConfigError] = {}
    good = set[tuple[str, str]]()
    for words in product(*(several(getattr(query, name)) or (None,) for name in names)):
        told = [(name, word) for name, word in zip(names, words, strict=True) if word is not None]
        try:
            _check_together(*words)
        except ConfigError as error:
            refused |= {each: refused.get(each, error) for each in told}
        else:
            good.update(told)
    for each, why in refused.items():
        if each not in good:
            raise why


def _check_together(collection: str | None, kind: str | None, mode: str | None, satellite: str | None) -> None:
    """Check one word for each."""
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
        mission = str(known[0][2])
        _check_word("product type", kind, mission, _TYPES)
        _check_word("sensor mode", mode, mission, _MODES)
        _check_word("satellite", satellite, mission, {})
    elif not any(of for *_, of in told):
        _check_unplaced(mode, satellite)


def _check_unplaced(mode: str | None, satellite: str | None) -> None:
    """Refuse what only a slip can be, where nothing says which mission it is of."""
    if mode and (close := _closest(mode, [word for words in MODES.values() for word in words])):
        raise ConfigError(f"there is no sensor mode {mode}", hint=f"Did you mean {close}?")
    sentinels = [word for words in SATELLITES.values() for word in words]
    close = _closest(satellite, sentinels) if satellite else None
    if satellite and (close or len(satellite) < _SHORTEST):
        others = f"Sentinels are {', '.join(sentinels)}; for others name the collection, too"
        raise ConfigError(f"there is no satellite {satellite}", hint=f"Did you mean {close}?" if close else others)


def _check_word(what: str, word: str | None, mission: str, possible: Mapping[str, re.Pattern[str]]) -> None:
    """Refuse a word that no product of a mission has.

    Args:
        what: What it is a word for.
        word: As the user wrote it; None when it was not given.
        mission: Of which the other words are.
        possible: By mission, what an archive may have beside the usual words; nothing of a mission that is missing.
    """
    usual = _USUAL[what].get(mission)
    if not word or not usual or word.upper() in usual:
        return
    if mission in possible and possible[mission].fullmatch(word.upper()):
        return
    close = None if _of_satellite(word) else _closest(word, usual)  # each letter is as close as another
    raise ConfigError(f"there is no {what} {word}", hint=f"Did you mean {close}?" if close else _right(what, mission))


def _closest(word: str, usual: Sequence[str]) -> str | None:
    """The one of some words that another is almost, or begins."""
    alike = get_close_matches(word.upper(), usual, n=1, cutoff=_CLOSE)
    return next(iter(alike or [known for known in usual if known.startswith(word.upper())]), None)


def _right(what: str, mission: str) -> str:
    """The words of a mission."""
    words = _USUAL[what].get(mission)
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


_MISSION_OF: dict[str, Callable[[str | None], str | None]] = {
    "product_type": _of_type,
    "sensor_mode": _of_mode,
    "platform": _of_satellite,
}
"""By criterion, the mission that a word of it is of; None for a word of nobody knows which."""
