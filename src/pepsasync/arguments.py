"""What callers of `Client` may give, as a query or as products, names and queries."""

from __future__ import annotations

from collections.abc import AsyncIterable, Collection, Iterable, Iterator, Mapping
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pepsasync.errors import ConfigError
from pepsasync.model import Product, Query
from pepsasync.paths import in_home
from pepsasync.query.criteria import build_query
from pepsasync.query.product_names import bare_name

if TYPE_CHECKING:
    from pathlib import Path

    from pepsasync.model import Wanted

TAKES = (
    "fetch() takes a query, criteria as a dict, a product, a product's name, a table with a column 'name', "
    "or products, names, queries and criteria one after the other"
)


@runtime_checkable
class Table(Protocol):
    """A table of pandas or geopandas."""

    @property
    def columns(self) -> Any:
        """Names of the columns."""

    def __getitem__(self, column: Any, /) -> Any:
        """A column."""


Given = Query | Product | str | Mapping[str, Any] | Table | Iterable[Product | str | Query | Mapping[str, Any]]
"""What `Client.fetch` takes; a table has a column `name`."""


def as_wanted(given: object) -> Wanted:
    """Return what the pipeline takes.

    Raises:
        TypeError: It is none of all that can be fetched; what an iterator gives is looked at as it comes.
        ConfigError: Criteria or a name that make no sense.
    """
    if isinstance(given, Query):
        return given
    if isinstance(given, str | Product):
        return [_item(given)]
    if isinstance(given, Mapping):
        return build_query(**given)
    if isinstance(given, bytes | bytearray | memoryview):
        raise TypeError(f"{TAKES}, not {given!r}; names are text")
    if isinstance(given, Table):
        return _names_of(given)
    if isinstance(given, Collection):
        return [_item(item) for item in given]
    if isinstance(given, Iterable):
        return map(_item, given)
    hint = ""
    if isinstance(given, AsyncIterable):
        hint = ": give it the query, or a list, [product async for product in client.search(...)]"
    elif isinstance(given, PathLike):
        hint = f": for a saved search give it {{'id': '@{fspath(given)}'}}"
    raise TypeError(f"{TAKES}, not {given!r}{hint}")


def as_products(given: object, method: str) -> list[Product]:
    """Return products, of which each is one.

    Raises:
        TypeError: Something else is among them.
    """
    is_text = isinstance(given, str | bytes | bytearray | memoryview)
    items = given if isinstance(given, Iterable) and not is_text else [given]
    products = []
    for item in items:
        if not isinstance(item, Product):
            raise TypeError(f"{method}() takes products from a search, not {item!r}")
        products.append(item)
    return products


def as_folder(given: object, what: str = "directory") -> Path:
    """Return the path of a folder; `~` is the home folder.

    Args:
        given: Text or path.
        what: What to name in an error.

    Raises:
        TypeError: It is neither text nor a path.
        ConfigError: There is no such home, or it is the address of a bucket.
    """
    if str(given).lower().startswith("s3:/"):
        hint = "Only fetch() puts products into a bucket: give the address as text, 's3://BUCKET/PREFIX'"
        raise ConfigError(f"{given} is no folder", hint=hint)
    if not isinstance(given, str | PathLike) or not isinstance(fspath(given), str):
        raise TypeError(f"the folder for products is text or a path, such as '.', not {given!r}")
    return in_home(given, what)


def as_query(given: object, criteria: Mapping[str, object]) -> Query:
    """Return the query that a search is for.

    Raises:
        TypeError: Criteria without their names.
        ConfigError: Query and criteria, or criteria that make no sense.
    """
    if given is not None and criteria:
        raise ConfigError("give either a query or criteria, not both")
    if isinstance(given, Query):
        return given
    if given is None or isinstance(given, Mapping):
        return build_query(**(criteria if given is None else given))
    example = f"search(collection={given!r})" if isinstance(given, str) else "search(collection='S2ST', tile='31TCJ')"
    raise TypeError(f"search() takes a query, or criteria by name, such as {example}, not {given!r}")


def _item(item: Any) -> Product | str | Query:
    if isinstance(item, Product | Query):
        return item
    if isinstance(item, Mapping):
        return build_query(**item)
    if not isinstance(item, str):
        raise TypeError(f"{TAKES}, not {item!r}")
    name = bare_name(item)
    if not name:
        raise ConfigError(f"{item!r} is not a product's name")
    return name


def _names_of(table: Table) -> list[str]:
    column = next((column for column in table.columns if str(column).lower() == "name"), None)
    if column is None:
        raise TypeError(f"{TAKES}; this table has the columns {', '.join(map(repr, table.columns))}")
    return list(_names_in(table[column]))


def _names_in(values: Iterable[Any]) -> Iterator[str]:
    for number, value in enumerate(values):
        if not isinstance(value, str):
            raise TypeError(f"{TAKES}; row {number} of this table has no name")
        yield bare_name(value)
