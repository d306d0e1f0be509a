"""Commands that take groups of options as dataclasses, and help that shows the groups."""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import itertools
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_type_hints

from typer.core import TyperCommand

from pepsasync.errors import ConfigError
from pepsasync.paths import in_home
from pepsasync.query.values import parse_number, parse_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NEEDS_VALUE = "option {option} needs a value, but {value} follows, which is an option itself"

ONE_VALUE = "Give it once; for several values run the command once for each of them"


class GroupedCommand(TyperCommand):
    """A command whose help shows options by group, and that never takes an option for another one's value."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Refuse empty values, and `--collection --start 2017-01-01`, where the first value was forgotten."""
        takes_value = {name: not option.is_flag and not option.count for name, option in self._options()}
        self._check_empty(args, [name for name, takes in takes_value.items() if takes])
        for option, value in itertools.pairwise(args):
            if option == "--":
                break
            if takes_value.get(option) and value in takes_value:
                raise ConfigError(NEEDS_VALUE.format(option=option, value=value))
        self._check_repeated(ctx, args)
        return super().parse_args(ctx, args)

    def _check_repeated(self, ctx: Any, args: list[str]) -> None:
        """Refuse several values of an option that takes one: the parser would keep the last, without a word."""
        _, _, order = self.make_parser(ctx).parse_args([*args])
        options = {id(option): option for _, option in self._options()}
        for key, times in Counter(map(id, order)).items():
            option = options.get(key)
            if times > 1 and option and not (option.multiple or option.count or option.is_flag):
                name = max(option.opts, key=len)
                raise ConfigError(f"{name} was given {times} times and takes one value", hint=ONE_VALUE)

    def _check_empty(self, args: list[str], options: list[str]) -> None:
        """Refuse what an unset variable of a script leaves behind: nobody wants the default who writes a value."""
        argument = next((param.metavar or "" for param in self.params if param.param_type_name == "argument"), "")
        for before, text in itertools.pairwise(["", *args]):
            name, is_joined, value = text.partition("=")
            if before in options:
                name, value = before, text
            elif not is_joined or name not in options:
                name, value = argument, text
            if name and not value.strip():
                raise ConfigError(f"{name} is empty", hint="Leave it out, or give it a value")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write one section a group, in the order of their first options."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                title = getattr(param, "rich_help_panel", None)
                title = title or ("Arguments" if param.param_type_name == "argument" else "General")
                sections.setdefault(title, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records, col_max=34)

    def _options(self) -> Iterator[tuple[str, Any]]:
        for param in self.params:
            if param.param_type_name == "option":
                for name in (*param.opts, *param.secondary_opts):
                    yield name, param


def flatten(*, without: tuple[str, ...] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Let a command take dataclasses: each field becomes an option, and the command gets the values back in groups.

    Args:
        without: Spellings that this command uses for something else.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(command, include_extras=True)
        groups = {
            name: _group_parameters(hint, without) for name, hint in hints.items() if dataclasses.is_dataclass(hint)
        }

        def run(**values: Any) -> None:
            for name, parameters in groups.items():
                values[name] = hints[name](**{option.name: values.pop(option.name) for option in parameters})
            command(**values)

        run.__name__, run.__doc__, run.__module__ = command.__name__, command.__doc__, command.__module__
        run.__annotations__ = {}
        own = {
            name: [parameter.replace(annotation=_in_our_words(hints[name]), kind=inspect.Parameter.KEYWORD_ONLY)]
            for name, parameter in inspect.signature(command).parameters.items()
        }
        everything = [parameter for parameters in (own | groups).values() for parameter in parameters]
        run.__signature__ = inspect.Signature(everything)  # type: ignore[attr-defined]
        return run

    return decorate


def _group_parameters(group: Any, without: tuple[str, ...]) -> list[inspect.Parameter]:
    """One parameter a field, but for those that have no spelling left."""
    hints = get_type_hints(group, include_extras=True)
    parameters = []
    for field in dataclasses.fields(group):
        default = field.default_factory() if callable(field.default_factory) else field.default
        annotation = _without(hints[field.name], without)
        if annotation is not None:
            kind = inspect.Parameter.KEYWORD_ONLY
            annotation = _in_our_words(annotation)
            parameters.append(inspect.Parameter(field.name, kind, default=default, annotation=annotation))
    return parameters


def _in_our_words(annotation: Any) -> Any:
    """The same option, whose number or path we read, and speak of, ourselves."""
    kind, option = (*get_args(annotation), None)[:2] if hasattr(annotation, "__metadata__") else (annotation, None)
    read = next((read for value, read in _READERS.items() if value in (kind, *get_args(kind))), None)
    if option is None or read is None or getattr(option, "count", False):
        return annotation
    option = copy.copy(option)
    option.parser = functools.partial(read, max(_spellings(option), key=len, default="") or option.metavar)
    return Annotated[kind, option]


def _path(name: str, value: Any) -> Path:
    return in_home(value, name)


_READERS: dict[type, Callable[[str, Any], Any]] = {int: parse_whole, float: parse_number, Path: _path}


def _spellings(option: Any) -> list[str]:
    """All names of an option: in Annotated, typer keeps the first where a default would stand."""
    return [name for name in (option.default, *(option.param_decls or ())) if isinstance(name, str)]


def _without(annotation: Any, spellings: tuple[str, ...]) -> Any:
    """The same option without some of its spellings, None when it has no other."""
    kind, option = get_args(annotation)
    kept = [name for name in _spellings(option) if name not in spellings]
    if not kept:
        return None
    option = copy.copy(option)
    option.default, option.param_decls = kept[0], tuple(kept[1:])
    return Annotated[kind, option]
