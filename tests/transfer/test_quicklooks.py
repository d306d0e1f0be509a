"""Quicklooks: what is a picture, where it goes, and what is asked for."""

import os
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest

from fakes import product
from pepsasync.config import Config
from pepsasync.errors import ConfigError, UnreachableError
from pepsasync.http.client import Http
from pepsasync.limits.attempts import FIRST_CONTACT_TRIES
from pepsasync.transfer.quicklooks import AT_ONCE, bring_quicklooks, suffix_of

pytestmark = pytest.mark.anyio

JPEG = b"\xff\xd8\xff\xe0 and so on"
SECRET = "Authorization"


@asynccontextmanager
async def server(answer):
    async def handle(request):
        result = answer(request)
        return await result if hasattr(result, "__await__") else result

    async with Http(Config(retry_wait=0.001, retry_wait_max=0.001), transport=httpx.MockTransport(handle)) as http:
        yield http


async def bring(products, folder, answer, **more):
    """Outcomes by product name."""
    send, receive = anyio.create_memory_object_stream(1_000)
    async with receive:
        async with send, server(answer) as http:
            await bring_quicklooks(products, folder, http, send, **more)
        return {outcome.product.name: outcome async for outcome in receive}


def pictured(name, url="https://archive.example/q"):
    return product(name, quicklook_url=url)


@pytest.mark.parametrize("here", [b"", bytes(5_000)])
async def test_what_a_crash_left_is_replaced(tmp_path, here):
    (tmp_path / "A.jpg").write_bytes(here)
    outcomes = await bring([pictured("A")], tmp_path, lambda request: httpx.Response(200, content=JPEG))

    assert outcomes["A"].path == tmp_path / "A.jpg"
    assert (tmp_path / "A.jpg").read_bytes() == JPEG


async def test_what_killed_runs_left_is_removed_and_nothing_else(tmp_path):
    old, young, other = (tmp_path / name for name in (f".{'a' * 16}.new", f".{'b' * 16}.new", ".mine.new"))
    for path in (old, young, other):
        path.write_bytes(b"half")
    for path in (old, other):
        os.utime(path, (0, 0))
    await bring([pictured("A")], tmp_path, lambda request: httpx.Response(200, content=JPEG))

    assert {path.name for path in tmp_path.iterdir()} == {"A.jpg", young.name, other.name}


@pytest.mark.parametrize(
    ("content", "suffix"),
    [
        (JPEG, ".jpg"),
        (b"\x89PNG\r\n\x1a\n...", ".png"),
        (b"GIF89a...", ".gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", ".webp"),
        (b"RIFF\x00\x00\x00\x00WAVE", None),
        (b"<html><script>", None),
        (b"<svg onload='alert(1)'>", None),
        (b"PK\x03\x04", None),
        (b"", None),
    ],
)
async def test_pictures_are_known_by_their_first_bytes(content, suffix):
    assert suffix == suffix_of(content)


async def test_pictures_get_the_names_of_their_products_and_no_account_is_sent(tmp_path):
    asked = []

    def answer(request):
        asked.append(request)
        return httpx.Response(200, content=JPEG, headers={"Content-Type": "text/html"})

    found = await bring([pictured("A"), pictured("B")], tmp_path / "new", answer)

    assert ["A.jpg", "B.jpg"] == sorted(path.name for path in (tmp_path / "new").iterdir())
    assert JPEG == found["A"].path.read_bytes()
    assert all(SECRET not in request.headers for request in asked)


async def test_what_is_here_is_not_fetched_again(tmp_path):
    (tmp_path / "A.png").write_bytes(b"mine")

    found = await bring([pictured("A")], tmp_path, lambda request: pytest.fail("it was asked for"))

    assert tmp_path / "A.png" == found["A"].path
    assert b"mine" == (tmp_path / "A.png").read_bytes()


@pytest.mark.parametrize(
    ("url", "answer", "words"),
    [
        (None, JPEG, "the archive shows no quicklook"),
        ("javascript:alert(1)", JPEG, "not https"),
        ("file:///etc/passwd", JPEG, "not https"),
        ("http://127.0.0.1:8080/admin", JPEG, "not https"),
        ("http://archive.example/q", JPEG, "not https"),
        ("https://archive.example/q", b"<html>log in</html>", "no picture"),
    ],
)
async def test_what_is_no_picture_of_the_web_is_not_written(tmp_path, url, answer, words):
    found = await bring([pictured("A", url)], tmp_path, lambda request: httpx.Response(200, content=answer))

    assert found["A"].path is None
    assert words in found["A"].error.message
    assert "A" in str(found["A"].error)
    assert [] == list(tmp_path.iterdir())


async def test_one_that_is_missing_costs_no_other(tmp_path):
    def answer(request):
        return httpx.Response(404) if "bad" in request.url.path else httpx.Response(200, content=JPEG)

    found = await bring([pictured("A", "https://archive.example/bad"), pictured("B")], tmp_path, answer)

    assert found["A"].error is not None
    assert tmp_path / "B.jpg" == found["B"].path


async def test_passing_failures_are_tried_again(tmp_path):
    answers = [httpx.Response(503), httpx.Response(200, content=JPEG)]

    found = await bring([pictured("A")], tmp_path, lambda request: answers.pop(0))

    assert tmp_path / "A.jpg" == found["A"].path


async def test_names_of_archives_stay_in_the_folder(tmp_path):
    names = ["../../evil", "/etc/passwd", "a\x00b", "..", "CON"]

    found = await bring([pictured(name) for name in names], tmp_path / "q", lambda _: httpx.Response(200, content=JPEG))

    assert len(names) == len(list((tmp_path / "q").iterdir()))
    assert all((tmp_path / "q") == one.path.parent for one in found.values())
    assert ["q"] == [path.name for path in tmp_path.iterdir()]


async def test_a_few_are_fetched_at_once(tmp_path):
    under_way, most, are_enough = 0, [], anyio.Event()

    async def answer(request):
        nonlocal under_way
        under_way += 1
        most.append(under_way)
        if under_way >= AT_ONCE:
            are_enough.set()
        with anyio.fail_after(60):
            await are_enough.wait()
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        under_way -= 1
        return httpx.Response(200, content=JPEG)

    await bring([pictured(f"P{number}") for number in range(40)], tmp_path, answer)

    assert AT_ONCE == max(most)


async def test_a_folder_that_cannot_be_written_ends_it(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match="file"):
        await bring([pictured("A")], tmp_path / "file" / "q", lambda _: httpx.Response(200, content=JPEG))


async def test_a_host_that_nobody_reaches_is_given_up_and_costs_no_other(tmp_path):
    asked = []

    def answer(request):
        asked.append(request.url.host)
        if request.url.host == "nobody.example":
            raise httpx.ConnectError("no route", request=request)
        return httpx.Response(200, content=JPEG)

    nobody = [pictured(f"N{number}", "https://nobody.example/q") for number in range(40)]
    with anyio.fail_after(60):
        found = await bring([pictured("A"), *nobody, pictured("Z")], tmp_path, answer)

    assert {name for name, outcome in found.items() if outcome.path} == {"A", "Z"}
    assert {type(found[one.name].error) for one in nobody} == {UnreachableError}
    assert asked.count("nobody.example") <= FIRST_CONTACT_TRIES * AT_ONCE  # of 40 products
