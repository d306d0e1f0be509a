"""Files with secrets, in the user's config folder: nobody else may read them."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from pepsasync.errors import ConfigError

HAS_MODES = os.name == "posix"
"""Whether files say who may read them; elsewhere the user's profile folder is private by itself."""


class ExposedSecretWarning(UserWarning):
    """A file with secrets can be read by others."""


def config_folder() -> Path | None:
    """Folder of the user's settings, which need not exist: `~/.config/pepsasync` on Linux.

    Returns:
        None for users without a home, as in some containers.
    """
    import platformdirs  # noqa: PLC0415 - not needed for help

    folder = platformdirs.user_config_path("pepsasync", appauthor=False)
    return folder if folder.is_absolute() else None


def is_exposed(path: Path) -> bool:
    """Whether others than the owner may read or change a file.

    Raises:
        OSError: It cannot be looked at.
    """
    return HAS_MODES and bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, from its first byte on; a reader finds the old or the new one.

    Raises:
        ConfigError: It cannot be written, or the file system keeps no modes.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
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
