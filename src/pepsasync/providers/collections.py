"""What archives have, as far as it is known here: most of them take any name of a collection, and find nothing."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import NamedTuple


class About(NamedTuple):
    """What an archive is, for who has no account yet; facts are from the protocol notes."""

    what: str
    on_tape: str
    """What is not on disk there."""
    staging: str
    """What programs can do about that."""
    limits: str
    account: str
    """Where to get one."""


ARCHIVES = {
    "geodes": About(
        "CNES GEODES, which holds the archive of PEPS",
        "some; a search tells of each product, with one more request",
        "not by programs: ask in its portal, pepsasync waits",
        "50 downloads an hour, 3 at once",
        "https://geodes-portal.cnes.fr (API key)",
    ),
    "cdse": About(
        "Copernicus Data Space Ecosystem",
        "some, above all original GRD of earlier years, which have online copies (--twins)",
        "not by programs: order in its Data Workspace, pepsasync waits",
        "4 downloads at once; slowed after 12 TB in 30 days",
        "https://dataspace.copernicus.eu",
    ),
    "wekeo": About(
        "WEkEO, by its HDA; searching needs an account, too",
        "not told before an order",
        "every product is ordered by pepsasync; whether that brings what is on tape is not known",
        "100 orders an hour, 2 downloads at once",
        "https://www.wekeo.copernicus.eu",
    ),
    "asf": About(
        "Alaska Satellite Facility, Sentinel-1",
        "nothing",
        "not needed; bursts are made on request",
        "none published, 4 downloads at once",
        "https://urs.earthdata.nasa.gov (NASA Earthdata Login)",
    ),
    "peps": About(
        "CNES PEPS, closed in March 2026, and private servers of its software",
        "most products",
        "requested by pepsasync",
        "none published, 4 downloads at once",
        "of a private server only (--base-url)",
    ),
}
"""By provider."""

COLLECTIONS: dict[str, tuple[tuple[str, str, str, str], ...]] = {
    "geodes": (
        ("S1", "Sentinel-1 (PEPS_S1_L1, PEPS_S1_L2)", "GRD SLC OCN", "sensor mode, orbit, satellite, place, period"),
        (
            "S2, S2ST",
            "Sentinel-2 (PEPS_S2_L1C)",
            "S2MSI1C",
            "tile, clouds, orbit, satellite, place, period",
        ),
        ("S3", "Sentinel-3 (PEPS_S3_L1)", "", "orbit, place, period"),
        ("its own names", "THEIA_REFLECTANCE_SENTINEL2_L2A, ...", "", "those that the collection has"),
    ),
    "cdse": (
        ("S1", "Sentinel-1 (SENTINEL-1)", "GRD SLC OCN RAW", "sensor mode, orbit, satellite, place, period"),
        (
            "S2, S2ST",
            "Sentinel-2 (SENTINEL-2)",
            "S2MSI1C S2MSI2A",
            "tile, clouds, orbit, satellite, place, period",
        ),
        ("S3", "Sentinel-3 (SENTINEL-3)", "", "orbit, place, period"),
        ("its own names", "SENTINEL-5P, LANDSAT-8, ...", "", "those that the collection has"),
    ),
    "wekeo": (
        ("S1", "Sentinel-1 (EO:ESA:DAT:SENTINEL-1)", "GRD SLC OCN RAW", "sensor mode, orbit, satellite, place, period"),
        (
            "S2, S2ST",
            "Sentinel-2 (EO:ESA:DAT:SENTINEL-2)",
            "S2MSI1C S2MSI2A",
            "tile, clouds, orbit, satellite, place, period",
        ),
        ("S3", "Sentinel-3 (EO:ESA:DAT:SENTINEL-3)", "", "orbit, place, period"),
        ("its own names", "EO:EUM:DAT:SENTINEL-3:OL_1_EFR___, ...", "", "place, period"),
    ),
    "asf": (
        (
            "S1",
            "Sentinel-1, all of it on disk",
            "GRD SLC OCN RAW BURST",
            "sensor mode, orbit, satellite, place, period",
        ),
        ("its own names", "SENTINEL-1A_SLC, SENTINEL-1A_DP_GRD_HIGH, ...", "", "as S1"),
    ),
    "peps": (
        ("S1", "Sentinel-1", "GRD SLC OCN", "sensor mode, orbit, satellite, place, period"),
        ("S2", "Sentinel-2, both collections, by period", "S2MSI1C S2MSI2A", "as S2ST"),
        (
            "S2ST",
            "Sentinel-2, one tile each, since 2016-12-05",
            "S2MSI1C S2MSI2A",
            "tile, clouds, orbit, satellite, place, period",
        ),
        ("S3", "Sentinel-3, withdrawn in 2021", "", "orbit, place, period"),
    ),
}
"""By provider: collection, what it is, product types, filters."""


def names_of(provider: str) -> tuple[str, ...]:
    """Collections of a provider that are listed, ours and its own."""
    ours = [name for row in COLLECTIONS.get(provider, ()) for name in row[0].split(", ") if " " not in name]
    own = [name for row in COLLECTIONS.get(provider, ()) for name in _OWN.findall(" ".join(row[:2]))]
    return tuple(dict.fromkeys([*ours, *own]))


KNOW_PLACES = ("peps",)
"""Archives that search by the name of a place themselves."""

_OWN = re.compile(r"(?<![\w:-])[A-Z][A-Z0-9]+[-_:][A-Z0-9_:-]*")
"""An archive's own name of a collection in what is listed of it."""


def is_listed(provider: str, collection: str) -> bool:
    """Whether a collection is among those listed of a provider, in any case."""
    return collection.upper() in map(str.upper, names_of(provider))


def doubt(provider: str, collection: str | None) -> str | None:
    """Words on a collection in which nothing was found and that is not among those listed here; None for others."""
    listed = names_of(provider)
    if not listed or collection is None or collection in listed:
        return None
    close = get_close_matches(collection.upper(), listed, n=1)
    hint = f"did you mean {close[0]}?" if close else f"see 'pepsasync collections {provider}'"
    return f"{provider} lists no collection {collection!r}; {hint}"
