"""The name of the product that a catalogue's record is about, whoever wrote the record.

STAC items, resto and eodag features, OData products, and our own features keep it in different places, and some keep
something else where others keep the name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pepsasync.errors import ConfigError
from pepsasync.query.values import parse_name

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME_KEYS = (
    "name",
    "identifier",
    "productIdentifier",
    "title",
    "s2:product_uri",
    "sentinel:product_id",
    "sceneName",
)
"""Properties that may hold the name: ours first, then those of GEODES, resto, eodag, and other STAC catalogues."""

TOP_KEYS = ("Name", "id")
"""Members of the record itself that may hold it: of OData, of STAC and eodag."""

URL_KEYS = ("endpoint_url", "downloadLink", "eodag:download_link")
"""Properties with the address of the product."""

OWN_LINKS = ("self", "alternate", "enclosure")
"""Relations of links that lead to the record's own product; others, such as `derived_from`, lead to another one."""

_EXTENSION = re.compile(r"\.(zip|safe|sen3)$", re.IGNORECASE)
_TIME = r"\d{8}T\d{6}"
_SENTINEL = re.compile(
    rf"""(?<![A-Za-z0-9]) (?:
        S1[A-Z]_[A-Z0-9]{{2}}_[A-Z0-9_]{{4}}_[A-Z0-9]{{4}}_{_TIME}_{_TIME}_\d{{6}}_[0-9A-F]{{6}}_[0-9A-F]{{4}}(?:_COG)?
      | S2[A-Z]_MSIL\d[A-Z]p?_{_TIME}_N\d{{4}}_R\d{{3}}_T\d{{2}}[A-Z]{{3}}_{_TIME}
      | S2[A-Z]_[A-Z]{{4}}_PRD_MSIL\d[A-Z]_[A-Z]{{4}}_{_TIME}_R\d{{3}}_V{_TIME}_{_TIME}
      | S3[A-Z]_[A-Z]{{2}}_[0-9_]_[A-Z0-9_]{{6}}_(?:{_TIME}_){{3}}[A-Z0-9_]{{17}}_[A-Z0-9]{{3}}_[A-Z]_[A-Z]{{2}}_\d{{3}}
    ) (?![A-Za-z0-9])""",
    re.VERBOSE,
)
"""Whole names of Sentinel products; catalogues shorten them for ids of their own."""

_OPAQUE = re.compile(r"urn:.*|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
"""Ids that are no names."""


def bare_name(text: str) -> str:
    """Return a product's name without folder and without `.zip`, `.SAFE` or `.SEN3`."""
    name = text.strip().replace("\\", "/").rstrip("/").rpartition("/")[2].strip()
    while _EXTENSION.search(name):
        name = _EXTENSION.sub("", name).rstrip()
    return name


def is_same_name(one: str, other: str) -> bool:
    """Whether two archives name the same product: the extension of its folder, and case, say nothing."""
    return one == other or bare_name(one).upper() == bare_name(other).upper()


def product_name(record: Any) -> str | None:
    """Return the name of the product that a record is about; None when it does not tell.

    The whole name of a Sentinel product comes before everything else, wherever it stands: as a name, in the key, title
    or address of an asset, in the address of a link. Then comes the first name that could be one.

    Args:
        record: A feature, item or product from decoded JSON; anything else is about nothing.
    """
    if not isinstance(record, dict):
        return None
    names = [bare_name(text) for text in _names(record)]
    whole = next((name for name in names if _SENTINEL.fullmatch(name)), None)
    hidden = (match for text in _addresses(record) if (match := _SENTINEL.search(text)))
    if whole is None and (match := next(hidden, None)):
        whole = match[0]
    return whole or next((name for name in names if _can_be_name(name)), None)


def _names(record: dict[str, Any]) -> Iterator[str]:
    """Texts that may be the name, the likeliest first."""
    properties = _table(record.get("properties"))
    yield from _texts(*(properties.get(key) for key in NAME_KEYS), *(record.get(key) for key in TOP_KEYS))


def _addresses(record: dict[str, Any]) -> Iterator[str]:
    """Texts that may hold the name among other things."""
    properties = _table(record.get("properties"))
    yield from _texts(*(properties.get(key) for key in URL_KEYS))
    for key, asset in _table(record.get("assets")).items():
        yield from _texts(key, _table(asset).get("title"), _table(asset).get("href"))
    links = record.get("links")
    for link in map(_table, links if isinstance(links, list) else ()):
        if link.get("rel") in OWN_LINKS:
            yield from _texts(link.get("href"))


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(*values: Any) -> Iterator[str]:
    return (value for value in values if isinstance(value, str))


def _can_be_name(text: str) -> bool:
    if _OPAQUE.fullmatch(text):
        return False
    try:
        return parse_name("name", text) == text
    except ConfigError:
        return False
