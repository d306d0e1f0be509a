"""Pages of one file: everything they need is in them, and they may load nothing."""

from __future__ import annotations

import importlib.util
from html import escape
from typing import TYPE_CHECKING, Any

from pepsasync.errors import ConfigError, DiskFullError
from pepsasync.folder.files import FULL, new_file
from pepsasync.paths import in_home
from pepsasync.pictures.land import CREDIT

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from pathlib import Path

    from bokeh.models import LayoutDOM

PAGES = (".html", ".htm")
"""Suffixes of pages."""

_TEMPLATE = """{% block preamble %}
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval';
 style-src 'unsafe-inline'; img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
{% endblock %}
{% block postamble %}
<style>body { margin: 1em auto; max-width: 1200px; padding: 0 1em; font-family: sans-serif; color: #222; }</style>
{% endblock %}
"""
"""That of bokeh; nothing that a page holds, whoever wrote it, reaches another host unless the reader follows a link."""


def needs(library: str, what: str) -> None:
    """Refuse work before it begins when the library for it is missing.

    Raises:
        ConfigError: It is not installed.
    """
    if importlib.util.find_spec(library) is None:
        raise ConfigError(f"{what} needs {library}", hint="Try: pip install 'pepsasync[map]'")


def check_page(path: Path, option: str) -> None:
    """Refuse a page that cannot be made, before any work is done.

    Raises:
        ConfigError: Another suffix than `PAGES`, or bokeh is missing.
    """
    if path.suffix.lower() not in PAGES:
        raise ConfigError(f"{option}: {path} is no page", hint="Give it the ending .html")
    needs("bokeh", option)


def heading(title: str, *paragraphs: str) -> Any:
    """Return the head of a page; both are plain text, whoever wrote it."""
    from bokeh.models import Div  # noqa: PLC0415 - heavy

    text = "".join(f"<p style='margin:.3em 0'>{escape(paragraph)}</p>" for paragraph in paragraphs)
    return Div(
        text=f"<h1 style='font-size:1.4em;margin:.2em 0'>{escape(title)}</h1>{text}",
        sizing_mode="stretch_width",
        disable_math=True,
    )


def note(*lines: str) -> Any:
    """Return small print; plain text."""
    from bokeh.models import Div  # noqa: PLC0415 - heavy

    text = "<br>".join(map(escape, lines))
    return Div(text=f"<small style='color:#666'>{text}</small>", sizing_mode="stretch_width", disable_math=True)


def page(title: str, parts: Iterable[LayoutDOM]) -> str:
    """Return a page of bokeh models with its scripts inside.

    Args:
        title: Of the window; plain text.
        parts: From top to bottom.
    """
    from bokeh.embed import file_html  # noqa: PLC0415 - heavy
    from bokeh.layouts import column  # noqa: PLC0415
    from bokeh.resources import INLINE  # noqa: PLC0415

    whole = column(*parts, note(CREDIT), sizing_mode="stretch_width")
    text: str = file_html(whole, INLINE, title=title, template=_TEMPLATE)
    return text


def write_picture(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file so that a reader finds the old or the new one, never a half.

    Raises:
        ConfigError: It cannot be written.
        DiskFullError: There is no room for it.
    """
    target = in_home(path)
    new = new_file(target)
    try:
        try:
            new.write_bytes(content)
            new.replace(target)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        kind = DiskFullError if error.errno in FULL else ConfigError
        raise kind(f"cannot write {target}: {error.strerror or error}") from error
