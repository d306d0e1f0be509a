import os
import sys
import types
import warnings
from pathlib import Path

import pytest

from pepsasync.credentials import Credentials, ExposedSecretWarning, find_credentials, host_of, read_auth_file
from pepsasync.credentials.private import HAS_MODES
from pepsasync.credentials.stored import store
from pepsasync.errors import ConfigError
from pepsasync.settings import read_settings, settings_file

SECRET = "hunter2 with spaces"


def write(path, data):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(f"you@example.org {SECRET}", id="plain"),
        pytest.param(f"you@example.org {SECRET}\n", id="newline"),
        pytest.param(f"you@example.org {SECRET}\r\n", id="crlf"),
        pytest.param(f"\ufeffyou@example.org {SECRET}\n", id="bom"),
        pytest.param(f"you@example.org\t{SECRET}\n", id="tab"),
        pytest.param(f"\n  you@example.org   {SECRET}  \n\n", id="blanks"),
        pytest.param(f"you@example.org {SECRET}\nsomething else\n", id="more-lines"),
    ],
)
def test_auth_file_is_read_as_editors_leave_it(tmp_path, data):
    actual = read_auth_file(write(tmp_path / "peps.txt", data))

    assert Credentials("you@example.org", SECRET) == actual


def test_auth_file_may_hold_any_letter(tmp_path):
    assert read_auth_file(write(tmp_path / "peps.txt", "you@example.org pässwörd")).password == "pässwörd"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param("", "is empty", id="empty"),
        pytest.param("\n \n", "is empty", id="blank"),
        pytest.param(SECRET.split(maxsplit=1)[0], "has one word only", id="one-word"),
        pytest.param(b"you@example.org \xff\xfe", "is not UTF-8", id="binary"),
    ],
)
def test_auth_file_that_cannot_be_used_is_refused_without_showing_it(tmp_path, data, message):
    with pytest.raises(ConfigError, match=message) as caught:
        read_auth_file(write(tmp_path / "peps.txt", data))

    assert "hunter2" not in str(caught.value)
    assert "e-mail address, a space, the password" in caught.value.hint


@pytest.mark.parametrize("name", ["missing.txt", "."])
def test_auth_file_that_cannot_be_read_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match="cannot read the credentials file"):
        read_auth_file(tmp_path / name)


@pytest.mark.parametrize("show", [str, repr, "{}".format, "{!r}".format])
def test_secrets_are_never_shown(show):
    text = show(Credentials("you", SECRET, "key-0123"))

    assert "you" in text
    assert SECRET not in text
    assert "key-0123" not in text


@pytest.mark.parametrize("data", ["key-0123", "key-0123\n", "\ufeff  key-0123 \r\n\n"])
def test_auth_file_of_an_archive_with_keys_holds_the_key(tmp_path, data):
    actual = read_auth_file(write(tmp_path / "geodes.txt", data), "geodes")

    assert Credentials(api_key="key-0123") == actual


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param("", "is empty", id="empty"),
        pytest.param(f"you@example.org {SECRET}", "more than one word; geodes needs one API key", id="pair"),
        pytest.param("hunter2-ключ", "the API key has invalid characters", id="letters"),
    ],
)
def test_auth_file_without_a_key_is_refused_without_showing_it(tmp_path, data, message):
    with pytest.raises(ConfigError, match=message) as caught:
        read_auth_file(write(tmp_path / "geodes.txt", data), "geodes")

    assert "hunter2" not in str(caught.value)
    assert "key" in caught.value.hint.lower() or "Copy it again" in caught.value.hint


@pytest.mark.parametrize("key", ["key 0123", "key\n", "key\x00", "ключ"])
def test_key_that_cannot_be_sent_is_refused_without_showing_it(key):
    with pytest.raises(ConfigError, match="invalid characters") as caught:
        Credentials(api_key=key)

    assert key not in str(caught.value)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_line_ends_after_an_account_in_the_environment_are_no_part_of_it(end):
    environ = {"PEPSASYNC_CDSE_USERNAME": f"you{end}", "PEPSASYNC_CDSE_PASSWORD": f" {SECRET} {end}"}

    assert Credentials("you", f" {SECRET} ") == find_credentials("cdse", "host", environ=environ)


def test_account_of_line_ends_in_the_environment_is_none(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "keyring", None)
    environ = {"PEPSASYNC_CDSE_USERNAME": "\n", "PEPSASYNC_CDSE_PASSWORD": "\r\n"}

    assert find_credentials("cdse", "host", environ=environ, netrc_path=tmp_path / "none") is None


@pytest.mark.parametrize("secret", [{"api_key": "key"}, {"username": "u", "password": "key"}, {"password": "key"}])
def test_key_is_whichever_secret_there_is(secret):
    assert "key" == Credentials(**secret).key()


@pytest.mark.parametrize("password", ["hunter2\n", "hunter 2", "hunter2\x00", "hunter2ключ"])
def test_password_that_cannot_be_sent_as_key_is_refused_without_showing_it(password):
    credentials = Credentials("you", password)

    with pytest.raises(ConfigError, match="invalid characters") as caught:
        credentials.key()
    assert "hunter" not in f"{caught.value!r} {caught.value}"


def test_line_end_after_a_key_in_the_environment_is_no_part_of_it():
    actual = find_credentials("geodes", "host", environ={"PEPSASYNC_GEODES_API_KEY": "key-0123\n"})

    assert Credentials(api_key="key-0123") == actual


def test_config_file_comes_last(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", None)
    configured = Credentials("configured", "x")
    netrc = write(tmp_path / "netrc", "machine host login n password p")

    def find(host):
        return find_credentials("peps", host, environ={}, netrc_path=netrc, configured=configured).username

    assert (find("host"), find("other")) == ("n", "configured")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://peps.cnes.fr/resto", "peps.cnes.fr"),
        ("https://PEPS.cnes.fr:443", "peps.cnes.fr"),
        ("http://[::1]:8765/resto", "::1"),
    ],
)
def test_host_is_that_of_the_url(url, host):
    assert host == host_of(url)


@pytest.mark.parametrize(
    "url",
    ["archive", "ftp://host/", "https://", "https://[::1/", "https://you:hunter2@host", "https:/you:hunter2@host"],
)
def test_what_is_no_root_is_refused_without_showing_secrets(url):
    with pytest.raises(ConfigError) as caught:
        host_of(url)

    assert "hunter2" not in str(caught.value)


def test_environment_is_that_of_the_provider():
    environ = {
        "PEPSASYNC_PEPS_USERNAME": "you",
        "PEPSASYNC_PEPS_PASSWORD": "secret",
        "PEPSASYNC_GEODES_API_KEY": "key",
    }

    assert find_credentials("peps", "host", environ=environ) == Credentials("you", "secret")
    assert find_credentials("geodes", "host", environ=environ) == Credentials(api_key="key")


@pytest.mark.parametrize("given", ["USERNAME", "PASSWORD"])
def test_half_a_pair_in_the_environment_is_refused(given):
    with pytest.raises(ConfigError, match=rf"PEPSASYNC_PEPS_{given} is set, but") as caught:
        find_credentials("peps", "host", environ={f"PEPSASYNC_PEPS_{given}": SECRET})

    assert SECRET not in str(caught.value)


def test_keyring_comes_before_netrc(tmp_path, monkeypatch):
    keyring = types.ModuleType("keyring")
    keyring.get_password = lambda service, username: None
    keyring.get_credential = lambda service, _: types.SimpleNamespace(username=service, password="secret")
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    netrc = write(tmp_path / "netrc", "machine host login n password p")

    actual = find_credentials("peps", "host", environ={}, netrc_path=netrc)

    assert Credentials("pepsasync:peps", "secret") == actual


def test_broken_keyring_is_passed_over(tmp_path, monkeypatch):
    def get_password(service, username):
        raise RuntimeError("no bus")

    keyring = types.ModuleType("keyring")
    keyring.get_password = get_password
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    netrc = write(tmp_path / "netrc", "machine host login n password p")

    assert find_credentials("peps", "host", environ={}, netrc_path=netrc) == Credentials("n", "p")


def test_missing_keyring_is_passed_over(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "keyring", None)

    assert find_credentials("peps", "host", environ={}, netrc_path=tmp_path / "none") is None


def test_netrc_is_for_its_host_only(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", None)
    netrc = write(tmp_path / "netrc", "machine other login n password p")

    assert find_credentials("peps", "host", environ={}, netrc_path=netrc) is None


def test_broken_netrc_is_refused_without_showing_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", None)
    netrc = write(tmp_path / "netrc", "machine host login n passwort hunter2\n")

    with pytest.raises(ConfigError, match="cannot be understood at line 1") as caught:
        find_credentials("peps", "host", environ={}, netrc_path=netrc)

    assert "hunter2" not in str(caught.value)


def test_netrc_of_the_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", None)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    write(tmp_path / ".netrc", "machine host login n password p").chmod(0o600)

    assert find_credentials("peps", "host", environ={}) == Credentials("n", "p")


@pytest.fixture
def no_keyring(monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", None)


CATALOGUE = "catalogue.dataspace.copernicus.eu"


@pytest.mark.parametrize(
    "machine",
    [
        "dataspace.copernicus.eu",
        "identity.dataspace.copernicus.eu",
        "download.dataspace.copernicus.eu",
        "zipper.dataspace.copernicus.eu",
        "Catalogue.Dataspace.Copernicus.EU",
        "https://identity.dataspace.copernicus.eu/auth/realms/CDSE/protocol/openid-connect/token",
    ],
)
def test_netrc_of_other_programs_for_the_copernicus_data_space_is_taken(tmp_path, no_keyring, machine):
    netrc = write(tmp_path / "netrc", f"machine {machine} login n password p")

    assert find_credentials("cdse", CATALOGUE, environ={}, netrc_path=netrc) == Credentials("n", "p")
    assert find_credentials("cdse", "127.0.0.1", environ={}, netrc_path=netrc) is None
    assert find_credentials("peps", "peps.cnes.fr", environ={}, netrc_path=netrc) is None


def test_netrc_of_the_host_itself_comes_first(tmp_path, no_keyring):
    lines = (f"machine {host} login {n} password p" for n, host in enumerate(["dataspace.copernicus.eu", CATALOGUE]))
    netrc = write(tmp_path / "netrc", "\n".join(lines))

    assert find_credentials("cdse", CATALOGUE, environ={}, netrc_path=netrc).username == "1"


def test_default_of_a_netrc_is_for_nobody(tmp_path, no_keyring):
    netrc = write(tmp_path / "netrc", "default login n password p")

    assert find_credentials("peps", "host", environ={}, netrc_path=netrc) is None


def test_variable_names_another_netrc(tmp_path, no_keyring, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / ".netrc", "machine host login home password p")
    write(tmp_path / "other", "machine host login other password p")

    def find(**environ):
        found = find_credentials("peps", "host", environ=environ)
        return found and found.username

    assert find() == "home"
    assert find(NETRC=str(tmp_path / "other")) == find(NETRC="~/other") == "other"
    assert find(NETRC=str(tmp_path / "missing")) is None


def test_user_without_a_home_has_no_netrc(tmp_path, no_keyring, monkeypatch):
    def getpwuid(uid):
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setattr("pwd.getpwuid", getpwuid)
    (tmp_path / "~").mkdir()
    write(tmp_path / "~" / ".netrc", "machine host login n password p")
    monkeypatch.chdir(tmp_path)

    assert find_credentials("peps", "host", environ={}) is None
    with pytest.raises(ConfigError, match=r"there is no file ~/config\.toml"):
        read_settings({"PEPSASYNC_CONFIG": "~/config.toml"})


needs_modes = pytest.mark.skipif(not HAS_MODES, reason="files here do not say whose they are")


@needs_modes
@pytest.mark.parametrize("mode", [0o640, 0o620, 0o604, 0o602])
def test_account_that_others_may_read_or_change_is_warned_of(tmp_path, no_keyring, mode):
    auth = write(tmp_path / "peps.txt", f"you {SECRET}")
    netrc = write(tmp_path / "netrc", "machine host login n password p")
    for path in (auth, netrc):
        path.chmod(mode)
    with pytest.warns(ExposedSecretWarning, match=f"credentials in {auth}. Try: chmod 600"):
        read_auth_file(auth)
    with pytest.warns(ExposedSecretWarning, match=f"credentials in {netrc}. Try: chmod 600"):
        find_credentials("peps", "host", environ={}, netrc_path=netrc)


@needs_modes
def test_file_of_ones_own_or_without_the_account_is_not_warned_of(tmp_path, no_keyring, monkeypatch):
    netrc = write(tmp_path / "netrc", "machine other login n password p")
    netrc.chmod(0o644)
    auth = write(tmp_path / "peps.txt", f"you {SECRET}")
    auth.chmod(0o600)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        find_credentials("peps", "host", environ={}, netrc_path=netrc)
        read_auth_file(auth)


@needs_modes
def test_account_of_another_user_is_refused(tmp_path, no_keyring, monkeypatch):
    auth = write(tmp_path / "peps.txt", f"you {SECRET}")
    netrc = write(tmp_path / "netrc", "machine host login n password p")
    monkeypatch.setattr(Path, "stat", owned_by(os.geteuid() + 1))
    for read, advice in (
        (lambda: read_auth_file(auth), "a file of your own, and give that with -a"),
        (lambda: find_credentials("peps", "host", environ={}, netrc_path=netrc), "name that in NETRC"),
        (lambda: find_credentials("peps", "host", environ={"NETRC": str(netrc)}), "name that in NETRC"),
    ):
        with pytest.raises(ConfigError, match=f"belongs to another user.*{advice}") as caught:
            read()
        assert "XDG_CONFIG_HOME" not in str(caught.value)
        assert "hunter2" not in str(caught.value)
    assert find_credentials("peps", "other", environ={}, netrc_path=netrc) is None


@needs_modes
def test_config_folder_of_another_user_is_refused(tmp_path, no_keyring, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "pepsasync").mkdir()
    file = write(tmp_path / "pepsasync" / "config.toml", "[peps]\nbase_url = 'https://evil.example'\n")
    write(tmp_path / "pepsasync" / "credentials.json", "{}").chmod(0o600)
    monkeypatch.setattr(Path, "stat", owned_by(os.geteuid() + 1))
    for use in (
        lambda: read_settings({}),
        lambda: find_credentials("peps", "host", environ={}),
        lambda: store("peps", "host", Credentials("you", SECRET)),
    ):
        with pytest.raises(ConfigError, match="belongs to another user"):
            use()
    named = {"PEPSASYNC_CONFIG": str(file)}
    assert read_settings(named).root("peps"), "whoever names a file chose it"
    file.write_text(f"[peps]\nusername = 'you'\npassword = '{SECRET}'\n")
    with pytest.raises(ConfigError, match="belongs to another user"):
        read_settings(named)


@needs_modes
def test_home_that_is_closed_to_the_user_is_none(no_keyring, monkeypatch):
    def closed(path, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", closed)
    assert settings_file({}) is None
    assert find_credentials("peps", "host", environ={}) is None


def owned_by(user):
    """`Path.stat` in a world where everything is that user's."""
    stat = Path.stat

    def looks(path, **options):
        fields = list(stat(path, **options))
        fields[4] = user
        return os.stat_result(fields)

    return looks


def test_the_account_of_earthdata_login_in_netrc_is_that_of_asf(tmp_path):
    place = tmp_path / "netrc"
    place.write_text("machine urs.earthdata.nasa.gov login who password secret\n")
    place.chmod(0o600)
    found = find_credentials("asf", "datapool.asf.alaska.edu", environ={}, netrc_path=place)
    elsewhere = find_credentials("asf", "asf.example", environ={}, netrc_path=place)

    assert (found.username, found.password) == ("who", "secret")
    assert elsewhere is None


def test_one_word_in_a_file_is_a_token_where_the_archive_takes_one(tmp_path):
    place = tmp_path / "account"
    place.write_text("head.claims.signature\n")
    place.chmod(0o600)

    assert read_auth_file(place, "asf").api_key == "head.claims.signature"
    with pytest.raises(ConfigError, match="one word only"):
        read_auth_file(place, "wekeo")
