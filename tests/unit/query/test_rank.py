"""Which products come first, and which is the best of a day or tile, whatever the order in which an archive lists them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from pepsasync.model import Product, Query
from pepsasync.query.rank import ranked

NOON = datetime(2017, 1, 5, 12, tzinfo=UTC)


def product(name, **values):
    given = {"id": name, "provider": "peps", "collection": "S2ST", "download_url": "u", "start": NOON} | values
    return Product(name=name, **given)


OLD, NEW = (
    product(f"S2A_MSIL1C_20170105T120000_{baseline}_R051_T31TCJ_20170105T120000", cloud_cover=7.0)
    for baseline in ("N0204", "N0206")
)
LATER = product("S2B_MSIL1C_20170105T180000_N0204_R008_T31TCJ_20170105T180000", start=NOON + timedelta(hours=6))
EARLY, LATE = (
    product(f"S1A_IW_GRDH_1SDV_20170105T120000_20170105T120025_014700_017E80_{last}", published=published)
    for last, published in (("AAAA", NOON + timedelta(days=1)), ("0000", NOON + timedelta(days=9)))
)
TWIN = product("S1A_IW_GRDH_1SDV_20170105T120000_20170105T120025_014700_017E80_1111", published=LATE.published)
RADAR = replace(EARLY, cloud_cover=0.0)  # as PEPS says of radar products


@pytest.mark.parametrize(
    ("products", "words", "expected"),
    [
        ((OLD, NEW), {"per": ("day", "tile")}, [NEW]),
        ((OLD, NEW, LATER), {"per": ("day",)}, [NEW]),
        ((OLD, NEW, LATER), {"per": ("day",), "sort": "date"}, [LATER]),
        ((OLD, NEW, LATER), {"sort": "clouds"}, [NEW, OLD, LATER]),
        ((OLD, NEW, LATER), {"sort": "date"}, [LATER, NEW, OLD]),
        ((EARLY, LATE), {"per": ("day",)}, [LATE]),
        ((EARLY, LATE, TWIN), {"sort": "size"}, [LATE, TWIN, EARLY]),
        ((RADAR, NEW), {"per": ("day",)}, [NEW]),
        ((RADAR, NEW), {"sort": "clouds"}, [NEW, RADAR]),
    ],
)
def test_equals_come_newest_first_in_whatever_order_they_are_listed(products, words, expected):
    for listed in permutations(products):
        assert expected == ranked(listed, Query(**words))
