"""Orders as small TOML files: what a folder shall hold, from where, and how it is brought there."""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pepsasync.config import Config
from pepsasync.errors import ConfigError, DiskFullError
from pepsasync.folder.files import disk_error
from pepsasync.model import Quota
from pepsasync.paths import in_home
from pepsasync.query.criteria import build_query
from pepsasync.query.members import build_selection
from pepsasync.query.product_names import bare_name
from pepsasync.settings import READERS, check_names, read_flag
from pepsasync.sync.run import LOOK_BACK
from pepsasync.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pepsasync.model import Query
    from pepsasync.query.members import Selection

VERSION = 1
"""Of the form of the file."""

_HEAD = """\
# What a folder shall hold. 'pepsasync sync {name}' brings what is new; --plan tells what it would do.
# Criteria as on the command line, settings as in the config file. Relative paths begin at this file.
"""
_MEMBERS = ("include", "exclude", "bands")
"""Which members of products are wanted."""

_LONGEST = 100 * 365.25 * 86_400
"""Seconds that an order may look back."""

_PATHS = ("shape",)
"""Criteria that are files; of others, texts that begin with @ name one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a file says."""

    criteria: Mapping[str, Any]
    """As users write them, so that `yesterday` stays what it is."""
    directory: Path
    provider: str | None = None
    base_url: str | None = None
    auth: Path | None = None
    """File with the account; no secret stands in an order."""
    extract: bool = False
    include: tuple[str, ...] = ()
    """Patterns of the members that are wanted; with the next two empty all are."""
    exclude: tuple[str, ...] = ()
    bands: tuple[str, ...] = ()
    on_delivered: str | None = None
    """Command for each product that arrived."""
    look_back: float = LOOK_BACK.total_seconds()
    """Seconds before the latest publication that are looked at again."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `Config`."""

    @property
    def selection(self) -> Selection | None:
        """Members that are wanted; None for all.

        Raises:
            ConfigError: There is no such band.
        """
        return build_selection(self.include, self.exclude, self.bands)

    @property
    def query(self) -> Query:
        """What to look for.

        Raises:
            ConfigError: It makes no sense.
        """
        names = self.criteria.get("id") or []
        ids = [
            text if text.strip().startswith("@") else ",".join(map(bare_name, text.split(",")))
            for text in map(str, _listed(names))
        ]
        criteria = dict(self.criteria)
        if str(criteria.get("published_since")).strip().lower() == "last":
            del criteria["published_since"]  # which is what a sync asks for anyway
        return build_query(**criteria | ({"id": ids} if ids else {}))


def write_order(path: Path, order: Order) -> None:
    """Write an order; its paths become absolute, so that it means the same wherever it is used.

    A file that says the same already stays as it is.

    Args:
        path: Of the file.
        order: What it says.

    Raises:
        ConfigError: There is another file of this name, or it cannot be written.
        DiskFullError: There is no room.
    """
    text = "".join(f"{line}\n" for line in _lines(path, order))
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        if path.is_dir():
            raise ConfigError(f"{path} is a folder, not a file") from None
        if not _says(path, text):
            hint = "Choose another name, or remove it first"
            raise ConfigError(f"{path} is there already, and is not this order", hint=hint) from None
    except OSError as error:
        ours = disk_error(path, error)
        if isinstance(ours, DiskFullError):
            raise ours from error
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from error


def _says(path: Path, text: str) -> bool:
    """Whether a file says the same as an order, in whatever form."""
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig")) == tomllib.loads(text)
    except (OSError, ValueError, RecursionError):
        return False


def state_name(path: Path) -> str:
    """Name under which the order of a file remembers: that of the file, and what tells it from others of this name."""
    place = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:8]
    return f"{path.stem}-{place}"


def read_order(path: Path) -> Order:
    """Read an order.

    Raises:
        ConfigError: There is no such file, or it holds something unknown or wrong.
    """
    try:
        document = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        hint = f"'pepsasync order new {path}' makes one from a query"
        raise ConfigError(f"there is no order {path}", hint=hint) from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    try:
        order = _order(document, path.absolute().parent)
        _ = order.query  # refuses what makes no sense
    except ConfigError as error:
        raise type(error)(f"{path}: {error.message}", hint=error.hint) from None
    return order


def _order(document: dict[str, Any], base: Path) -> Order:
    version = document.pop("version", VERSION)
    if version != VERSION:
        raise ConfigError(
            f"it is of the form {version}, this version knows {VERSION}", hint="Install a newer pepsasync"
        )
    criteria, settings = document.pop("query", {}), document.pop("settings", {})
    for name, table in (("query", criteria), ("settings", settings)):
        if not isinstance(table, dict):
            raise ConfigError(f"{name} must be a table", hint=f"Write [{name}] on a line of its own")
    check_names(document, _READERS, "entry", also=("query", "settings"))
    check_names(settings, READERS, "setting")
    values = {name: _READERS[name](name, value) for name, value in document.items()}
    if "directory" not in values:
        raise ConfigError("it names no directory", hint='Write directory = "data" above [query]')
    for name in {"directory", "auth"} & values.keys():
        values[name] = base / in_home(values[name], name)
    read = {name: READERS[name](name, value) for name, value in settings.items()}
    read |= {name: base / in_home(value, name) for name, value in read.items() if isinstance(value, Path)}
    Config(**read)  # refuses what makes no sense
    criteria = {name: _with_paths(name, value, base) for name, value in criteria.items()}
    return Order(criteria=criteria, settings=read, **values)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{name} must be text in quotes, not {value!r}")
    return value


def _names(name: str, value: Any) -> str:
    return ",".join(_text(name, one) for one in value) if isinstance(value, list) else _text(name, value)


def _patterns(name: str, value: Any) -> tuple[str, ...]:
    texts = tuple(_text(name, one) for one in _listed(value))
    build_selection(**{name: texts})  # refuses what makes no sense
    return texts


def _seconds(name: str, value: Any) -> float:
    seconds = parse_duration(value if isinstance(value, str) else repr(value), name)
    if seconds > _LONGEST:
        raise ConfigError(f"{name}: {value} is longer than 100 years")
    return seconds


_READERS: dict[str, Any] = {
    "directory": lambda name, value: Path(_text(name, value)),
    "provider": _names,
    "base_url": _names,
    "auth": lambda name, value: Path(_text(name, value)),
    "extract": read_flag,
    **dict.fromkeys(_MEMBERS, _patterns),
    "on_delivered": _text,
    "look_back": _seconds,
}
"""By entry above the tables."""


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _with_paths(name: str, value: Any, base: Path) -> Any:
    """A criterion whose files are absolute."""
    if isinstance(value, list | tuple):
        return [_with_paths(name, one, base) for one in value]
    if isinstance(value, Path):
        return str(base / in_home(value, name))
    if not isinstance(value, str):
        return value
    if value.strip() == "@-":
        raise ConfigError(f"{name} is read from standard input, which an order cannot do again", hint="Use @FILE")
    mark, text = ("@", value.strip()[1:]) if value.strip().startswith("@") else ("", value)
    if not (mark or name in _PATHS):
        return value
    whole = base / in_home(text, name)
    if mark or whole.exists() or "," not in text:
        return f"{mark}{whole}"
    return ",".join(str(_with_paths(name, part, base)) for part in text.split(","))


def _lines(path: Path, order: Order) -> Iterator[str]:
    base = Path.cwd()
    yield _HEAD.format(name=path)
    yield from _entries(order, base)
    yield "\n[query]"
    for name, value in order.criteria.items():
        yield _line(name, _with_paths(name, value, base))
    if order.settings:
        yield "\n[settings]"
        for name, value in order.settings.items():
            yield _line(name, base / value if isinstance(value, Path) else value)


def _entries(order: Order, base: Path) -> Iterator[str]:
    """What stands above the tables."""
    yield _line("version", VERSION)
    yield _line("directory", base / in_home(order.directory, "directory"))
    for name in ("provider", "base_url"):
        if value := getattr(order, name):
            yield _line(name, value)
    if order.auth:
        yield _line("auth", base / in_home(order.auth, "auth"))
    if order.extract:
        yield _line("extract", value=True)
    for name in (*_MEMBERS, "on_delivered"):
        if value := getattr(order, name):
            yield _line(name, value)
    if order.look_back != LOOK_BACK.total_seconds():
        yield _line("look_back", order.look_back)


def _line(name: str, value: Any) -> str:
    return f"{name} = {_toml(value)}"


def _toml(value: Any) -> str:
    """A value as TOML writes it; its texts are written as those of JSON."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case Quota():
            return _toml(f"{value.products}/{value.seconds:g}")
        case list() | tuple():
            return f"[{', '.join(map(_toml, value))}]"
        case datetime() | date():
            return _toml(value.isoformat())
        case timedelta():
            return _toml(value.total_seconds())
        case _:
            text = os.fspath(value) if isinstance(value, Path) else str(value)
            return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
