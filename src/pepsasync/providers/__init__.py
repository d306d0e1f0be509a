"""Archives, one file each, and the registry that knows them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pepsasync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pepsasync.credentials import Credentials
    from pepsasync.io.http import Http
    from pepsasync.providers.base import Provider

    Maker = Callable[[Http, Credentials | None, str], Provider]

DEFAULT_PROVIDER = "peps"

PUBLIC_URLS = {"peps": "https://peps.cnes.fr/resto"}
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


def make_provider(name: str, http: Http, credentials: Credentials | None, base_url: str | None = None) -> Provider:
    """Make a provider by name.

    Args:
        name: One of `provider_names()`.
        http: Connection pool.
        credentials: Of the user, None for searching only.
        base_url: Root of another instance, None for the public service.

    Raises:
        ConfigError: There is no such provider.
    """
    root = (base_url or public_url(name)).rstrip("/")
    public_url(name)
    from pepsasync.providers.peps import Peps  # noqa: PLC0415 - only the archive in use is loaded

    return Peps(http, credentials, root)
