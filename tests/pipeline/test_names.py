"""Names that the archive fails to look up: each is an outcome of its own, and costs the others nothing."""

import pytest

from archives import connect, right_files, sandbox
from pepsasync import (
    AuthError,
    DeliveryStatus,
    NotFoundError,
    ProtocolError,
    Query,
    QuotaError,
    ServerError,
    UnreachableError,
)
from pepsasync.cli.resume import find_unfinished
from pepsasync.errors import RefusedError, UnavailableError

pytestmark = pytest.mark.anyio
DELIVERED, FAILED = DeliveryStatus.DELIVERED, DeliveryStatus.FAILED

ODD = (RefusedError("HTTP 400"), ServerError("HTTP 500"), ProtocolError("no JSON"), NotFoundError("no collection"))
PASSING = (QuotaError("HTTP 429"), UnavailableError("HTTP 503"))
ENDING = (AuthError("HTTP 401"), UnreachableError("cannot connect"))


def break_names(client, errors):
    """Make searches fail: the error by name."""
    ask = client.provider.search_page

    async def search_page(query, page):
        for name in query.names:
            if name in errors:
                raise errors[name]
        return await ask(query, page)

    client.provider.search_page = search_page


async def fetched(client, wanted, folder):
    return {delivery.product.name: delivery async for delivery in client.fetch(wanted, folder)}


@pytest.mark.parametrize("error", [*ODD, *PASSING], ids=str)
async def test_a_name_that_cannot_be_looked_up_is_a_failed_outcome(error, tmp_path):
    async with sandbox(6, tape_fraction=0) as archive, connect(archive) as client:
        names = [product.name for product in archive.catalogue]
        break_names(client, {names[1]: error})
        outcomes = await fetched(client, names, tmp_path)

        assert right_files(archive, tmp_path) == 5
    assert [outcomes[name].status for name in names] == [DELIVERED, FAILED, *[DELIVERED] * 4]
    assert outcomes[names[1]].error is error
    assert names[1] in str(error)


async def test_a_name_that_could_not_be_looked_up_is_gone_on_with(tmp_path):
    async with sandbox(3, tape_fraction=0) as archive:
        names = [product.name for product in archive.catalogue]
        async with connect(archive) as client:
            break_names(client, {names[0]: ServerError("HTTP 500")})
            await fetched(client, names, tmp_path)
        [job] = find_unfinished(tmp_path)
        async with connect(archive) as client:
            outcomes = await fetched(client, job.wanted, tmp_path)

        assert right_files(archive, tmp_path) == 3
    assert list(outcomes) == [names[0]]


async def test_every_name_may_be_refused(tmp_path):
    async with sandbox(6, tape_fraction=0) as archive, connect(archive) as client:
        names = [product.name for product in archive.catalogue]
        break_names(client, {name: RefusedError("HTTP 400") for name in names})
        outcomes = await fetched(client, names, tmp_path)

    assert dict.fromkeys(names, FAILED) == {name: delivery.status for name, delivery in outcomes.items()}


@pytest.mark.parametrize("error", [*PASSING, *ENDING], ids=str)
async def test_an_archive_that_serves_nobody_ends_the_search_for_names(error, tmp_path):
    async with sandbox(8, tape_fraction=0) as archive, connect(archive) as client:
        names = [product.name for product in archive.catalogue]
        break_names(client, dict.fromkeys(names[1:], error))
        with pytest.raises(type(error)):
            await fetched(client, names, tmp_path)
        jobs = find_unfinished(tmp_path)

    assert [job.wanted for job in jobs if isinstance(job.wanted, list)] == [names]


async def test_a_query_that_fails_is_an_error_as_ever(tmp_path):
    async with sandbox(3, tape_fraction=0) as archive, connect(archive) as client:

        async def search_page(query, page):
            raise RefusedError("HTTP 400")

        client.provider.search_page = search_page
        with pytest.raises(RefusedError):
            await fetched(client, Query(collection="S1"), tmp_path)
