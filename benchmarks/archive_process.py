"""A sandbox archive in a process of its own, behind a line of limited rate.

Client and archive share no interpreter, so neither waits for the other's lock. Every client meets the same line: it
stands in front of the archive, and nobody is asked to limit himself. What the archive saw comes back over a pipe.
"""

import asyncio
import math
import multiprocessing
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from pepsasync import Credentials
from pepsasync.sandbox import Sandbox

PROVIDERS = ("peps", "geodes", "cdse")

FREE = 64 << 10
"""Bytes; shorter replies pass at once. Products are hundreds of times smaller here than in real life and lists of
products are not, so that lists would weigh hundreds of times too much."""

PIECE = 32 << 10
"""Bytes that pass the line at once."""

LAG = 0.02
"""Seconds that a line may be late and still catch up; the most, too, that it can save up while it is idle."""

PATIENCE = 5.0
"""Seconds to end in."""


@dataclass(frozen=True)
class Counted:
    """Requests that an archive has seen."""

    looks: int = 0
    """Searches, and questions about one product; the search at the beginning of an order counts, too."""
    staging_requests: int = 0
    """Downloads asked for that brought no bytes: the product was on tape, or still on its way."""
    requests: int = 0
    """All of them."""

    def since(self, earlier):
        return Counted(
            self.looks - earlier.looks,
            self.staging_requests - earlier.staging_requests,
            self.requests - earlier.requests,
        )


class Archive:
    """A running archive.

    Args:
        facts: What its process told: `roots` behind the line, and how to log in.
        pipe: To its process.
    """

    def __init__(self, facts, pipe):
        self.roots = facts["roots"]
        self.account = facts["account"]
        self._api_key, self._pipe = facts["api_key"], pipe

    def credentials(self, provider):
        if provider == "geodes":
            return Credentials(api_key=self._api_key)
        username, password = self.account
        return Credentials(username=username, password=password)

    def counted(self):
        """What it has seen since it was ready."""
        self._pipe.send("count")
        return self._pipe.recv()


@contextmanager
def running(shape, rate, each=math.inf):
    """Start an archive and end it.

    Args:
        shape: Arguments of `Sandbox`.
        rate: Bytes a second of its line.
        each: Bytes a second of each connection.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(shape, rate, each, theirs), daemon=True)
    process.start()
    theirs.close()  # so that an archive that fails is an end of file, not a wait for ever
    try:
        yield Archive(ours.recv(), ours)
    finally:
        ours.close()
        process.join()


def serve(shape, rate, each, pipe):
    """Answer questions until nobody is at the other end of the pipe."""
    sys.setswitchinterval(0.0005)  # sandbox and line hand over to each other for every piece
    sandbox = Sandbox(**shape)
    sandbox.start()
    warm(sandbox)
    own = httpx.URL(sandbox.url)
    with open_line(own.port, rate, each) as port:
        roots = {name: httpx.URL(getattr(sandbox, f"{name}_url")).copy_with(port=port) for name in PROVIDERS}
        before = count(sandbox.statistics)
        pipe.send(
            {
                "roots": {name: str(root) for name, root in roots.items()},
                "account": (sandbox.username, sandbox.password),
                "api_key": sandbox.api_key,
            }
        )
        try:
            while pipe.recv():
                pipe.send(count(sandbox.statistics).since(before))
        except EOFError:
            sandbox.stop()


def warm(sandbox):
    """Make what is made when it is first asked for: checksums, and everything behind a list and a download."""
    for product in sandbox.catalogue:
        sandbox.content(product.name).prepare()
        _ = sandbox.content(product.name).md5
    whole = {"Range": "bytes=0-"}  # does not begin a product for the quota
    with httpx.Client(auth=(sandbox.username, sandbox.password), timeout=60) as http:
        for collection in ("S1", "S2ST"):
            url = f"{sandbox.peps_url}/api/collections/{collection}/search.json?maxRecords=500"
            for feature in http.get(url).raise_for_status().json()["features"]:
                if feature["properties"]["storage"]["mode"] == "disk":
                    url = feature["properties"]["services"]["download"]["url"]
                    http.get(url, headers=whole).raise_for_status()


def count(statistics):
    kinds = statistics.requests
    return Counted(
        looks=kinds.get("search", 0) + kinds.get("item", 0),
        staging_requests=kinds.get("download", 0) - len(statistics.transfers),
        requests=sum(kinds.values()),
    )


@contextmanager
def open_line(port, rate, each):
    """A line to a port of this machine; yields its own port. What answers there has to be stopped first."""
    loop, line = asyncio.new_event_loop(), Line(port, rate, each)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(line.open(), loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(line.close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


class Line:
    """Forwards the connections of a port at a limited rate, each one and all together.

    Args:
        port: Of this machine.
        rate: Bytes a second towards the client.
        each: Of one connection.
    """

    def __init__(self, port, rate, each):
        self._target, self._pace, self._each = port, Pace(rate), each
        self._connections = set()

    async def open(self):
        """Listen; returns the port."""
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        return self._server.sockets[0].getsockname()[1]

    async def close(self):
        """Wait for the connections, which end with those of the archive."""
        self._server.close()
        if self._connections:
            await asyncio.wait(self._connections, timeout=PATIENCE)

    async def _forward(self, reader, writer):
        self._connections.add(asyncio.current_task())
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        reply = Reply()
        await asyncio.gather(self._ask(reader, back, reply), self._answer(there, writer, reply))

    async def _ask(self, reader, writer, reply):
        with closing(writer):
            while piece := await reader.read(PIECE):
                reply.passed = 0
                writer.write(piece)
                await writer.drain()

    async def _answer(self, reader, writer, reply):
        own = Pace(self._each)
        with closing(writer):
            while piece := await reader.read(PIECE):
                weight = reply.weight(len(piece))
                await asyncio.sleep(max(own.pause(weight), self._pace.pause(weight)))
                writer.write(piece)
                await writer.drain()


class Pace:
    """When bytes have passed, at so many a second."""

    def __init__(self, rate):
        self._rate, self._free_at = rate, 0.0

    def pause(self, weight):
        """Seconds until so many bytes have passed, after all those before them."""
        if not weight:
            return 0.0
        now = time.monotonic()
        self._free_at = max(self._free_at, now - LAG) + weight / self._rate
        return max(0.0, self._free_at - now)


@dataclass
class Reply:
    """What has passed on a connection since its latest request."""

    passed: int = 0

    def weight(self, count):
        """Bytes to count for the next so many: none of a short reply, all of a long one once it proves long."""
        before, self.passed = self.passed, self.passed + count
        if self.passed <= FREE:
            return 0
        return count if before > FREE else self.passed


@contextmanager
def closing(writer):
    """Close a connection whose other side ended or broke."""
    try:
        yield
    except OSError:
        pass
    finally:
        writer.close()
