"""Credentials are looked for when they are needed, once, and off the event loop."""

import sys
import threading
import types

import anyio
import pytest

from archives import everything, sandbox
from pepsasync import Client, Credentials
from pepsasync.credentials.lookup import Lookup
from pepsasync.errors import ConfigError

pytestmark = pytest.mark.anyio

YOU = Credentials("you", "secret")


async def test_many_who_ask_at_once_have_one_look():
    threads = []

    def look():
        threads.append(threading.current_thread())
        return YOU

    lookup, found = Lookup(look), []

    async def ask():
        found.append(await lookup.find())

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(ask)

    assert [YOU] * 8 == found
    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()


async def test_none_at_all_are_looked_for_once():
    looks = []
    lookup = Lookup(lambda: looks.append(1))

    assert [await lookup.find(), await lookup.find()] == [None, None]
    assert len(looks) == 1


async def test_failed_look_is_tried_again():
    answers = iter([ConfigError("others may read it"), YOU])

    def look():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    lookup = Lookup(look)
    with pytest.raises(ConfigError):
        await lookup.find()

    assert await lookup.find() == YOU


async def test_keyring_that_waits_for_its_user_does_not_hold_up_a_cancellation():
    asked, answered = threading.Event(), threading.Event()

    def look():
        asked.set()
        answered.wait(120)
        return YOU

    lookup = Lookup(look)
    try:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lookup.find)
                await anyio.to_thread.run_sync(asked.wait)
                tasks.cancel_scope.cancel()
    finally:
        answered.set()

    assert await lookup.find() == YOU


async def test_search_does_not_touch_the_keyring_and_fetch_touches_it_once(monkeypatch, tmp_path):
    looks = []
    keyring = types.ModuleType("keyring")
    keyring.get_password = lambda service, host: looks.append(host)
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    async with sandbox(3, tape_fraction=0) as archive:
        account = types.SimpleNamespace(username=archive.username, password=archive.password)
        keyring.get_credential = lambda service, user: account
        async with Client("peps", base_url=archive.peps_url) as client:
            products = await everything(client)
            assert looks == []

            outcomes = [delivery async for delivery in client.fetch(products, tmp_path)]

    assert {delivery.error for delivery in outcomes} == {None}
    assert len(outcomes) == 3
    assert len(looks) == 1
