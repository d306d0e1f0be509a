"""What `Client` takes, and what it says of everything else."""

from pathlib import Path

import geopandas
import pandas as pd
import pytest

from archives import connect, everything, sandbox
from pepsasync import Client, ConfigError, Query, to_geodataframe

pytestmark = pytest.mark.anyio


@pytest.fixture
async def archive():
    async with sandbox(3, tape_fraction=0) as running:
        yield running


async def names_of(client, wanted, folder):
    outcomes = [delivery async for delivery in client.fetch(wanted, folder)]
    assert [delivery.error for delivery in outcomes if delivery.error] == []
    return {delivery.product.name for delivery in outcomes}


async def test_one_name_one_product_a_table_and_criteria(archive, tmp_path):
    async with connect(archive) as client:
        products = await everything(client)
        names = {product.name for product in products}
        first = products[0]
        table = to_geodataframe(products)

        assert await names_of(client, first.name, tmp_path) == {first.name}
        assert await names_of(client, f"{first.name}.zip", tmp_path) == {first.name}
        assert await names_of(client, first, tmp_path) == {first.name}
        assert await names_of(client, table, tmp_path) == names
        assert await names_of(client, table[table["name"] == first.name], tmp_path) == {first.name}
        assert await names_of(client, table["name"], tmp_path) == names
        assert await names_of(client, pd.DataFrame({"Name": sorted(names)}), tmp_path) == names
        assert await names_of(client, {"collection": "S1"}, tmp_path) == await names_of(
            client, Query(collection="S1"), tmp_path
        )
        assert await names_of(client, {"id": first.name}, tmp_path) == {first.name}
        assert await names_of(client, (name for name in names), tmp_path) == names
        assert await names_of(client, names, tmp_path) == names


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        pytest.param(None, "not None", id="none"),
        pytest.param(5, "not 5", id="number"),
        pytest.param([1], "not 1", id="numbers"),
        pytest.param(b"S1A", r"not b'S1A'; names are text", id="bytes"),
        pytest.param([["S1A"]], r"not \['S1A'\]", id="lists"),
        pytest.param(Path("found.geojson"), r"'@found\.geojson'", id="path"),
        pytest.param(pd.DataFrame({"title": ["A"]}), "column 'name'", id="table"),
        pytest.param(geopandas.GeoDataFrame({"name": ["A", None]}), "row 1", id="row"),
        pytest.param(Query, "class", id="class"),
    ],
)
async def test_anything_else_says_what_to_give(wanted, words):
    async with Client("peps", base_url="http://127.0.0.1:9/resto") as client:
        with pytest.raises(TypeError, match=words) as caught:
            client.fetch(wanted)

    assert "fetch() takes" in str(caught.value)


async def test_a_search_is_no_list(tmp_path):
    async with Client("peps", base_url="http://127.0.0.1:9/resto") as client:
        found = client.search(collection="S1")
        with pytest.raises(TypeError, match=r"async for product in"):
            client.fetch(found, tmp_path)
        await found.aclose()


async def test_what_comes_of_a_generator_is_looked_at_as_it_comes(archive, tmp_path):
    async with connect(archive) as client:
        with pytest.raises(TypeError, match=r"fetch\(\) takes .* not 2"):
            await names_of(client, (number for number in (2,)), tmp_path)


@pytest.mark.parametrize("folder", [None, 3, b"data"])
async def test_a_folder_is_text_or_a_path(archive, folder):
    async with connect(archive) as client:
        product, *_ = await everything(client)
        with pytest.raises(TypeError, match="the folder for products is text or a path"):
            await client.download(product, folder)
        with pytest.raises(TypeError, match="the folder for products is text or a path"):
            client.fetch(product, folder)


def test_a_client_is_opened_with_async_with():
    with pytest.raises(RuntimeError, match="async with Client"), Client("peps"):
        pass


async def test_criteria_may_stand_among_others(archive, tmp_path):
    async with connect(archive) as client:
        products = await everything(client)
        radar = {product.name for product in products if product.collection == "S1"}
        other = next(product.name for product in products if product.collection != "S1")

        assert await names_of(client, [{"collection": "S1"}, other], tmp_path) == radar | {other}
        with pytest.raises(ConfigError, match="no criterion 'colection'"):
            client.fetch([{"colection": "S1"}], tmp_path)


@pytest.mark.parametrize("wanted", [{"colection": "S1"}, {}, "", {"type": "FeatureCollection"}])
async def test_criteria_and_names_that_are_none_are_told_as_such(wanted):
    async with Client("peps", base_url="http://127.0.0.1:9/resto") as client:
        with pytest.raises(ConfigError):
            client.fetch(wanted)


async def test_searches_take_criteria_by_name(archive):
    async with connect(archive) as client:
        with pytest.raises(TypeError, match=r"search\(collection='S2ST'\)"):
            client.search("S2ST")
        with pytest.raises(TypeError, match=r"criteria by name"):
            client.search(5)
        found = [product async for product in client.search({"collection": "S1"})]

        assert found == [product async for product in client.search(collection="S1")]


async def test_other_methods_say_what_they_take(archive, tmp_path):
    async with connect(archive) as client:
        product, *_ = await everything(client)
        with pytest.raises(TypeError, match=r"stage\(\) takes a product"):
            await client.stage(product.name)
        with pytest.raises(TypeError, match=r"tiers\(\) takes products"):
            await client.tiers([product.name])
        with pytest.raises(TypeError, match=r"tiers\(\) takes products .* not b'S1A'"):
            await client.tiers(b"S1A")
        with pytest.raises(TypeError, match=r"wait_online\(\) takes products"):
            client.wait_online(product.name)
        with pytest.raises(TypeError, match=r"download\(\) takes one"):
            await client.download([product], tmp_path)
        assert await client.tiers(product) == await client.tiers([product])
        assert [online.name async for online in client.wait_online(product)] == [product.name]


async def test_a_client_that_is_not_open_says_how_to_open_it(archive, tmp_path):
    async with connect(archive) as client:
        product, *_ = await everything(client)
        late = client.search(collection="S1")
    calls = [
        lambda other: other.search(collection="S1"),
        lambda other: other.fetch("S1A_X", tmp_path),
        lambda other: other.wait_online([product]),
        lambda other: other.events(),
    ]
    for other in (client, connect(archive)):
        for call in calls:
            with pytest.raises(RuntimeError, match=r"async with Client\(\.\.\.\) as client:"):
                call(other)
        for waited in (other.stage(product), other.tiers([product]), other.download(product, tmp_path)):
            with pytest.raises(RuntimeError, match=r"async with Client\(\.\.\.\) as client:"):
                await waited
    with pytest.raises(RuntimeError, match=r"async with Client\(\.\.\.\) as client:"):
        await anext(late)


async def test_a_client_is_opened_once(archive):
    async with connect(archive) as client:
        with pytest.raises(RuntimeError, match="make another one"):
            async with client:
                pass
        assert await everything(client), "it goes on"
    with pytest.raises(RuntimeError, match="make another one"):
        async with client:
            pass
