"""Products with footprints, as many as a test wants."""

from datetime import UTC, datetime, timedelta

from fakes import product
from pepsasync.model import StorageTier

HOSTILE = (
    "</script><script>window.hit = 1</script>",
    '"><img src=x onerror="window.hit = 1">',
    "'><svg onload='window.hit = 1'>",
    "<%= window.hit = 1 %><% window.hit = 1 %>",
    "{{ 7 * 7 }}@{name}@name $x {% raw %}",
    "<!--<script>",
    "\u202eevil\x1b[31m\x00",
)
"""What archives may call products to attack those who read of them."""


def samples(number):
    """Products in a grid over France, every third one over its neighbour's place."""
    tiers = list(StorageTier)
    products = []
    for index in range(number):
        place = index - index % 3
        west, south = -4 + place % 40 / 4, 42 + place // 40 % 30 / 4
        corners = [(west, south), (west + 1.4, south), (west + 1.3, south + 1), (west - 0.1, south + 1)]
        footprint = {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}
        start = datetime(2017, 1, 1, 10, 50, 31, tzinfo=UTC) + timedelta(days=index)
        products.append(
            product(
                f"S2A_MSIL1C_{start:%Y%m%dT%H%M%S}_N0204_R051_T31TCJ_{index:06}",
                tier=tiers[index % 4],
                size=(index % 9 + 1) * 100_000_000,
                start=start,
                cloud_cover=float(index % 101),
                footprint=footprint,
                quicklook_url=f"https://archive.example/quicklooks/{index}.jpg",
                platform="S2A",
                tile="31TCJ",
                relative_orbit=51,
            )
        )
    return products


def hostile():
    """Products all of whose texts are attacks, over one place."""
    [template] = samples(1)
    return [
        product(
            text,
            id=text,
            tier=StorageTier.DISK,
            footprint=template.footprint,
            platform=text,
            product_type=text,
            tile=text,
            orbit_direction=text,
            relative_orbit=1,
            start=template.start,
            quicklook_url=url,
        )
        for text in HOSTILE
        for url in ("javascript:window.hit=1", f"https://archive.example/{text}")
    ]
