"""A folder that somebody else made: the archive that its journal names gets no account of the user's."""

import pytest

from archives import root, running
from fakes import product
from journals import write_journal
from pepsasync import Credentials
from pepsasync.credentials.stored import store
from pepsasync.folder.journal import State

NAMES = ("peps", "geodes", "cdse")


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("PEPSASYNC_PROVIDER", raising=False)


@pytest.fixture
def stranger():
    """An archive that only the journal of a folder knows."""
    with running(2, tape_fraction=0) as archive:
        yield archive


def foreign(folder, archive, *names):
    """A folder whose journal has an unfinished search, and a product that is missing."""
    roots = {name: root(archive, name) for name in names}
    products = {product("S1A_GONE", provider=names[0]): State.DELIVERED}
    options = {"provider": ",".join(names), "base_url": roots}
    return write_journal(folder, ({"collection": "S1"}, options, False, products))


def account(place, name, monkeypatch, folder):
    """Put an account where users may have one; returns options."""
    if place == "file":
        (folder / "account.txt").write_text("key" if name == "geodes" else "you hunter2")
        return ["-a", folder / "account.txt"]
    if place == "environment":
        fields = {"API_KEY": "key"} if name == "geodes" else {"USERNAME": "you", "PASSWORD": "hunter2"}
        for field, text in fields.items():
            monkeypatch.setenv(f"PEPSASYNC_{name.upper()}_{field}", text)
    elif place == "netrc":
        (folder / "home" / ".netrc").write_text("machine 127.0.0.1 login you password hunter2\n")
    else:
        store(name, "127.0.0.1", Credentials(api_key="key") if name == "geodes" else Credentials("you", "hunter2"))
    return []


def test_private_root_of_one_of_several_archives_is_kept(run, stranger, monkeypatch, tmp_path):
    """The other one was its public service, whose place a server of the tests takes."""
    monkeypatch.setenv("PEPSASYNC_GEODES_BASE_URL", root(stranger, "geodes"))
    monkeypatch.setenv("PEPSASYNC_GEODES_API_KEY", stranger.api_key)
    monkeypatch.setenv("PEPSASYNC_PEPS_USERNAME", stranger.username)
    monkeypatch.setenv("PEPSASYNC_PEPS_PASSWORD", stranger.password)
    options = {"provider": "geodes,peps", "base_url": {"peps": root(stranger, "peps")}}
    folder = write_journal(tmp_path / "data", ({"collection": "S1"}, options, False, {}))
    told = run("status", folder)
    refused = run("resume", folder)

    needed = f"--base-url ,{root(stranger, 'peps')}"
    assert f"'pepsasync resume {folder} {needed}' continues" in told.out
    assert refused.code == 2
    assert "names 127.0.0.1 for peps" in refused.err
    assert f"give {needed}, or set PEPSASYNC_PEPS_BASE_URL" in refused.err
    assert not stranger.statistics.requests

    staged = run("stage", "--provider", "geodes,peps", *needed.split(" "), "-c", "S1")
    assert staged.code == 0, staged.err
    assert "online: 1 product;" in staged.err

    done = run("resume", folder, *needed.split(" "))
    assert done.code == 0, done.err
    assert list(folder.glob("*.zip"))
    assert f"'pepsasync resume {folder}' continues" not in run("status", folder).out


def test_status_names_no_root_that_resume_does_not_need(run, stranger, monkeypatch, tmp_path):
    folder = foreign(tmp_path / "data", stranger, "peps")
    named = run("status", folder).out
    monkeypatch.setenv("PEPSASYNC_PEPS_BASE_URL", root(stranger, "peps"))

    assert (
        f"'pepsasync resume {folder} --base-url {root(stranger, 'peps')}' continues; your account is sent to that address: give it only if"
        in named
    )
    assert f"'pepsasync resume {folder}' continues" in run("status", folder).out


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", ["file", "environment", "netrc", "login"])
@pytest.mark.parametrize("command", [["resume"], ["verify", "--repair"]], ids=["resume", "verify"])
def test_root_that_only_the_folder_names_gets_no_account(run, stranger, monkeypatch, tmp_path, name, place, command):
    options = account(place, name, monkeypatch, tmp_path)
    done = run(*command, foreign(tmp_path / "data", stranger, name), *options)

    assert done.code == 2, done.err
    assert f"names 127.0.0.1 for {name}" in done.err
    assert f"--base-url {root(stranger, name)}" in done.err
    assert f"PEPSASYNC_{name.upper()}_BASE_URL" in done.err
    assert not stranger.statistics.requests


def test_no_root_of_several_may_be_foreign(run, stranger, monkeypatch, tmp_path):
    monkeypatch.setenv("PEPSASYNC_CDSE_BASE_URL", root(stranger, "cdse"))
    done = run("resume", foreign(tmp_path / "data", stranger, "cdse", "peps"))

    assert done.code == 2
    assert "names 127.0.0.1 for peps" in done.err
    assert not stranger.statistics.requests


@pytest.mark.parametrize("place", ["command line", "environment", "config file"])
def test_root_that_the_user_names_gets_the_account(run, stranger, monkeypatch, tmp_path, place):
    monkeypatch.setenv("PEPSASYNC_PEPS_USERNAME", stranger.username)
    monkeypatch.setenv("PEPSASYNC_PEPS_PASSWORD", stranger.password)
    url = f"{stranger.peps_url}/"  # a slash more makes no difference
    options = ["--base-url", url] if place == "command line" else []
    if place == "environment":
        monkeypatch.setenv("PEPSASYNC_PEPS_BASE_URL", url)
    if place == "config file":
        (tmp_path / "config" / "pepsasync").mkdir(parents=True)
        (tmp_path / "config" / "pepsasync" / "config.toml").write_text(f'[peps]\nbase_url = "{url}"\n')
    done = run("resume", foreign(tmp_path / "data", stranger, "peps"), *options)

    assert done.code == 0, done.err
    assert "this folder takes" not in done.err
    assert len(list((tmp_path / "data").glob("*.zip"))) > 0


@pytest.mark.parametrize("url", ["https://you:hunter2@archive.example", "nonsense", "http://archive.example"])
def test_what_is_no_root_is_refused_all_the_same(run, tmp_path, url):
    options = {"provider": "peps", "base_url": {"peps": url}}
    done = run("resume", write_journal(tmp_path / "data", ({"collection": "S1"}, options, False, {})))

    assert done.code == 2
    assert "hunter2" not in done.err
