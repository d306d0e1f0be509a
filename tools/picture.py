# /// script
# requires-python = ">=3.11"
# dependencies = ["pepsasync[sandbox]"]
# ///
"""Draw `docs/progress.svg`: what a terminal shows in the middle of a real fetch from the embedded archive.

pip install -e ".[sandbox]" && python tools/picture.py
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from rich.console import Console
from rich.text import Text

from pepsasync import Client, Config, Credentials, build_query
from pepsasync.display.counters import Counters
from pepsasync.display.live import draw
from pepsasync.display.view import view_of
from pepsasync.sandbox import Sandbox

if TYPE_CHECKING:
    from rich.console import RenderableType

    from pepsasync.events import Event

PICTURE = Path(__file__).parents[1] / "docs" / "progress.svg"
COMMAND = "pepsasync fetch -c S2ST -t 31TCJ -d 2017-01-01 -f 2018-01-01 -w data/"
QUERY = build_query(collection="S2ST", tile="31TCJ", start="2017-01-01", end="2018-01-01")
COLUMNS, ROWS = 100, 24
FINISHED = 7
"""Products that are there when the picture is taken."""

FORMAT = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>A fetch under way: downloads with their bars, and products that are awaited from tape</title>
<style>
.{unique_id}-matrix {{ font: {char_height}px monospace; white-space: pre }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""Without the fonts of other hosts."""


async def fetch(folder: str) -> RenderableType:
    """Fetch until enough of everything is to be seen, and return what is shown then."""
    counters = Counters()
    config = Config(poll_interval=4.0, limit_rate=6_000_000)
    async with Sandbox(products=400, product_size=12_000_000, tape_fraction=0.6, staging_seconds=4) as archive:
        account = Credentials(username=archive.username, password=archive.password)
        async with Client("peps", base_url=archive.peps_url, credentials=account, config=config) as client:
            enough = anyio.Event()

            def look(event: Event) -> None:
                counters.take(event)
                if is_telling(counters):
                    enough.set()

            async with anyio.create_task_group() as tasks:
                with client.listen(look):
                    tasks.start_soon(deliver, client, folder)
                    await enough.wait()
                tasks.cancel_scope.cancel()
                return draw(view_of(counters), COLUMNS, ROWS)


async def deliver(client: Client, folder: str) -> None:
    """Fetch everything."""
    async for _ in client.fetch(QUERY, folder):
        pass


def is_telling(counters: Counters) -> bool:
    """Whether some products are there, some on their way, and some awaited."""
    shares = [download.received / (download.size or 1) for download in counters.active.values()]
    return (
        counters.finished >= FINISHED
        and len(shares) >= 4
        and max(shares) - min(shares) > 0.4
        and bool(counters.waiting)
        and counters.time_left().most is not None
    )


def main() -> None:
    """Take the picture."""
    console = Console(record=True, force_terminal=True, width=COLUMNS, file=io.StringIO(), color_system="truecolor")
    console.print(Text(f"$ {COMMAND}", style="bold"))
    with tempfile.TemporaryDirectory() as folder:
        console.print(anyio.run(fetch, folder))
    console.print()  # the frame ends too soon
    PICTURE.write_text(console.export_svg(title="", code_format=FORMAT, unique_id="progress"), "utf-8")


if __name__ == "__main__":
    main()
