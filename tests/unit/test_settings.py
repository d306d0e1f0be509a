"""The config file: what it may hold, what is said about mistakes in it, and that it gives nothing away."""

import dataclasses
import warnings
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pepsasync.config import Config
from pepsasync.credentials import Credentials, ExposedSecretWarning
from pepsasync.credentials.private import HAS_MODES
from pepsasync.errors import ConfigError
from pepsasync.model import Quota
from pepsasync.providers import DEFAULT_PROVIDER, public_url
from pepsasync.settings import READERS, Settings, _parse, read_settings, settings_file

SECRET = "hunter2 with spaces"


@pytest.fixture
def read(tmp_path):
    """Read a text as the config file."""
    path = tmp_path / "config.toml"

    def read_text(text, mode=0o600):
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return read_settings({"PEPSASYNC_CONFIG": str(path)})

    return read_text


def test_every_field_of_config_can_be_set_but_the_part_that_each_program_is_told():
    assert {field.name for field in dataclasses.fields(Config)} - {"shard"} == READERS.keys()


def test_everything_reaches_the_config(read, tmp_path):
    (tmp_path / "ca.pem").write_text("")

    settings = read(
        """
        jobs = 3
        staging_jobs = 4
        in_flight = 100
        poll_interval = 30
        poll_interval_max = "10m"
        trials = 9
        staging_timeout = "3d"
        unknown_requests = 2
        retries = 5
        retry_wait = 0.5
        retry_wait_max = "1m"
        connect_timeout = 10
        read_timeout = "45s"
        quota = "50/24h"
        restore = true
        skip_tape = true
        limit_rate = "10MB"
        segments = 2
        ca_bundle = "ca.pem"
        """
    )

    expected = Config(
        jobs=3,
        staging_jobs=4,
        in_flight=100,
        poll_interval=30.0,
        poll_interval_max=600.0,
        trials=9,
        staging_timeout=259_200.0,
        unknown_requests=2,
        retries=5,
        retry_wait=0.5,
        retry_wait_max=60.0,
        connect_timeout=10.0,
        read_timeout=45.0,
        quota=Quota(50, 86_400.0),
        restore=True,
        skip_tape=True,
        limit_rate=10_000_000,
        segments=2,
        ca_bundle=tmp_path / "ca.pem",
    )
    assert expected == settings.config()
    assert settings.config(jobs=7) == dataclasses.replace(expected, jobs=7)


def test_empty_file_changes_nothing(read):
    settings = read(b"\xef\xbb\xbf# nothing yet\r\n")

    assert (settings.config(), settings.choose()) == (Config(), DEFAULT_PROVIDER)


def test_named_provider_comes_before_the_file(read):
    settings = read("provider = 'cdse'")

    assert (settings.choose(), settings.choose("peps"), Settings().choose()) == ("cdse", "peps", DEFAULT_PROVIDER)


def test_account_is_for_the_public_archive_only(read):
    settings = read(f"[peps]\nusername = 'you'\npassword = '{SECRET}'\n[geodes]\napi_key = 'key-0123'")

    assert settings.credentials("peps", settings.host("peps")) == Credentials("you", SECRET)
    assert settings.credentials("geodes", "geodes-portal.cnes.fr") == Credentials(api_key="key-0123")
    assert settings.credentials("peps", "other.example") is None
    assert settings.credentials("cdse", settings.host("cdse")) is None


def test_line_ends_after_an_account_are_no_part_of_it(read):
    text = f'[cdse]\nusername = "you\\n"\npassword = """ {SECRET} \r\n"""\n[geodes]\napi_key = "key-0123\\n"'
    settings = read(text)

    assert settings.credentials("cdse", settings.host("cdse")) == Credentials("you", f" {SECRET} ")
    assert settings.credentials("geodes", settings.host("geodes")) == Credentials(api_key="key-0123")


def test_account_of_another_instance_is_for_that_one_only(read):
    settings = read("[peps]\nbase_url = 'https://resto.example/resto'\nusername = 'you'\npassword = 'x'")

    assert (settings.base_urls, settings.host("peps")) == ({"peps": "https://resto.example/resto"}, "resto.example")
    assert settings.host("peps", "http://127.0.0.1:1/resto") == "127.0.0.1"
    assert settings.credentials("peps", "resto.example").username == "you"
    assert settings.credentials("peps", "peps.cnes.fr") is None
    assert settings.credentials("peps", "127.0.0.1") is None
    assert settings.host("geodes") in public_url("geodes")


def test_root_of_the_environment_comes_before_the_file_and_gets_no_account_of_it(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text('[cdse]\nbase_url = "https://own.example"\nusername = "you"\npassword = "hunter2"\n')
    path.chmod(0o600)
    settings = read_settings({"PEPSASYNC_CONFIG": str(path), "PEPSASYNC_CDSE_BASE_URL": "https://other.example"})

    assert settings.root("cdse") == "https://other.example"
    assert settings.host("cdse") == "other.example"
    assert settings.credentials("cdse", "other.example") is None
    assert settings.credentials("cdse", "own.example").username == "you"
    assert all(settings.names_root("cdse", f"https://{host}.example/") for host in ("own", "other"))
    assert not settings.names_root("cdse", "https://third.example")


def test_root_of_the_environment_that_is_none_is_named_by_its_variable():
    with pytest.raises(ConfigError, match="PEPSASYNC_PEPS_BASE_URL: the root of the archive contains a user") as caught:
        read_settings({"PEPSASYNC_PEPS_BASE_URL": "https://you:hunter2@archive.example"})

    assert "hunter2" not in str(caught.value)


def test_file_stands_in_the_config_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    path = settings_file({})
    assert read_settings({}) == read_settings({"PEPSASYNC_CONFIG": ""}) == Settings()

    path.parent.mkdir(parents=True)
    path.write_text("jobs = 3")

    assert tmp_path in path.parents
    assert (path.parent.name, path.name) == ("pepsasync", "config.toml")
    assert read_settings({}).config().jobs == 3


def test_user_without_a_home_has_no_file(monkeypatch):
    monkeypatch.setattr("pepsasync.settings.config_folder", lambda: None)

    assert read_settings({}) == Settings()


def test_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))

    assert tmp_path / "a.toml" == settings_file({"PEPSASYNC_CONFIG": "~/a.toml"})


@pytest.mark.parametrize(
    ("name", "message"), [("missing.toml", "PEPSASYNC_CONFIG: there is no file"), (".", "cannot read")]
)
def test_named_file_must_be_there(tmp_path, name, message):
    with pytest.raises(ConfigError, match=message):
        read_settings({"PEPSASYNC_CONFIG": str(tmp_path / name)})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("limit_rate = 10", "limit_rate: 10 without a unit would be 10 bytes", id="rate-without-unit"),
        pytest.param(
            "limit_rate = '10'", "limit_rate: 10 without a unit would be 10 bytes", id="rate-text-without-unit"
        ),
        pytest.param("threads = 3", "no setting 'threads'. Did you mean 'jobs'?", id="meaning"),
        pytest.param("jobz = 3", "there is no setting 'jobz'. Did you mean 'jobs'?", id="typo"),
        pytest.param("limit-rate = '1m'", "no setting 'limit-rate'. Did you mean 'limit_rate'?", id="hyphen"),
        pytest.param("[geods]", "no setting 'geods'. Did you mean 'geodes'?", id="table-typo"),
        pytest.param("xyzzy = 1", "no setting 'xyzzy'. Known are provider, jobs,", id="unknown"),
        pytest.param("[peps]\nuser = 'a'", "no setting of [peps] 'user'. Did you mean 'username'?", id="key-typo"),
        pytest.param("provider = 'nasa'", "no provider 'nasa'", id="provider"),
        pytest.param("provider = 1", "provider must be text", id="provider-type"),
        pytest.param("geodes = 'x'", "geodes must be a table. Write [geodes] on a line of its own", id="no-table"),
        pytest.param("[[geodes]]", "geodes must be a table", id="tables"),
        pytest.param("jobs = '3'", "jobs must be a whole number, not '3'", id="number-as-text"),
        pytest.param("jobs = 3.5", "jobs must be a whole number, not 3.5", id="fraction"),
        pytest.param("jobs = true", "jobs must be a whole number, not True", id="flag-as-number"),
        pytest.param("jobs = 0", "jobs must be at least 1, not 0", id="too-few"),
        pytest.param("skip_tape = 1", "skip_tape must be true or false, not 1", id="number-as-flag"),
        pytest.param("limit_rate = 'fast'", "limit_rate: 'fast' is not a size", id="size"),
        pytest.param("limit_rate = 1.5", "limit_rate must be a whole number, not 1.5", id="size-type"),
        pytest.param("poll_interval = 'soon'", "poll_interval: 'soon' is not a duration", id="duration"),
        pytest.param("poll_interval = nan", "poll_interval must be a number of seconds", id="nan"),
        pytest.param("poll_interval = -1", "poll_interval must be a number of seconds", id="negative"),
        pytest.param("poll_interval = 0", "poll-interval must be longer than 0", id="no-time"),
        pytest.param("retry_wait = 0", "retry-wait must be longer than 0 seconds", id="no-pause"),
        pytest.param("retry_wait_max = 0", "retry-wait-max must be longer than 0 seconds", id="no-longest-pause"),
        pytest.param("read_timeout = 12:00:00", "read_timeout must be a number of seconds", id="clock"),
        pytest.param("quota = 50", "quota must be products and time, such as '50/1h', not '50'", id="quota"),
        pytest.param("quota = '50/day'", "quota: 'day' is not a duration", id="quota-time"),
        pytest.param("quota = '0/1d'", "quota of 0 products", id="quota-none"),
        pytest.param("ca_bundle = 'missing.pem'", "missing.pem does not exist", id="ca"),
        pytest.param("[peps]\nbase_url = 'archive'", "'archive' is not the URL of an archive", id="url"),
        pytest.param("[peps]\nusername = 'you'", "[peps] has only one of username and password", id="half"),
        pytest.param("jobs = 3\njobs = 4", "is not TOML: look at or before its end", id="twice"),
        pytest.param("jobs = 3\ntrials = x\nretries = 2", "is not TOML: look at or before line 2", id="line"),
        pytest.param("jobs = [1,", "is not TOML: look at or before its end", id="end"),
        pytest.param(b"jobs = 3 # \xff", "is not UTF-8 text", id="bytes"),
    ],
)
def test_mistakes_are_named_with_file_and_key(read, tmp_path, text, message):
    with pytest.raises(ConfigError) as caught:
        read(text)

    assert message in str(caught.value)
    assert str(tmp_path / "config.toml") in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"[peps]\npassword = '{SECRET}'", id="half"),
        pytest.param("[peps]\nusername = 'you'\npassword = ['hunter2']", id="list"),
        pytest.param("[geodes]\napi_key = {key = 'hunter2'}", id="table"),
        pytest.param(f"[geodes]\napi_key = '{SECRET}'", id="key-with-blanks"),
        pytest.param("[geodes]\napi_key = hunter2", id="no-quotes"),
        pytest.param("[peps]\npassword = 'hunter2", id="open-quote"),
        pytest.param("[peps]\nbase_url = 'https://you:hunter2@host/'", id="url"),
        pytest.param("peps = 'hunter2'", id="no-table"),
    ],
)
def test_mistakes_give_no_secret_away(read, text):
    with pytest.raises(ConfigError) as caught:
        read(text)

    assert "hunter2" not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"


def test_settings_do_not_show_secrets(read):
    settings = read(f"[peps]\nusername = 'you'\npassword = '{SECRET}'\n[geodes]\napi_key = 'key-0123'")

    assert "you" in repr(settings)
    assert SECRET not in repr(settings)
    assert "key-0123" not in repr(settings)


@pytest.mark.skipif(not HAS_MODES, reason="files here do not say who may read them")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_secrets_that_others_may_read_are_warned_about(read, tmp_path, mode):
    with pytest.warns(ExposedSecretWarning, match=rf"Try: chmod 600 {tmp_path}/config\.toml") as caught:
        settings = read("[geodes]\napi_key = 'hunter2'", mode)

    assert settings.accounts["geodes"].api_key == "hunter2"
    assert "hunter2" not in str(caught[0].message)


def test_file_without_secrets_may_be_read_by_everybody(read):
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        assert read("jobs = 3\n[peps]\nbase_url = 'https://resto.example'", 0o644).config().jobs == 3


_VALUES = st.one_of(
    st.booleans(), st.integers(), st.floats(), st.text(), st.just([]), st.just({}), st.sampled_from(["10m", "5/1d"])
)


def refusal(read, *arguments):
    """What is said against a value, None when it is taken; anything but a `ConfigError` fails the test."""
    try:
        read(*arguments)
    except ConfigError as error:
        return str(error)
    return None


@given(name=st.sampled_from(sorted(READERS)), value=_VALUES)
@example(name="limit_rate", value="9" * 400)
@example(name="quota", value="9" * 5_000 + "/1d")
def test_any_value_is_taken_or_refused_by_name(name, value):
    assert name in (refusal(READERS[name], name, value) or name)


@given(st.text())
@example("a.b = 1")
@example("jobs = " + "9" * 5_000)
@example("jobs = " + "[" * 5_000)
def test_any_text_is_taken_or_refused_by_file(text):
    assert "config.toml" in (refusal(_parse, text, Path("config.toml")) or "config.toml")
