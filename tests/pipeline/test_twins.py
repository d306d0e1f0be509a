"""Offline GRD products of CDSE and their cloud-optimised copies."""

from dataclasses import replace

import pytest

from archives import connect, sandbox
from pepsasync import ConfigError
from pepsasync.query.criteria import build_query
from pepsasync.sandbox.catalogue import generate
from pepsasync.sync.run import check_query

pytestmark = pytest.mark.anyio


@pytest.fixture
def catalogue():
    """Radar products, each with a copy: a third of the originals are online."""
    originals = [one for one in generate(40, size=20_000, seed=1) if one.product_type == "GRD"]
    copies = [replace(one, id=f"{one.id[:-4]}c09c", name=f"{one.name[:-4]}C09C_COG", mode="disk") for one in originals]
    originals = [replace(one, mode="disk" if number % 3 == 0 else "tape") for number, one in enumerate(originals)]
    return tuple(originals + copies)


async def names(client, **criteria):
    return [product.name async for product in client.search(collection="S1", product="GRD", **criteria)]


async def test_the_copy_is_taken_only_where_the_original_is_offline(catalogue):
    async with sandbox(catalogue=catalogue) as archive, connect(archive, "cdse") as client:
        without, chosen = await names(client), await names(client, twins=True)

    originals = [one for one in catalogue if not one.name.endswith("_COG")]
    assert sorted(without) == sorted(one.name for one in originals)
    assert sorted(chosen) == sorted(one.name if one.mode == "disk" else f"{one.name[:-4]}C09C_COG" for one in originals)


async def test_copies_are_delivered(catalogue, tmp_path):
    async with sandbox(catalogue=catalogue, portal_seconds=0.1) as archive, connect(archive, "cdse") as client:
        query = build_query(collection="S1", product="GRD", twins=True)
        outcomes = [delivery async for delivery in client.fetch(query, tmp_path)]

    assert outcomes
    assert [delivery.error for delivery in outcomes if delivery.error] == []


def test_an_order_that_is_kept_up_to_date_has_no_twins():
    with pytest.raises(ConfigError, match="--twins"):
        check_query(build_query(collection="S1", twins=True))
