"""Replies that are read as a whole: bounded in time, and in bytes as they are once decoded."""

from __future__ import annotations

import json
import re
import zlib
from typing import TYPE_CHECKING, Any, Self

import anyio
import httpx

from pepsasync.errors import ServerError, UnreadableReplyError
from pepsasync.http.errors import safe_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

LARGEST_REPLY = 35 << 20
"""Bytes of a reply of a catalogue; a page of one has a few million. More cannot be parsed in `MOST_MEMORY`."""

LARGEST_ERROR = 1 << 16
"""Bytes that are read of an error answer."""

MOST_MEMORY = 110_000_000
"""Bytes that the text and the values of a JSON may take, as they are guessed from it. A page of a catalogue takes some
million; where footprints follow whole swaths, 90 million."""

_COSTS = {b",": 32, b"[": 72, b"{": 280, b'"': 28}
"""Bytes of memory for each of a sign: a number and its place in an array, an array, an object, half a text."""

ENCODINGS = "gzip, deflate"
"""What is asked for, and understood; others can be decoded without bounds only."""

_COMPRESSIONS = ("gzip", "x-gzip", "deflate", "br", "zstd", "compress", "x-compress")
"""Of a Content-Encoding; other words are labels that stores keep of an upload (`aws-chunked`), or wrong (`utf-8`)."""

_DECODED = ("", "gzip", "x-gzip", "deflate")

_PIECE = 1 << 20
_ZLIB_OR_GZIP = 32 + zlib.MAX_WBITS


class _Body:
    """What came of a body.

    Args:
        encoding: Its Content-Encoding.
        most: Bytes, at most; what is behind them is left out.
    """

    def __init__(self, encoding: str, most: int) -> None:
        if encoding not in _DECODED:
            raise httpx.DecodingError(f"it is encoded with {encoding}, although no encoding was requested")
        self._encoding = encoding
        self._decoder = zlib.decompressobj(_ZLIB_OR_GZIP) if encoding else None
        self._most = most
        self._came = 0
        self.decoded = bytearray()

    @property
    def is_too_large(self) -> bool:
        return max(len(self.decoded), self._came) > self._most

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.decoded = bytearray()  # an error keeps its frames, and those this

    def add(self, chunk: bytes) -> None:
        self._came += len(chunk)
        if self._decoder is None:
            self.decoded += chunk
            return
        try:
            while chunk and not self.is_too_large:
                self.decoded += self._decoder.decompress(chunk, _PIECE)
                chunk = self._decoder.unconsumed_tail
        except zlib.error as error:
            raise httpx.DecodingError(f"it is not valid {self._encoding} data") from error

    def check_end(self) -> None:
        if self._decoder and self._came and not self._decoder.eof:
            raise httpx.DecodingError(f"its {self._encoding} data is truncated")


async def read_reply(response: httpx.Response, seconds: float) -> httpx.Response:
    """The same answer with its whole body, decoded; of an error answer as much as came of the first 64 KiB.

    Args:
        response: Streamed, its body not begun; still to be closed.
        seconds: For the whole body.

    Raises:
        ServerError: It took too long.
        UnreadableReplyError: It is too large, or encoded in a way that is not read.
        httpx.HTTPError: The connection broke, or the body is not encoded as it claims to be.
    """
    if response.is_error:
        content = await read_error(response, seconds)
    else:
        content = await _read_whole(response, seconds)
    headers = [pair for pair in response.headers.raw if pair[0].lower() not in _OF_THE_WAY]
    # Not the answer itself: it and its stream know each other, and megabytes would wait for the garbage collector.
    whole = httpx.Response(response.status_code, headers=headers, content=content, request=response.request)
    whole.history = response.history
    return whole


_OF_THE_WAY = (b"content-encoding", b"content-length", b"transfer-encoding")
"""Headers that are about how a body came."""


async def _read_whole(response: httpx.Response, seconds: float) -> bytes:
    encoding = encoding_of(response)
    if encoding not in _DECODED:
        what = f"invalid answer: it is encoded with {encoding}, although no encoding was requested"
        raise UnreadableReplyError(what, url=safe_url(response))
    too_large = UnreadableReplyError(f"the reply is larger than {LARGEST_REPLY >> 20} MiB", url=safe_url(response))
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and (len(announced) > 18 or int(announced) > LARGEST_REPLY):
        raise too_large
    with _Body(encoding, LARGEST_REPLY) as body:
        try:
            with anyio.fail_after(seconds):
                async for chunk in _chunks(response):
                    body.add(chunk)
                    if body.is_too_large:
                        raise too_large
        except TimeoutError as error:
            raise ServerError(f"the reply was not complete after {seconds:g} s", url=safe_url(response)) from error
        body.check_end()
        return bytes(body.decoded)


async def read_error(response: httpx.Response, seconds: float) -> bytes:
    """What an answer says that is no product, decoded: as much as came of 64 KiB, since its status tells more.

    Args:
        response: Streamed, its body not begun; still to be closed.
        seconds: For the whole body.
    """
    return await _read_some(encoding_of(response), _chunks(response), seconds)


def _chunks(response: httpx.Response) -> httpx.AsyncByteStream:
    """The body as it comes; past `aiter_raw`, a generator that would be left in the middle."""
    if not isinstance(response.stream, httpx.AsyncByteStream):
        raise TypeError("a body to be read without a loop")
    return response.stream


async def _read_some(encoding: str, chunks: AsyncIterable[bytes], seconds: float) -> bytes:
    body = None
    try:
        body = _Body(encoding, LARGEST_ERROR)
        with anyio.move_on_after(seconds):
            async for chunk in chunks:
                body.add(chunk)
                if body.is_too_large:
                    break
    except httpx.HTTPError:
        pass  # what came until now
    return bytes(body.decoded[:LARGEST_ERROR]) if body else b""


def encoding_of(response: httpx.Response) -> str:
    """How the bytes of a body are compressed; empty when they are not."""
    named = response.headers.get("Content-Encoding", "").lower().split(",")
    return ", ".join(encoding for part in named if (encoding := part.strip()) in _COMPRESSIONS)


async def skip_body_of_redirect(response: httpx.Response, seconds: float) -> None:
    """Read what comes with a redirect, which httpx would do without bounds, so that its connection can be kept.

    Args:
        response: Its body was not begun.
        seconds: For the whole body.
    """
    if response.has_redirect_location:
        chunks = _chunks(response)
        await _read_some("", chunks, seconds)
        await chunks.aclose()
        response.stream = httpx.ByteStream(b"")
        response.headers.pop("Content-Encoding", None)


class BoundsError(ValueError):
    """JSON that is beyond what is read; the message is for people."""


def parse_json(body: bytes) -> Any:
    """The value that a reply says.

    Raises:
        BoundsError: It is more JSON than a reply may have, or not in UTF-8.
        ValueError: It is not JSON.
    """
    if _memory_for(body) > MOST_MEMORY:
        raise BoundsError(f"it would take more than {MOST_MEMORY // 1_000_000} MB of memory")
    try:
        return json.loads(body)
    except RecursionError as error:
        raise BoundsError("it is nested too deeply") from error
    except UnicodeDecodeError as error:
        if body.lstrip().startswith((b"{", b"[")):
            raise BoundsError("it is not UTF-8") from error
        raise
    except json.JSONDecodeError:
        raise
    except ValueError as error:  # Python's own limit, told in words for programmers
        raise BoundsError("it has a number that is too long") from error


def _memory_for(body: bytes) -> int:
    """Bytes that a JSON takes as text and as values, about."""
    width = 1
    if not body.isascii():
        width = 4 if _FOUR_BYTES.search(body) else 2 if _TWO_BYTES.search(body) else 1
    text = width * len(body)
    if text > _LONG_TEXT:
        text *= 3  # it may be one value: then there are the reply, its text and the value
    return text + sum(cost * body.count(sign) for sign, cost in _COSTS.items())


_LONG_TEXT = 1 << 25

_FOUR_BYTES, _TWO_BYTES = re.compile(rb"[\xf0-\xff]"), re.compile(rb"[\xc4-\xef]")
"""Of UTF-8 text that has characters for which Python takes as many bytes for all."""
