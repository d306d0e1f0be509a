"""What `login` keeps: in a keyring, or else in a file that nobody else may read."""

import json
import os
import stat
import sys

import pytest

from pepsasync.credentials import Credentials, find_credentials
from pepsasync.credentials.private import HAS_MODES, write_private
from pepsasync.credentials.stored import KEYRING, forget, load, store, stored_file
from pepsasync.errors import ConfigError

HOST = "archive.example"
ACCOUNT = Credentials("you@example.org", "hunter2 with spaces")
KEY = Credentials(api_key="key-0123")

needs_modes = pytest.mark.skipif(not HAS_MODES, reason="files here do not say who may read them")


@pytest.fixture(autouse=True)
def config_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config"


@pytest.fixture
def ring():
    """A keyring that works; as on macOS, it cannot tell the users of a service."""
    keyring = pytest.importorskip("keyring")
    backend = pytest.importorskip("keyring.backend")

    class Ring(backend.KeyringBackend):
        priority = 1

        def __init__(self):
            super().__init__()
            self.entries = {}

        def get_password(self, service, username):
            return self.entries.get((service, username))

        def set_password(self, service, username, password):
            self.entries[service, username] = password

        def delete_password(self, service, username):
            del self.entries[service, username]

    before = keyring.get_keyring()
    ring = Ring()
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


@pytest.fixture
def listing_ring(ring):
    """A keyring that gives the first entry of a service, as most do."""
    simple = pytest.importorskip("keyring.credentials").SimpleCredential

    def first(service, username):
        return next((simple(u, p) for (s, u), p in ring.entries.items() if s == service), None)

    ring.get_credential = first
    return ring


@pytest.fixture(params=["null", "fail", "refuses", "not-installed"])
def no_ring(request, monkeypatch):
    """Every way in which there is no keyring."""
    if request.param == "not-installed":
        monkeypatch.setitem(sys.modules, "keyring", None)
        yield
        return
    keyring = pytest.importorskip("keyring")
    backends = {name: pytest.importorskip(f"keyring.backends.{name}").Keyring for name in ("null", "fail")}

    class Refuses(backends["null"]):
        priority = -1

        def get_password(self, service, username):
            raise OSError("no bus, hunter2")

        set_password = get_password

    before = keyring.get_keyring()
    keyring.set_keyring(backends.get(request.param, Refuses)())
    yield
    keyring.set_keyring(before)


@pytest.mark.parametrize("credentials", [ACCOUNT, KEY], ids=["pair", "key"])
def test_keyring_gives_back_what_it_got(ring, credentials):
    assert store("peps", HOST, credentials) == KEYRING

    assert load("peps", HOST) == credentials
    assert [("pepsasync:peps", HOST)] == list(ring.entries)
    assert not stored_file().exists()


@pytest.mark.parametrize("credentials", [ACCOUNT, KEY], ids=["pair", "key"])
@pytest.mark.usefixtures("no_ring")
def test_file_gives_back_what_it_got(credentials):
    assert store("peps", HOST, credentials) == str(stored_file())

    assert load("peps", HOST) == credentials


@pytest.mark.usefixtures("no_ring")
def test_nothing_is_kept_for_other_hosts_and_providers():
    store("peps", HOST, ACCOUNT)

    assert load("peps", "other.example") is None
    assert load("geodes", HOST) is None


def test_keyring_entries_are_for_their_host_only(listing_ring):
    store("peps", HOST, ACCOUNT)

    assert load("peps", "other.example") is None
    assert load("geodes", HOST) is None
    assert forget("peps", "other.example") == []
    assert load("peps", HOST) == ACCOUNT


@pytest.mark.usefixtures("no_ring")
def test_file_holds_many_accounts_and_goes_with_the_last():
    store("peps", HOST, ACCOUNT)
    store("peps", "other.example", Credentials("me", "x"))
    store("geodes", HOST, KEY)

    assert forget("peps", HOST) == [str(stored_file())]
    assert (load("peps", HOST), load("peps", "other.example").username, load("geodes", HOST)) == (None, "me", KEY)
    assert forget("peps", HOST) == []
    assert forget("peps", "other.example") == forget("geodes", HOST) == [str(stored_file())]
    assert list(stored_file().parent.iterdir()) == []


def test_login_replaces_what_was_there(ring):
    store("peps", HOST, ACCOUNT)
    store("peps", HOST, Credentials("me", "x"))

    assert load("peps", HOST) == Credentials("me", "x")
    assert len(ring.entries) == 1


def test_keyring_that_works_again_takes_over_from_the_file(ring, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setitem(sys.modules, "keyring", None)
        store("peps", HOST, Credentials("old", "x"))
    assert load("peps", HOST).username == "old"

    store("peps", HOST, ACCOUNT)

    assert load("peps", HOST) == ACCOUNT
    assert not stored_file().exists()


def test_full_keyring_does_not_hide_the_file(ring, monkeypatch):
    store("peps", HOST, Credentials("old", "x"))
    monkeypatch.setattr(ring, "set_password", lambda *_: 1 / 0)

    assert store("peps", HOST, ACCOUNT) == str(stored_file())
    assert load("peps", HOST) == ACCOUNT


def test_forgetting_clears_both_places(ring, monkeypatch):
    store("peps", HOST, ACCOUNT)
    with monkeypatch.context() as broken:
        broken.setitem(sys.modules, "keyring", None)
        store("peps", HOST, ACCOUNT)

    assert forget("peps", HOST) == [KEYRING, str(stored_file())]
    assert (load("peps", HOST), ring.entries, forget("peps", HOST)) == (None, {}, [])


def test_entry_made_by_hand_is_read_and_forgotten(listing_ring):
    listing_ring.set_password("pepsasync:peps", "you@example.org", "hunter2 with spaces")

    assert load("peps", HOST) == ACCOUNT
    assert forget("peps", HOST) == [KEYRING]
    assert listing_ring.entries == {}


def test_kept_account_comes_between_environment_and_netrc(ring, tmp_path):
    (tmp_path / "netrc").write_text(f"machine {HOST} login n password p")
    store("peps", HOST, ACCOUNT)
    environ = {"PEPSASYNC_PEPS_USERNAME": "env", "PEPSASYNC_PEPS_PASSWORD": "x"}

    def find(**options):
        return find_credentials("peps", HOST, netrc_path=tmp_path / "netrc", **options).username

    assert (find(environ=environ), find(environ={})) == ("env", "you@example.org")
    forget("peps", HOST)
    assert find(environ={}) == "n"


@needs_modes
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
@pytest.mark.usefixtures("no_ring")
def test_file_is_private_from_its_first_byte(umask, monkeypatch):
    modes = []
    fsync = os.fsync

    def look(handle):
        modes.append(stat.S_IMODE(os.fstat(handle).st_mode))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", look)
    before = os.umask(umask)
    try:
        store("peps", HOST, ACCOUNT)
        store("peps", "other.example", ACCOUNT)
    finally:
        os.umask(before)

    assert [0o600, 0o600] == modes
    assert stat.S_IMODE(stored_file().stat().st_mode) == 0o600
    assert stat.S_IMODE(stored_file().parent.stat().st_mode) & 0o077 == 0


@pytest.mark.usefixtures("no_ring")
def test_failed_write_leaves_the_old_file_and_nothing_else(monkeypatch):
    store("peps", HOST, ACCOUNT)

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match=r"cannot write .*credentials\.json: No space left") as caught:
        store("peps", HOST, Credentials("me", "x-secret"))

    assert "x-secret" not in str(caught.value)
    assert load("peps", HOST) == ACCOUNT
    assert list(stored_file().parent.iterdir()) == [stored_file()]


@needs_modes
def test_nothing_is_written_where_modes_mean_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("pepsasync.credentials.private.is_exposed", lambda path: True)

    with pytest.raises(ConfigError, match="others can read files in"):
        write_private(tmp_path / "file", "hunter2")

    assert list(tmp_path.iterdir()) == []


@needs_modes
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o602])
@pytest.mark.usefixtures("no_ring")
def test_file_that_others_may_read_is_refused(mode):
    store("peps", HOST, ACCOUNT)
    stored_file().chmod(mode)

    for use in (lambda: load("peps", HOST), lambda: store("peps", HOST, KEY), lambda: forget("peps", HOST)):
        with pytest.raises(ConfigError, match="others may read your credentials") as caught:
            use()
        assert caught.value.hint == f"Try: chmod 600 {stored_file()}"


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xfe", b"hunter2", b"[]", b'{"peps": "hunter2"}', b'{"peps": {"archive.example": "hunter2"}}'],
)
@pytest.mark.usefixtures("no_ring")
def test_broken_file_is_refused_without_showing_it(data):
    write_private(stored_file(), "")
    stored_file().write_bytes(data)

    with pytest.raises(ConfigError, match=r"credentials\.json is broken") as caught:
        load("peps", HOST)

    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.usefixtures("no_ring")
def test_half_an_account_in_the_file_is_none(config_home):
    write_private(stored_file(), json.dumps({"peps": {HOST: {"username": "you", "password": 5}}}))

    assert load("peps", HOST) is None


@pytest.mark.usefixtures("no_ring")
def test_user_without_a_home_has_no_account_and_can_keep_none(monkeypatch):
    monkeypatch.setattr("pepsasync.credentials.stored.config_folder", lambda: None)

    assert load("peps", HOST) is None
    assert forget("peps", HOST) == []
    with pytest.raises(ConfigError, match="neither a keyring nor a home folder"):
        store("peps", HOST, ACCOUNT)
