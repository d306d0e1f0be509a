"""The CDSE protocol: an OData catalogue, Keycloak tokens, downloads by redirect (CDSE protocol notes)."""

from pepsasync.sandbox.cdse.routes import routes

__all__ = ["routes"]
