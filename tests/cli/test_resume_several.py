"""`resume` goes on with an order of several values, as the one order that it is."""

import json

import pytest

from archives import account_file, running
from pepsasync.folder.journal import JournalReader
from pepsasync.query.saved import query_from_json


@pytest.mark.parametrize("provider", ["peps", "cdse"])
def test_resume_goes_on_with_an_order_of_several_values(run, tmp_path, provider):
    with running(40, tape_fraction=0, product_size=30_000, faults={"missing-file": 1.0}) as archive:
        tiles = sorted({product.tile for product in archive.catalogue if product.tile})[:3]
        days = sorted(product.start for product in archive.catalogue)
        where = ("--provider", provider, "--base-url", getattr(archive, f"{provider}_url"))
        account = ("-a", account_file(archive, tmp_path / "account.txt", provider))
        asked = ("-c", "S1,S2ST", "-t", ",".join(tiles[:2]), "-t", tiles[2], "--property", "orbitNumber>1")
        period = ("-d", f"{days[0]:%Y-%m-%d}", "-f", "2030-01-01")
        data = tmp_path / "data"
        # Each product fails for a while, so that all of the order is left to be gone on with.
        first = run("fetch", *asked, *period, *where, *account, "-w", data)
        assert first.code == 1, first.err
        wanted = run("search", *asked, *period, *where, "--format", "ids").out.split()
        told = run("status", data)
        for _ in range(3):
            done = run("resume", data, *account, *where[2:])
        again = run("resume", data, *account, *where[2:])
        status = json.loads(run("status", data, "--format", "json").out)

    assert len(wanted) > 3
    assert all(tile in told.out for tile in tiles)
    assert "orbitNumber>1" in told.out
    assert done.code == 0, done.err
    assert again.code == 0
    assert sorted(wanted) == sorted(path.stem for path in data.glob("*.zip"))
    assert len(status["orders"]) == 1
    with JournalReader(data) as reader:
        [order] = reader.orders()
    query = query_from_json(order.wanted)
    assert (("S1", "S2ST"), tuple(tiles), ("orbitNumber>1",)) == (query.collection, query.tile, query.property)
