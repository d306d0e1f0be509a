"""Archives, one package each, and the registry that knows them all."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pepsasync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pepsasync.credentials.lookup import Lookup
    from pepsasync.http.client import Http
    from pepsasync.providers.base import Provider

DEFAULT_PROVIDER = "geodes"


class Choices(NamedTuple):
    """What the user chose, for the archives that know such a choice."""

    ask_code: Callable[[], Awaitable[str]] | None = None
    """Asks the user for the code of a second factor."""
    restore: bool = False
    """Ask a REGARDS server to restore tape products."""


class Registered(NamedTuple):
    """An archive that can be used by name."""

    public_url: str
    """Root of its public service."""
    make: Callable[[Http, Lookup, str, Choices], Provider]
    """Makes its provider, of an instance with this root. Imports its package only then."""


def _make_geodes(http: Http, credentials: Lookup, root: str, choices: Choices) -> Provider:
    from pepsasync.providers.geodes import Geodes  # noqa: PLC0415 - only the archive in use is loaded

    return Geodes(http, credentials, root, restore=choices.restore)


def _make_cdse(http: Http, credentials: Lookup, root: str, choices: Choices) -> Provider:
    from pepsasync.providers.cdse import Cdse  # noqa: PLC0415 - only the archive in use is loaded

    return Cdse(http, credentials, root, choices.ask_code)


def _make_peps(http: Http, credentials: Lookup, root: str, choices: Choices) -> Provider:  # noqa: ARG001 - as all others
    from pepsasync.providers.peps import Peps  # noqa: PLC0415 - only the archive in use is loaded

    return Peps(http, credentials, root)


def _make_asf(http: Http, credentials: Lookup, root: str, choices: Choices) -> Provider:  # noqa: ARG001 - as all others
    from pepsasync.providers.asf import Asf  # noqa: PLC0415 - only the archive in use is loaded

    return Asf(http, credentials, root)


def _make_wekeo(http: Http, credentials: Lookup, root: str, choices: Choices) -> Provider:  # noqa: ARG001 - as all others
    from pepsasync.providers.wekeo import Wekeo  # noqa: PLC0415 - only the archive in use is loaded

    return Wekeo(http, credentials, root)


REGISTRY = {
    "geodes": Registered("https://geodes-portal.cnes.fr", _make_geodes),
    "cdse": Registered("https://catalogue.dataspace.copernicus.eu", _make_cdse),
    "peps": Registered("https://peps.cnes.fr/resto", _make_peps),
    "wekeo": Registered("https://gateway.prod.wekeo2.eu", _make_wekeo),
    "asf": Registered("https://datapool.asf.alaska.edu", _make_asf),
}
"""Every archive by its name."""


def provider_names() -> tuple[str, ...]:
    """Names that `Client` and `--provider` take."""
    return tuple(REGISTRY)


def public_url(name: str) -> str:
    """Root URL of an archive's public service.

    Raises:
        ConfigError: There is no such provider.
    """
    return _registered(name).public_url


def make_provider(
    name: str, http: Http, credentials: Lookup, base_url: str | None = None, choices: Choices | None = None
) -> Provider:
    """Make a provider by name; only the archive in use is loaded.

    Args:
        name: One of `provider_names()`.
        http: Connection pool.
        credentials: Of the user; searching needs none.
        base_url: Root of another instance, None for the public service.
        choices: Of the user.

    Raises:
        ConfigError: There is no such provider.
    """
    archive = _registered(name)
    return archive.make(http, credentials, (base_url or archive.public_url).rstrip("/"), choices or Choices())


def _registered(name: str) -> Registered:
    if name not in REGISTRY:
        raise ConfigError(f"there is no provider {name!r}", hint=f"Known providers: {', '.join(REGISTRY)}")
    return REGISTRY[name]
