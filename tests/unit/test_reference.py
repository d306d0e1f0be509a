"""The reference for programs names everything that there is; tables of options and settings are made from these.

`PYTHONPATH=tests python tests/unit/test_reference.py` writes these tables anew.
"""

import re
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from fakes import product
from pepsasync import events
from pepsasync.cli import options
from pepsasync.cli.app import COMMANDS, make_command
from pepsasync.config import SETTINGS, Config, Kind
from pepsasync.errors import ConfigError
from pepsasync.model import Delivery, DeliveryStatus, Report
from pepsasync.providers import DEFAULT_PROVIDER
from pepsasync.report import report_as_dict
from pepsasync.sandbox.faults import FAULTS
from pepsasync.settings import ARCHIVE_KEYS, READERS
from pepsasync.units import show_duration

REFERENCE = Path(__file__).parents[2] / "docs" / "reference.md"
TEXT = REFERENCE.read_text("utf-8")
EVENTS = [kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, events.Event)]
GROUPS = [kind for kind in vars(options).values() if is_dataclass(kind) and kind.__module__ == options.__name__]
BASES = (events.Event, events.ProductEvent)


def words(text):
    return set(re.findall(r"`([\w-]+)`", text))


def section(title):
    return TEXT.split(f"## {title}\n")[1].split("\n## ")[0]


def rows(title):
    """What stands in the first column of the tables of a section: text by word."""
    lines = [line for line in section(title).splitlines() if line.startswith("| `")]
    return {word: line for line in lines for word in words(line.split("|")[1])}


@pytest.mark.parametrize("kind", [kind for kind in EVENTS if kind not in BASES], ids=lambda kind: kind.__name__)
def test_every_event_is_explained_with_its_fields(kind):
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()

    assert {field.name for field in fields(kind)} - {"id", "name"} <= words(rows("Events")[name])


def test_there_are_no_other_events():
    assert len(rows("Events")) - 1 == len(EVENTS) - len(BASES)


def declared(group):
    """Options by the field of their group."""
    return {name: get_args(hint)[1] for name, hint in get_type_hints(group, include_extras=True).items()}


def table(header, lines):
    cells = [[text.replace("|", "\\|") for text in line] for line in [header, ["---"] * len(header), *lines]]
    return "\n".join(f"| {' | '.join(line)} |".replace("| --- ", "|---").replace("--- |", "---|") for line in cells)


def shown(option):
    """What the reference says of an option, as the parser knows it."""
    names = ", ".join(f"`{name}`" for name in option.opts if "_" not in name)
    value = "" if option.is_flag or option.count or not option.metavar else f" `{option.metavar}`"
    default = option.default if option.show_default and isinstance(option.default, int | float | str) else None
    more = f"; default {default}" if default and not option.is_flag else ""
    return [f"{names}{value}", f"{option.help}{more}{f'; `{option.envvar}`' if option.envvar else ''}"]


def options_of_commands():
    """Options of the program by command, but for those that are hidden or in all of them."""
    everything = make_command(list(COMMANDS)).commands
    return {
        name: [one for one in everything[name].params if one.param_type_name == "option" and not one.hidden]
        for name in COMMANDS
    }


def options_text():
    commands, parts, told = options_of_commands(), [], {name: set() for name in COMMANDS}
    for group in GROUPS:
        helps = {option.help for option in declared(group).values()}
        lines = {}
        known = {name: sum(one.help in helps for one in taken) for name, taken in commands.items()}
        takers = [name for name, count in known.items() if count * 2 >= max(known.values())]  # others take single ones
        for name in takers:
            for option in commands[name]:
                if option.help in helps:
                    lines.setdefault(option.help, shown(option))
            told[name] |= helps
        who = ", ".join(f"`{name}`" for name in takers) if len(takers) < len(COMMANDS) else "All commands"
        parts.append(f"{who}:\n\n{table(['option', 'what'], lines.values())}")
    own = [
        [f"`{name}`", *shown(option)]
        for name, taken in commands.items()
        for option in taken
        if option.help not in told[name] and option.name != "help"
    ]
    parts.append(f"Single commands:\n\n{table(['command', 'option', 'what'], own)}")
    return "\n\n".join(parts)


def default(name):
    value = getattr(Config(), name)
    if value is None:
        return SETTINGS[name].unset
    return show_duration(value).replace(".0 ", " ") if SETTINGS[name].kind is Kind.TIME else str(value).lower()


def settings_text():
    spellings = {
        name: max((option.default, *option.param_decls), key=len)
        for group in GROUPS
        for name, option in declared(group).items()
    }
    spelled = {name: f"`{spellings[name]}`" if name in spellings else "" for name in ("provider", *SETTINGS)}
    lines = [["`provider`", "name", f"`{DEFAULT_PROVIDER}`", "`--provider`", "the archive to take when none is named"]]
    for name, setting in ((name, SETTINGS[name]) for name in READERS):
        what = f"{setting.help}; {setting.note}" if setting.note else setting.help
        lines.append([f"`{name}`", setting.kind.value, default(name), spelled[name], what])
    return table(["key", "value", "default", "option", "what"], lines)


def archive_text():
    return table(["key", "what"], [[f"`{key}`", what] for key, what in ARCHIVE_KEYS.items()])


TABLES = {"options": options_text, "settings": settings_text, "archive": archive_text}


def with_tables(text):
    """The reference with its made tables as they should be, each between two comments."""
    for name, make in TABLES.items():
        begin, end = f"<!-- {name}: made by tests/unit/test_reference.py -->\n", f"<!-- end of {name} -->\n"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        assert found, f"there is no place for the table {name}"
        text = f"{before}{begin}\n{make()}\n\n{end}{after}"
    return text


def test_tables_of_options_and_settings_are_made_from_the_declarations():
    assert TEXT == with_tables(TEXT), "run: PYTHONPATH=tests python tests/unit/test_reference.py"


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
def test_every_option_says_what_it_is(group):
    assert all(option.help for option in declared(group).values())


def test_every_key_of_the_config_file_is_explained_and_no_other():
    assert {"provider", *READERS, *ARCHIVE_KEYS} == rows("Config file").keys()


def test_every_fault_is_explained_and_no_other():
    assert dict(FAULTS).keys() == rows("Faults of the sandbox").keys()


def test_every_field_of_a_report_is_explained_and_no_other():
    delivery = Delivery(product=product("A"), status=DeliveryStatus.SKIPPED)
    report = Report(provider="peps", started=datetime.now(UTC), seconds=0, deliveries=(delivery,), left_out=("B",))
    written = report_as_dict(replace(report, error=ConfigError("no"), fell_short=((3, 1),), superseded=(("1", "A"),)))

    assert set(written) | set(written["products"][0]) == rows("Report").keys()
    assert set(written["summary"]) <= words(rows("Report")["summary"])


if __name__ == "__main__":
    REFERENCE.write_text(with_tables(TEXT), "utf-8")
