"""The GEODES protocol: a STAC search and REGARDS downloads behind the portal (GEODES protocol notes)."""

from pepsasync.sandbox.geodes.routes import routes
from pepsasync.sandbox.geodes.service import GeodesOptions

__all__ = ["GeodesOptions", "routes"]
