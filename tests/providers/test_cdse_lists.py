"""CDSE: names and locations of several products with one request, and the old way where that is not offered."""

from collections import Counter

import httpx
import pytest

from archives import connect, portal, sandbox
from fakes import product
from pepsasync.config import Config
from pepsasync.credentials.lookup import Lookup
from pepsasync.engine.search import search
from pepsasync.errors import QuotaError
from pepsasync.http.client import Http
from pepsasync.model import DeliveryStatus, Query, StorageTier
from pepsasync.providers.cdse import Cdse
from pepsasync.providers.cdse.lists import LIST_SIZE, file_name

pytestmark = pytest.mark.anyio
NAMES = [f"S1A_IW_GRDH_1SDV_20251217T23{n:04}_20251217T230317_005497_00AF3C_{n:04}" for n in range(45)]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        (NAMES[0], f"{NAMES[0]}.SAFE"),
        ("S2A_MSIL1C_20200815T005251_N0209_R002_T55PCR_x", "S2A_MSIL1C_20200815T005251_N0209_R002_T55PCR_x.SAFE"),
        ("S3A_OL_1_EFR____20200815T005251_x", "S3A_OL_1_EFR____20200815T005251_x.SEN3"),
        ("S1A_OPER_AUX_POEORB_OPOD_20200815T005251.EOF", None),
        ("S5P_OFFL_L2__NO2", None),
    ],
)
def test_names_of_folders_are_told_where_they_are_known_for_sure(name, file):
    assert file == file_name(name)


class Catalogue:
    """Records of some products, online when their number is even; counts requests.

    Args:
        known: Names.
        refusal: Answer to a list, instead of its records.
        keep: What a list answers of each record.
    """

    def __init__(self, known, *, refusal=None, keep=lambda record: record):
        self.known, self.refusal, self.keep = known, refusal, keep
        self.asked = Counter()

    def record(self, name):
        online = int(name[-4:]) % 2 == 0
        attributes = [{"Name": "productType", "Value": "IW_GRDH_1S"}]
        return {"Id": f"id-{name}", "Name": f"{name}.SAFE", "Online": online, "Attributes": attributes}

    def __call__(self, request):
        path = request.url.path
        if path.endswith("FilterList"):
            self.asked["lists"] += 1
            if self.refusal is not None:
                return self.refusal
            names = {name for name in self.known if f'"{name}.SAFE"' in request.content.decode()}
            return httpx.Response(200, json={"value": [self.keep(self.record(name)) for name in names]})
        self.asked["singles"] += 1
        if path.endswith("/Products"):
            found = [name for name in self.known if f"'{name}'" in request.url.params["$filter"]]
            return httpx.Response(
                200, json={"value": [self.record(name) for name in found], "@odata.count": len(found)}
            )
        name = path.partition("(id-")[2].rstrip(")")
        return httpx.Response(200, json=self.record(name)) if name in self.known else httpx.Response(404)


def cdse(catalogue):
    http = Http(Config(retries=1), transport=httpx.MockTransport(catalogue))
    return Cdse(http, Lookup.of(None), "https://archive.example")


def products(names):
    return [product(name, id=f"id-{name}", provider="cdse") for name in names]


async def test_where_products_are_is_asked_with_one_request():
    catalogue = Catalogue(NAMES)
    tiers = await cdse(catalogue).tiers(products(NAMES[:LIST_SIZE]))

    assert {"lists": 1} == catalogue.asked
    expected = {True: StorageTier.DISK, False: StorageTier.TAPE}
    assert {f"id-{name}": expected[int(name[-4:]) % 2 == 0] for name in NAMES[:LIST_SIZE]} == tiers


OLD_WAYS = {
    "not there": (httpx.Response(404), 1),
    "refused": (httpx.Response(422, json={"detail": []}), 1),
    "not allowed": (httpx.Response(405), 1),
    "no list": (httpx.Response(200, json={"value": None}), 1),
    "a page": (httpx.Response(200, text="<html>"), 1),
    "out of order": (httpx.Response(500), 2),
}


@pytest.mark.parametrize("way", OLD_WAYS)
async def test_products_are_asked_for_one_by_one_where_lists_are_not_taken(way):
    refusal, lists = OLD_WAYS[way]
    catalogue = Catalogue(NAMES, refusal=refusal)
    archive = cdse(catalogue)
    for _ in range(2):
        assert 5 == len(await archive.tiers(products(NAMES[:5])))

    assert {"lists": lists, "singles": 10} == catalogue.asked


async def test_what_a_list_leaves_out_or_does_not_tell_is_asked_for_one_by_one():
    catalogue = Catalogue(NAMES, keep=lambda record: {**record, "Online": None} if "0003" in record["Name"] else record)
    wanted = [*products(NAMES[:4]), product("ODD NAME", id=f"id-{NAMES[7]}"), *products(["S1A_IW_GRDH_GONE"])]
    tiers = await cdse(catalogue).tiers(wanted)

    assert {f"id-{name}" for name in [*NAMES[:4], NAMES[7]]} == set(tiers)
    assert {"lists": 1, "singles": 3} == catalogue.asked


async def test_an_archive_that_serves_nobody_is_not_asked_for_each():
    catalogue = Catalogue(NAMES, refusal=httpx.Response(429))
    with pytest.raises(QuotaError):
        await cdse(catalogue).tiers(products(NAMES[:5]))

    assert 0 == catalogue.asked["singles"]


async def found(archive, names):
    async with search(Query(names=tuple(names)), archive, lambda _: None) as pages:
        return [one async for page in pages for one in page]


async def test_names_are_looked_up_many_with_one_request():
    catalogue = Catalogue(NAMES)
    named = await found(cdse(catalogue), NAMES)

    assert NAMES == [one.name for one in named]
    assert {"GRD"} == {one.product_type for one in named}
    assert {"lists": 3} == catalogue.asked


async def test_names_that_a_list_does_not_find_are_looked_up_alone():
    catalogue = Catalogue(
        NAMES[:40], keep=lambda record: {**record, "Attributes": None} if "0003" in record["Name"] else record
    )
    named = await found(cdse(catalogue), NAMES)

    assert NAMES[:40] == [one.name for one in named]
    assert {"lists": 3, "singles": 6} == catalogue.asked


@pytest.mark.parametrize("refusal", [httpx.Response(404), httpx.Response(422)])
async def test_names_are_looked_up_one_by_one_where_lists_are_not_taken(refusal):
    catalogue = Catalogue(NAMES, refusal=refusal)

    assert NAMES == [one.name for one in await found(cdse(catalogue), NAMES)]
    assert {"lists": 1, "singles": 45} == catalogue.asked


@pytest.mark.parametrize("tape_fraction", [0, 1])
async def test_named_products_arrive_with_few_requests(tape_fraction, tmp_path):
    async with sandbox(12, tape_fraction=tape_fraction) as archive, connect(archive, "cdse") as client:
        names = [one.name for one in archive.catalogue]
        wanted = [*names, names[0][:-1] + ("0" if names[0][-1] != "0" else "1")]
        with client.listen(portal(archive)):
            outcomes = {delivery.product.name: delivery.status async for delivery in client.fetch(wanted, tmp_path)}
        requests = archive.statistics.requests

    assert {DeliveryStatus.DELIVERED} == {outcomes[name] for name in names}
    assert DeliveryStatus.FAILED is outcomes[wanted[-1]]
    assert requests["search"] <= 2  # for the name that is not there
    assert requests["list"] >= 1 + tape_fraction
