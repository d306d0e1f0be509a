"""Which members of a product are wanted: patterns and bands. Pure functions.

A member is a file in the folder of a product; its path is relative to that folder, with `/`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import translate
from typing import Any

from pepsasync.errors import ConfigError
from pepsasync.nearest import meant

_LAYERS = ("TCI", "SCL", "AOT", "WVP")
_OPTICAL = (*(f"B{number:02}" for number in range(1, 13)), "B8A", *_LAYERS)
_RADAR = ("VV", "VH", "HH", "HV")
_OCEAN = (
    *(f"Oa{number:02}" for number in range(1, 22)),
    *(f"S{number}" for number in range(1, 10)),
    *(f"F{number}" for number in range(1, 3)),
)
BANDS = (*_OPTICAL, *_RADAR, *_OCEAN)
"""Bands of Sentinel-2 (with the layers of its products), channels of Sentinel-1, bands of Sentinel-3."""

_BAND = re.compile(r"(\w+?)(?:_(10|20|60)m)?", re.IGNORECASE)
_LEADING_ZERO = re.compile(r"0(?=\d$)")

_COMMA = re.compile(r",(?![^\[]*\])")
"""Between two patterns or bands, not between brackets."""

METADATA = (
    "manifest.safe",
    "xfdumanifest.xml",
    "MTD_MSI*.xml",
    "MTD_TL.xml",
    "S2?_*_MTD_*.xml",
    "geo_coordinates.nc",
    "geodetic_??.nc",
    "time_coordinates.nc",
)
"""What comes with every band: the manifest, and what is needed to read pixels as values and places."""

_FOLDER = re.compile(r"^[^/]*\.(?:SAFE|SEN3)/", re.IGNORECASE)
"""The product's own folder, which people copy from listings of zips."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which members are wanted; made by `build_selection`.

    A pattern is one of file names, with `*`, `?` and `[...]`; letters of either case are the same. With a `/` it is
    compared with the whole path, without one with the name of the file; one that ends with `/` is a whole folder.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    bands: tuple[str, ...] = ()

    def wants(self, path: str) -> bool:
        """Whether a member is wanted: it matches what is included, if anything is, and nothing that is excluded."""
        included = (*self.include, *patterns_of(self.bands), *(METADATA if self.bands else ()))
        return (not included or _matches(path, included)) and not _matches(path, self.exclude)

    def chosen(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Those of some paths that are wanted. Nothing, when no band and no pattern to include is among them."""
        every = [*paths]
        named = (*self.include, *patterns_of(self.bands))
        if named and not any(_matches(path, named) for path in every):
            return ()
        return tuple(path for path in every if self.wants(path))

    def missing_bands(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Bands of which a product has no member."""
        every = [*paths]
        return tuple(band for band in self.bands if not any(_matches(path, patterns_of((band,))) for path in every))

    def as_dict(self) -> dict[str, list[str]]:
        """Ready for JSON; without what is empty."""
        every = {"include": self.include, "exclude": self.exclude, "bands": self.bands}
        return {name: list(values) for name, values in every.items() if values}

    def __str__(self) -> str:
        """As on the command line: `--bands B02,B04 --exclude '*.html'`."""
        bands = [f"--bands {','.join(self.bands)}"] if self.bands else []
        patterns = [f"--{name} {text}" for name in ("include", "exclude") for text in getattr(self, name)]
        return " ".join([*bands, *patterns])


def build_selection(
    include: str | Iterable[str] | None = None,
    exclude: str | Iterable[str] | None = None,
    bands: str | Iterable[str] | None = None,
) -> Selection | None:
    """Return the selection that users write; None when all members are wanted.

    Args:
        include: Patterns; several with commas or as a list. A comma between brackets is part of a pattern.
        exclude: Patterns, likewise.
        bands: `B02`, `B8A`, `B02_10m`, `SCL`; `VV`; `Oa08`, `S8`; several likewise.

    Raises:
        ConfigError: A pattern is empty, or there is no such band.
    """
    selection = Selection(
        include=tuple(_pattern(text, "include") for text in _texts(include, "include")),
        exclude=tuple(_pattern(text, "exclude") for text in _texts(exclude, "exclude")),
        bands=tuple(dict.fromkeys(_band(text.strip()) for text in _texts(bands, "bands"))),
    )
    return selection if selection.as_dict() else None


def selection_from(known: object) -> Selection | None:
    """The selection that `as_dict` has written somewhere; None for nothing, and for what nobody wrote.

    Args:
        known: Decoded JSON.
    """
    if not isinstance(known, Mapping):
        return None
    try:
        return build_selection(**{name: known.get(name) for name in ("include", "exclude", "bands")})
    except (ConfigError, TypeError):
        return None


def patterns_of(bands: Iterable[str]) -> tuple[str, ...]:
    """Patterns of the members that hold some bands, without metadata that all bands need."""
    return tuple(pattern for band in bands for pattern in _patterns(band))


def _patterns(band: str) -> tuple[str, ...]:
    name, _, resolution = band.partition("_")
    if name in _OPTICAL:
        sizes = (f"_{resolution}",) if resolution else ("", "_??m")
        return tuple(f"*/IMG_DATA/*_{name}{size}.jp2" for size in sizes)
    if name in _RADAR:
        return f"measurement/*-{name.lower()}-*", f"annotation/*-{name.lower()}-*"
    return (f"{name}_*.nc",)


def _band(text: str) -> str:
    if not text:
        raise ConfigError("bands: a value is empty", hint="Leave it out, or give it a value")
    match = _BAND.fullmatch(text)
    known = {written.lower(): band for band in BANDS for written in (band, _LEADING_ZERO.sub("", band))}
    band = known.get(match[1].lower()) if match else None
    if match and band and (match[2] is None or band in _OPTICAL):
        return f"{band}_{match[2]}m" if match[2] else band
    near = meant(text, BANDS)
    hint = (
        f"Did you mean {near}?" if near else "There are B01 to B12, B8A, TCI, SCL; VV, VH, HH, HV; Oa01 to Oa21, S1-S9"
    )
    raise ConfigError(f"there is no band {text!r}", hint=hint)


def _pattern(text: str, what: str) -> str:
    pattern = _FOLDER.sub("", text.strip()).removeprefix("./")
    if not pattern or pattern.startswith("/") or ".." in pattern.split("/"):
        raise ConfigError(f"{what}: {text!r} is not a pattern of members", hint="Try '*.xml' or 'preview/'")
    return pattern


def _texts(given: Any, what: str) -> list[str]:
    values = [given] if isinstance(given, str) else list(given or ())
    for value in values:
        if not isinstance(value, str):
            raise ConfigError(f"{what}: {value!r} is not text")
    return [text for value in values for text in _COMMA.split(value)]


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    whole, name = _compiled(patterns)
    return bool((whole and whole.match(path)) or (name and name.match(path.rpartition("/")[2])))


@functools.lru_cache(maxsize=64)
def _compiled(patterns: tuple[str, ...]) -> tuple[re.Pattern[str] | None, re.Pattern[str] | None]:
    """One expression for whole paths, and one for names of files."""
    paths = [f"{text}*" if text.endswith("/") else text for text in patterns if "/" in text]
    names = [text for text in patterns if "/" not in text]
    return tuple(  # type: ignore[return-value]
        re.compile("|".join(map(translate, texts)), re.IGNORECASE) if texts else None for texts in (paths, names)
    )
