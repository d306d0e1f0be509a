"""A page of quicklooks, beside the pictures in their folder."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote

from pepsasync.html import html_text
from pepsasync.pictures.page import write_picture
from pepsasync.units import show_count, show_size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pepsasync.model import Product, Quicklook

NAME = "index.html"

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src 'self' file:;
 style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ margin: 1em; font-family: sans-serif; color: #222; background: #fff; }}
h1 {{ font-size: 1.4em; }}
main {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(220px, 1fr)); gap: 1em; }}
figure {{ margin: 0; border: 1px solid #ddd; border-radius: 4px; overflow: hidden; }}
img, .none {{ display: block; width: 100%; height: 220px; object-fit: contain; background: #f4f4f4; }}
.none {{ color: #777; font-size: .8em; padding: 1em; box-sizing: border-box; }}
figcaption {{ font-size: .75em; padding: .5em; overflow-wrap: anywhere; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{summary}</p>
<main>
{figures}
</main>
</body>
</html>
"""


def write_contact_sheet(quicklooks: Sequence[Quicklook], directory: Path, title: str = "Quicklooks") -> Path:
    """Write a page that shows quicklooks side by side, in the order given.

    Args:
        quicklooks: Of which the pictures are in the folder.
        directory: The folder.
        title: Plain text.

    Returns:
        Path of the page, which needs the pictures beside it and nothing else.

    Raises:
        ConfigError, DiskFullError: It cannot be written.
    """
    missing = sum(one.path is None for one in quicklooks)
    summary = show_count(len(quicklooks)) + (f", {missing:,} without a quicklook" if missing else "")
    figures = "\n".join(map(_figure, quicklooks))
    path = directory / NAME
    write_picture(path, _PAGE.format(title=html_text(title), summary=summary, figures=figures).encode())
    return path


def _figure(one: Quicklook) -> str:
    name = html_text(one.product.name)
    if one.path is not None:
        address = escape(quote(one.path.name))
        shown = f'<a href="{address}"><img src="{address}" alt="{name}" loading="lazy"></a>'
    else:
        shown = f'<div class="none">{html_text(one.error.message if one.error else "no quicklook")}</div>'
    return f"<figure>{shown}<figcaption>{name}<br>{html_text(_facts(one.product))}</figcaption></figure>"


def _facts(product: Product) -> str:
    facts = [
        f"{product.start:%Y-%m-%d %H:%M}" if product.start else None,
        str(product.tier),
        show_size(product.size) if product.size else None,
        f"{product.cloud_cover:.0f} % clouds" if product.cloud_cover is not None else None,
    ]
    return " · ".join(fact for fact in facts if fact)
