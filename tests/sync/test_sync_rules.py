"""Any order of publications, replacements, withdrawals, outages and kills ends in the same folder."""

import contextlib
import shutil
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import anyio
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, multiple, rule

from pepsasync.errors import ConfigError, ServerError, UnreachableError
from pepsasync.events import ProductDelivered, ProductFailed, ProductSkipped
from pepsasync.folder.layout import Folder
from pepsasync.model import Product, Query
from pepsasync.query.processings import latest
from pepsasync.query.select import is_wanted
from pepsasync.sync import run
from pepsasync.sync.order import read_order
from pepsasync.sync.run import LOOK_BACK, carry_out
from pepsasync.transfer.verified import remember

START = datetime(2026, 1, 1, tzinfo=UTC)
ORDER = Query(collection="S1")


class KilledError(BaseException):
    """The program ends here, and nothing after this happens."""


class Archive:
    """Shows products, and hands out files; what it was told to do at a step happens there."""

    def __init__(self, directory):
        self.directory = directory
        self.shown = {}
        self.rows = {}
        self.searches = 0
        self.kill_after = None
        self.outage = None
        self.provider = SimpleNamespace(name="peps", slices=lambda query: [query])
        self.root = "https://archive.example"
        self._listeners = []
        self.unread = {}
        """By word that is told of a record that cannot be read, which queries find it."""

    def step(self):
        """Something is about to be done."""
        if self.kill_after is not None:
            self.kill_after -= 1
            if self.kill_after < 0:
                raise KilledError

    async def search(self, query):
        self.searches += 1
        found = [product for product in self.shown.values() if is_wanted(product, query)]
        if self.outage == "unreachable":
            raise UnreachableError("nobody answers")
        for word, is_found in self.unread.items():
            if is_found(query):
                self.emit(ProductFailed(id=word, name=word, error="ProtocolError", message="cannot be read"))
        for number, product in enumerate(found):
            if self.outage == "broken" and number == len(found) // 2:
                break
            yield product
        if self.outage == "broken":
            raise ServerError("it broke off")

    async def fetch(self, wanted, directory, **_):
        for product in wanted:
            self.step()
            path = Path(directory) / f"{product.name}.zip"
            event = ProductSkipped if path.exists() else ProductDelivered
            if event is ProductDelivered:
                path.write_bytes(product.name.encode())
            remember(product, path, Folder(Path(directory)))
            self.rows[product.name] = SimpleNamespace(bytes=None, path=str(path), product=product)
            self.emit(event(id=product.id, name=product.name, path=str(path), bytes=1))
            self.step()
            yield SimpleNamespace(product=product)

    def emit(self, event):
        for listener in self._listeners:
            listener(event)

    @contextlib.asynccontextmanager
    async def hold(self, directory):
        folder = Folder(Path(directory), check_owner=self.step)
        folder.open()
        yield folder, self.emit

    @contextlib.contextmanager
    def listen(self, listener):
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    def reader(self, _):
        return contextlib.nullcontext(SimpleNamespace(product=self.rows.get))


def product_of(acquisition, version, published):
    moment = START + timedelta(days=acquisition)
    name = f"S1A_IW_GRDH_1SDV_{moment:%Y%m%dT%H%M%S}_{moment:%Y%m%dT%H%M%S}_{acquisition:06d}_{acquisition:06X}_{version:04X}"
    return Product(
        id=name, name=name, provider="peps", collection="S1", download_url="", start=moment, published=published
    )


class Nights(RuleBasedStateMachine):
    """One folder, one order, and an archive that changes between and within its nights."""

    products = Bundle("products")

    @initialize()
    def begin(self):
        self.directory = Path(tempfile.mkdtemp())
        self.archive = Archive(self.directory)
        self.count = 0
        self.version = 0
        self.newest = START
        self.withdrawn = set()
        self.lost = set()

    def teardown(self):
        if not hasattr(self, "archive"):
            return
        try:
            self.archive.kill_after = self.archive.outage = None
            if self.archive.shown:
                self._night(replaces=True, prunes=True)
                assert self._files() == {product.name for product in latest(self.archive.shown.values())}
                before = self.archive.searches
                self._night(replaces=True)
                assert self.archive.searches == before + 1, "a night without news costs one search"
        finally:
            shutil.rmtree(self.directory)

    def _date(self, hours):
        """Publication dates come late and out of order, by less than the window."""
        published = self.newest + timedelta(hours=hours)
        self.newest = max(self.newest, published)
        return published

    def _publish(self, acquisition, hours):
        self.version += 1
        product = product_of(acquisition, self.version, self._date(hours))
        self.archive.shown[product.name] = product
        return product

    @rule(target=products, hours=st.integers(-70, 100))
    def publish(self, hours):
        self.count += 1
        return self._publish(self.count, hours)

    @rule(target=products, older=consumes(products), hours=st.integers(1, 100), is_hidden=st.booleans())
    def supersede(self, older, hours, is_hidden):
        """Some archives show the older one still; it is known to have been published earlier."""
        newer = self._publish((older.start - START).days, hours)
        if is_hidden:
            self.archive.shown.pop(older.name, None)
            return newer
        return multiple(older, newer)

    @rule(product=consumes(products))
    def withdraw(self, product):
        self.archive.shown.pop(product.name, None)
        self.withdrawn.add(product.start)

    @rule(product=products)
    def lose(self, product):
        (self.directory / f"{product.name}.zip").unlink(missing_ok=True)
        self.lost.add(product.start)

    @rule(replaces=st.booleans(), prunes=st.booleans())
    def night(self, replaces, prunes):
        before = self._files()
        self._night(replaces=replaces, prunes=prunes)
        self._check_kept(before, replaces=replaces, prunes=prunes)
        if replaces:  # what was withdrawn may uncover an older one, which only a look at everything shows
            newest = {p.name for p in latest(self.archive.shown.values()) if p.start not in self.withdrawn | self.lost}
            assert newest <= self._files()

    @rule(replaces=st.booleans(), prunes=st.booleans(), after=st.integers(0, 6))
    def killed_night(self, replaces, prunes, after):
        before = self._files()
        self.archive.kill_after = after
        with contextlib.suppress(KilledError):
            self._night(replaces=replaces, prunes=prunes)
        self.archive.kill_after = None
        self._check_kept(before, replaces=replaces, prunes=prunes)

    @rule(outage=st.sampled_from(["unreachable", "broken"]), replaces=st.booleans(), prunes=st.booleans())
    def night_of_an_outage(self, outage, replaces, prunes):
        before = self._files()
        self.archive.outage = outage
        with pytest.raises((ServerError, UnreachableError)):
            self._night(replaces=replaces, prunes=prunes)
        self.archive.outage = None
        self._check_kept(before, replaces=replaces, prunes=prunes)

    def _night(self, **words):
        with mock.patch.object(run, "JournalReader", self.archive.reader):
            anyio.run(lambda: carry_out(self.archive, ORDER, self.directory, **words))

    def _files(self):
        return {path.stem for path in self.directory.glob("*.zip")}

    def _check_kept(self, before, *, replaces, prunes):
        """Nothing goes without a word; what is set aside is there, and so is what took its place."""
        taken = before - self._files()
        if not (replaces or prunes):
            assert not taken
        for name in taken:
            acquisition = name.rpartition("_")[0]
            newer = [other for other in self._files() if other.startswith(acquisition)]
            if not prunes:
                assert (self.directory / ".pepsasync" / "replaced" / f"{name}.zip").exists()
                assert newer
            else:
                assert name not in self.archive.shown or newer


Nights.TestCase.settings = settings(
    max_examples=60, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestNights = Nights.TestCase


def test_the_window_is_wider_than_the_delays_that_are_tried():
    assert timedelta(hours=70) < LOOK_BACK


def test_products_are_found_however_they_were_published(tmp_path):
    archive = Archive(tmp_path)
    for number in range(3):
        product = product_of(number, 1, None)
        archive.shown[product.name] = replace(product, published=None)

    with mock.patch.object(run, "JournalReader", archive.reader):
        for _ in range(2):
            anyio.run(lambda: carry_out(archive, ORDER, tmp_path))

    assert len(list(tmp_path.glob("*.zip"))) == 3


class Nightly:
    """An archive, and a folder that follows it."""

    def __init__(self, directory):
        self.archive, self.directory = Archive(directory), directory

    def show(self, *products):
        self.archive.shown = {product.name: product for product in products}

    def night(self, query=ORDER, **words):
        with mock.patch.object(run, "JournalReader", self.archive.reader):
            return anyio.run(lambda: carry_out(self.archive, query, self.directory, **words))

    @property
    def names(self):
        return {path.stem for path in self.directory.glob("*.zip")}


@pytest.fixture
def nightly(tmp_path):
    return Nightly(tmp_path)


def test_what_seems_withdrawn_is_asked_for_in_its_own_collection(nightly):
    kept, other = (replace(product_of(number, 1, START), collection="OWN:S1") for number in (1, 2))
    asked = []

    async def search(query):
        asked.append((query.names, query.collection))
        if query.names and query.collection is None:
            return  # the name leads to another collection
        for product in nightly.archive.shown.values():
            if is_wanted(product, query):
                yield product

    nightly.archive.search = search
    nightly.show(kept, other)
    nightly.night(Query(collection="OWN:S1"))
    done = nightly.night(Query(collection="OWN:S1", end=other.start), prunes=True)

    assert ((other.name,), "OWN:S1") in asked
    assert done.removed == []
    assert nightly.names == {kept.name, other.name}


@pytest.mark.parametrize("slices", ["none", "refused"])
def test_what_cannot_be_asked_for_is_not_withdrawn(nightly, slices):
    kept, other = product_of(1, 1, START), product_of(2, 1, START)
    nightly.show(kept, other)
    nightly.night()
    nightly.show(kept)

    def answer(_):
        if slices == "refused":
            raise ConfigError("there is no such collection")
        return []

    nightly.archive.provider.slices = answer
    done = nightly.night(prunes=True)
    assert done.removed == []
    assert nightly.names == {kept.name, other.name}

    nightly.archive.provider.slices = lambda query: [query]
    assert nightly.night(prunes=True).removed == [other.name]


def test_what_is_missing_and_cannot_be_asked_for_stays_with_the_order(nightly):
    product = product_of(1, 1, START)
    nightly.show(product, product_of(2, 1, START + timedelta(days=30)))
    nightly.night()
    (nightly.directory / f"{product.name}.zip").unlink()
    nightly.archive.provider.slices = lambda _: []
    nightly.night()
    assert product.name not in nightly.names

    nightly.archive.provider.slices = lambda query: [query]
    nightly.night()
    assert product.name in nightly.names


def test_dates_of_two_archives_are_not_compared(nightly):
    here = product_of(1, 2, START)
    nightly.show(here)
    nightly.night()

    older = replace(product_of(1, 1, START + timedelta(days=100)), provider="other")  # it publishes later
    nightly.archive.provider.name = "other"
    nightly.show(older)
    done = nightly.night(replaces=True, prunes=True)
    again = nightly.night(replaces=True, prunes=True)

    assert done.changes.replace == again.changes.replace == ()
    assert done.removed == again.removed == []
    assert here.name in nightly.names


def test_what_the_other_archive_dates_both_of_is_replaced(nightly):
    here = product_of(1, 1, START + timedelta(days=200))
    nightly.show(here)
    nightly.night()

    both = [replace(product_of(1, number, START + timedelta(days=number)), provider="other") for number in (1, 2)]
    nightly.archive.provider.name = "other"
    nightly.show(*both)
    done = nightly.night(replaces=True)

    assert done.removed == [here.name]
    assert nightly.names == {both[1].name}


@pytest.mark.parametrize("told", ["name", "id", "nothing"])
def test_what_has_a_record_that_cannot_be_read_is_not_withdrawn(nightly, told):
    kept, other = product_of(1, 1, START), replace(product_of(2, 1, START), id="0a-1")
    nightly.show(kept, other)
    nightly.night()
    word = {"name": other.name, "id": other.id, "nothing": "record 1 without a name on page 1"}[told]
    nightly.archive.unread = {word: lambda query: not query.names or other.name in query.names}
    nightly.show(kept)
    done = nightly.night(prunes=True)
    assert done.changes.gone == ()
    assert done.removed == []

    nightly.archive.unread = {}
    assert nightly.night(prunes=True).removed == [other.name]


def test_a_record_that_cannot_be_read_brings_no_older_processing(nightly):
    older, newer = product_of(1, 1, START), product_of(1, 2, START + timedelta(days=1))
    nightly.show(older, newer)
    nightly.night()
    assert nightly.names == {newer.name}

    nightly.show(older)
    nightly.archive.unread = {newer.name: lambda _: True}
    done = nightly.night(prunes=True)

    assert not done.changes
    assert nightly.names == {newer.name}


def test_the_marker_waits_for_records_that_cannot_be_read(nightly):
    first = product_of(1, 1, START)
    late, last = product_of(2, 1, START + timedelta(days=10)), product_of(3, 1, START + timedelta(days=50))
    nightly.show(first)
    nightly.night()
    nightly.show(first, last)
    nightly.archive.unread = {late.name: lambda _: True}
    done = nightly.night()
    assert done.memory.marker == first.published

    nightly.show(first, late, last)
    nightly.archive.unread = {}
    done = nightly.night()
    assert late.name in nightly.names
    assert done.memory.marker == last.published


def test_the_marker_does_not_wait_for_what_is_here(nightly):
    first, last = product_of(1, 1, START), product_of(2, 1, START + timedelta(days=50))
    nightly.show(first)
    nightly.night()
    nightly.show(last)
    nightly.archive.unread = {first.name: lambda _: True}

    assert nightly.night().memory.marker == last.published


def test_paths_among_the_settings_of_an_order_begin_at_its_file(tmp_path):
    (tmp_path / "order.toml").write_text(
        'version = 1\ndirectory = "data"\n[query]\ncollection = "S2ST"\n[settings]\nshare_limits = "limits"\n'
    )

    assert {"share_limits": tmp_path / "limits"} == read_order(tmp_path / "order.toml").settings
