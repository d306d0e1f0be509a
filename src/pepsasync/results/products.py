"""Products of a search, as notebooks like them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pepsasync.errors import ConfigError
from pepsasync.html import html_text
from pepsasync.model import Product, products_as_html
from pepsasync.results.tables import to_geodataframe

if TYPE_CHECKING:
    import geopandas


class Products(list[Product]):
    """A list of products that a notebook shows as a table.

    Make one of what a search gives: `Products([product async for product in client.search(...)])`, or with the blocking
    client `Products(client.search(...))`. Maps are those of geopandas.
    """

    def __repr__(self) -> str:
        return f"Products({list.__repr__(self)})" if len(self) < 3 else f"<Products: {len(self):,} of them>"

    def _repr_html_(self) -> str:
        return products_as_html(self)

    def to_geodataframe(self) -> geopandas.GeoDataFrame:
        """Return a GeoDataFrame in EPSG:4326, as `pepsasync.to_geodataframe`."""
        return to_geodataframe(self)

    def plot(self, **options: Any) -> Any:
        """Draw the footprints with matplotlib; options and result are those of `GeoDataFrame.plot`.

        Raises:
            ConfigError: matplotlib is missing.
        """
        return self._drawn(self.to_geodataframe(), "plot", options)

    def explore(self, **options: Any) -> Any:
        """Show the footprints on a map with folium; options and result are those of `GeoDataFrame.explore`.

        The browser loads parts of it from the network; `pepsasync search --map` makes a map that needs none.

        Raises:
            ConfigError: folium is missing.
        """
        import pandas as pd  # noqa: PLC0415 - heavy

        table = self.to_geodataframe()
        for name in table.columns.drop("geometry"):
            # Maps are made of JSON, which knows no instants, and of HTML, which would obey what archives wrote.
            if table[name].dtype.kind not in "fiub":
                table[name] = [None if pd.isna(value) else html_text(str(value)) for value in table[name]]
        return self._drawn(table, "explore", options)

    def _drawn(self, table: geopandas.GeoDataFrame, how: str, options: dict[str, Any]) -> Any:
        try:
            return getattr(table, how)(**({"column": "tier"} | options))
        except ImportError as error:
            needed = "folium, mapclassify and matplotlib" if how == "explore" else "matplotlib"
            raise ConfigError(f"{how}() needs {needed}", hint="Try: pip install 'pepsasync[notebook]'") from error
