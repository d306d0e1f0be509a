"""Places by name, offline: a small gazetteer of the world's towns, cut from GeoNames.

`tools/build_gazetteer.py` makes the two files. Both have one place a line, tab-separated, and begin with its names as
`fold` leaves them, between bars: `|toulouse|tolosa|tuluza|`. Looking a name up is one search for `|name|` in the
bytes; nothing is taken apart but the lines that match, and nothing is kept.
"""

from __future__ import annotations

import lzma
import math
import re
import unicodedata
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib import resources
from typing import TYPE_CHECKING

import shapely

from pepsasync.area.clean import clean
from pepsasync.errors import AreaError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from shapely.geometry.base import BaseGeometry

__all__ = ["AmbiguousPlaceError", "Place", "describe", "find_one", "find_place", "fold", "place_area", "rivals"]

_PARTS = re.compile(r"[,;()]")
_SAINT = re.compile(r"\bst(e?)\b\W+(?=\w)")
_LETTERS = str.maketrans(
    {"ø": "o", "œ": "oe", "æ": "ae", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ħ": "h", "\u0131": "i"}
)
"""Letters that Unicode does not take apart into a plain one and an accent."""
_APOSTROPHES = re.compile("[\u02b0-\u02ff]")
"""Raised letters and apostrophes that count as letters, as in Hawaiian and Arabic names."""

_OTHERS = 8
_FOREIGN_WEIGHT = 0.02
"""What the population of a town counts for under its other names: Cologne is the one on the Rhine, although a small
town of that very name lies in Italy; but a large town goes before a city that merely has its name among many."""
_LONGEST_NAME = 60

_TOWN_DENSITY = 3000.0
"""People on a square kilometre of a built-up area, typically."""
_SMALLEST_KM = 2.5
_LARGEST_KM = 25.0
_KM_PER_DEGREE = 111.2


_RIVAL = 0.1
"""Share of the weight of the likeliest town from which on another one may be meant as well."""


class AmbiguousPlaceError(AreaError):
    """Several towns may be meant."""


@dataclass(frozen=True, slots=True)
class Place:
    """A town."""

    name: str
    """As its inhabitants or English speakers write it."""
    country: str
    """ISO 3166-1, two capital letters."""
    latitude: float
    """Of its centre, degrees, EPSG:4326, to two decimals."""
    longitude: float
    """Of its centre, degrees, EPSG:4326, to two decimals."""
    population: int
    """People, to two digits; of the commune, or of the city as a whole, as the country counts."""
    region: str = ""
    """State of the USA, two capital letters; empty elsewhere."""
    others: tuple[Place, ...] = ()
    """Further towns that the same text could mean, the likeliest first; at most eight, themselves without others."""

    def __str__(self) -> str:
        """`Toulouse, FR` or `Paris, TX, US`: what finds the place again, unless its country has a bigger one."""
        return ", ".join(part for part in (self.name, self.region, self.country) if part)


@dataclass(frozen=True, slots=True)
class _Land:
    """A country, or a state of the USA."""

    code: str
    """`FR`, `US-TX`."""
    capital: str
    """In English; empty if it has none, and for states."""
    has_this_name: bool
    """Whether it was found by a name, not by a code."""

    @property
    def is_country(self) -> bool:
        return "-" not in self.code

    def holds(self, place: Place) -> bool:
        return self.code in (place.country, f"{place.country}-{place.region}")


def fold(text: str) -> str:
    """Return what is compared of a name: letters and digits, without case, accents, spaces, hyphens and apostrophes.

    `St` and `Ste` before another word are written out, ligatures and letters with strokes become plain ones.
    """
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    text = _SAINT.sub(r"saint\1 ", _APOSTROPHES.sub("", text).translate(_LETTERS))
    return unicodedata.normalize("NFC", "".join(letter for letter in text if letter.isalnum()))


def find_place(text: str) -> Place:
    """Find a town by its name, in any case, with or without accents and hyphens.

    Towns of 5 000 people and more are known, the larger ones also by their names in other languages. Of several towns
    the biggest is meant; the rest are its `others`. The file is read in about 0.1 seconds: async code calls this from
    a thread.

    Args:
        text: `Toulouse`; to be precise `Toulouse, FR`, `Toulouse, France` or `Paris, Texas`.

    Raises:
        AreaError: Empty, unknown, or a country; the hint has names that are close.
    """
    name, *within = [part for part in map(fold, _PARTS.split(text)) if part] or [""]
    if not name:
        raise AreaError("the place name is empty", hint="Give a town: Toulouse, or Toulouse, FR")
    towns = _read_towns()
    found = _matches(towns, name)
    if not within:
        found = _without_country(text, name, found)
    if not found:
        raise AreaError(f"the place {_shortened(text)!r} is not known", hint=_closest(towns, name))
    chosen = [place for place in found if all(_is_in(place, _lands(land)) for land in within)]
    if not chosen:
        raise AreaError(
            f"the place {_shortened(text)!r} is not known", hint=f"There is {'; '.join(map(str, found[:3]))}"
        )
    return replace(chosen[0], others=tuple(chosen[1 : 1 + _OTHERS]))


def rivals(place: Place, text: str) -> tuple[Place, ...]:
    """Other towns that a text may mean as well: not much less likely, and with other words to tell them by.

    Args:
        place: What `find_place` has found.
        text: For this.
    """
    name = fold(_PARTS.split(text)[0])
    least = _RIVAL * _weight(place, name)
    found = {str(other): other for other in reversed(place.others) if _weight(other, name) >= least}
    found.pop(str(place), None)
    return tuple(reversed(found.values()))


def find_one(text: str) -> Place:
    """Find the town that a text means; see `find_place`.

    Raises:
        AmbiguousPlaceError: Others may be meant as well.
        AreaError: As `find_place`.
    """
    place = find_place(text)
    if others := rivals(place, text):
        listed = "; ".join(map(str, (place, *others)))
        hint = f"Name one of them in full, such as {str(place)!r}"
        raise AmbiguousPlaceError(f"the place {_shortened(text)!r} may be {listed}", hint=hint)
    return place


def _weight(place: Place, name: str) -> float:
    return place.population * (1.0 if fold(place.name) == name else _FOREIGN_WEIGHT)


def split_places(text: str) -> list[str]:
    """Return the place names in a text: `Toulouse, FR, Paris` names two. What may be a country belongs to the town."""
    places: list[str] = []
    for part in text.split(","):
        if places and part.strip() and _lands(fold(part)):
            places[-1] += f",{part}"
        else:
            places.append(part.strip())
    if "" in places:
        raise AreaError(f"a place name in {_shortened(text)!r} is empty", hint="Give towns: Toulouse, FR, Paris")
    return places


def describe(place: Place) -> str:
    """Return in one line which town was taken, and how the others are asked for.

    Returns:
        `Cordoba`, for example, gives `place: Córdoba, AR (longitude -64.18, latitude -31.41), not Córdoba, ES; ...`.
    """
    taken = f"place: {place} (longitude {place.longitude:g}, latitude {place.latitude:g})"
    others = [other for other in dict.fromkeys(map(str, place.others)) if other != str(place)]
    return f"{taken}, not {'; '.join(others)}" if others else taken


def place_area(place: Place) -> BaseGeometry:
    """Return a box about the size of the town.

    Returns:
        EPSG:4326, longitude first, degrees; 5 to 50 km wide and high; two polygons if it crosses the antimeridian.

    Raises:
        AreaError: The coordinates of the place are out of range.
    """
    # A point would leave out products that show part of the town but not its centre.
    area = place.population / _TOWN_DENSITY
    kilometres = min(max(math.sqrt(area / math.pi), _SMALLEST_KM), _LARGEST_KM)
    height = kilometres / _KM_PER_DEGREE
    width = height / max(math.cos(math.radians(place.latitude)), 0.01)
    south, north = place.latitude - height, place.latitude + height
    box = shapely.box(place.longitude - width, south, place.longitude + width, north)
    return clean(box, f"the place {place}")


def _read_towns() -> bytes:
    return lzma.decompress((resources.files("pepsasync.area") / "data" / "towns.tsv.xz").read_bytes())


def _matches(towns: bytes, name: str) -> list[Place]:
    """Towns of a folded name, the likeliest first."""
    weighed = []
    for line in _lines(towns, name):
        place = _place(line)
        weight = 1.0 if line.startswith(f"|{name}|") else _FOREIGN_WEIGHT
        weighed.append((place.population * weight, place))
    return [place for _, place in sorted(weighed, key=lambda pair: pair[0], reverse=True)]


def _lines(table: bytes, name: str) -> Iterator[str]:
    """Lines that hold a folded name."""
    wanted = f"|{name}|".encode()
    at = table.find(wanted)
    while at >= 0:
        end = table.find(b"\n", at)
        yield table[table.rfind(b"\n", 0, at) + 1 : end].decode()
        at = table.find(wanted, end)


def _place(line: str) -> Place:
    _, name, country, region, latitude, longitude, population = line.split("\t")
    return Place(name, country, float(latitude), float(longitude), int(population), region)


def _lands(name: str) -> list[_Land]:
    """Countries and states of a folded name or code."""
    table = (resources.files("pepsasync.area") / "data" / "lands.tsv").read_bytes()
    lands = []
    for line in _lines(table, name):
        _, names, code, capital = line.split("\t")
        lands.append(_Land(code, capital, has_this_name=f"|{name}|" in names))
    return lands


def _is_in(place: Place, lands: Collection[_Land]) -> bool:
    return any(land.holds(place) for land in lands)


def _without_country(text: str, name: str, found: list[Place]) -> list[Place]:
    """The towns, unless a whole country is meant; the town of a city state comes first.

    Raises:
        AreaError: It is a country, or a state that no town is named after.
    """
    lands = [land for land in _lands(name) if not found or (land.is_country and land.has_this_name)]
    if not lands:
        return found
    namesakes = [place for place in found if _is_in(place, lands) and fold(place.name) == name]
    if namesakes:
        return namesakes + [place for place in found if place not in namesakes]
    kind = "country" if lands[0].is_country else "state"
    hint = "Use --bbox or --shape" + (f", or name a town: {lands[0].capital}" if lands[0].capital else "")
    raise AreaError(f"{_shortened(text)!r} is a {kind}, too large to search by name", hint=hint)


def _closest(towns: bytes, name: str) -> str:
    """What may have been meant, for the hint."""
    if 3 <= len(name) <= _LONGEST_NAME:
        close = get_close_matches(name, names := _similar(towns, name), n=3, cutoff=0.8)
        if close:
            return f"Did you mean {' or '.join(names[key] for key in close)}?"
    return "Try its name in English or its own language, the nearest larger town, or --lon and --lat"


def _similar(towns: bytes, name: str) -> dict[str, str]:
    """Written names by folded ones, of towns that begin or end alike: comparing with all takes seconds."""
    few, many = max(len(name) - 3, 1), len(name) + 1
    first, last = re.escape(name[:1]), re.escape(name[-3:])
    pattern = rf"^\|({first}[^|]{{{few},{many}}}|[^|]{{{max(few - 2, 0)},{many - 2}}}{last})\|[^\t]*\t([^\t]+)"
    return {key.decode(): written.decode() for key, written in re.findall(pattern.encode(), towns, re.MULTILINE)}


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 3]}..."
