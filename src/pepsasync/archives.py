"""The archives of a client: where each is, as whom, and what it bears."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from anyio import to_thread

from pepsasync.credentials import Credentials, find_credentials, from_environment
from pepsasync.credentials.lookup import Lookup
from pepsasync.errors import ConfigError
from pepsasync.limits.gate import Gate
from pepsasync.model import Account
from pepsasync.providers import Choices, make_provider, public_url
from pepsasync.transfer.buffers import BufferPool
from pepsasync.transfer.context import ArchiveContext

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pepsasync.config import Config
    from pepsasync.events import Emit
    from pepsasync.http.client import Http
    from pepsasync.limits.throttle import Throttle
    from pepsasync.model import Limits, Shard
    from pepsasync.query.members import Selection
    from pepsasync.settings import Settings

T = TypeVar("T")


def run_options(
    archives: Sequence[ArchiveContext], config: Config, *, extract: bool, selection: Selection | None
) -> dict[str, object]:
    """What a later run must know to go on with one; holds no secret."""
    part: dict[str, object] = {"shard": str(config.shard)} if config.shard else {}
    some: dict[str, object] = {"members": selection.as_dict()} if selection else {}
    return (
        part
        | some
        | {
            "provider": ",".join(archive.provider.name for archive in archives),
            "base_url": {archive.provider.name: archive.root for archive in archives if archive.root},
            "extract": extract,
            "skip_tape": config.skip_tape,
        }
    )


def open_archives(
    names: Sequence[str],
    settings: Settings,
    config: Config,
    http: Http,
    emit: Emit,
    throttle: Throttle,
    *,
    credentials: Credentials | Mapping[str, Credentials] | None,
    base_url: str | Mapping[str, str] | None,
    ask_code: Callable[[], Awaitable[str]] | None,
) -> list[ArchiveContext]:
    """Return the archives of a client, in order of preference; see `Client`.

    Raises:
        ConfigError: There is no such provider, or what was given for it makes no sense.
    """
    archives, buffers = [], BufferPool()
    for name, own, given in zip(names, _by_name(names, credentials), _by_name(names, base_url), strict=True):
        host = settings.host(name, given)
        lookup = _lookup(name, host, settings) if own is None else _known(name, own)
        root = given or settings.root(name)
        provider = make_provider(name, http, lookup, root, Choices(ask_code, config.restore))
        is_unlimited = len(names) > 1 and provider.limits.quota is None
        bounds = replace(config, quota=None) if is_unlimited else config
        limits, account = provider.limits, provider.account
        if config.share_limits and (config.jobs or 0) > limits.downloads:
            raise ConfigError(
                f"{name} allows an account {limits.downloads} downloads at once, not {config.jobs}",
                hint="With shared limits, -j makes the part of one run smaller; leave it out",
            )
        if (shard := config.shard) and config.share_limits:
            bounds = _share_of_staging(shard, limits, bounds)
        elif shard:
            limits, bounds = share_of(shard, limits, bounds)
            account = functools.partial(_share_of_account, shard, provider.account)
        gate = Gate(name, limits, account, bounds, emit, functools.partial(_account_name, name, root, lookup))
        archives.append(ArchiveContext(provider, http, gate, throttle, config, emit, buffers, root=root))
    return archives


def share_of(shard: Shard, limits: Limits, config: Config) -> tuple[Limits, Config]:
    """The limits of an archive and those of the user, for one of several programs that have them together.

    Raises:
        ConfigError: There are more programs than downloads at once, or products of a quota.
    """
    jobs, quota = config.jobs or limits.downloads, config.quota or limits.quota
    for total, what in ((jobs, "downloads at once"), (quota.products if quota else shard.count, "products of a quota")):
        if total < shard.count:
            raise ConfigError(f"{shard.count} parts cannot share {total} {what}", hint=f"Take {total} parts at most")
    given = config.quota and replace(config.quota, products=shard.share(config.quota.products))
    published = limits.quota and replace(limits.quota, products=shard.share(limits.quota.products))
    return replace(limits, downloads=shard.share(limits.downloads), quota=published), replace(
        _share_of_staging(shard, limits, config), jobs=shard.share(jobs), quota=given
    )


def _share_of_staging(shard: Shard, limits: Limits, config: Config) -> Config:
    return replace(
        config,
        staging_jobs=max(1, shard.share(config.staging_jobs or limits.staging_requests)),
        staging_window=config.staging_window and max(1, shard.share(config.staging_window)),
    )


async def _share_of_account(shard: Shard, ask: Callable[[], Awaitable[Account]]) -> Account:
    """What an archive tells of an account, as far as it is for one of several programs."""
    account = await ask()
    left, products = account.quota_left, account.quota_products
    return Account(
        quota_left=None if left is None else shard.share(left),
        quota_products=None if products is None else shard.share(products),
        is_share=True,
    )


async def _account_name(name: str, root: str | None, lookup: Lookup) -> str:
    """How an account is called where limits are shared: the same for all who have it, and telling nobody who it is.

    A slow hash (scrypt), so that trying names, or keys, is slow.
    """
    found = await lookup.find()
    who = "" if found is None else (found.username or "").strip().lower() or found.key() or ""
    where = (root or public_url(name)).rstrip("/")
    hashed = await to_thread.run_sync(
        functools.partial(hashlib.scrypt, who.encode(), salt=f"{name} {where}".encode(), n=2**14, r=8, p=1, dklen=16)
    )
    return f"{name}-{hashed.hex()}"


def _known(name: str, credentials: object) -> Lookup:
    """The account that a program gave.

    Raises:
        ConfigError: It is something else, which is not shown.
    """
    if not isinstance(credentials, Credentials):
        hint = "Give pepsasync.Credentials(api_key=...), or pepsasync.Credentials(username=..., password=...)"
        raise ConfigError(f"a {type(credentials).__name__} is not the account of {name}", hint=hint)
    return Lookup.of(credentials)


def _lookup(name: str, host: str, settings: Settings) -> Lookup:
    """Looks where users keep their credentials; half a pair in the environment is told at once."""
    environ, configured = dict(os.environ), settings.credentials(name, host)
    if known := from_environment(name, environ):
        return Lookup.of(known)
    return Lookup(functools.partial(find_credentials, name, host, environ=environ, configured=configured))


def _by_name(names: Sequence[str], given: T | Mapping[str, T] | None) -> list[T | None]:
    """What was given for each of some providers.

    Raises:
        ConfigError: One value was given for several, or one for something that is no provider.
    """
    if isinstance(given, Mapping):
        for name in given:
            public_url(name)  # refuses unknown names
        return [given.get(name) for name in names]
    if given is not None and len(names) > 1:
        raise ConfigError("with several providers, credentials and roots are given by name")
    return [given] * len(names)
