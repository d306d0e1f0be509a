"""eodag searches an embedded archive, and pepsasync downloads for it."""

import contextlib
import hashlib
import os
import re
from pathlib import Path

import pytest

from archives import sandbox

os.environ.setdefault("EODAG_EXT_COLLECTIONS_CFG_FILE", "")  # else it asks the network what collections there are
eodag = pytest.importorskip("eodag")

from eodag.utils.exceptions import AuthenticationError, MisconfiguredError, NotAvailableError  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture
def archive():
    archive = sandbox(8, tape_fraction=0, product_size=100_000)
    archive.start()
    yield archive
    archive.stop()


@pytest.fixture
def make(tmp_path, monkeypatch):
    monkeypatch.setenv("EODAG_CFG_DIR", str(tmp_path / "eodag"))

    def gateway(archive, **settings):
        own = "".join(f"\n      {name}: {value}" for name, value in settings.items())
        dag = eodag.EODataAccessGateway()
        dag.update_providers_config(f"""
geodes:
  priority: 10
  search:
    api_endpoint: {archive.geodes_url}/api/stac/search
  download:
    type: PepsasyncDownload
    output_dir: {tmp_path / "data"}
    pepsasync:
      base_url: {archive.geodes_url}{own}
  auth:
    matching_url: {archive.geodes_url}
    credentials:
      apikey: {archive.api_key}
""")
        return dag

    return gateway


def search(dag):
    return dag.search(provider="geodes", collection="S2_MSI_L1C", raise_errors=True)


def is_right(archive, path):
    return hashlib.md5(Path(path).read_bytes()).hexdigest() == archive.content(Path(path).stem).md5.lower()


def test_a_product_is_downloaded_and_verified(archive, make, tmp_path):
    product, told = search(make(archive))[0], []
    path = product.download(extract=False, progress_callback=Progress(told))

    assert path == str(tmp_path / "data" / f"{product.properties['title']}.zip")
    assert is_right(archive, path)
    assert product.location == Path(path).as_uri()
    assert sum(told) == Path(path).stat().st_size
    assert (tmp_path / "data" / ".pepsasync" / "journal.db").exists()
    assert product.download() == path  # it is here


def test_a_product_is_unpacked_by_default(archive, make, tmp_path):
    product = search(make(archive))[0]

    assert Path(product.download(), "manifest.safe").is_file()


def test_many_are_one_run(archive, make, tmp_path):
    dag, told = make(archive, jobs=2), []
    found = search(dag)
    here = found[0].download(extract=False)
    paths = dag.download_all(found, extract=False, downloaded_callback=told.append)

    assert len(paths) == len({*paths}) == len(found) == len(told) + 1
    assert here in paths
    assert all(is_right(archive, path) for path in paths)
    assert all(product.location.startswith("file:") for product in found)


def test_one_that_is_withdrawn_is_skipped(archive, make, caplog):
    dag = make(archive)
    found = search(dag)
    gone = found[0].properties["title"]
    archive.withdraw(gone)
    paths = dag.download_all(found, extract=False)

    assert len(paths) == len(found) - 1
    assert f"{gone} is skipped" in caplog.text


def test_tape_is_waited_for_as_long_as_eodag_says(make, tmp_path):
    """Products of GEODES stay on tape until somebody asks for them in its portal."""
    with tape_archive() as archive:
        product = search(make(archive, poll_interval=0.05, poll_interval_max=0.1))[0]
        with pytest.raises(NotAvailableError, match="not online"):
            product.download(timeout=0.01)

        archive.restore(product.properties["title"])
        assert is_right(archive, product.download(extract=False))


@contextlib.contextmanager
def tape_archive():
    archive = sandbox(4, tape_fraction=1, product_size=100_000)
    archive.start()
    try:
        yield archive
    finally:
        archive.stop()


def test_errors_are_those_of_eodag(archive, make):
    product = search(make(archive))[0]
    product.downloader_auth.config.credentials = {"apikey": "wrong"}
    with pytest.raises(AuthenticationError):
        product.download()
    product.downloader.config.pepsasync["jobz"] = 1
    with pytest.raises(MisconfiguredError, match="jobz is no setting"):
        product.download()
    product.downloader.config.pepsasync = {"provider": "nowhere"}
    with pytest.raises(MisconfiguredError, match="nowhere"):
        product.download()


def test_the_account_of_one_archive_goes_to_no_other(archive, make):
    product = search(make(archive))[0]
    product.downloader.config.pepsasync |= {"provider": "cdse", "base_url": archive.cdse_url}

    with pytest.raises(AuthenticationError, match="no credentials"):
        product.download()


def test_the_program_of_the_documentation(archive, make, tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "eodag.md").read_text("utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (settings,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert "type: PepsasyncDownload" in settings
    dag = make(archive)
    monkeypatch.setattr(eodag, "EODataAccessGateway", lambda: dag)
    monkeypatch.chdir(tmp_path)
    exec(program, {})

    assert len(list((tmp_path / "data").glob("*.SAFE"))) == 4


HOSTS = {
    "geodes": {"geodes-portal.cnes.fr": "geodes_url"},
    "cop_dataspace": {f"{name}.dataspace.copernicus.eu": "cdse_url" for name in ("catalogue", "identity", "zipper")},
    "wekeo_main": {"gateway.prod.wekeo2.eu": "wekeo_url"},
}
"""By provider of eodag, which hosts of its configuration are a part of the sandbox."""


@pytest.mark.parametrize("provider", HOSTS)
def test_plugins_of_eodag_work_with_the_sandbox(provider, archive, tmp_path, monkeypatch):
    """Nothing here is ours: eodag's configuration of a provider, in which only the addresses are others."""
    configuration = Path(eodag.__file__).parent / "resources" / "providers" / f"{provider}.yml"
    if not configuration.is_file():
        pytest.skip("this eodag keeps the configuration of its providers elsewhere")
    text = configuration.read_text("utf-8")
    for host, url in HOSTS[provider].items():
        text = text.replace(f"https://{host}", getattr(archive, url))
    text = re.sub(r"matching_url: .*", "matching_url: http://127.0.0.1", text)
    own = tmp_path / "providers"
    own.mkdir()
    (own / configuration.name).write_text(text, "utf-8")
    monkeypatch.setenv("EODAG_CFG_DIR", str(tmp_path / "eodag"))
    monkeypatch.setenv("EODAG_PROVIDERS_CFG_DIR", str(own))
    account = {"username": archive.username, "password": archive.password}
    for name, value in ({"apikey": archive.api_key} if provider == "geodes" else account).items():
        monkeypatch.setenv(f"EODAG__{provider.upper()}__AUTH__CREDENTIALS__{name.upper()}", value)
    dag = eodag.EODataAccessGateway()
    period = {"start": "2015-11-01", "end": "2015-12-01"}
    found = dag.search(provider=provider, collection="S1_SAR_GRD", raise_errors=True, **period)
    path = dag.download(found[0], output_dir=str(tmp_path / "data"), extract=False)

    name = found[0].properties["title"].removesuffix(".SAFE")
    assert Path(path).read_bytes() == archive.content(name).read()


class Progress:
    """Of eodag, without a display."""

    def __init__(self, told):
        self.told = told
        self.unit = self.desc = ""

    def __call__(self, increment, total=None):
        self.told.append(increment)

    def refresh(self):
        pass

    def close(self):
        pass
