"""Async, concurrent download engine for tape-backed Earth-observation archives.

Start with `Client`, or with `blocking.Client` in programs without `await`; `Query` and `Product` go in, `Delivery`
comes out. Every error is a `PepsasyncError`.
Names are loaded when they are first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pepsasync import blocking as blocking
    from pepsasync.client import Client
    from pepsasync.compat import peps_download
    from pepsasync.config import Config
    from pepsasync.credentials import Credentials
    from pepsasync.errors import (
        AreaError,
        AuthError,
        ConfigError,
        DeliveryError,
        DiskFullError,
        ExtractError,
        ForbiddenError,
        IntegrityError,
        NotFoundError,
        OfflineError,
        PepsasyncError,
        ProtocolError,
        ProviderError,
        QuotaError,
        ReplacedError,
        ServerError,
        StagingTimeout,
        TransferError,
        UnreachableError,
    )
    from pepsasync.model import (
        Checksum,
        Delivery,
        DeliveryStatus,
        Member,
        Product,
        Query,
        Quicklook,
        Report,
        StorageTier,
    )
    from pepsasync.query.criteria import build_query
    from pepsasync.results.products import Products
    from pepsasync.results.tables import to_geodataframe
    from pepsasync.version import __version__ as __version__

_HOMES = {
    "client": ("Client",),
    "compat": ("peps_download",),
    "config": ("Config",),
    "credentials": ("Credentials",),
    "errors": (
        "AreaError",
        "AuthError",
        "ConfigError",
        "DeliveryError",
        "DiskFullError",
        "ExtractError",
        "ForbiddenError",
        "IntegrityError",
        "NotFoundError",
        "OfflineError",
        "PepsasyncError",
        "ProtocolError",
        "ProviderError",
        "QuotaError",
        "ReplacedError",
        "ServerError",
        "StagingTimeout",
        "TransferError",
        "UnreachableError",
    ),
    "model": (
        "Checksum",
        "Delivery",
        "DeliveryStatus",
        "Member",
        "Product",
        "Products",
        "Query",
        "Quicklook",
        "Report",
        "StorageTier",
    ),
    "query.criteria": ("build_query",),
    "results.products": ("Products",),
    "results.tables": ("to_geodataframe",),
    "version": ("__version__",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AreaError",
    "AuthError",
    "Checksum",
    "Client",
    "Config",
    "ConfigError",
    "Credentials",
    "Delivery",
    "DeliveryError",
    "DeliveryStatus",
    "DiskFullError",
    "ExtractError",
    "ForbiddenError",
    "IntegrityError",
    "Member",
    "NotFoundError",
    "OfflineError",
    "PepsasyncError",
    "Product",
    "Products",
    "ProtocolError",
    "ProviderError",
    "Query",
    "Quicklook",
    "QuotaError",
    "ReplacedError",
    "Report",
    "ServerError",
    "StagingTimeout",
    "StorageTier",
    "TransferError",
    "UnreachableError",
    "build_query",
    "peps_download",
    "to_geodataframe",
]


def __getattr__(name: str) -> object:
    if name == "blocking":
        return import_module("pepsasync.blocking")
    if name not in _HOME:
        raise AttributeError(f"module 'pepsasync' has no attribute {name!r}")
    return getattr(import_module(f"pepsasync.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
