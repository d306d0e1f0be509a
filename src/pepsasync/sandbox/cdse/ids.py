"""Ids of products and of their quicklooks: others than those of the other protocols."""

from __future__ import annotations

import uuid

from pepsasync.sandbox.catalogue import ID_NAMESPACE


def identifier(name: str) -> str:
    """Return the id of a product, which is another one than that of the other protocols."""
    return str(uuid.uuid5(ID_NAMESPACE, f"CDSE:{name}"))


def quicklook(name: str) -> str:
    """Return the id of a product's quicklook."""
    return str(uuid.uuid5(ID_NAMESPACE, f"CDSE:{name}:quicklook"))
