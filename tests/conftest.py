"""What every test shares: both event loops, a clean environment, the folder of recorded replies."""

import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import hypothesis
import pytest

import chromium
import virtual_time
from pepsasync import hashes
from pepsasync.cli import ending_signals, main

# The same examples in every run; a slow or busy machine is not a fault of the code.
hypothesis.settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("steady")

# Where tests run in the background, or under nohup, signals are ignored, and every program that they start would inherit
# that.
for _number, _default in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
    if hasattr(signal, _number) and signal.getsignal(getattr(signal, _number)) is signal.SIG_IGN:
        signal.signal(getattr(signal, _number), _default)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    """Both event loops; those of tests marked `virtual_time` leap over every wait."""
    if request.node.get_closest_marker("virtual_time"):
        return virtual_time.backend(request.param)
    return request.param


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch, tmp_path_factory):
    """No account, proxy or home folder of whoever runs the tests gets into them."""
    for name in list(os.environ):
        if (name.startswith("PEPSASYNC_") and name != "PEPSASYNC_RECORDINGS") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("NETRC", raising=False)
    home = tmp_path_factory.getbasetemp() / "home"
    home.mkdir(exist_ok=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")


@pytest.fixture
def without_blake3(monkeypatch):
    """The package `blake3` cannot be imported."""
    monkeypatch.setitem(sys.modules, "blake3", None)
    hashes._blake3.cache_clear()
    yield
    hashes._blake3.cache_clear()


@pytest.fixture(scope="session")
def browser():
    """A headless browser without a network."""
    with chromium.start() as window:
        yield window


@pytest.fixture
def recordings():
    """The folder of recorded replies, which are not part of this repository."""
    folder = os.environ.get("PEPSASYNC_RECORDINGS")
    if not folder:
        pytest.skip("PEPSASYNC_RECORDINGS is not set: recorded replies of the archives are not here")
    return Path(folder)


@pytest.fixture
def run(capsys):
    """Run a command line in this process; returns its exit code, standard output and standard error."""
    before = {number: signal.getsignal(number) for number in ending_signals()}

    def run_command(*arguments):
        code = main([str(argument) for argument in arguments])
        return SimpleNamespace(code=code, **capsys.readouterr()._asdict())

    yield run_command
    for number, handler in before.items():
        signal.signal(number, handler)
