"""Whatever is noted, and whenever the process dies: the journal holds what was flushed, and nothing that never was."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from fakes import product
from pepsasync.folder.journal.reading import JournalReader
from pepsasync.folder.journal.rows import State
from pepsasync.folder.journal.writer import Writer

NAMES = st.sampled_from("ABCDE")
SIZES = st.none() | st.integers(0, 1000)
ANEW = (State.FAILED, State.LEFT_OUT)


class JournalMachine(RuleBasedStateMachine):
    """`now` is what was noted, `safe` what a killed process leaves: each maps a name to state, size, bytes, requests."""

    @initialize()
    def begin(self):
        self.root = Path(tempfile.mkdtemp())
        self.path = self.root / ".pepsasync" / "journal.db"
        self.path.parent.mkdir()
        self.now, self.safe = {}, {}
        self.open()

    def open(self):
        # Nothing is committed without a flush, so that the model knows what is on the disk.
        self.writer = Writer(self.path, tell=pytest.fail, beat=lambda: True, interval=1e6)

    @rule(names=st.lists(NAMES, max_size=3), size=SIZES)
    def record(self, names, size):
        products = [product(name, size=size) for name in names]
        self.writer.add(lambda pending: pending.record(None, products, 1.0))
        for name in names:
            state, _, length, requests = self.now.get(name, (State.FOUND, None, None, 0))
            self.now[name] = (State.FOUND if state in ANEW else state, size, length, requests)

    @rule(name=NAMES, state=st.none() | st.sampled_from(State), length=SIZES, requests=st.none() | st.integers(0, 9))
    def note(self, name, state, length, requests):
        changes = {"bytes": length, "staging_requests": requests}
        changes = {key: value for key, value in changes.items() if value is not None}
        self.writer.add(lambda pending: pending.note(name, state, changes, 1.0))
        old = self.now.get(name, (State.FOUND, None, None, 0))
        new = (state, None, changes.get("bytes"), changes.get("staging_requests"))
        self.now[name] = tuple(a if b is None else b for a, b in zip(old, new, strict=True))

    @rule()
    def flush(self):
        self.writer.flush()
        self.safe = dict(self.now)
        self.compare()

    @rule()
    def kill(self):
        self.writer.close(drop=True)
        self.open()
        self.begin_again(self.safe)

    @rule()
    def close(self):
        self.writer.close()
        self.open()
        self.begin_again(self.now)

    def begin_again(self, kept):
        self.now = {
            name: (State.FOUND if state is State.DOWNLOADING else state, *rest) for name, (state, *rest) in kept.items()
        }
        self.safe = dict(self.now)
        self.compare()

    def compare(self):
        with JournalReader(self.root) as reader:
            rows = [row for state in State for batch in reader.in_state(state, batch=2) for row in batch]
            counts = reader.counts()
        found = {row.name: (row.state, row.size, row.bytes, row.staging_requests) for row in rows}
        assert self.safe == found
        for state in State:
            members = [values for values in self.safe.values() if values[0] is state]
            size = sum(
                next((number for number in (length, size) if number is not None), 0) for _, size, length, _ in members
            )
            assert (len(members), size) == (counts[state].products, counts[state].bytes)

    def teardown(self):
        if hasattr(self, "writer"):
            self.writer.close()
            shutil.rmtree(self.root)


TestJournal = JournalMachine.TestCase
TestJournal.settings = settings(max_examples=15, stateful_step_count=20)
