"""WEkEO: HDA v2 behind its gateway; tokens, terms, search, orders, files (WEkEO protocol notes)."""

from pepsasync.sandbox.wekeo.routes import routes

__all__ = ["routes"]
