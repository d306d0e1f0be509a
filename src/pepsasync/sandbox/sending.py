"""A product's bytes on their way to a client, with whatever is wrong about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from anyio import to_thread

from pepsasync.sandbox.replies import Reply
from pepsasync.sandbox.wire import EXTENSION, Wire

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from pepsasync.sandbox.archive import Archive
    from pepsasync.sandbox.catalogue import CatalogueProduct
    from pepsasync.sandbox.ranges import Slice
    from pepsasync.sandbox.replies import Headers
    from pepsasync.sandbox.statistics import Running


@dataclass(frozen=True, slots=True)
class Damage:
    """What goes wrong with one body; positions are bytes from its start."""

    cut: int | None = None
    """The connection closes here."""
    stall: int | None = None
    """Nothing is sent for a while from here."""
    flip: int | None = None
    """This byte is wrong."""
    keep: int | None = None
    """The body ends here, and its declared length with it."""

    @classmethod
    def plan(cls, archive: Archive, name: str, length: int) -> Damage:
        """Ask the faults what happens to a body of `length` bytes."""

        def place(fault: str) -> int | None:
            faults = archive.faults
            return faults.position(fault, name, length) if faults.strikes(fault, name) else None

        return cls(place("cut"), place("stall"), place("flip"), place("truncate"))


def file_headers(part: Slice, kind: str, disposition: str, *, has_length: bool, has_ranges: bool) -> Headers:
    """Return the headers of a file.

    Args:
        part: Which bytes are sent.
        kind: Media type.
        disposition: How the client should keep it.
        has_length: Whether the length is told.
        has_ranges: Whether it is told that parts may be asked for.
    """
    return [
        ("Content-Type", kind),
        ("Content-Disposition", disposition),
        *([("Content-Length", str(part.declared))] if has_length else []),
        *([("Accept-Ranges", "bytes")] if has_ranges else []),
        *part.range_headers,
    ]


class FileReply(Reply):
    """The file of a product, or a part of it.

    Args:
        archive: Where bytes, faults and counters are.
        request: Who asks, and how: a HEAD request gets the head alone, and no fault is used up on it.
        product: Whose file it is.
        part: Which bytes are sent.
        headers: Headers that go with them.

    Raises:
        ValueError: The product is too small to be a zip file.
    """

    def __init__(
        self, archive: Archive, request: Request, product: CatalogueProduct, part: Slice, headers: Headers
    ) -> None:
        damage = Damage()
        if request.method != "HEAD":
            damage = Damage.plan(archive, product.name, part.sent)
        sent, declared = part.sent, part.declared
        if damage.keep is not None:
            sent = declared = damage.keep
            headers = [(name, str(sent) if name == "Content-Length" else value) for name, value in headers]
        super().__init__(part.status, headers)
        self._archive, self._content = archive, archive.content(product.name)
        self._part, self._damage, self._asked = part, damage, request.headers.get("range")
        self._sent, self._declared = sent, declared

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        """Send head and body; return when the last byte is handed over or the client is gone."""
        await to_thread.run_sync(self._content.prepare)
        head = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        await send(head)
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        wire: Wire = scope["extensions"][EXTENSION]
        archive, name = self._archive, self._content.product.name
        ledger, part = archive.ledger, self._part
        with archive.robot.reading(name), ledger.transfer(name, part.status, part.start, self._asked) as running:
            await self._body(wire, send, running)

    async def _body(self, wire: Wire, send: Send, running: Running) -> None:
        damage = self._damage
        marks = {self._sent, self._declared, damage.stall, damage.cut} - {None}
        for mark in sorted(mark for mark in marks if mark is not None and mark <= self._sent):
            await self._until(mark, wire, send, running)
            if mark == damage.stall:
                seconds = self._archive.options.stall_seconds
                await wire.pause(None if seconds is None else self._archive.clock.real(seconds))
            if wire.gone:
                return
            if mark == damage.cut:
                wire.close()
                return
        if self._sent < self._declared:
            wire.close()
        else:
            await send({"type": "http.response.body", "body": b""})

    async def _until(self, mark: int, wire: Wire, send: Send, running: Running) -> None:
        """Send up to `mark` bytes; those beyond the declared length go onto the wire as they are."""
        start = self._part.start
        for block in self._content.blocks(start + running.sent, start + mark):
            if wire.gone:
                return
            offset = running.sent
            data = self._flipped(block, offset)
            # Counted before it is sent: a client that has its last byte finds its download in the statistics.
            running.add(len(block))
            if running.sent == self._sent:
                running.end()
            if offset < self._declared:
                await send({"type": "http.response.body", "body": data, "more_body": True})
            else:
                await wire.write(data)

    def _flipped(self, block: bytes, offset: int) -> bytes:
        at = self._damage.flip
        if at is None or not offset <= at < offset + len(block):
            return block
        wrong = bytearray(block)
        wrong[at - offset] ^= 0xFF
        return bytes(wrong)
