"""Accounts on the command line: asked for, checked, kept, used, removed, and never shown."""

import contextlib
import json
import os
import stat
import subprocess
import sys
from types import SimpleNamespace

import pytest

from archives import sandbox
from pepsasync.credentials import Credentials
from pepsasync.credentials.private import HAS_MODES
from pepsasync.credentials.stored import load, stored_file
from pepsasync.errors import AuthError, UnreachableError
from pepsasync.model import Account
from pepsasync.settings import settings_file

SECRET = "hunter2 with spaces"

KEYRING = """
import json, os, pathlib
from keyring.backend import KeyringBackend
class Keyring(KeyringBackend):
    priority = 1
    file = pathlib.Path(os.environ["RING"])
    def get_password(self, service, username):
        return self._all().get(f"{service} {username}")
    def set_password(self, service, username, password):
        self.file.write_text(json.dumps(self._all() | {f"{service} {username}": password}))
    def delete_password(self, service, username):
        everything = self._all()
        del everything[f"{service} {username}"]
        self.file.write_text(json.dumps(everything))
    def _all(self):
        return json.loads(self.file.read_text()) if self.file.exists() else {}
"""
"""A keyring that lasts from one process to the next."""

ON_TERMINAL = """
import os, sys
terminal = os.open(sys.argv[1], os.O_RDWR)  # the first one that a session's leader opens becomes its terminal
os.dup2(terminal, 0)
os.dup2(terminal, 2)
os.execv(sys.executable, [sys.executable, "-m", "pepsasync", *sys.argv[2:]])
"""


@pytest.fixture(autouse=True)
def config_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("PEPSASYNC_PROVIDER", raising=False)


@pytest.fixture
def typed(monkeypatch):
    """Lines on standard input of this process."""

    def type_in(*lines):
        reader = SimpleNamespace(
            isatty=lambda: False, readline=iter([*(f"{line}\n" for line in lines), "", ""]).__next__
        )
        monkeypatch.setattr("sys.stdin", reader)

    return type_in


@pytest.fixture
def answers(clients):
    """What the archive says of the next account."""

    def answer(told):
        async def account():
            if isinstance(told, Exception):
                raise told
            return told

        clients.prepare = lambda client: setattr(client.provider, "account", account)

    return answer


def configure(text, mode=0o600):
    path = settings_file({})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def program(*arguments, lines="", flags=("-W", "error", "-W", "ignore::ResourceWarning"), **environ):
    """Run the program in a process of its own; its output holds no secret."""
    command = [sys.executable, *flags, "-m", "pepsasync", *map(str, arguments)]
    done = subprocess.run(
        command, input=lines, capture_output=True, text=True, env=os.environ | environ, timeout=60, check=False
    )
    assert SECRET not in done.stdout + done.stderr
    return done


def test_account_is_kept_used_and_removed(archive, tmp_path):
    where = ("peps", "--base-url", archive.peps_url)
    query = ("--provider", *where, "-c", "S1", "--limit", "1", "-w", tmp_path / "data", "--poll-interval", "0.1")

    done = program("login", *where, lines=f"{archive.username}\n{archive.password}\n")
    assert (done.returncode, done.stdout) == (0, "")
    assert "peps accepts this account" in done.stderr
    assert f"stored for peps (127.0.0.1) in {stored_file()}" in done.stderr
    assert archive.password not in done.stderr
    assert load("peps", "127.0.0.1") == Credentials(archive.username, archive.password)
    if HAS_MODES:
        assert stat.S_IMODE(stored_file().stat().st_mode) == 0o600

    assert program("fetch", *query).returncode == 0
    assert len(list((tmp_path / "data").glob("*.zip"))) == 1

    done = program("logout", *where)
    assert (done.returncode, done.stdout) == (0, "")
    assert f"removed what was stored for peps (127.0.0.1) from {stored_file()}" in done.stderr
    assert not stored_file().exists()
    assert program("fetch", *query[:-4], "-w", tmp_path / "more").returncode == 3


def test_account_goes_into_the_keyring_where_there_is_one(archive, tmp_path):
    pytest.importorskip("keyring")
    (tmp_path / "lasting.py").write_text(KEYRING)
    ring = {
        "PYTHONPATH": str(tmp_path),
        "PYTHON_KEYRING_BACKEND": "lasting.Keyring",
        "RING": str(tmp_path / "ring.json"),
    }
    where = ("peps", "--base-url", archive.peps_url)

    done = program("login", *where, lines=f"{archive.username}\n{archive.password}\n", **ring)
    assert done.returncode == 0
    assert "in the keyring of this system" in done.stderr
    assert ["pepsasync:peps 127.0.0.1"] == list(json.loads((tmp_path / "ring.json").read_text()))
    assert not stored_file().exists()

    done = program("logout", *where, **ring)
    assert done.returncode == 0
    assert "from the keyring of this system" in done.stderr
    assert json.loads((tmp_path / "ring.json").read_text()) == {}


def test_refused_account_is_not_kept(archive):
    done = program("login", "peps", "--base-url", archive.peps_url, lines=f"{archive.username}\n{SECRET}\n")

    assert done.returncode == 3
    assert done.stderr.startswith("nothing was stored\npepsasync: error: ")
    assert not stored_file().exists()


def test_account_that_cannot_be_checked_is_not_kept(run, clients, typed, answers):
    typed("you@example.org", SECRET)
    answers(UnreachableError("no connection"))

    done = run("login", "peps")

    assert done.code == 4
    assert "nothing was stored; --no-check stores without asking the archive" in done.err
    assert not stored_file().exists()


def test_an_account_is_for_one_archive(run, monkeypatch):
    monkeypatch.setenv("PEPSASYNC_PROVIDER", "geodes,cdse")

    done = run("logout")

    assert done.code == 2
    assert "Name one of geodes, cdse" in done.err


def test_terminal_does_not_show_what_is_typed(archive):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", ON_TERMINAL, os.ttyname(theirs), "login", "peps", "--base-url", archive.peps_url]
    with subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        seen = b""
        for prompt, answer in ((b"(e-mail):", archive.username), (b"Password:", archive.password)):
            while prompt not in seen:
                seen += os.read(ours, 1024)
            os.write(ours, f"{answer}\n".encode())
        assert process.wait() == 0
        os.close(theirs)
        seen += os.read(ours, 4096)
        os.close(ours)

    assert archive.username.encode() in seen
    assert archive.password.encode() not in seen
    assert load("peps", "127.0.0.1") == Credentials(archive.username, archive.password)


def test_key_is_asked_for_where_the_archive_wants_one(run, clients, typed, answers):
    typed(" key-0123 ")
    answers(Account(quota_left=1_200))

    done = run("login", "geodes")

    assert done.code == 0
    assert "geodes accepts this account; 1,200 products may be downloaded now" in done.err
    assert load("geodes", "geodes-portal.cnes.fr") == Credentials(api_key="key-0123")
    assert clients.all[0].made_with.credentials == Credentials(api_key="key-0123")
    assert clients.all[0].made_with.config.retries == 2


def test_archive_is_not_asked_when_that_is_not_wanted(run, clients, typed):
    typed("you@example.org", SECRET)

    assert run("login", "cdse", "--no-check", "-q").err == ""

    assert clients.all == []
    assert load("cdse", "catalogue.dataspace.copernicus.eu") == Credentials("you@example.org", SECRET)


def test_private_instance_has_accounts_of_its_own(run, typed):
    typed("you@example.org", SECRET)

    assert run("login", "peps", "--no-check", "--base-url", "https://resto.example/resto").code == 0

    assert load("peps", "peps.cnes.fr") is None
    assert load("peps", "resto.example").username == "you@example.org"
    assert "nothing is stored for peps (peps.cnes.fr)" in run("logout", "peps").err
    assert load("peps", "resto.example").username == "you@example.org"


def test_environment_that_comes_first_is_told(run, typed, monkeypatch):
    monkeypatch.setenv("PEPSASYNC_PEPS_USERNAME", "env@example.org")
    monkeypatch.setenv("PEPSASYNC_PEPS_PASSWORD", "hunter3")
    typed("you@example.org", SECRET)

    done = run("login", "peps", "--no-check")
    assert "note: the environment also holds an account for peps, which is used first" in done.err
    assert "hunter3" not in done.err

    done = run("logout", "peps")
    assert done.code == 0
    assert "removed what was stored for peps" in done.err
    assert "note: the environment, ~/.netrc or the config file still holds an account for peps" in done.err


def test_nothing_to_remove_is_no_failure(run):
    done = run("logout", "peps")

    assert (done.code, done.out) == (0, "")
    assert done.err == "nothing is stored for peps (peps.cnes.fr)\n"


@pytest.mark.parametrize(
    ("arguments", "lines", "message"),
    [
        pytest.param(["nasa"], (), "no provider 'nasa'", id="provider"),
        pytest.param(["peps", "--base-url", "archive"], (), "not the URL of an archive", id="url"),
        pytest.param(["peps", "--no-check"], (), "no answer to: User name", id="no-lines"),
        pytest.param(["peps", "--no-check"], ("you",), "no answer to: Password", id="one-line"),
        pytest.param(["geodes", "--no-check"], ("",), "no answer to: API key", id="empty-line"),
        pytest.param(["geodes", "--no-check"], (SECRET,), "invalid characters", id="bad-key"),
        pytest.param(["peps", "-a", "peps.txt"], (), "there is no option -a", id="auth"),
    ],
)
def test_bad_logins_end_with_2_and_keep_nothing(run, typed, arguments, lines, message):
    typed(*lines)

    done = run("login", *arguments)

    assert done.code == 2
    assert message in done.err
    assert "hunter2" not in done.err
    assert not stored_file().exists()


def test_traceback_does_not_show_secrets(run, clients, typed, answers):
    typed("you@example.org", SECRET)
    answers(AuthError("refused"))

    done = run("login", "peps", "-vv")

    assert done.code == 3
    assert "Traceback" in done.err
    assert SECRET not in done.err


@pytest.mark.skipif(not HAS_MODES, reason="files here do not say who may read them")
def test_kept_file_that_others_may_read_is_refused(run, typed):
    typed("you@example.org", SECRET)
    run("login", "peps", "--no-check")
    stored_file().chmod(0o644)

    done = run("logout", "peps")

    assert done.code == 2
    assert f"others may read your credentials in {stored_file()}. Try: chmod 600 " in done.err


@pytest.mark.skipif(not HAS_MODES, reason="files here do not say who may read them")
def test_config_file_that_others_may_read_is_warned_about_in_one_line():
    path = configure("provider = 'geodes'\n[geodes]\napi_key = 'hunter2'", 0o644)

    done = program("collections", "peps", flags=())

    assert done.returncode == 0
    assert done.stderr == f"pepsasync: warning: others may read the credentials in {path}. Try: chmod 600 {path}\n"


@pytest.mark.skipif(not HAS_MODES, reason="files here do not say who may read them")
def test_config_file_that_others_may_read_is_warned_about_once(archive, tmp_path):
    configure(f"[peps]\nbase_url = '{archive.peps_url}'\nusername = 'you'\npassword = 'hunter2'", 0o644)

    done = program("search", "--provider", "peps", "-d", "2015-01-01", flags=())

    assert done.returncode == 0, done.stderr
    assert done.stderr.count("others may read the credentials") == 1


def test_login_is_for_the_provider_of_the_config_file(run, typed):
    configure("provider = 'peps'\n[peps]\nbase_url = 'https://resto.example/resto'")
    typed("you@example.org", SECRET)

    done = run("login", "--no-check")

    assert "stored for peps (resto.example)" in done.err


def test_account_of_the_config_file_is_used(archive, tmp_path):
    configure(
        f"""
        provider = "peps"
        poll_interval = 0.1
        [peps]
        base_url = "{archive.peps_url}"
        username = "{archive.username}"
        password = "{archive.password}"
        """
    )

    assert program("fetch", "-c", "S1", "--limit", "1", "-w", tmp_path / "data").returncode == 0

    assert len(list((tmp_path / "data").glob("*.zip"))) == 1


def test_config_file_gives_the_defaults_of_options(run, clients):
    configure(
        "provider = 'peps'\njobs = 3\nstaging_jobs = 2\nlimit_rate = '10MB'\n[peps]\nbase_url = 'https://a.example'"
    )

    assert run("fetch", "-c", "S1", "-j", "5").code == 0

    made = clients.all[0].made_with
    assert (made.provider, made.base_url) == ("peps", "https://a.example")
    assert (made.config.jobs, made.config.staging_jobs, made.config.limit_rate) == (5, 2, 10_000_000)


@pytest.mark.parametrize(
    ("arguments", "environ", "provider"),
    [
        pytest.param([], {}, "cdse", id="file"),
        pytest.param([], {"PEPSASYNC_PROVIDER": "geodes"}, "geodes", id="environment"),
        pytest.param(["--provider", "peps"], {"PEPSASYNC_PROVIDER": "geodes"}, "peps", id="option"),
    ],
)
def test_option_comes_before_environment_before_file(run, clients, monkeypatch, arguments, environ, provider):
    configure("provider = 'cdse'")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    run("fetch", "-c", "S1", *arguments)

    assert clients.all[0].made_with.provider == provider


def test_root_of_the_command_line_comes_before_the_file(run, clients):
    configure("provider = 'peps'\n[peps]\nbase_url = 'https://a.example'")

    run("fetch", "-c", "S1", "--base-url", "https://b.example")

    assert clients.all[0].made_with.base_url == "https://b.example"


def test_auth_file_of_an_archive_with_keys_holds_the_key(run, clients, tmp_path):
    (tmp_path / "geodes.txt").write_text("key-0123\n")
    (tmp_path / "peps.txt").write_text(f"you@example.org {SECRET}\n")

    assert run("fetch", "-c", "S1", "--provider", "geodes", "-a", tmp_path / "geodes.txt").code == 0
    assert clients.all[0].made_with.credentials == Credentials(api_key="key-0123")

    done = run("fetch", "-c", "S1", "--provider", "geodes", "-a", tmp_path / "peps.txt")
    assert done.code == 2
    assert "geodes needs one API key" in done.err
    assert "hunter2" not in done.err


@pytest.mark.parametrize("command", ["fetch -c S1", "search -c S1", "login peps", "logout peps", "collections"])
def test_broken_config_file_ends_with_2_and_one_clear_line(run, command):
    path = configure("jobz = 3")

    done = run(*command.split())

    assert done.code == 2
    assert done.err == f"pepsasync: error: {path}: there is no setting 'jobz'. Did you mean 'jobs'?\n"


@pytest.mark.skipif(not HAS_MODES, reason="files here do not say who may read them")
@pytest.mark.parametrize("place", ["file", "netrc"])
def test_account_that_others_may_read_is_used_and_warned_of_once(archive, tmp_path, place):
    (tmp_path / "home").mkdir()
    path = tmp_path / "home" / ".netrc" if place == "netrc" else tmp_path / "account.txt"
    account = (archive.username, archive.password)
    text = "machine 127.0.0.1 login {} password {}" if place == "netrc" else "{} {}"
    path.write_text(text.format(*account))
    path.chmod(0o644)
    options = ["-a", path] if place == "file" else []
    where = ["--provider", "peps", "--base-url", archive.peps_url, "-c", "S1", "--limit", "1", "--poll-interval", "0.1"]
    done = program("fetch", *where, "-w", tmp_path / "data", *options)

    assert done.returncode == 0, done.stderr
    assert done.stderr.count(f"warning: others may read the credentials in {path}. Try: chmod 600 {path}") == 1
    assert done.stderr.count("others may read") == 1


def test_a_token_is_taken_in_place_of_a_password(run, typed):
    with running(sandbox(2)) as archive:
        typed("token", archive.asf_token)
        done = run("login", "asf", "--base-url", archive.asf_url)

    assert 0 == done.code, done.err
    assert "asf accepts this account" in done.err
    assert archive.asf_token not in done.out + done.err
    assert Credentials(api_key=archive.asf_token) == load("asf", "127.0.0.1")


def test_terms_are_accepted_only_when_that_is_asked_for(run, typed):
    with running(sandbox(2, wekeo_terms=False)) as archive:
        address = ("--base-url", archive.wekeo_url)
        typed(archive.username, archive.password)
        without = run("login", "wekeo", *address)
        search = run("search", "--provider", "wekeo", "-c", "S1", *address)
        typed(archive.username, archive.password)
        done = run("login", "wekeo", "--accept-terms", *address)
        again = run("search", "--provider", "wekeo", "-c", "S1", *address)

    assert (0, 3, 0, 0) == (without.code, search.code, done.code, again.code), (search.err, again.err)
    assert "Copernicus_Sentinel_License" in search.err
    assert "accepted for this account" not in without.err
    shown, accepted = "to be accepted: Copernicus Sentinel Data", "accepted for this account: Copernicus Sentinel Data"
    assert done.err.index(shown) < done.err.index("to be accepted: EUMETSAT") < done.err.index(accepted)


def test_other_archives_have_no_terms_to_accept(run, typed):
    typed("who", SECRET)
    done = run("login", "cdse", "--accept-terms")

    assert 2 == done.code
    assert "no terms that a program can accept" in done.err


@contextlib.contextmanager
def running(archive):
    archive.start()
    try:
        yield archive
    finally:
        archive.stop()
