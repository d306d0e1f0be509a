"""Where credentials are looked for, and in which order."""

from __future__ import annotations

import netrc
import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pepsasync.credentials.credentials import KEY_PROVIDERS, TOKEN_PROVIDERS, Credentials
from pepsasync.credentials.private import refuse_foreign, warn_of_exposed
from pepsasync.credentials.stored import load
from pepsasync.errors import ConfigError
from pepsasync.hosts import is_loopback
from pepsasync.paths import in_home

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOVED = (
    "PEPS closed in March 2026, and GEODES holds its archive: make a key in the GEODES portal (My Profile, "
    "Authentication, API Key) and put it alone into the file; or take provider cdse, with e-mail and password of your "
    "account there"
)

CDSE_MACHINES = tuple(
    f"{name}dataspace.copernicus.eu" for name in ("catalogue.", "", "identity.", "download.", "zipper.")
)
"""Hosts of the public Copernicus Data Space; all of them get the same account, and users know it by any of them."""


MACHINES = {
    **dict.fromkeys(CDSE_MACHINES, CDSE_MACHINES),
    "datapool.asf.alaska.edu": ("urs.earthdata.nasa.gov",),  # where every program for NASA's archives has its account
}
"""By host of a public service, the other hosts in `~/.netrc` that have the same account."""


def find_credentials(
    provider: str,
    host: str,
    *,
    environ: Mapping[str, str],
    netrc_path: Path | None = None,
    configured: Credentials | None = None,
) -> Credentials | None:
    """Take the first credentials there are: environment, keyring or what `login` kept, netrc, config file.

    Args:
        provider: `peps`, `geodes`, ...
        host: Name of the host they are for, see `host_of`; what is kept for other hosts is not looked at.
        environ: `PEPSASYNC_<PROVIDER>_USERNAME`, `_PASSWORD`, `_API_KEY` are read.
        netrc_path: None for the file that `NETRC` names, else `~/.netrc`.
        configured: What the config file holds for this provider and host.

    Returns:
        None when there are none anywhere.

    Raises:
        ConfigError: A file cannot be used or is another user's, or the environment holds half a pair.

    Warns:
        ExposedSecretWarning: Others may read or change the file that they come from.
    """
    known = from_environment(provider, environ) or load(provider, host)
    return known or _from_netrc(host, netrc_path or _netrc_path(environ)) or configured


def host_of(url: str) -> str:
    """Name of the host at the root of an archive, which is what credentials are kept for.

    Raises:
        ConfigError: Not the URL of an archive, one with user name and password in it, or of plain http elsewhere.
    """
    hint = "It looks like https://host/resto"
    try:
        parsed = urlsplit(url)
        host, _ = parsed.hostname, parsed.port
    except ValueError:
        raise ConfigError("the root of the archive is not a URL", hint=hint) from None
    is_url = parsed.scheme in ("http", "https")
    if "@" in (parsed.netloc if is_url and host else url):
        raise ConfigError("the root of the archive contains a user name", hint="Leave it out; see 'pepsasync login'")
    if not is_url or not host:
        raise ConfigError(f"{url!r} is not the URL of an archive", hint=hint)
    if parsed.scheme == "http" and not is_loopback(host):
        raise ConfigError("plain http is allowed to loopback addresses only", hint="Use https")
    return host


def read_auth_file(path: str | os.PathLike[str], provider: str | None = None) -> Credentials:
    """Read a file with one line: `email password`, where the password may hold spaces, or an API key.

    Args:
        path: The file.
        provider: Those of `KEY_PROVIDERS` want a key, those of `TOKEN_PROVIDERS` take one word as a token, all others
            want e-mail and password.

    Raises:
        ConfigError: Missing, unreadable, empty, another user's, or not what the provider wants. The message never shows
            what is in it.

    Warns:
        ExposedSecretWarning: Others may read or change it.
    """
    wants_key = provider in KEY_PROVIDERS
    hint = "It holds one line: the e-mail address, a space, the password"
    if wants_key:
        hint = f"For {provider} it holds one line: the API key, and nothing else"
    line = _first_line(path, hint)
    # Blanks at the end of the line are part of no password that anybody has seen, but editors leave them.
    username, _, password = line.replace("\t", " ").strip().partition(" ")
    password = password.strip()
    if wants_key:
        if password:
            raise ConfigError(
                f"the credentials file {path} has more than one word; {provider} needs one API key", hint=_MOVED
            )
        return Credentials(api_key=username, source=f"the file {path}")
    if not password and provider in TOKEN_PROVIDERS:
        return Credentials(api_key=username, source=f"the file {path}")
    if not password:
        raise ConfigError(f"the credentials file {path} has one word only", hint=hint)
    return Credentials(username, password, source=f"the file {path}")


def _first_line(path: str | os.PathLike[str], hint: str) -> str:
    file = in_home(path)
    try:
        text = file.read_text("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"cannot read the credentials file {path}: {error.strerror or error}", hint=hint) from None
    except UnicodeDecodeError:
        raise ConfigError(f"the credentials file {path} is not UTF-8 text", hint=hint) from None
    refuse_foreign(file, "Copy it to a file of your own, and give that with -a")
    warn_of_exposed(file)
    for line in text.splitlines():
        if line.strip():
            return line
    raise ConfigError(f"the credentials file {path} is empty", hint=hint)


def from_environment(provider: str, environ: Mapping[str, str]) -> Credentials | None:
    """Credentials of a provider in the environment.

    Raises:
        ConfigError: User name or password is missing.
    """
    prefix = f"PEPSASYNC_{provider.upper()}_"
    # Secrets that are mounted as files end with a line end; blanks may belong to a password.
    username, password = (environ.get(prefix + name, "").rstrip("\r\n") or None for name in ("USERNAME", "PASSWORD"))
    api_key = environ.get(f"{prefix}API_KEY", "").strip() or None
    if (username is None) != (password is None):
        missing, given = ("PASSWORD", "USERNAME") if password is None else ("USERNAME", "PASSWORD")
        raise ConfigError(f"{prefix}{given} is set, but {prefix}{missing} is not", hint="Set both or none")
    source = f"the environment ({prefix}{'API_KEY' if api_key else 'USERNAME'})"
    return Credentials(username, password, api_key, source=source) if username or api_key else None


def _from_netrc(host: str, path: Path | None) -> Credentials | None:
    if path is None:
        return None
    try:
        hosts = netrc.netrc(str(path)).hosts
    except netrc.NetrcParseError as error:
        # Its message quotes the bad token, which may be the password.
        raise ConfigError(
            f"{path} cannot be understood at line {error.lineno}", hint="Correct it or use -a FILE"
        ) from None
    except (OSError, UnicodeDecodeError):
        return None
    entries = {_machine(name): entry for name, entry in hosts.items()}
    names = (host, *MACHINES.get(host, ()))
    login, password = next(((entry[0], entry[2]) for name in names if (entry := entries.get(name))), ("", ""))
    if not login or not password:
        return None
    refuse_foreign(path, "Copy it to a file of your own, and name that in NETRC, or use -a FILE")
    warn_of_exposed(path)
    return Credentials(login, password, source=str(path))


def _machine(name: str) -> str:
    """The host of an entry; other programs for the Copernicus Data Space want whole URLs there."""
    try:
        return urlsplit(name).hostname or name.lower()
    except ValueError:
        return name.lower()


def _netrc_path(environ: Mapping[str, str]) -> Path | None:
    """The file, which need not be there; None for users without a home, as in some containers."""
    # Not `Path.expanduser`, which raises where there is no home.
    path = Path(os.path.expanduser(environ.get("NETRC") or "~/.netrc"))  # noqa: PTH111
    return path if path.is_absolute() or environ.get("NETRC") else None
