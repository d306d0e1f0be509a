"""Where user names and passwords come from, and how they stay out of sight."""

from __future__ import annotations

import netrc
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pepsasync.errors import ConfigError

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

KEYRING_SERVICE = "pepsasync:{provider}"
"""Service under which the system's keyring holds the password of a provider."""


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What an archive wants to know of its user. Neither `str` nor `repr` shows a secret."""

    username: str | None = None
    """Account name, an e-mail address in most archives."""
    password: str | None = None
    """Secret."""
    api_key: str | None = None
    """Secret; archives that know keys prefer it to the password."""

    def __repr__(self) -> str:
        """The account name; secrets only as present or not."""
        password, api_key = (None if secret is None else "***" for secret in (self.password, self.api_key))
        return f"Credentials(username={self.username!r}, password={password!r}, api_key={api_key!r})"

    __str__ = __repr__


def find_credentials(
    provider: str,
    host: str,
    *,
    auth_file: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str],
    netrc_path: Path | None = None,
) -> Credentials | None:
    """Take the first credentials there are: file, environment, keyring, netrc.

    Args:
        provider: `peps`, `geodes`, ...
        host: Name of the host they are for; entries of other hosts in the netrc file are not looked at.
        auth_file: File with one line `email password`.
        environ: `PEPSASYNC_<PROVIDER>_USERNAME`, `_PASSWORD`, `_API_KEY` are read.
        netrc_path: None for `~/.netrc`.

    Returns:
        None when there are none anywhere.

    Raises:
        ConfigError: The file cannot be used, or the environment holds half a pair.
    """
    if auth_file is not None:
        return read_auth_file(auth_file)
    return _from_environment(provider, environ) or _from_keyring(provider) or _from_netrc(host, netrc_path)


def read_auth_file(path: str | os.PathLike[str]) -> Credentials:
    """Read a file with one line `email password`; the password may hold spaces.

    Raises:
        ConfigError: Missing, unreadable, empty, or without a password. The message never shows what is in it.
    """
    hint = "It holds one line: the e-mail address, a space, the password"
    try:
        text = Path(path).read_text("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"cannot read the credentials file {path}: {error.strerror or error}", hint=hint) from None
    except UnicodeDecodeError:
        raise ConfigError(f"the credentials file {path} is not UTF-8 text", hint=hint) from None
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise ConfigError(f"the credentials file {path} is empty", hint=hint)
    # Blanks at the end of the line are part of no password that anybody has seen, but editors leave them.
    username, _, password = lines[0].replace("\t", " ").strip().partition(" ")
    if not password.strip():
        raise ConfigError(f"the credentials file {path} has one word only", hint=hint)
    return Credentials(username, password.strip())


def _from_environment(provider: str, environ: Mapping[str, str]) -> Credentials | None:
    prefix = f"PEPSASYNC_{provider.upper()}_"
    username, password, api_key = (environ.get(prefix + name) or None for name in ("USERNAME", "PASSWORD", "API_KEY"))
    if (username is None) != (password is None):
        missing, given = ("PASSWORD", "USERNAME") if password is None else ("USERNAME", "PASSWORD")
        raise ConfigError(f"{prefix}{given} is set, but {prefix}{missing} is not", hint="Set both or none")
    return Credentials(username, password, api_key) if username or api_key else None


def _from_keyring(provider: str) -> Credentials | None:
    """Ask the system's keyring; a machine without one, or with a broken one, has no credentials there."""
    try:
        import keyring  # noqa: PLC0415 - optional, and slow to load

        found = keyring.get_credential(KEYRING_SERVICE.format(provider=provider), None)
    except Exception:  # noqa: BLE001 - backends raise whatever their desktop or bus raises
        return None
    return Credentials(found.username, found.password) if found and found.username and found.password else None


def _from_netrc(host: str, path: Path | None) -> Credentials | None:
    path = path or _netrc_path()
    if path is None or not path.is_file():
        return None
    try:
        entry = netrc.netrc(str(path)).hosts.get(host)
    except netrc.NetrcParseError as error:
        # Its message quotes the bad token, which may be the password.
        raise ConfigError(
            f"{path} cannot be understood at line {error.lineno}", hint="Correct it or use -a FILE"
        ) from None
    except (OSError, UnicodeDecodeError):
        return None
    if entry is None or not entry[0] or not entry[2]:
        return None
    return Credentials(entry[0], entry[2])


def _netrc_path() -> Path | None:
    try:
        return Path.home() / ".netrc"
    except RuntimeError:  # no home at all, as in some containers
        return None
