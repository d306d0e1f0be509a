"""`order new`, `--save-order` and `sync`, as cron uses them."""

import json
import subprocess
import sys
import tomllib

import pytest

from archives import account_file, final_names, root, running
from pepsasync.errors import ConfigError
from pepsasync.sync.order import read_order


@pytest.fixture(params=["geodes", "cdse", "peps"])
def provider(request):
    return request.param


@pytest.fixture
def archive():
    with running(6, held_back=2, tape_fraction=0, product_size=30_000) as archive:
        yield archive


@pytest.fixture
def account(archive, tmp_path):
    """Files with the sandbox's account, by provider."""
    return {name: account_file(archive, tmp_path / f"{name}.txt", name) for name in ("geodes", "cdse", "peps")}


@pytest.fixture
def made(archive, account, run, tmp_path, provider):
    """An order of everything, made by the command."""
    file = tmp_path / "all.toml"
    done = run(
        *("order", "new", file, "-d", "2014-01-01", "-f", "2030-01-01", "-w", tmp_path / "data"),
        *("--provider", provider, "--base-url", root(archive, provider), "-a", account[provider]),
        *("--jobs", "2", "--poll-interval", "1"),
    )
    assert done.code == 0, done.err
    return file


def zips(tmp_path):
    return {name.removesuffix(".zip") for name in final_names(tmp_path / "data")}


def test_nights(made, archive, run, tmp_path):
    first = run("sync", made)
    assert (first.code, first.out) == (0, "")
    assert first.err.splitlines() == ["all: 4 products delivered"]

    old, gone = (product.name for product in archive.catalogue[:2])
    added, newer = archive.publish(), archive.supersede(old)
    archive.withdraw(gone)
    planned = run("sync", made, "--plan", "--format", "json")
    assert json.loads(planned.out) == {"add": [added], "replace": [{"old": old, "new": newer}], "gone": [gone]}
    assert run("sync", made, "--plan").out.split() == ["add", added, "replace", old, "by", newer, "gone", gone]

    second = run("sync", made)
    assert second.err.strip() == "all: 1 product delivered, 1 with a newer processing, which --replace brings"
    assert {old, gone, added} <= zips(tmp_path)
    third = run("sync", made, "--replace", "--prune")
    assert third.err.strip() == "all: 1 product delivered, 2 set aside or removed"
    assert zips(tmp_path) == {product.name for product in archive.catalogue if product.visible}


def test_a_night_without_news_is_silent(made, run):
    run("sync", made)
    for words in ([], ["--replace"], ["--replace", "--prune"]):
        done = run("sync", made, *words)
        assert (done.code, done.out, done.err) == (0, "", "")


def test_what_is_set_aside_is_kept_and_not_missed(made, archive, run, tmp_path):
    run("sync", made)
    old = archive.catalogue[0].name
    newer = archive.supersede(old)
    run("sync", made, "--replace")

    assert (tmp_path / "data/.pepsasync/replaced" / f"{old}.zip").exists()
    assert newer in zips(tmp_path)
    status = json.loads(run("status", tmp_path / "data", "--format", "json").out)
    assert (status["gone"]["products"], status["is_complete"]) == (0, True)
    assert "nothing" in run("resume", tmp_path / "data").err


def test_a_failure_is_told_and_tried_again(made, archive, run):
    lost = archive.catalogue[1].name
    archive.drop_file(lost)
    done = run("sync", made)

    assert done.code == 1
    assert "all: 3 products delivered, 1 failed" in done.err
    assert lost in done.err
    assert run("sync", made).code == 1


def test_an_outage_ends_with_4(made, archive, run):
    archive.stop()
    assert run("sync", made).code == 4


def test_events_tell_what_was_removed(made, archive, run, tmp_path):
    run("sync", made)
    gone = archive.catalogue[0].name
    archive.withdraw(gone)
    run("sync", made, "--prune", "--events", tmp_path / "events")

    events = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert [(e["name"], e["kept"]) for e in events if e["event"] == "product_removed"] == [(gone, "")]


@pytest.mark.parametrize("provider", ["peps"], indirect=True)
def test_two_never_run(made, tmp_path):
    """The second one says so and ends, as with fetch."""
    (tmp_path / "data").mkdir()
    code = (
        "import anyio, sys\n"
        "from pathlib import Path\n"
        "from pepsasync.folder.journal import open_journal\n"
        "async def hold():\n"
        "    async with open_journal(Path(sys.argv[1]), tell=print):\n"
        "        print('held', flush=True)\n"
        "        await anyio.to_thread.run_sync(sys.stdin.read)\n"
        "anyio.run(hold)\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "data"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        done = subprocess.run(
            [sys.executable, "-m", "pepsasync", "sync", made], capture_output=True, text=True, timeout=60, check=False
        )
    finally:
        holder.communicate("", timeout=120)

    assert done.returncode == 2
    assert "already running" in done.stderr


def test_any_query_can_be_saved(archive, account, run, tmp_path):
    words = ["-c", "S1", "--provider", "peps", "--base-url", archive.peps_url]
    where = [*words, "-a", account["peps"]]
    for command, more in {
        "fetch": [*where, "-w", tmp_path / "data"],
        "search": words,
        "plan": [*where, "-w", tmp_path / "data"],
        "stage": where,
    }.items():
        done = run(command, *more, "--save-order", tmp_path / f"{command}.toml")
        assert done.code == 0, done.err
        assert read_order(tmp_path / f"{command}.toml").criteria == {"collection": "S1"}

    assert run("sync", tmp_path / "fetch.toml").err == ""


def test_an_order_means_the_same_from_everywhere(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "area.geojson").write_text('{"type": "Point", "coordinates": [1, 43]}')
    (tmp_path / "names.txt").write_text("S2A_MSIL1C_20170105T105432_N0204_R051_T31TCJ_20170105T105428\n")
    options = ["-d", "-3d", "--shape", "area.geojson", "--id", "@names.txt", "-x", "--quota", "50/1h", "-w", 'da"ta']
    assert run("order", "new", "a.toml", *[o for o in options if o not in ("-d", "-3d")]).code == 0

    written = tomllib.loads((tmp_path / "a.toml").read_text())
    assert written["directory"] == str(tmp_path / 'da"ta')
    assert written["query"] == {"shape": f"{tmp_path}/area.geojson", "id": f"@{tmp_path}/names.txt"}
    assert (written["provider"], written["extract"], written["settings"]) == ("peps", True, {"quota": "50/3600"})
    monkeypatch.chdir("/")
    order = read_order(tmp_path / "a.toml")
    assert (order.settings["quota"].products, len(order.query.names)) == (50, 1)


def test_paths_of_a_hand_made_order_begin_at_it(tmp_path):
    file = tmp_path / "hand.toml"
    file.write_text(
        'directory = "data"\nprovider = ["geodes", "cdse"]\nlook_back = "1d"\n[query]\nstart = 2017-01-01\n'
        '[settings]\nca_bundle = "ca.pem"\n'
    )
    (tmp_path / "ca.pem").touch()
    order = read_order(file)

    assert (order.directory, order.provider, order.look_back) == (tmp_path / "data", "geodes,cdse", 86_400)
    assert order.query.start.year == 2017
    assert order.settings == {"ca_bundle": tmp_path / "ca.pem"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("directory = 1\n[query]\ncollection = 'S1'", "directory must be text"),
        ("[query]\ncollection = 'S1'", "names no directory"),
        ("directory = 'd'\nextrct = true\n[query]\ncollection = 'S1'", "Did you mean 'extract'"),
        ("directory = 'd'\n[query]\ncolection = 'S1'", "Did you mean 'collection'"),
        ("directory = 'd'\n[query]\ncollection = 'S1'\n[settings]\njob = 1", "Did you mean 'jobs'"),
        ("directory = 'd'\n[query]\n", "no criterion is given"),
        ("directory = 'd'\nquery = 1", "query must be a table"),
        ("version = 9\ndirectory = 'd'\n[query]\ncollection = 'S1'", "newer pepsasync"),
        ("directory = ", "not TOML"),
        ("directory = 'd'\nlook_back = 'long'\n[query]\ncollection = 'S1'", "look_back"),
        ("directory = 'd'\n[query]\ncollection = 'S1'\nid = '@-'", "standard input"),
        ("directory = '~no-such-user/d'\n[query]\ncollection = 'S1'", "no home folder ~no-such-user"),
        ("directory = 'd'\nauth = '~no-such-user/a'\n[query]\ncollection = 'S1'", "no home folder ~no-such-user"),
        ("directory = 'd'\n[query]\nshape = '~no-such-user/a.gpkg'", "no home folder ~no-such-user"),
        ("directory = 'd'\n[query]\ntile = '@~no-such-user/tiles'", "no home folder ~no-such-user"),
        ("directory = 'd'\nlook_back = '2000000000d'\n[query]\ncollection = 'S1'", "longer than 100 years"),
        ("directory = 'd'\nextract = 1\n[query]\ncollection = 'S1'", "extract must be true or false"),
        ("directory = 'd'\n[query]\ncollection = 'S1'\n[settings]\njobs = 0", "jobs must be at least 1"),
        ("directory = 'd'\n[query]\ncollection = 'S1'\n[settings]\nca_bundle = 'no.pem'", "no.pem does not exist"),
    ],
)
def test_what_is_wrong_is_named(text, words, run, tmp_path):
    file = tmp_path / "order.toml"
    file.write_text(text)
    done = run("sync", file)

    assert done.code == 2
    assert words in done.err
    assert str(file) in done.err


def test_no_order_and_no_limit(run, tmp_path):
    done = run("sync", tmp_path / "none.toml")
    assert (done.code, "order new" in done.err) == (2, True)
    done = run("order", "new", tmp_path / "a.toml", "-c", "S1", "--limit", "3")
    assert (done.code, "cannot have a limit" in done.err) == (2, True)
    assert not (tmp_path / "a.toml").exists()


def test_an_order_is_not_written_over(run, tmp_path):
    (tmp_path / "a.toml").write_text("mine")
    done = run("order", "new", tmp_path / "a.toml", "-c", "S1")

    assert (done.code, (tmp_path / "a.toml").read_text()) == (2, "mine")
    fetched = run("search", "-c", "S1", "--save-order", tmp_path / "a.toml")
    assert (fetched.code, (tmp_path / "a.toml").read_text()) == (2, "mine")
    folder = run("order", "new", tmp_path, "-c", "S1")
    assert (folder.code, "is a folder" in folder.err) == (2, True)
    with pytest.raises(ConfigError):
        read_order(tmp_path / "a.toml")


def test_the_same_order_may_be_written_again(run, clients, tmp_path):
    """A command line with --save-order can be run again; what its file was given beside the order stays."""
    file = tmp_path / "a.toml"
    words = ("search", "-c", "S1", "--save-order", file)
    assert run(*words).code == 0
    file.write_text(f"# of the team\n{file.read_text()}")
    assert (run(*words).code, file.read_text().splitlines()[0]) == (0, "# of the team")
    other = run("search", "-c", "S1,S3", "--save-order", file)
    assert (other.code, "is not this order" in other.err) == (2, True)


@pytest.mark.parametrize("provider", ["cdse"], indirect=True)
def test_orders_of_one_file_name_remember_each_for_itself(made, run, tmp_path):
    other = tmp_path / "other" / made.name
    other.parent.mkdir()
    other.write_text(made.read_text().replace("[query]", '[query]\ncollection = "S1"'))
    assert (run("sync", made).code, run("sync", other).code) == (0, 0)

    memories = [json.loads(path.read_text()) for path in (tmp_path / "data/.pepsasync/orders").iterdir()]
    radar = {name for name in zips(tmp_path) if name.startswith("S1")}
    assert sorted([sorted(zips(tmp_path)), sorted(radar)]) == sorted(memory["names"] for memory in memories)


@pytest.mark.parametrize("provider", ["geodes"], indirect=True)
def test_what_an_earlier_version_remembers_is_kept(made, archive, run, tmp_path):
    assert run("sync", made).code == 0
    orders = tmp_path / "data/.pepsasync/orders"
    (now,) = orders.iterdir()
    assert now.name.startswith("all-")
    now.rename(orders / "all.json")  # as earlier versions named it
    archive.withdraw(archive.catalogue[0].name)

    assert "gone" in run("sync", made, "--plan").out
    assert (orders / "all.json").exists()  # a plan changes nothing
    assert run("sync", made, "--prune").err == "all: 1 set aside or removed\n"
    assert [now] == [*orders.iterdir()]


@pytest.mark.parametrize("provider", ["peps"], indirect=True)
def test_waiting_for_tape_is_said_once(provider, run, tmp_path):
    with running(6, tape_fraction=1, product_size=11_000, staging_seconds=0.2) as archive:
        file, auth = tmp_path / "tape.toml", account_file(archive, tmp_path / "tape.txt", provider)
        where = ("--provider", provider, "--base-url", archive.peps_url, "-a", auth, "-w", tmp_path / "tape")
        assert run("order", "new", file, "-d", "2014-01-01", *where, "--poll-interval", "0.1").code == 0
        lines = run("sync", file).err.splitlines()

    assert [line for line in lines if "waiting for products on tape" in line] == [
        "tape: waiting for products on tape, maybe for days; skip_tape = true under [settings] leaves them for later runs"
    ]
    assert lines[-1] == "tape: 6 products delivered"


def test_what_only_a_plan_can_print(run, tmp_path):
    assert run("order", "new", tmp_path / "a.toml", "-c", "S1").code == 0
    assert run("sync", tmp_path / "a.toml", "--format", "json").code == 2
    assert run("order", "old", tmp_path / "a.toml", "-c", "S1").code == 2


@pytest.mark.parametrize("provider", ["cdse", "peps"])
def test_fetch_of_what_was_published_since_the_last_time(provider, archive, account, run, tmp_path):
    command = (
        *("fetch", "-d", "2014-01-01", "-f", "2030-01-01", "-w", tmp_path / "data", "--provider", provider),
        *("--base-url", root(archive, provider), "-a", account[provider], "--published-since", "last"),
    )
    first, again = run(*command), run(*command)
    assert (first.code, again.code) == (0, 0), first.err + again.err
    assert "since the last time: 4 products delivered" in first.err
    assert again.err.splitlines()[-1] == "since the last time: nothing new"

    added = archive.publish()
    third = run(*command)
    assert "since the last time: 1 product delivered" in third.err
    assert added in zips(tmp_path)
    other = run(*command[:-2], "-c", "S1", "--published-since", "LAST")
    assert other.code == 0, other.err  # another query has another last time


def test_a_failure_is_asked_for_again_by_the_next_time(archive, account, run, tmp_path):
    command = (
        *("fetch", "-d", "2014-01-01", "-f", "2030-01-01", "-w", tmp_path / "data", "--provider", "peps"),
        *("--base-url", archive.peps_url, "--published-since", "last"),
    )
    wrong = tmp_path / "wrong.txt"
    wrong.write_text("who@example.org nothing")
    wrong.chmod(0o600)

    assert run(*command, "-a", wrong).code == 3
    assert "4 products delivered" in run(*command, "-a", account["peps"]).err


@pytest.mark.parametrize("command", ["search", "plan", "stage"])
def test_the_last_time_is_for_those_who_bring_products(command, run):
    done = run(command, "-c", "S1", "--published-since", "last")

    assert done.code == 2
    assert "pepsasync fetch" in done.err
    assert run("fetch", "-c", "S1", "--published-since", "last", "--limit", "3").code == 2


def test_an_order_of_the_last_time_is_what_every_order_is(archive, run, tmp_path):
    given = ("-c", "S1", "--published-since", "last", "-w", tmp_path)
    assert run("order", "new", tmp_path / "order.toml", *given).code == 0
    assert read_order(tmp_path / "order.toml").query.published_since is None
    (tmp_path / "own.toml").write_text('directory = "d"\n[query]\ncollection = "S1"\npublished_since = "last"\n')
    assert read_order(tmp_path / "own.toml").query.published_since is None
