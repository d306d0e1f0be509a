"""What `login` keeps, in the system's keyring or else in a private file, for one host of one provider.

In the keyring the service is `pepsasync:<provider>`, the user is the host and the password is JSON, since not every
keyring can list the users of a service. An entry `pepsasync:<provider>` that was made by hand, with user name and
password (or API key as password), is read as well.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from pepsasync.credentials.credentials import Credentials
from pepsasync.credentials.private import config_folder, is_exposed, refuse_foreign, write_private
from pepsasync.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

SERVICE = "pepsasync:{provider}"
"""Service under which the system's keyring holds what belongs to a provider."""

KEYRING = "the keyring of this system"


def stored_file() -> Path | None:
    """The file that stands in for a keyring, None for users without a home."""
    folder = config_folder()
    return folder / "credentials.json" if folder else None


def load(provider: str, host: str) -> Credentials | None:
    """Return what is kept for a host, None when nothing is.

    Raises:
        ConfigError: The file cannot be used, or others may read it or own it.
    """
    return _from_keyring(provider, host) or _from_file(provider, host)


def store(provider: str, host: str, credentials: Credentials) -> str:
    """Keep credentials, in the keyring if there is one that works.

    Returns:
        Where they are now, in words.

    Raises:
        ConfigError: There is no keyring, and the file cannot be written.
    """
    if _to_keyring(provider, host, credentials):
        _forget_in_file(provider, host)
        return KEYRING
    # An older entry of a keyring that works again later would come before the file.
    _forget_in_keyring(provider, host)
    path = stored_file()
    if path is None:
        raise ConfigError("there is neither a keyring nor a home folder", hint="Set XDG_CONFIG_HOME or HOME")
    everything = _read(path)
    everything.setdefault(provider, {})[host] = credentials.to_fields()
    _write(path, everything)
    return str(path)


def forget(provider: str, host: str) -> list[str]:
    """Remove what is kept for a host, and what was put into the keyring by hand.

    Returns:
        From where something was removed, in words.

    Raises:
        ConfigError: The file cannot be used.
    """
    removed = [KEYRING] if _forget_in_keyring(provider, host) else []
    if _forget_in_file(provider, host):
        removed.append(str(stored_file()))
    return removed


def _from_keyring(provider: str, host: str) -> Credentials | None:
    """Ask the system's keyring; a machine without one, or with a broken one, has no credentials there."""
    service = SERVICE.format(provider=provider)
    try:
        import keyring  # noqa: PLC0415 - optional, and slow to load

        kept = _decoded(keyring.get_password(service, host))
        by_hand = None if kept else keyring.get_credential(service, None)
    except Exception:  # noqa: BLE001 - backends raise whatever their desktop or bus raises
        return None
    if kept is not None:
        return Credentials.from_fields(kept, KEYRING)
    if by_hand is None or _decoded(by_hand.password) is not None:  # that one is for another host
        return None
    return Credentials.from_fields({"username": by_hand.username, "password": by_hand.password}, KEYRING)


def _to_keyring(provider: str, host: str, credentials: Credentials) -> bool:
    """Put them there and look: some backends take everything and keep nothing."""
    service, fields = SERVICE.format(provider=provider), credentials.to_fields()
    try:
        import keyring  # noqa: PLC0415 - optional, and slow to load

        keyring.set_password(service, host, json.dumps(fields))
        return bool(_decoded(keyring.get_password(service, host)) == fields)
    except Exception:  # noqa: BLE001 - backends raise whatever their desktop or bus raises
        return False


def _forget_in_keyring(provider: str, host: str) -> bool:
    service, removed = SERVICE.format(provider=provider), False
    try:
        import keyring  # noqa: PLC0415 - optional, and slow to load

        if keyring.get_password(service, host) is not None:
            keyring.delete_password(service, host)
            removed = True
        by_hand = keyring.get_credential(service, None)
        if by_hand is not None and _decoded(by_hand.password) is None:
            keyring.delete_password(service, by_hand.username)
            removed = True
    except Exception:  # noqa: BLE001 - backends raise whatever their desktop or bus raises
        return removed
    return removed


def _decoded(text: str | None) -> dict[str, Any] | None:
    """The fields of an entry of ours, None for any other text."""
    try:
        value = json.loads(text or "")
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _from_file(provider: str, host: str) -> Credentials | None:
    path = stored_file()
    return Credentials.from_fields(_read(path).get(provider, {}).get(host, {}), str(path)) if path else None


def _forget_in_file(provider: str, host: str) -> bool:
    path = stored_file()
    everything = _read(path) if path else {}
    if path is None or everything.get(provider, {}).pop(host, None) is None:
        return False
    _write(path, everything)
    return True


def _read(path: Path) -> dict[str, dict[str, dict[str, str]]]:
    """Fields by host by provider."""
    try:
        if is_exposed(path):
            raise ConfigError(f"others may read your credentials in {path}", hint=f"Try: chmod 600 {path}")
        refuse_foreign(path.parent)
        refuse_foreign(path)
        everything: Any = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"cannot read your credentials in {path}: {error.strerror or error}") from None
    except ValueError:
        everything = None
    if not _is_nested(everything, 2):
        raise ConfigError(f"{path} is broken", hint="Remove it and run 'pepsasync login' again")
    return cast("dict[str, dict[str, dict[str, str]]]", everything)


def _is_nested(value: Any, depth: int) -> bool:
    """Whether this is a mapping of mappings, so many levels deep."""
    return isinstance(value, dict) and (depth == 0 or all(_is_nested(inner, depth - 1) for inner in value.values()))


def _write(path: Path, everything: dict[str, dict[str, dict[str, str]]]) -> None:
    """Write what is left, or remove the file when that is nothing."""
    kept = {provider: hosts for provider, hosts in everything.items() if hosts}
    if kept:
        write_private(path, json.dumps(kept, indent=1) + "\n")
    else:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot remove {path}: {error.strerror or error}") from error
