"""Programs at one ledger on the disk: the dead, the stopped, those that wake, damage, and who may read it."""

import os
import stat
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pepsasync.errors import ConfigError
from pepsasync.limits.shared.book import Book, Pace
from pepsasync.limits.shared.files import KEPT, LedgerFiles
from pepsasync.limits.shared.state import Ledger, Needs, as_text
from pepsasync.model import Quota

PACE = Pace(beat=1.0, deadline=10.0)
TOTAL = 4
QUOTA = Quota(5, 3600.0)


class Program:
    """One that takes part; it keeps what it has until it is told to give it up."""

    def __init__(self, folder, clock, place="here"):
        self.book = Book(LedgerFiles(folder, "account"), PACE, lambda: clock[0], lambda: place)
        self.slots = self.permits = self.begun = 0
        self.wants = TOTAL
        self.is_lost = False
        self.is_stopped = False
        self.book.open()

    def look(self, *, wants_permits=0):
        needs = Needs(
            slots=self.slots,
            permits=self.permits,
            begun=self.begun,
            wants_slots=self.wants,
            wants_permits=max(self.permits, wants_permits),
        )
        view = self.book.settle(needs, TOTAL, QUOTA)
        if view.is_lost:
            self.slots = self.permits = 0
            self.book.told = self.begun
        elif view.is_settled:
            self.slots, self.permits = view.mine.slots, view.mine.permits
        return view


@pytest.fixture
def clock():
    return [100.0]


@pytest.fixture
def shared(tmp_path, clock):
    """A folder with a ledger that is open."""
    folder = tmp_path / "shared"
    first = Program(folder, clock)
    first.look()
    clock[0] += 5.0
    first.look()
    first.book.leave(0)
    return folder


def pass_time(clock, seconds, *programs):
    """Let programs live for a while."""
    for _ in range(int(seconds)):
        clock[0] += 1.0
        for one in programs:
            one.book.beat()
            one.look()


def test_a_new_ledger_gives_nothing_before_those_of_an_older_one_would_know(tmp_path, clock):
    one = Program(tmp_path / "shared", clock)
    one.look()
    assert 0 == one.slots

    pass_time(clock, 3, one)

    assert TOTAL == one.slots


def test_slots_of_the_dead_are_free_after_the_deadline(shared, clock):
    dead, other = Program(shared, clock, "elsewhere"), Program(shared, clock)
    dead.look()
    pass_time(clock, 9, other)
    assert (TOTAL, 0) == (dead.slots, other.slots)

    pass_time(clock, 3, other)

    assert TOTAL == other.slots


def test_one_that_wakes_finds_that_it_has_nothing(shared, clock):
    stopped, other = Program(shared, clock, "elsewhere"), Program(shared, clock)
    stopped.look()
    token = stopped.book.me.token
    pass_time(clock, 12, other)

    view = stopped.look()

    assert view.is_lost
    assert 0 == stopped.slots
    assert token != stopped.book.me.token
    assert not stopped.look().is_lost
    assert 0 == stopped.slots


def test_a_stopped_process_of_this_machine_keeps_what_it_has_since_its_connections_are_open(shared, clock):
    stopped, other = Program(shared, clock), Program(shared, clock)
    stopped.look()

    pass_time(clock, 30, other)

    assert not stopped.look().is_lost
    assert TOTAL == stopped.slots
    assert ["stands still"] == ["stands still" for _ in other.look().still]


def test_whoever_was_stopped_itself_calls_nobody_dead(shared, clock):
    holder, watcher = Program(shared, clock, "elsewhere"), Program(shared, clock)
    holder.look()
    watcher.look()

    clock[0] += 1000.0
    watcher.look()

    assert not holder.look().is_lost


def test_permits_of_the_dead_count(shared, clock):
    dead, other = Program(shared, clock, "elsewhere"), Program(shared, clock)
    dead.look(wants_permits=5)
    assert 5 == dead.permits
    pass_time(clock, 12, other)

    view = other.look(wants_permits=5)

    assert 0 == other.permits
    assert view.wait > 3500


def test_who_leaves_gives_everything_back_and_what_began_counts(shared, clock):
    one, other = Program(shared, clock), Program(shared, clock)
    one.look(wants_permits=3)
    one.book.leave(2)

    other.look(wants_permits=5)

    assert (TOTAL, 3) == (other.slots, other.permits)
    assert not list((shared / "account").glob(f"{one.book.me.token}*"))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version":1}', "x" * 100])
def test_a_damaged_ledger_is_set_aside_and_gives_nothing_until_everybody_knows(shared, clock, content):
    holder, other = Program(shared, clock), Program(shared, clock)
    holder.look()
    newest = LedgerFiles(shared, "account").versions()[-1]
    (shared / "account" / f"{newest:018}.json").write_text(content)

    assert not other.look().is_settled
    clock[0] += 4.0
    news = other.look().news

    assert "damaged" in news
    assert content == (shared / "account" / f"damaged-{newest}").read_text()
    assert holder.look().is_lost
    pass_time(clock, 8, holder, other)
    assert (0, 0) == (holder.slots, other.slots)
    pass_time(clock, 4, holder, other)
    assert TOTAL == holder.slots + other.slots
    holder.look(wants_permits=1)
    assert 0 == holder.permits, "the whole quota counts as used"


@pytest.mark.parametrize("plant", ["link", "folder", "pipe"])
def test_what_is_planted_in_place_of_a_ledger_is_not_read(shared, clock, tmp_path, plant):
    one = Program(shared, clock)
    one.look()
    planted = shared / "account" / f"{10**6:018}.json"
    (tmp_path / "other").write_text(as_text(Ledger(version=10**6)))
    {
        "link": lambda: planted.symlink_to(tmp_path / "other"),
        "folder": planted.mkdir,
        "pipe": lambda: os.mkfifo(planted),
    }[plant]()

    assert not one.look().is_settled
    clock[0] += 4.0
    assert "damaged" in one.look().news


def test_a_ledger_that_is_removed_takes_everything_from_everybody(shared, clock):
    one = Program(shared, clock)
    one.look()
    for path in (shared / "account").glob("*.json"):
        path.unlink()

    assert one.look().is_lost
    assert 0 == one.slots


def test_old_ledgers_are_removed_and_whoever_slept_meanwhile_is_not_first(shared, clock):
    files = LedgerFiles(shared, "account")
    slept_at = files.read()
    one = Program(shared, clock)
    for number in range(2 * KEPT):
        one.wants = number % 2
        one.slots = min(one.slots, one.wants)
        one.look()

    assert KEPT * 2 > len(files.versions())
    assert slept_at.version + 1 not in files.versions()
    assert not files.commit(Ledger(version=slept_at.version + 1))
    assert files.read().version > slept_at.version + KEPT


def test_many_threads_change_one_ledger_and_no_change_is_lost(shared, clock):
    programs = [Program(shared, clock) for _ in range(6)]

    def work(one):
        for _ in range(20):
            one.begun += 1
            while not one.look().is_settled:
                pass

    threads = [threading.Thread(target=work, args=(one,)) for one in programs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    ledger = LedgerFiles(shared, "account").read()
    assert 120 == len(ledger.starts)
    assert TOTAL == sum(one.slots for one in ledger.holders)


def test_where_files_have_one_name_only_the_ledger_works_too(shared, clock, monkeypatch):
    def link(source, target):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    one, other = Program(shared, clock), Program(shared, clock)
    one.look()
    other.look()
    one.slots = 2
    one.look()
    other.look()

    assert (2, 2) == (one.slots, other.slots)


def mode(path):
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_the_ledger_is_for_its_user_alone(tmp_path, clock):
    Program(tmp_path / "shared", clock).look()

    assert "0o700" == mode(tmp_path / "shared")
    assert "0o700" == mode(tmp_path / "shared" / "account")
    assert {"0o600"} == {mode(path) for path in (tmp_path / "shared" / "account").iterdir()}


def test_in_a_folder_of_a_group_the_ledger_is_for_the_group(tmp_path, clock):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o2770)
    Program(tmp_path / "shared", clock).look()

    assert "0o2770" == mode(tmp_path / "shared" / "account")
    assert {"0o660"} == {mode(path) for path in (tmp_path / "shared" / "account").iterdir()}


def test_a_folder_that_everybody_may_write_is_refused(tmp_path, clock):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)

    with pytest.raises(ConfigError, match="everybody may write"):
        Program(tmp_path / "shared", clock)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path, clock):
    (tmp_path / "shared").write_text("")

    with pytest.raises(ConfigError, match=r"--share-limits|cannot write"):
        Program(tmp_path / "shared", clock)


class Machine(RuleBasedStateMachine):
    """Programs that come, work, stop, wake and die; what all that may send have is never more than there is."""

    def __init__(self):
        super().__init__()
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self.temporary.name) / "shared"
        self.clock, self.programs, self.dead_slots, self.begun = [100.0], [], [], 0

    def teardown(self):
        self.temporary.cleanup()

    def awake(self):
        return [one for one in self.programs if not one.is_stopped]

    @precondition(lambda self: len(self.programs) < 5)
    @rule()
    def come(self):
        # Each on a machine of its own: nobody can see that a process stands, only that its beat does not change.
        self.programs.append(Program(self.folder, self.clock, f"machine {len(self.programs)}"))

    @rule(seconds=st.integers(1, 6))
    def live(self, seconds):
        """Everybody who is awake looks and beats; those that sleep for too long have stopped sending by then."""
        for _ in range(seconds):
            self.clock[0] += 1.0
            for one in self.awake():
                one.book.beat()
                one.look(wants_permits=2)

    @precondition(lambda self: self.awake())
    @rule(data=st.data())
    def give_up(self, data):
        one = data.draw(st.sampled_from(self.awake()))
        one.slots = min(one.slots, data.draw(st.integers(0, TOTAL)))
        one.wants = data.draw(st.integers(0, TOTAL))

    @precondition(lambda self: self.awake())
    @rule(data=st.data())
    def begin(self, data):
        one = data.draw(st.sampled_from(self.awake()))
        number = min(one.permits, data.draw(st.integers(0, 2)))
        one.permits -= number
        one.begun += number
        self.begun += number

    @precondition(lambda self: self.awake())
    @rule(data=st.data())
    def stop(self, data):
        data.draw(st.sampled_from(self.awake())).is_stopped = True

    @precondition(lambda self: any(one.is_stopped for one in self.programs))
    @rule(data=st.data())
    def wake(self, data):
        one = data.draw(st.sampled_from([one for one in self.programs if one.is_stopped]))
        one.is_stopped = False
        one.book.beat()
        one.look()

    @precondition(lambda self: self.programs)
    @rule(data=st.data())
    def die(self, data):
        self.programs.remove(data.draw(st.sampled_from(self.programs)))

    @precondition(lambda self: self.programs and (self.folder / "account").exists())
    @rule()
    def damage(self):
        versions = LedgerFiles(self.folder, "account").versions()
        if versions:
            (self.folder / "account" / f"{versions[-1]:018}.json").write_text("damage")

    @invariant()
    def nobody_who_is_awake_and_known_has_too_much(self):
        ledger = self.newest()
        if ledger is None:
            return
        known = {one.token for one in ledger.holders}
        sending = [one for one in self.awake() if one.book.me.token in known]
        assert sum(one.slots for one in sending) <= TOTAL
        assert sum(one.slots for one in ledger.holders) <= TOTAL
        assert all(ledger.holder(one.book.me.token).slots >= one.slots for one in sending)

    @invariant()
    def the_quota_holds(self):
        assert self.begun <= QUOTA.products

    def newest(self):
        try:
            return LedgerFiles(self.folder, "account").read() if (self.folder / "account").exists() else None
        except Exception:  # noqa: BLE001 - damaged at this moment
            return None


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestMachine = Machine.TestCase
