"""What earlier orders left: which runs that makes, at which archives, and in which order they are done."""

import json
from types import SimpleNamespace

import anyio
import pytest

from archives import account_file, root, sandbox
from fakes import product
from journals import write_journal
from pepsasync.cli.options import ArchiveOptions, DeliveryOptions, OutputOptions, StagingOptions
from pepsasync.cli.resume import CommandLine, Job, JobOptions, find_unfinished, run_jobs
from pepsasync.cli.session import Session
from pepsasync.errors import ConfigError, ServerError
from pepsasync.folder.journal import State, open_journal
from pepsasync.model import Query

PERIOD = ["-d", "2015-01-01", "-f", "2018-01-01"]
QUICK = ["--poll-interval", "0.1", "--wait", "0.01"]


def asked(job):
    """Names of what a job wants; queries as they are."""
    return [item if isinstance(item, str | Query) else item.name for item in job.wanted]


def of(provider, *names, state=State.FOUND):
    return {product(name, provider=provider): state for name in names}


class TestWhatIsLeft:
    def test_one_errand_for_each_manner(self, tmp_path):
        write_journal(
            tmp_path,
            ({"collection": "S1"}, {"provider": "peps", "extract": True}, True, of("peps", "A", "B")),
            ({"collection": "S2"}, {"provider": "cdse"}, True, of("cdse", "C")),
            ({"collection": "S3"}, {"provider": "peps"}, True, of("peps", "D")),
        )
        jobs = find_unfinished(tmp_path)

        assert [(e.options.provider, e.options.extract, e.count) for e in jobs] == [
            ("peps", True, 2),
            ("cdse", False, 1),
            ("peps", False, 1),
        ]
        assert [asked(job) for job in jobs] == [["A", "B"], ["C"], ["D"]]

    def test_what_is_here_is_not_wanted_again(self, tmp_path):
        here = of("peps", "A", state=State.DELIVERED) | of("peps", "B", state=State.SKIPPED)
        write_journal(tmp_path, ({"collection": "S1"}, {"provider": "peps"}, True, here))

        assert find_unfinished(tmp_path) == []

    def test_failed_products_are_tried_again_and_left_out_ones_only_by_runs_that_wait(self, tmp_path):
        products = of("peps", "A", state=State.FAILED) | of("peps", "B", state=State.LEFT_OUT)
        write_journal(tmp_path, ({"collection": "S1"}, {"provider": "peps", "skip_tape": True}, True, products))
        (patient,) = find_unfinished(write_journal(tmp_path / "patient", ({}, {"provider": "peps"}, True, products)))

        assert [asked(job) for job in find_unfinished(tmp_path)] == [["A"]]
        assert asked(patient) == ["A", "B"]
        assert [asked(job) for job in find_unfinished(tmp_path / "patient", skip_tape=True)] == [["A"]]

    def test_a_search_that_was_cut_short_is_searched_again_once(self, tmp_path):
        order = ({"collection": "S1", "tile": "31TCJ"}, {"provider": "peps"}, False, of("peps", "A"))
        write_journal(tmp_path, order, order)
        (job,) = find_unfinished(tmp_path)

        assert asked(job) == ["A", Query(collection="S1", tile="31TCJ")]
        assert str(job) == "1 product, and 1 search to finish"

    def test_a_search_that_a_later_order_finished_is_not_searched_again(self, tmp_path):
        wanted, options = {"collection": "S1"}, {"provider": "peps"}
        write_journal(tmp_path, (wanted, options, False, {}), (wanted, options, True, {}))

        assert find_unfinished(tmp_path) == []

    def test_names_whose_look_up_was_cut_short_are_looked_up_again(self, tmp_path):
        found = of("peps", "A", state=State.DELIVERED) | of("peps", "B")
        other = ({"collection": "S1"}, {"provider": "peps"}, True, of("peps", "D"))
        write_journal(tmp_path, (["A", "B", "C"], {"provider": "peps"}, False, found), other)
        jobs = find_unfinished(tmp_path)

        assert [asked(job) for job in jobs] == [["D"], ["A", "B", "C"]]
        assert [job.count for job in jobs] == [1, 3]

    def test_another_archive_takes_the_place_of_all(self, tmp_path):
        write_journal(
            tmp_path,
            ({"collection": "S1"}, {"provider": "peps"}, True, of("peps", "A")),
            ({"collection": "S2"}, {"provider": "cdse"}, True, of("cdse", "B")),
        )
        (job,) = find_unfinished(tmp_path, "cdse")
        wanted = list(job.wanted)

        assert job.options == JobOptions("cdse")
        assert wanted[0] == "A", "what PEPS said of a product means nothing to another archive"
        assert wanted[1].name == "B"

    def test_one_of_the_sources_of_an_order_keeps_its_root(self, tmp_path):
        roots = {"peps": "https://peps.example/resto", "cdse": "https://cdse.example"}
        options = {"provider": "peps,cdse", "base_url": roots}
        write_journal(tmp_path, ({"collection": "S1"}, options, True, of("peps", "A")))

        assert find_unfinished(tmp_path)[0].options.base_url == "https://peps.example/resto,https://cdse.example"
        assert find_unfinished(tmp_path, "cdse")[0].options.base_url == "https://cdse.example"
        assert find_unfinished(tmp_path, "cdse,peps")[0].options.base_url == (
            "https://cdse.example,https://peps.example/resto"
        )
        assert find_unfinished(tmp_path, "geodes")[0].options.base_url is None

    @pytest.mark.parametrize(
        ("roots", "whole", "turned"),
        [
            ({"peps": "https://peps.example"}, ",https://peps.example", "https://peps.example,"),
            ({"geodes": "https://geodes.example"}, "https://geodes.example,", ",https://geodes.example"),
            ({"peps": 5, "geodes": None}, None, None),
        ],
    )
    def test_archives_without_a_root_cost_the_others_none(self, tmp_path, roots, whole, turned):
        options = {"provider": "geodes,peps", "base_url": roots}
        write_journal(tmp_path, ({"collection": "S1"}, options, True, of("peps", "A")))
        alone = next((root for root in roots.values() if isinstance(root, str)), None)

        assert find_unfinished(tmp_path)[0].options.base_url == whole
        assert find_unfinished(tmp_path, "peps,geodes")[0].options.base_url == turned
        assert find_unfinished(tmp_path, "peps")[0].options.base_url == (alone if "peps" in roots else None)
        assert find_unfinished(tmp_path, "cdse,peps")[0].options.base_url == (
            f",{alone}" if "peps" in roots and alone else None
        )


@pytest.fixture
def line():
    """What a command line without options says."""
    session = Session(OutputOptions())
    return CommandLine(session, ArchiveOptions(), StagingOptions(), DeliveryOptions())


@pytest.fixture
def runs(monkeypatch):
    """Runs that bring nothing; `runs.troubles` has what they raise, by archive."""
    runs = SimpleNamespace(made=[], troubles={}, codes={})

    def perform(run, wanted, expected=0):
        runs.made.append(run)
        if trouble := runs.troubles.get(run.archive.provider):
            raise trouble
        return runs.codes.get(run.archive.provider, 0)

    monkeypatch.setattr("pepsasync.cli.run.Run.perform", perform)
    return runs


def jobs(*providers):
    return [Job(JobOptions(name), ["A"], count=1) for name in providers]


class TestTheirOrder:
    def test_one_after_the_other(self, line, runs, capsys):
        runs.codes["cdse"] = 1

        assert run_jobs(jobs("peps", "cdse", "geodes"), line, "continuing {}") == 1
        assert [run.archive.provider for run in runs.made] == ["peps", "cdse", "geodes"]
        assert "continuing 1 product from cdse (2 of 3)" in capsys.readouterr().err

    @pytest.mark.parametrize("silent", ["peps", "geodes"])
    def test_an_archive_that_cannot_be_reached_keeps_no_other_from_being_done(self, line, runs, silent):
        runs.troubles[silent] = ServerError("nobody answers")
        with pytest.raises(ServerError, match="nobody answers"):
            run_jobs(jobs("peps", "cdse", "geodes"), line, "{}")

        assert len(runs.made) == 3

    def test_of_several_troubles_the_first_is_the_end(self, line, runs):
        runs.troubles = {"peps": ServerError("first"), "geodes": ServerError("last")}
        with pytest.raises(ServerError, match="first"):
            run_jobs(jobs("peps", "cdse", "geodes"), line, "{}")

    def test_what_every_run_would_meet_ends_all(self, line, runs):
        runs.troubles["peps"] = ConfigError("cannot write")
        with pytest.raises(ConfigError):
            run_jobs(jobs("peps", "cdse"), line, "{}")

        assert len(runs.made) == 1

    def test_each_run_has_files_of_its_own(self, line, runs, tmp_path):
        delivery = DeliveryOptions(report=tmp_path / "report.json", events=tmp_path / "events.jsonl")
        run_jobs(jobs("peps", "cdse"), CommandLine(line.session, line.archive, line.staging, delivery), "{}")
        first, second = (run.delivery for run in runs.made)

        assert (first.report.name, second.report.name) == ("report.json", "report-2.json")
        assert second.events == tmp_path / "events-2.jsonl"

    @pytest.mark.parametrize("given", [{"auth": "account.txt"}, {"base_url": "https://one.example"}])
    def test_what_is_for_one_archive_is_refused_for_several(self, line, runs, given):
        with pytest.raises(ConfigError, match="one archive, and these orders use cdse and peps"):
            run_jobs(jobs("peps", "cdse"), CommandLine(line.session, ArchiveOptions(**given), *rest(line)), "{}")

        assert runs.made == []

    def test_one_account_for_two_roots_of_an_archive_is_refused_until_one_is_chosen(self, line, runs):
        both = [Job(JobOptions("peps", f"https://{name}.example"), ["A"], count=1) for name in ("one", "two")]
        account = ArchiveOptions(auth="account.txt")
        with pytest.raises(ConfigError, match=r"peps at https://one\.example and https://two\.example"):
            run_jobs(both, CommandLine(line.session, account, *rest(line)), "{}")
        chosen = ArchiveOptions(auth="account.txt", base_url="https://two.example")

        assert run_jobs(both, CommandLine(line.session, chosen, *rest(line)), "{}") == 0
        assert [run.archive.base_url for run in runs.made] == ["https://two.example"] * 2


def rest(line):
    return line.staging, line.delivery


@pytest.fixture
def two(tmp_path, monkeypatch):
    """Two archives with different products, and a folder with an order to each that was ended at once."""
    both = {"peps": sandbox(4, tape_fraction=0), "cdse": sandbox(4, tape_fraction=0, seed=2)}
    for name, archive in both.items():
        archive.start()
        monkeypatch.setenv(f"PEPSASYNC_{name.upper()}_USERNAME", archive.username)
        monkeypatch.setenv(f"PEPSASYNC_{name.upper()}_PASSWORD", archive.password)
        monkeypatch.setenv(f"PEPSASYNC_{name.upper()}_BASE_URL", root(archive, name))
        options = {"provider": name, "base_url": {name: root(archive, name)}, "extract": name == "cdse"}
        write_journal(tmp_path / "data", ({"collection": "S1"}, options, False, {}))
    account_file(both["peps"], tmp_path / "account.txt")
    yield SimpleNamespace(**both)
    for archive in both.values():
        archive.stop()


def s1(archive):
    return [one.name for one in archive.catalogue if one.collection == "S1"]


class TestResume:
    def test_orders_of_two_archives_are_finished_each_as_it_was_given(self, run, two, tmp_path):
        done = run("resume", tmp_path / "data", *QUICK, "--report", tmp_path / "report.json")
        status = json.loads(run("status", tmp_path / "data", "--format", "json").out)
        reports = [json.loads((tmp_path / name).read_text()) for name in ("report.json", "report-2.json")]

        assert done.code == 0, done.err
        assert all((tmp_path / "data" / f"{name}.zip").is_file() for name in s1(two.peps))
        assert all((tmp_path / "data" / f"{name}.SAFE").is_dir() for name in s1(two.cdse))
        assert [report["provider"] for report in reports] == ["peps", "cdse"]
        assert (status["is_complete"], status["searches_unfinished"]) == (True, 0)
        assert "nothing is unfinished" in run("resume", tmp_path / "data").err

    def test_one_account_is_not_shown_to_both(self, run, two, tmp_path):
        done = run("resume", tmp_path / "data", "-a", tmp_path / "account.txt")

        assert done.code == 2
        assert "-a is for one archive, and these orders use cdse and peps" in done.err
        assert not list((tmp_path / "data").glob("*.zip"))

    def test_an_archive_that_is_down_does_not_keep_the_other_waiting(self, run, two, tmp_path, monkeypatch):
        two.peps.stop()
        monkeypatch.setenv("PEPSASYNC_CONFIG", str(tmp_path / "config.toml"))
        (tmp_path / "config.toml").write_text("retries = 1\nretry_wait = 0.01\n")
        done = run("resume", tmp_path / "data")

        assert done.code == 4, done.err
        assert "the others continue" in done.err
        assert len(list((tmp_path / "data").glob("*.SAFE"))) == len(s1(two.cdse)) > 0

    def test_the_archive_of_the_command_line_comes_before_that_of_the_orders(self, run, two, tmp_path):
        done = run("resume", tmp_path / "data", "--provider", "peps", "--base-url", two.peps.peps_url)
        folders = {path.stem for path in (tmp_path / "data").glob("*.SAFE")}

        assert done.code == 0, done.err
        assert folders == set(s1(two.peps)), "the order that unpacks unpacks what it has from there"
        assert not two.cdse.statistics.requests

    def test_the_archive_of_the_environment_does_not(self, run, two, tmp_path, monkeypatch):
        monkeypatch.setenv("PEPSASYNC_PROVIDER", "geodes")

        assert run("resume", tmp_path / "data").code == 0


def test_products_of_a_resumed_run_keep_their_order(tmp_path):
    async def write():
        async with open_journal(tmp_path, tell=pytest.fail) as journal:
            first = journal.record_order({"collection": "S1"}, ["peps"], {"provider": "peps", "extract": True})
            await journal.note_products(first, [product("A", provider="peps")])
            journal.note_searched(first)
            second = journal.record_order({"collection": "S2"}, ["peps"], {"provider": "peps"})
            journal.note_searched(second)
            await journal.flush()
            await journal.note_products(None, [product("A", provider="peps")])

    anyio.run(write)
    (job,) = find_unfinished(tmp_path)
    assert job.options.extract


def test_the_same_search_at_another_archive_is_not_finished_with_it(tmp_path):
    async def write():
        async with open_journal(tmp_path, tell=pytest.fail) as journal:
            journal.record_order({"collection": "S1"}, ["cdse"], {"provider": "cdse"})
            other = journal.record_order({"collection": "S1"}, ["peps"], {"provider": "peps"})
            journal.note_searched(other)

    anyio.run(write)
    assert [job.options.provider for job in find_unfinished(tmp_path)] == ["cdse"]
