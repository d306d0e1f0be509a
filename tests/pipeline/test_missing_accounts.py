"""Accounts that are missing or wrong are told before anything is staged or awaited, in every archive."""

import anyio
import pytest

from archives import QUICK, credentials, portal, root, running, sandbox
from pepsasync import Client, Config, build_query
from pepsasync.errors import AuthError
from pepsasync.events import ProductAwaited, StagingRequested

pytestmark = pytest.mark.anyio

NAMES = ("peps", "geodes", "cdse")


@pytest.fixture(scope="module")
def tape():
    """An archive that has nothing but what is on tape, and nobody who asks for it in its portal."""
    with running(4, tape_fraction=1) as archive:
        yield archive


async def told_of(archive, names, folder, **given):
    """The error that ends a run before long, and the events until then."""
    events = []
    roots = {name: root(archive, name) for name in names}
    async with Client(names, base_url=roots, config=Config(**QUICK), **given) as client:
        with client.listen(events.append), anyio.fail_after(120), pytest.raises(AuthError) as caught:
            async for _ in client.fetch(build_query(collection="S1"), folder):
                pass
    return caught.value, [event for event in events if isinstance(event, ProductAwaited | StagingRequested)]


@pytest.mark.parametrize("name", NAMES)
async def test_missing_account_is_told_before_tape_is_awaited(tape, tmp_path, name):
    error, waits = await told_of(tape, [name], tmp_path)

    assert error.message.startswith("no ")
    assert f"PEPSASYNC_{name.upper()}_" in error.hint
    assert waits == []


@pytest.mark.parametrize("name", NAMES)
async def test_wrong_account_is_told_before_tape_is_awaited(tape, tmp_path, name):
    given = {name: credentials(tape, name, secret="wrong")}
    _, waits = await told_of(tape, [name], tmp_path, credentials=given)

    assert waits == []


async def test_missing_accounts_of_several_archives_are_told_before_tape_is_awaited(tape, tmp_path):
    _, waits = await told_of(tape, ["geodes", "cdse"], tmp_path)

    assert waits == []


async def test_archive_without_an_account_is_left_out_for_one_that_has(tmp_path):
    names = ["geodes", "cdse"]
    async with sandbox(2, tape_fraction=1) as archive:
        roots = {name: root(archive, name) for name in names}
        given = {"cdse": credentials(archive, "cdse")}
        async with Client(names, base_url=roots, config=Config(**QUICK), credentials=given) as client:
            with client.listen(portal(archive)), anyio.fail_after(120):
                outcomes = [each async for each in client.fetch(build_query(collection="S1"), tmp_path)]

    assert {(each.error, each.source) for each in outcomes} == {(None, "cdse")}
