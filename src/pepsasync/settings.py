"""The config file: which archive, as whom, and how to work when nothing else is said.

    provider = "geodes"
    jobs = 4
    limit_rate = "10MB"

    [cdse]
    username = "you@example.org"
    password = "..."

Keys at the top are `provider` and fields of `Config`; a table has the name of a provider.
"""

from __future__ import annotations

import math
import os
import re
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pepsasync.config import SETTINGS, Config, Kind
from pepsasync.credentials import Credentials, host_of
from pepsasync.credentials.private import config_folder, refuse_foreign, warn_of_exposed
from pepsasync.errors import ConfigError
from pepsasync.nearest import meant
from pepsasync.providers import DEFAULT_PROVIDER, provider_names, public_url
from pepsasync.units import check_unit, parse_duration, parse_quota, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pepsasync.model import Quota

VARIABLE = "PEPSASYNC_CONFIG"
"""Environment variable that names another config file."""

SHARE_LIMITS = "PEPSASYNC_SHARE_LIMITS"
"""Environment variable that comes before the config file's `share_limits`."""

ARCHIVE_KEYS = {
    "base_url": "root of another instance; `PEPSASYNC_<PROVIDER>_BASE_URL` comes before it",
    "username": "of an account, with `password`; both or none",
    "password": "line ends after it are no part of it, here and in the environment",
    "api_key": "for GEODES",
}
"""Keys in the table of a provider, and what they hold; all are text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the config file says; empty without one."""

    path: Path | None = None
    provider: str | None = None
    """Provider to take when none is named."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `Config`."""
    base_urls: Mapping[str, str] = field(default_factory=dict)
    """By provider: root of another instance of the archive, from the file."""
    environment_urls: Mapping[str, str] = field(default_factory=dict)
    """The same from the environment, which comes before the file."""
    accounts: Mapping[str, Credentials] = field(default_factory=dict)
    """By provider."""

    def config(self, **given: Any) -> Config:
        """Return how to work.

        Args:
            **given: Fields of `Config` that come before the file's.

        Raises:
            ConfigError: A value makes no sense.
        """
        return Config(**{**self.values, **given})

    def choose(self, provider: str | None = None) -> str:
        """Return the provider to take: the one that was named, else the file's, else the default."""
        return provider or self.provider or DEFAULT_PROVIDER

    def choose_all(self, providers: str | Sequence[str] | None = None) -> list[str]:
        """Return the providers to take, in order of preference.

        Args:
            providers: Names, or one text with commas between them.

        Raises:
            ConfigError: One is named twice, or none at all.
        """
        texts = [providers or self.choose()] if isinstance(providers, str | None) else providers
        names = [name.strip() for text in texts for name in text.split(",")]
        if not all(names) or len(set(names)) < len(names):
            raise ConfigError(
                f"{', '.join(texts)!r} does not list each archive once, separated by commas",
                hint="For example: geodes,cdse",
            )
        return names

    def root(self, provider: str) -> str | None:
        """Return the root of another instance than the public one, if the environment or the file names one."""
        return self.environment_urls.get(provider) or self.base_urls.get(provider)

    def names_root(self, provider: str, root: str) -> bool:
        """Whether a root is public, or one that the environment or the file names.

        Raises:
            ConfigError: There is no such provider.
        """
        own = (self.environment_urls.get(provider), self.base_urls.get(provider), public_url(provider))
        return root.rstrip("/") in [url.rstrip("/") for url in own if url]

    def host(self, provider: str, base_url: str | None = None) -> str:
        """Return the host that credentials of a provider are for.

        Args:
            provider: Its name.
            base_url: Root that was given, which comes before those of the environment and the file.

        Raises:
            ConfigError: There is no such provider, or the root is no URL.
        """
        return host_of(base_url or self.root(provider) or public_url(provider))

    def credentials(self, provider: str, host: str) -> Credentials | None:
        """Return the file's credentials for a host; those of a provider are for no host but its own."""
        own = host_of(self.base_urls.get(provider) or public_url(provider))
        return self.accounts.get(provider) if host == own else None


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read the config file, and the roots of archives from the environment.

    Args:
        environ: `PEPSASYNC_CONFIG` names the file, which must be there then; else it is `config.toml` in the user's
            config folder, and need not. `PEPSASYNC_<PROVIDER>_BASE_URL` names the root of another instance;
            `PEPSASYNC_SHARE_LIMITS` is the setting of that name.

    Raises:
        ConfigError: It cannot be read, belongs to another user, or holds something unknown or wrong; or a root is no
            URL. Secrets are not shown.

    Warns:
        ExposedSecretWarning: It holds secrets, and others may read or change it.
    """
    settings = _read_file(environ)
    shared = environ.get(SHARE_LIMITS, "").strip()
    values = {**settings.values, "share_limits": Path(shared)} if shared else settings.values
    return replace(settings, values=values, environment_urls=dict(_roots(environ)))


def _roots(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Root by provider, as the environment names them."""
    for provider in provider_names():
        variable = f"PEPSASYNC_{provider.upper()}_BASE_URL"
        if url := environ.get(variable, "").strip():
            try:
                host_of(url)  # refuses what is no URL
            except ConfigError as error:
                raise ConfigError(f"{variable}: {error.message}", hint=error.hint) from None
            yield provider, url


def _read_file(environ: Mapping[str, str]) -> Settings:
    path = settings_file(environ)
    if path is None:
        return Settings()
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        if not environ.get(VARIABLE):
            return Settings()
        raise ConfigError(f"{VARIABLE}: there is no file {path}") from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text") from None
    if not environ.get(VARIABLE):  # else the user chose it, be it whose it may
        refuse_foreign(path.parent)
        refuse_foreign(path)
    settings = _parse(text, path)
    if settings.accounts:
        refuse_foreign(path, f"Copy it to a file of your own, and name that in {VARIABLE}")
        warn_of_exposed(path)
    return settings


def settings_file(environ: Mapping[str, str]) -> Path | None:
    """Path of the config file, which need not exist; None for users without a home."""
    if named := environ.get(VARIABLE):
        return Path(os.path.expanduser(named))  # noqa: PTH111 - where nobody has a home, it stays as it is
    folder = config_folder()
    return folder / "config.toml" if folder else None


def _parse(text: str, path: Path) -> Settings:
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # Its message may quote what stands there.
        line = re.search(r"at (line \d+)", str(error))
        raise ConfigError(f"{path} is not TOML: look at or before {line[1] if line else 'its end'}") from None
    try:
        return _settings(document, path)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.message}", hint=error.hint) from None


def _settings(document: dict[str, Any], path: Path) -> Settings:
    tables = {name: document.pop(name) for name in provider_names() if name in document}
    check_names(document, ["provider", *READERS], "setting", also=provider_names())
    provider = document.pop("provider", None)
    if provider is not None:
        public_url(_text("provider", provider))  # refuses unknown names
    values = {name: READERS[name](name, value) for name, value in document.items()}
    for name in (name for name in values if SETTINGS[name].kind is Kind.PATH):
        values[name] = path.parent / os.path.expanduser(values[name])  # noqa: PTH111 - as above
    Config(**values)  # refuses what makes no sense
    archives = {name: _archive(name, table) for name, table in tables.items()}
    return Settings(
        path=path,
        provider=provider,
        values=values,
        base_urls={name: texts["base_url"] for name, texts in archives.items() if "base_url" in texts},
        accounts={
            name: found for name, texts in archives.items() if (found := Credentials.from_fields(texts, str(path)))
        },
    )


def _archive(name: str, table: Any) -> dict[str, str]:
    """The table of one provider."""
    if not isinstance(table, dict):
        raise ConfigError(f"{name} must be a table", hint=f"Write [{name}] on a line of its own")
    check_names(table, ARCHIVE_KEYS, f"setting of [{name}]")
    texts = {key: _text(f"[{name}] {key}", value).rstrip("\r\n") for key, value in table.items()}
    if "base_url" in texts:
        host_of(texts["base_url"])  # refuses what is no URL
    if ("username" in texts) != ("password" in texts):
        raise ConfigError(f"[{name}] has only one of username and password", hint="Give both or none")
    return texts


def check_names(names: Iterable[str], known: Iterable[str], what: str, also: Iterable[str] = ()) -> None:
    """Refuse names that nobody reads.

    Args:
        names: What is there.
        known: What may be there.
        what: What they are, for the message.
        also: What else may be there.

    Raises:
        ConfigError: One is not known.
    """
    everything = [*known, *also]
    for name in names:
        if name not in everything:
            word = meant(name, everything)
            hint = f"Did you mean {word!r}?" if word else f"Known are {', '.join(everything)}"
            raise ConfigError(f"there is no {what} {name!r}", hint=hint)


def _text(name: str, value: Any) -> str:
    """Text; the message does not show what else it is, since it may be a secret."""
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{name} must be text in quotes")
    return value


def _whole(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigError(f"{name} must be a whole number, not {value!r}")
    return value


def read_flag(name: str, value: Any) -> bool:
    """Return a truth value of TOML.

    Raises:
        ConfigError: It is something else.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be true or false, not {value!r}")
    return value


def _seconds(name: str, value: Any) -> float:
    if isinstance(value, str):
        return parse_duration(value, name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < math.inf:
        raise ConfigError(f"{name} must be a number of seconds or a text such as '10m', not {value!r}")
    return float(value)


def _size(name: str, value: Any) -> int:
    size = parse_size(value, name) if isinstance(value, str) else _whole(name, value)
    return check_unit(size, str(value), name)


def _path(name: str, value: Any) -> Path:
    return Path(_text(name, value))


def _quota(name: str, value: Any) -> Quota:
    return parse_quota(value if isinstance(value, str) else repr(value), name)


_BY_KIND: dict[Kind, Callable[[str, Any], Any]] = {
    Kind.COUNT: _whole,
    Kind.SIZE: _size,
    Kind.TIME: _seconds,
    Kind.QUOTA: _quota,
    Kind.FLAG: read_flag,
    Kind.PATH: _path,
}
READERS = {name: _BY_KIND[setting.kind] for name, setting in SETTINGS.items() if setting.kind in _BY_KIND}
"""By field of `Config`: takes name and value, returns the field's value. `shard` is told to each program and is in no
file."""
