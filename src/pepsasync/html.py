"""Text of archives as HTML: it is shown, and does nothing else, whatever it holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pepsasync.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_CELL = "padding:.2em 1em .2em 0;border-top:1px solid #ddd;text-align:left;vertical-align:top;overflow-wrap:anywhere"


@dataclass(frozen=True, slots=True)
class Link:
    """A cell that leads to an address; plain text where `web_link` refuses the address."""

    text: str
    url: str | None


def web_link(url: str | None) -> str:
    """Return an address that a page may link to; empty for anything but http and https, such as `javascript:`."""
    text = (url or "").strip()
    has_scheme = text.lower().startswith(("https://", "http://"))
    return text if has_scheme and not any(sign.isspace() or ord(sign) < 32 for sign in text) else ""


def html_text(text: str) -> str:
    """Return text as HTML on one line."""
    return _escaped(one_line(text))


def html_table(header: Sequence[str], rows: Iterable[Sequence[str | Link]]) -> str:
    """Return a table; of a link only the address that may be followed is kept."""
    head = "".join(f"<th style='{_CELL}'>{html_text(text)}</th>" for text in header)
    cells = ("".join(f"<td style='{_CELL}'>{_cell(cell)}</td>" for cell in row) for row in rows)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f"<table style='border-collapse:collapse'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(cell: str | Link) -> str:
    if isinstance(cell, str):
        return html_text(cell)
    address = web_link(cell.url)
    if not cell.text or not address:
        return html_text(cell.text)
    return f'<a href="{_escaped(address)}" target="_blank" rel="noopener noreferrer">{html_text(cell.text)}</a>'


def _escaped(text: str) -> str:
    from html import escape  # noqa: PLC0415 - has a long table that `--help` does not need

    return escape(text)
