"""How long does it take to read a layer of 60,000 parcels, beside what geopandas needs for the same file?

The parcels are made here: fields of four to nine corners in Lambert-93, side by side in blocks with roads between
them. geopandas reads the file and unites its geometries (`union_all`); we read it, bring it to degrees, check and unite
it. In turns, each in a process of its own; medians are told.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import geopandas
import numpy as np
import shapely

from pepsasync.area import aoi

BLOCK = 10
"""Parcels along the side of a block, without gaps; roads are between blocks."""
SIZE = 80.0
"""Metres: side of a parcel, about."""
ROAD = 40.0
"""Metres."""


def parcels(count, seed=1):
    """Parcels as GeoDataFrame, EPSG:2154: neighbours share their corners."""
    random = np.random.default_rng(seed)
    blocks = -(-count // BLOCK**2)
    wide = int(np.ceil(np.sqrt(blocks)))
    found = []
    for number in range(blocks):
        west, south = (
            500_000 + number % wide * (BLOCK * SIZE + ROAD),
            6_300_000 + number // wide * (BLOCK * SIZE + ROAD),
        )
        corners = np.stack(np.meshgrid(np.arange(BLOCK + 1), np.arange(BLOCK + 1)), axis=-1) * SIZE
        corners = corners + random.uniform(-0.2, 0.2, corners.shape) * SIZE + (west, south)
        for row in range(BLOCK):
            for column in range(BLOCK):
                ring = [
                    corners[row, column],
                    corners[row, column + 1],
                    corners[row + 1, column + 1],
                    corners[row + 1, column],
                ]
                found.append(shapely.Polygon(ring))
    return geopandas.GeoDataFrame(geometry=found[:count], crs="EPSG:2154")


def read_with_geopandas(path):
    return geopandas.read_file(path).union_all()


def read_with_ours(path):
    return aoi.from_file(path)


READERS = {"geopandas": read_with_geopandas, "pepsasync": read_with_ours}


def measure(which, path):
    """Seconds to read once, after imports and a first small file."""
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.gpkg"
        parcels(4).to_file(small)
        READERS[which](small)
    began = time.perf_counter()
    area = READERS[which](path)
    return {"seconds": time.perf_counter() - began, "parts": len(shapely.get_parts(area))}


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--parcels", type=int, default=60_000)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--here", nargs=2, metavar=("WHO", "FILE"), help="measure in this process")
    chosen = options.parse_args()
    if chosen.here:
        print(json.dumps(measure(*chosen.here)), flush=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "parcels.gpkg"
        parcels(chosen.parcels).to_file(path)
        took = {who: [] for who in READERS}
        for _ in range(chosen.repeats):
            for who, told in took.items():
                done = subprocess.run(
                    [sys.executable, __file__, "--here", who, str(path)], check=True, capture_output=True, text=True
                )
                told.append(json.loads(done.stdout))
    seconds = {who: statistics.median(each["seconds"] for each in told) for who, told in took.items()}
    print(
        json.dumps(
            {
                "parcels": chosen.parcels,
                "seconds": {who: round(each, 2) for who, each in seconds.items()},
                "ratio": round(seconds["pepsasync"] / seconds["geopandas"], 2),
                "parts": {who: told[0]["parts"] for who, told in took.items()},
            }
        )
    )


if __name__ == "__main__":
    main()
