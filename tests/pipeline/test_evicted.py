"""Products that CDSE had online when they were found: those that it evicted since are awaited, others fail at once."""

from functools import partial

import pytest

from archives import connect, everything, portal, right_files, sandbox
from pepsasync import DeliveryStatus, ForbiddenError, NotFoundError, TransferError
from pepsasync.errors import UnavailableError
from pepsasync.events import ProductAwaited, ProductLeftOut
from pepsasync.providers.cdse import Cdse
from pepsasync.sandbox.cdse import download
from pepsasync.sandbox.cdse.replies import CdseError

pytestmark = pytest.mark.anyio


@pytest.fixture
def refusing(monkeypatch):
    """Have the archive answer downloads of offline products with a status."""

    def refuse(status):
        def offline(service, product):
            raise CdseError(status, "Product is offline")

        monkeypatch.setattr(download, "_offline", offline)

    return refuse


async def fetch(archive, folder, *, change, **settings):
    """Find everything, change something, then fetch: the outcomes and the events."""
    events = []
    async with connect(archive, "cdse", **settings) as client:
        with client.listen(events.append), client.listen(portal(archive)):
            products = await everything(client)
            for product in products:
                change(product.name)
            return [delivery async for delivery in client.fetch(products, folder)], events


@pytest.mark.parametrize("status", [202, 403, 404, 410, 422])
async def test_evicted_products_are_awaited(status, refusing, tmp_path):
    refusing(status)
    async with sandbox(6, tape_fraction=0) as archive:
        outcomes, events = await fetch(archive, tmp_path, change=partial(archive.set_tier, mode="tape"))

        assert {delivery.error for delivery in outcomes} == {None}
        assert right_files(archive, tmp_path) == 6
    assert len({event.name for event in events if isinstance(event, ProductAwaited)}) == 6


@pytest.mark.parametrize("status", [403, 404])
async def test_evicted_products_are_left_out_by_runs_that_skip_tape(status, refusing, tmp_path):
    refusing(status)
    async with sandbox(4, tape_fraction=0) as archive:
        evict = partial(archive.set_tier, mode="tape")
        outcomes, events = await fetch(archive, tmp_path, change=evict, skip_tape=True)

    assert (outcomes, 4) == ([], sum(isinstance(event, ProductLeftOut) for event in events))


@pytest.mark.parametrize("skip_tape", [False, True])
async def test_products_that_are_online_and_not_there_fail_after_one_look_each(skip_tape, tmp_path):
    async with sandbox(4, tape_fraction=0) as archive:
        outcomes, _ = await fetch(archive, tmp_path, change=archive.drop_file, skip_tape=skip_tape)
        requests = archive.statistics.requests

    assert {DeliveryStatus.FAILED} == {delivery.status for delivery in outcomes}
    assert [NotFoundError] * 4 == [type(delivery.error) for delivery in outcomes]
    assert (4, 4) == (requests["zipper"], requests["item"])


@pytest.mark.parametrize("skip_tape", [False, True])
async def test_collections_without_a_right_are_told_as_such(skip_tape, tmp_path):
    async with sandbox(4, tape_fraction=0) as archive:
        for collection in ("S1", "S2ST"):
            archive.deny(collection)
        outcomes, _ = await fetch(archive, tmp_path, change=str, skip_tape=skip_tape)

    assert [ForbiddenError] * 4 == [type(delivery.error) for delivery in outcomes]


async def test_products_that_are_online_and_never_ready_end_with_their_tries(refusing, tmp_path, monkeypatch):
    refusing(202)
    async with sandbox(2, tape_fraction=0) as archive:
        monkeypatch.setattr("pepsasync.sandbox.cdse.service.Service.is_available", lambda service, product: False)
        outcomes, _ = await fetch(archive, tmp_path, change=str, retries=3)

    assert [TransferError] * 2 == [type(delivery.error) for delivery in outcomes]
    assert "3 tries: unexpected answer HTTP 202" in str(outcomes[0].error)


async def test_a_catalogue_that_does_not_answer_leaves_the_refusal_as_it_is(tmp_path, monkeypatch):
    async def tiers(provider, products):
        raise UnavailableError("HTTP 503")

    monkeypatch.setattr(Cdse, "tiers", tiers)
    async with sandbox(2, tape_fraction=0) as archive:
        outcomes, _ = await fetch(archive, tmp_path, change=archive.drop_file, retries=2)

    assert [NotFoundError] * 2 == [type(delivery.error) for delivery in outcomes]
