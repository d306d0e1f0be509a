"""Archives, one package each, and the registry that knows them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pepsasync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pepsasync.credentials.lookup import Lookup
    from pepsasync.http.client import Http
    from pepsasync.providers.base import Provider

DEFAULT_PROVIDER = "geodes"

PUBLIC_URLS = {
    "geodes": "https://geodes-portal.cnes.fr",
    "cdse": "https://catalogue.dataspace.copernicus.eu",
    "peps": "https://peps.cnes.fr/resto",
}
"""Root of each archive's public service, by provider name; the registry."""


def provider_names() -> tuple[str, ...]:
    """Names that `Client` and `--provider` take."""
    return tuple(PUBLIC_URLS)


def public_url(name: str) -> str:
    """Root URL of an archive's public service.

    Raises:
        ConfigError: There is no such provider.
    """
    if name not in PUBLIC_URLS:
        raise ConfigError(f"there is no provider {name!r}", hint=f"Known providers: {', '.join(PUBLIC_URLS)}")
    return PUBLIC_URLS[name]


def make_provider(
    name: str,
    http: Http,
    credentials: Lookup,
    base_url: str | None = None,
    *,
    ask_code: Callable[[], Awaitable[str]] | None = None,
    restore: bool = False,
) -> Provider:
    """Make a provider by name; only the archive in use is loaded.

    Args:
        name: One of `provider_names()`.
        http: Connection pool.
        credentials: Of the user; searching needs none.
        base_url: Root of another instance, None for the public service.
        ask_code: Asks the user for the code of a second factor, for archives that may want one.
        restore: Ask a REGARDS server to restore tape products.

    Raises:
        ConfigError: There is no such provider.
    """
    root = (base_url or public_url(name)).rstrip("/")
    public_url(name)
    if name == "geodes":
        from pepsasync.providers.geodes import Geodes  # noqa: PLC0415

        return Geodes(http, credentials, root, restore=restore)
    if name == "cdse":
        from pepsasync.providers.cdse import Cdse  # noqa: PLC0415

        return Cdse(http, credentials, root if base_url else None, ask_code)
    from pepsasync.providers.peps import Peps  # noqa: PLC0415

    return Peps(http, credentials, root)
