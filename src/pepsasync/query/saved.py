"""What was asked for, as JSON and back: an order must outlive the program that took it."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pepsasync.errors import ConfigError
from pepsasync.model import Product, Query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pepsasync.model import Wanted


VERSION = 1
"""Of the form of a query; one without a number is of before there were any, and read as 1."""


def wanted_as_json(wanted: Wanted) -> dict[str, Any] | list[str]:
    """Return a query as a mapping of its criteria and the `version` of the form, products as their names.

    Queries among products are left out.
    """
    if not isinstance(wanted, Query):
        names = (item.name if isinstance(item, Product) else item for item in wanted)
        return [name for name in names if isinstance(name, str)]
    values = {field.name: getattr(wanted, field.name) for field in fields(Query)}
    return {"version": VERSION} | {
        name: _plain(value) for name, value in values.items() if not (value is None or value is False or value == ())
    }


def query_from_json(values: Mapping[str, Any]) -> Query:
    """Return the query that `wanted_as_json` wrote.

    Raises:
        ConfigError: It is none, or of a newer version of this program.
    """
    if values.get("version", 1) not in range(1, VERSION + 1):
        what = f"the order in the journal is of the form {values['version']}, this version knows those up to {VERSION}"
        raise ConfigError(what, hint="Install a newer pepsasync")
    try:
        given = {name: value for name, value in values.items() if name in {field.name for field in fields(Query)}}
        for name in {"start", "end", "published_since"} & given.keys():
            given[name] = datetime.fromisoformat(given[name])
        if "area" in given:
            import shapely  # noqa: PLC0415 - slow to load, and needed only with an area

            given["area"] = shapely.from_wkb(given["area"], on_invalid="ignore")
        for name in {"names", "months", "per", "property"} & given.keys():
            given[name] = tuple(given[name])
        return Query(**given)
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"the order in the journal cannot be read: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if hasattr(value, "geom_type"):
        import shapely  # noqa: PLC0415

        return shapely.to_wkb(value, hex=True)
    return list(value) if isinstance(value, tuple) else value
