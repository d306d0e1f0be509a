"""Options are declared once: what is declared reaches the run, the query and the words about an order."""

from dataclasses import dataclass, field, fields
from typing import Annotated, get_args, get_type_hints

import pytest
import typer
from typer.main import get_command

from pepsasync.cli.app import COMMANDS, SHORT_OPTIONS, GroupedCommand, make_command
from pepsasync.cli.options import ArchiveOptions, DeliveryOptions, QueryOptions, StagingOptions, flatten
from pepsasync.cli.status import order_words
from pepsasync.config import SETTINGS, Kind
from pepsasync.model import Query, Quota, Shard
from pepsasync.query.criteria import _CANONICAL

TEXTS = {
    Kind.COUNT: ("7", 7),
    Kind.SIZE: ("3m", 3 << 20),
    Kind.TIME: ("20m", 1_200.0),
    Kind.QUOTA: ("5/1h", Quota(5, 3_600.0)),
    Kind.FLAG: (None, True),
    Kind.SHARD: ("2/8", Shard(2, 8)),
}


def spellings(group):
    """All of them, by the field of the group."""
    options = {name: get_args(hint)[1] for name, hint in get_type_hints(group, include_extras=True).items()}
    return {name: [option.default, *option.param_decls] for name, option in options.items()}


RUN_OPTIONS = [
    (spelling, name)
    for group in (StagingOptions, DeliveryOptions, ArchiveOptions)
    for name, names in spellings(group).items()
    if name in SETTINGS
    for spelling in names
]


@pytest.mark.parametrize(("spelling", "name"), RUN_OPTIONS, ids=[spelling for spelling, _ in RUN_OPTIONS])
def test_every_run_option_reaches_the_config(run, clients, tmp_path, spelling, name):
    (tmp_path / "ca.pem").write_text("")
    text, value = TEXTS.get(SETTINGS[name].kind, (str(tmp_path / "ca.pem"), tmp_path / "ca.pem"))
    done = run("download", "A", spelling, *([text] if text else []))

    assert done.code == 0, done.err
    assert getattr(clients.all[0].made_with.config, name) == value


@pytest.mark.parametrize("name", ["jobs", "skip_tape", "quota", "limit_rate"])
def test_an_option_that_is_not_given_leaves_the_config_file_its_say(run, clients, tmp_path, monkeypatch, name):
    text, value = TEXTS[SETTINGS[name].kind]
    written = {"jobs": text, "skip_tape": "true"}.get(name, f'"{text}"')
    (tmp_path / "config.toml").write_text(f"{name} = {written}\n")
    monkeypatch.setenv("PEPSASYNC_CONFIG", str(tmp_path / "config.toml"))

    assert run("download", "A").code == 0
    assert getattr(clients.all[0].made_with.config, name) == value


def test_zero_is_given(run, clients):
    assert run("download", "A", "--min-rate", "0").code == 0
    assert clients.all[0].made_with.config.min_rate == 0


@pytest.mark.parametrize(
    ("given", "pauses"),
    [
        pytest.param(["--wait", "2"], (None, 120.0), id="longest"),
        pytest.param(["--wait", "0.05"], (3.0, 3.0), id="shorter-than-the-usual-first-pause"),
        pytest.param(["--poll-interval", "90", "--wait", "1"], (90.0, 90.0), id="shorter-than-the-first-pause"),
        pytest.param(["--poll-interval", "90"], (90.0, 600.0), id="first"),
    ],
)
def test_first_and_longest_pause_fit_each_other(run, clients, given, pauses):
    assert run("download", "A", *given).code == 0

    config = clients.all[0].made_with.config
    assert (config.poll_interval, config.poll_interval_max) == pauses


@pytest.mark.parametrize("name", [one.name for one in fields(QueryOptions)])
def test_every_query_option_is_a_criterion(name):
    assert name in _CANONICAL.values()


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """Options as the groups declare them."""

    polarisation: Annotated[list[str], typer.Option("--polarisation", help="several")] = field(default_factory=list)
    orbit: Annotated[int | None, typer.Option("-o", "--orbit", help="one")] = None


def given_to(arguments, **kept):
    """The group that a command with `Wishes` gets."""
    taken = []

    def command(*, wishes: Wishes) -> None:
        taken.append(wishes)

    app = typer.Typer()
    app.command("go", cls=GroupedCommand)(flatten(**kept)(command))
    get_command(app).main(arguments, standalone_mode=False)
    return taken[0]


def test_a_list_takes_several_values_as_they_are():
    values = ["VV,VH", "@file.txt"]

    assert given_to(["--polarisation", values[0], "--polarisation", values[1]]).polarisation == values
    assert given_to([]).polarisation == []


def test_a_command_can_leave_out_spellings_and_options():
    assert given_to(["--orbit", "8"], without=("-o",)).orbit == 8
    assert given_to([], without=("-o", "--orbit")).orbit is None


@pytest.mark.parametrize("name", [one.name for one in fields(Query) if one.name not in ("names", "start", "end")])
def test_an_order_names_every_criterion(name):
    assert order_words({name: 5}) != "everything"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_short_option_is_a_first_letter_or_explained_in_the_help(run, command):
    text = " ".join(run(command, "--help").out.split())
    for option in make_command([command]).commands[command].params:
        if option.param_type_name == "option":
            initials = {name.lstrip("-")[0] for name in option.opts if name.startswith("--")}
            for short in (name for name in option.opts if not name.startswith("--")):
                assert short[1] in initials or f"{SHORT_OPTIONS[short]}" in text.partition("but for")[2]
