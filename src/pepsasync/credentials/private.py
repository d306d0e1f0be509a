"""Files with secrets, in the user's config folder: nobody else may read them."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
import warnings
from pathlib import Path

from pepsasync.errors import ConfigError

OWN_FOLDER = "Copy it, or set HOME or XDG_CONFIG_HOME to a folder that you own"
"""Advice for what is found in the config folder."""

HAS_MODES = os.name == "posix"
"""Whether files say who may read them; elsewhere the user's profile folder is private by itself."""


class ExposedSecretWarning(UserWarning):
    """A file with secrets can be read or changed by others."""


def config_folder() -> Path | None:
    """Folder of the user's settings, which need not exist: `~/.config/pepsasync` on Linux.

    Returns:
        None for users without a home, as in some containers, or with one that is closed to them.
    """
    import platformdirs  # noqa: PLC0415 - not needed for help

    try:
        folder = platformdirs.user_config_path("pepsasync", appauthor=False)
        folder.stat()
    except FileNotFoundError:
        pass
    except (OSError, RuntimeError):
        return None
    return folder if folder.is_absolute() else None


def is_exposed(path: Path) -> bool:
    """Whether others than the owner may read or change a file.

    Raises:
        OSError: It cannot be looked at.
    """
    return HAS_MODES and bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def refuse_foreign(path: Path, hint: str = OWN_FOLDER) -> None:
    """Refuse a file or folder of another user, who may put anything there; root may do so anyway.

    What is not there, or is a pipe or a device, belongs to nobody.

    Args:
        path: What is to be read.
        hint: What to do instead.

    Raises:
        ConfigError: It is not this user's.
    """
    try:
        status = path.stat()
    except OSError:
        return
    if not HAS_MODES or not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        return
    if status.st_uid not in (0, os.geteuid()):
        raise ConfigError(
            f"{path} belongs to another user; it was not read",
            hint=hint,
        )


def warn_of_exposed(path: Path) -> None:
    """Warn of a file with secrets that others may read or change.

    Warns:
        ExposedSecretWarning: They may.
    """
    with contextlib.suppress(OSError):
        if path.is_file() and is_exposed(path):
            what = f"others may read the credentials in {path}. Try: chmod 600 {path}"
            warnings.warn(what, ExposedSecretWarning, stacklevel=3)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, from its first byte on; a reader finds the old or the new one.

    Raises:
        ConfigError: It cannot be written, its folder is another user's, or the file system keeps no modes.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        refuse_foreign(path.parent)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from error
    new = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            if is_exposed(new):
                raise ConfigError(
                    f"others can read files in {path.parent}: nothing was written",
                    hint="Set XDG_CONFIG_HOME to a folder on a file system that keeps modes",
                )
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            new.unlink()
