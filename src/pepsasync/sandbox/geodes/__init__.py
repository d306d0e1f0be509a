"""The GEODES protocol: a STAC search and REGARDS downloads behind the portal (GEODES protocol notes)."""

from pepsasync.sandbox.geodes.routes import routes

__all__ = ["routes"]
