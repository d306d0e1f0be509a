"""An account that an archive refuses: the user is told in which of the many places it was found."""

import pytest

from pepsasync.credentials import Credentials
from pepsasync.credentials.stored import store, stored_file
from pepsasync.settings import settings_file

ARCHIVES = {
    "peps": "the archive refused the credentials",
    "geodes": "GEODES does not accept the API key",
    "cdse": "the archive refused e-mail address or password",
}


@pytest.fixture(autouse=True)
def empty_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "home").mkdir()
    monkeypatch.delenv("PEPSASYNC_PROVIDER", raising=False)


class Places:
    """Puts a wrong account where users may have one; each method returns how the place is called, and options."""

    def __init__(self, monkeypatch, folder):
        self._monkeypatch, self._folder = monkeypatch, folder

    def auth_file(self, provider):
        path = self._folder / "account.txt"
        path.write_text("hunter2" if provider == "geodes" else "nobody hunter2")
        return f"the file {path}", ["--auth", path]

    def environment(self, provider):
        prefix = f"PEPSASYNC_{provider.upper()}_"
        fields = {"API_KEY": "hunter2"} if provider == "geodes" else {"USERNAME": "nobody", "PASSWORD": "hunter2"}
        for name, text in fields.items():
            self._monkeypatch.setenv(prefix + name, text)
        return f"the environment ({prefix}{next(iter(fields))})", []

    def login(self, provider):
        store(provider, "127.0.0.1", Credentials("nobody", "hunter2"))
        return str(stored_file()), []

    def netrc(self, provider):
        path = self._folder / "home" / ".netrc"
        path.write_text("machine 127.0.0.1 login nobody password hunter2\n")
        path.chmod(0o600)
        return str(path), []

    def config_file(self, provider):
        path = settings_file({})
        path.parent.mkdir(parents=True)
        path.write_text(f'[{provider}]\nbase_url = "URL"\nusername = "nobody"\npassword = "hunter2"\n')
        path.chmod(0o600)
        return str(path), []


@pytest.mark.parametrize("provider", ARCHIVES)
@pytest.mark.parametrize(
    "place", [Places.auth_file, Places.environment, Places.login, Places.netrc, Places.config_file]
)
def test_the_place_of_refused_credentials_is_named(run, archive, monkeypatch, tmp_path, provider, place):
    url = getattr(archive, f"{provider}_url")
    source, options = place(Places(monkeypatch, tmp_path), provider)
    if (config := settings_file({})).exists():
        config.write_text(config.read_text().replace("URL", url))

    done = run("fetch", "-c", "S1", "--provider", provider, "--base-url", url, "-w", tmp_path / "data", *options)

    assert done.code == 3
    assert ARCHIVES[provider] in done.err
    assert f"The refused credentials came from {source}" in " ".join(done.err.split())
    assert "hunter2" not in done.err
