"""No call that may wait for a disk is made on the event loop: on a slow network drive everything else would stand still."""

import os
import sys
import threading
import traceback
from collections import Counter

import pytest

from archives import connect, everything, sandbox
from pepsasync import DeliveryStatus

pytestmark = pytest.mark.anyio

WATCHED = {
    "open",
    "os.remove",
    "os.rename",
    "os.mkdir",
    "os.rmdir",
    "os.scandir",
    "os.listdir",
    "os.link",
    "os.truncate",
}
"""Events of the interpreter (https://docs.python.org/3/library/audit_events.html)."""


class Watch:
    """Counts file calls of one thread about a folder, by who makes them."""

    def __init__(self):
        self.folder = None
        self.thread = None
        self.calls = Counter()

    def see(self, what, path):
        if self.folder is None or threading.get_ident() != self.thread:
            return
        if isinstance(path, int) or (isinstance(path, str | os.PathLike) and os.fspath(path).startswith(self.folder)):
            ours = [
                f for f in traceback.extract_stack() if "/src/pepsasync/" in f.filename and "sandbox" not in f.filename
            ]
            if ours:
                last = ours[-1]
                self.calls[f"{what} {last.filename.rpartition('/pepsasync/')[2]}:{last.lineno} {last.name}"] += 1


WATCH = Watch()
sys.addaudithook(
    lambda event, arguments: WATCH.see(event, arguments[0]) if event in WATCHED else None
)  # stays; mostly idle


@pytest.fixture
def watch(monkeypatch, tmp_path):
    def watched(name):
        call = getattr(os, name)

        def see(path, *arguments, **options):
            WATCH.see(name, path)
            return call(path, *arguments, **options)

        return see

    for name in ("stat", "lstat", "fstat", "statvfs", "fsync", "close"):
        monkeypatch.setattr(os, name, watched(name))
    WATCH.calls.clear()
    WATCH.folder, WATCH.thread = str(tmp_path), threading.get_ident()
    yield WATCH
    WATCH.folder = None


@pytest.mark.parametrize("extract", [False, True])
@pytest.mark.parametrize("size", [20_000, 900_000])
@pytest.mark.parametrize("provider", ["peps", "cdse"])
async def test_files_are_touched_in_threads_alone(provider, size, extract, tmp_path, watch):
    async with sandbox(4, tape_fraction=0, product_size=size) as archive, connect(archive, provider) as client:
        products = await everything(client)
        for _ in range(2):
            outcomes = [one async for one in client.fetch(products, tmp_path, extract=extract)]

    assert {one.status for one in outcomes} == {DeliveryStatus.SKIPPED}
    assert watch.calls == {}
