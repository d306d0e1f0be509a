"""The PEPS protocol: routes, parameters, replies (PEPS protocol notes; section 8 wins over earlier ones)."""

from pepsasync.sandbox.peps.routes import routes

__all__ = ["routes"]
