"""A few towns, so that a search by name finds something."""

from __future__ import annotations

import unicodedata

TOWNS = {
    "agen": (0.62, 44.20),
    "albi": (2.15, 43.93),
    "auch": (0.58, 43.65),
    "barcelona": (2.17, 41.39),
    "bordeaux": (-0.58, 44.84),
    "brest": (-4.49, 48.39),
    "carcassonne": (2.35, 43.21),
    "castres": (2.24, 43.60),
    "clermont-ferrand": (3.08, 45.78),
    "dakar": (-17.45, 14.69),
    "dijon": (5.04, 47.32),
    "foix": (1.61, 42.97),
    "grenoble": (5.72, 45.19),
    "lille": (3.06, 50.63),
    "limoges": (1.26, 45.83),
    "london": (-0.13, 51.51),
    "lyon": (4.84, 45.76),
    "madrid": (-3.70, 40.42),
    "marseille": (5.37, 43.30),
    "montauban": (1.35, 44.02),
    "montpellier": (3.88, 43.61),
    "nantes": (-1.55, 47.22),
    "narbonne": (3.00, 43.18),
    "nice": (7.27, 43.70),
    "paris": (2.35, 48.86),
    "pau": (-0.37, 43.30),
    "perpignan": (2.90, 42.70),
    "rennes": (-1.68, 48.11),
    "rome": (12.50, 41.90),
    "strasbourg": (7.75, 48.58),
    "tarbes": (0.07, 43.23),
    "toulouse": (1.44, 43.60),
}
"""Longitude and latitude in degrees (EPSG:4326) by lower-case name."""


def find(name: str) -> tuple[float, float] | None:
    """Return longitude and latitude of a town, whatever the case and accents; None if it is not known."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return TOWNS.get(plain.strip().strip('"').lower())
