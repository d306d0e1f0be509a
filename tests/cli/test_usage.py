"""What command lines mean, and what is said about wrong ones."""

from datetime import timedelta
from importlib import metadata

import pytest

from pepsasync import errors
from pepsasync.cli import main
from pepsasync.cli.app import COMMANDS, make_command

SPELLINGS = {
    "collection": (["-c", "--collection"], "S2ST", "S2ST"),
    "product_type": (["-p", "--product", "--product-type", "--product_type"], "GRD", "GRD"),
    "sensor_mode": (["-m", "--sensor-mode", "--sensor_mode"], "IW", "IW"),
    "tile": (["-t", "--tile"], "t31tcj", "31TCJ"),
    "location": (["-l", "--location"], "Toulouse", "Toulouse"),
    "relative_orbit": (["-o", "--orbit"], "51", 51),
    "cloud_cover": (["--cc", "--clouds"], "20", 20.0),
    "platform": (["--sat", "--satellite"], "S1A", "S1A"),
    "names": (["--id"], "NAME.zip", ("NAME",)),
    "orbit_direction": (["--orbit-direction"], "Descending", "descending"),
    "polarisation": (["--polarisation", "--polarization"], "VV+VH", "VV VH"),
    "timeliness": (["--timeliness"], "fast-24h", "Fast-24h"),
    "months": (["--months"], "6-8", (6, 7, 8)),
}
DATES = {
    "start": ["-d", "--start", "--start-date", "--start_date"],
    "end": ["-f", "--end", "--end-date", "--end_date"],
}


@pytest.mark.parametrize(
    ("field", "spelling", "text", "value"),
    [
        pytest.param(field, spelling, text, value, id=spelling)
        for field, (spellings, text, value) in SPELLINGS.items()
        for spelling in spellings
    ],
)
def test_every_spelling_of_a_criterion_means_the_same(*, run, clients, field, spelling, text, value):
    assert run("fetch", spelling, text, "-q").code == 0

    assert value == getattr(clients.all[0].query, field)


@pytest.mark.parametrize(
    ("arguments", "field", "values"),
    [
        pytest.param(["-t", "31TCJ,31TDJ"], "tile", ("31TCJ", "31TDJ"), id="commas"),
        pytest.param(["-t", "31TCJ", "--tile", "31TDJ"], "tile", ("31TCJ", "31TDJ"), id="repeated"),
        pytest.param(["-t", "@tiles.txt"], "tile", ("31TCJ", "31TDJ"), id="file"),
        pytest.param(["-c", "S1,S2"], "collection", ("S1", "S2"), id="collections"),
        pytest.param(["-p", "GRD", "-p", "SLC"], "product_type", ("GRD", "SLC"), id="types"),
        pytest.param(["-m", "IW,EW"], "sensor_mode", ("IW", "EW"), id="modes"),
        pytest.param(["--sat", "S1A,S1C"], "platform", ("S1A", "S1C"), id="satellites"),
        pytest.param(["-o", "8,51"], "relative_orbit", (8, 51), id="orbits"),
        pytest.param(["-l", "Foix", "-l", "Paris, Texas"], "location", ("Foix", "Paris, Texas"), id="places"),
        pytest.param(["--property", "a = 1", "--property", "b<2"], "property", ("a=1", "b<2"), id="property"),
        pytest.param(["--id", "data/A.zip,B", "--id", "C"], "names", ("A", "B", "C"), id="names"),
        pytest.param(["-c", "S2", "--per", "day", "--per", "tile"], "per", ("day", "tile"), id="per"),
    ],
)
def test_several_values_of_an_option_are_one_order(*, run, clients, tmp_path, monkeypatch, arguments, field, values):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiles.txt").write_text("31TCJ\n31TDJ\n")

    assert run("fetch", *arguments, "-q").code == 0
    assert values == getattr(clients.all[0].query, field)


def test_spans_back_from_today_are_no_options(run, clients):
    assert run("fetch", "-d", "-3d", "--end", "-12h", "--published-since", "-1w", "-q").code == 0

    query = clients.all[0].query
    assert timedelta(days=2) < query.end - query.start < timedelta(days=4)
    assert query.published_since < query.start


def test_filters_reach_the_query(run, clients):
    line = "-c S2 -t 31TCJ --clouds 5..20 --cover 60% --published-since 2017-01-01 --sort cover --limit 3 -q"

    assert run("fetch", *line.split()).code == 0

    query = clients.all[0].query
    assert (5.0, 20.0, 60.0, "cover", 3) == (
        query.min_cloud_cover, query.cloud_cover, query.cover, query.sort, query.limit,
    )  # fmt: skip
    assert f"{query.published_since:%Y-%m-%d}" == "2017-01-01"


def test_no_clouds_at_all_can_be_asked_for(run, clients):
    assert run("fetch", "-c", "S2", "--clouds", "0").code == 0

    assert clients.all[0].query.cloud_cover == 0


@pytest.mark.parametrize(("field", "spelling"), [(f, spelling) for f, names in DATES.items() for spelling in names])
def test_every_spelling_of_a_date_means_the_same(run, clients, field, spelling):
    assert run("fetch", spelling, "2017-01-31").code == 0

    assert f"{getattr(clients.all[0].query, field):%Y-%m-%d}" == "2017-01-31"


@pytest.mark.parametrize(
    ("arguments", "bounds"),
    [
        pytest.param(
            ["--lonmin", "-5.2", "--lonmax", "2", "--latmin", "-43", "--latmax", "-.5"], (-5.2, -43, 2, -0.5), id="box"
        ),
        pytest.param(["--bbox", "-5,43,2,44"], (-5, 43, 2, 44), id="bbox"),
        pytest.param(["--bbox=-5,43,2,44"], (-5, 43, 2, 44), id="bbox-joined"),
        pytest.param(["--lon", "-1", "--lat", "-43.5"], (-1, -43.5, -1, -43.5), id="point"),
        pytest.param(["--lon", "0", "--lat", "0"], (0, 0, 0, 0), id="zero"),
        pytest.param(["--geometry", "POINT (1 43)"], (1, 43, 1, 43), id="wkt"),
    ],
)
def test_negative_numbers_and_zero_are_values(run, clients, arguments, bounds):
    assert run("fetch", *arguments).code == 0

    assert bounds == clients.all[0].query.area.bounds


def test_no_clouds_at_all_is_a_criterion(run, clients):
    assert run("fetch", "-c", "S2", "--clouds", "0").code == 0

    assert clients.all[0].query.cloud_cover == 0


def test_names_come_from_a_file_too(run, clients, tmp_path):
    (tmp_path / "names.txt").write_text("A  # first\nB\n")

    assert (
        run("fetch", "--id", f"@{tmp_path / 'names.txt'}", "--id", "data/C.zip", "--latest", "--limit", "5").code == 0
    )

    query = clients.all[0].query
    assert (query.names, query.latest, query.limit) == (("A", "B", "C"), True, 5)


def test_how_to_work_reaches_the_client(run, clients, tmp_path):
    (tmp_path / "peps.txt").write_text("you@example.org a secret")
    (tmp_path / "ca.pem").write_text("")
    line = f"-c S1 -a {tmp_path}/peps.txt --ca-bundle {tmp_path}/ca.pem --provider peps"
    line += " --base-url http://127.0.0.1:1/resto -j 3 --staging-jobs 4 --wait 2"
    line += " --poll-interval 7 --trials 9 --staging-timeout 3d --limit-rate 10m"

    assert run("fetch", *line.split(), "-x", "--windows", "-w", tmp_path / "data").code == 0

    client, config = clients.all[0], clients.all[0].made_with.config
    assert (client.made_with.provider, client.made_with.base_url) == ("peps", "http://127.0.0.1:1/resto")
    assert client.made_with.credentials.password == "a secret"
    assert (config.jobs, config.staging_jobs, config.trials, config.limit_rate) == (3, 4, 9, 10 << 20)
    assert (config.poll_interval, config.poll_interval_max, config.staging_timeout) == (7.0, 120.0, 259_200.0)
    assert (client.directory, client.extract) == (tmp_path / "data", True)


@pytest.mark.parametrize(
    ("text", "rate"), [("10b", 10), ("0.5k", 512), ("1000", 1_000), ("2000", 2_000), (" 900 b", 900)]
)
def test_slow_rates_have_a_unit(run, clients, text, rate):
    assert run("fetch", "-c", "S1", "--limit-rate", text, "--min-rate", "0").code == 0

    assert (clients.all[0].made_with.config.limit_rate, clients.all[0].made_with.config.min_rate) == (rate, 0)


@pytest.mark.parametrize("option", ["--lon", "--orbit", "--limit", "-j", "--segments"])
def test_every_number_is_read_in_our_own_words(run, clients, option):
    done = run("fetch", "-c", "S1", option, "x")

    assert done.code == 2
    assert "'x' is not a number" in done.err
    assert "Input" not in done.err


@pytest.mark.parametrize("spelling", ["-w", "--write-dir", "--write_dir"])
def test_every_spelling_of_the_folder_means_the_same(run, clients, spelling, tmp_path):
    assert run("fetch", "-c", "S1", spelling, tmp_path).code == 0

    assert clients.all[0].directory == tmp_path


@pytest.mark.parametrize("spelling", ["-n", "--dry-run", "--no-download", "--no_download"])
def test_dry_run_lists_and_writes_nothing(run, clients, spelling, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    done = run("fetch", "-c", "S1", spelling, "-w", tmp_path / "data")

    assert done.code == 0
    assert [line.split()[:4] for line in done.out.splitlines()[1:]] == [
        ["A", "1.00", "MB", "disk"],
        ["B", "2.00", "MB", "tape"],
    ]
    assert "2 products, 3.00 MB: 1 on disk, 1 on tape" in done.err
    assert list(tmp_path.iterdir()) == []


def test_provider_comes_from_the_environment(run, clients, monkeypatch):
    monkeypatch.setenv("PEPSASYNC_PROVIDER", "peps")

    run("fetch", "-c", "S1")

    assert clients.all[0].made_with.provider == "peps"


def test_short_o_is_a_file_in_search(run, clients, tmp_path):
    assert run("search", "-c", "S1", "-o", tmp_path / "found.geojson", "--orbit", "51").code == 0

    assert (tmp_path / "found.geojson").is_file()
    assert clients.all[0].query.relative_orbit == 51


@pytest.mark.parametrize("short", ["-h", "--help"])
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run, command, short):
    done = run(command, short)

    assert (done.code, done.err) == (0, "")
    assert all(option in done.out for option in ("--help", "--quiet", "--verbose", "--no-color"))
    assert "--windows" not in done.out
    assert "--backend" not in done.out


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_lists_the_commands(run, arguments):
    done = run(*arguments)

    assert done.code == 0
    assert all(f"\n  {command} " in done.out for command in COMMANDS)


def test_version_is_that_of_the_installed_package(run):
    assert run("--version").out == f"pepsasync {metadata.version('pepsasync')}\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param("fetch", "no criterion is given", id="no-criterion"),
        pytest.param("fetch --latest --limit 3", "no criterion is given", id="no-real-criterion"),
        pytest.param("stage", "no criterion is given", id="stage-no-criterion"),
        pytest.param("search", "no criterion is given", id="search-no-criterion"),
        pytest.param("search --id=", "--id is empty", id="no-name-at-all"),
        pytest.param("fetch -c S1 --tile=", "tile is empty", id="empty"),
        pytest.param("fetch -c S1 --shape=", "shape is empty", id="empty-path"),
        pytest.param("fetch -c S1 --id A --id=", "--id is empty", id="empty-name"),
        pytest.param("fetch -c S1 --limit 0", "limit 0 is not a positive number", id="limit"),
        pytest.param("fetch --colection S1", "there is no option --colection; did you mean --collection?", id="typo"),
        pytest.param("fetch -c", "Option '-c' requires an argument", id="value-missing-at-end"),
        pytest.param("fetch -c -t 31TCJ", "option -c needs a value, but -t follows", id="value-missing"),
        pytest.param(
            "fetch -c --start 2017-01-01", "option -c needs a value, but --start follows", id="value-missing-long"
        ),
        pytest.param("fetch S1", "unexpected extra argument", id="extra"),
        pytest.param("fech", "No such command 'fech'", id="command"),
        pytest.param("fetch -c S1 --orbit 0", "relative orbit 0 does not exist", id="orbit"),
        pytest.param("fetch -c S1 --lon abc --lat 1", "--lon: 'abc' is not a number", id="number"),
        pytest.param("fetch -c S1 --lon nan --lat 1", "--lon: 'nan' is not a number", id="no-finite-number"),
        pytest.param("fetch -c S1 -o 51.5", "orbit: '51.5' is not a whole number", id="integer"),
        pytest.param("fetch -c S1 --limit many", "--limit: 'many' is not a number", id="count"),
        pytest.param("sandbox --port http", "--port: 'http' is not a number", id="port"),
        pytest.param("sandbox --seed 1e99999", "--seed: '1e99999' is not a number", id="seed"),
        pytest.param(
            "fetch -c S1 --limit-rate 10", "--limit-rate: 10 without a unit would be 10 bytes", id="rate-without-unit"
        ),
        pytest.param("fetch -c S1 --min-rate 20", "Write 20m, 20k or 20b", id="min-rate-without-unit"),
        pytest.param(
            "fetch -c S1 --staging-window 500", "500 without a unit would be 500 bytes", id="window-without-unit"
        ),
        pytest.param("fetch -c S1 --cloud-cover 5", "did you mean --clouds?", id="meaning-clouds"),
        pytest.param("fetch -c S1 --from 2017-01-01", "did you mean --start?", id="meaning-start"),
        pytest.param("fetch -c S1 --until 2017-01-01", "did you mean --end?", id="meaning-end"),
        pytest.param("fetch -c S1 --output-dir data", "did you mean --write-dir?", id="meaning-folder"),
        pytest.param("search -c S1 --output-dir data", "did you mean --output?", id="meaning-file"),
        pytest.param("fetch -c S1 --threads 4", "did you mean --jobs?", id="meaning-jobs"),
        pytest.param("fetch --platform S1A", "did you mean --satellite?", id="meaning-satellite"),
        pytest.param("fetch -c S1 --password=x", "did you mean --auth?", id="meaning-account"),
        pytest.param("fetch -c S1 --user x", "did you mean --auth?", id="meaning-user"),
        pytest.param("fetch -c S1 --Limit_Rate 1m", "did you mean --limit-rate?", id="meaning-signs"),
        pytest.param("fetch -c S1 --max-records 5", "did you mean --limit?", id="meaning-limit"),
        pytest.param("fetch -c S1 --xyzzy", "there is no option --xyzzy. See pepsasync fetch --help", id="no-meaning"),
        pytest.param("fetch -c S1 -Z", "there is no option -Z. See", id="no-short-option"),
        pytest.param("status --jobs 3", "there is no option --jobs. See", id="option-of-others"),
        pytest.param("fetch -c \udcff", r"collection: '\udcff' is not text", id="bytes"),
        pytest.param("fetch -l \udcff", r"location: '\udcff' is not text", id="bytes-place"),
        pytest.param("fetch -t 99ZZZ", "not an MGRS tile", id="tile"),
        pytest.param("fetch -c S2 -t 31TZZ", "there is no MGRS tile 31TZZ", id="tile-that-does-not-exist"),
        pytest.param("fetch -d someday", "someday", id="date"),
        pytest.param("fetch -d 2017-02-01 -f 2017-01-01", "is empty", id="period"),
        pytest.param("fetch -c S1 --cc 120", "120", id="clouds"),
        pytest.param("fetch -c S1 --limit-rate fast", "--limit-rate: 'fast' is not a size", id="size"),
        pytest.param(
            "fetch -c S1 --staging-timeout soon", "--staging-timeout: 'soon' is not a duration", id="duration"
        ),
        pytest.param("fetch -c S1 --segments 0", "segments must be at least 1", id="segments"),
        pytest.param("fetch -c S1 -j 0", "jobs must be at least 1", id="jobs"),
        pytest.param("fetch -c S1 --limit-rate 0", "more than 0 bytes, not 0. Leave it out for no limit", id="no-rate"),
        *(
            pytest.param(f"fetch -n -c S1 {option}", words, id=f"dry-{option}")
            for option, words in (
                ("--limit-rate=-5", "'-5' is not a size"),
                ("--limit-rate 0", "limit-rate must be more than 0 bytes"),
                ("--limit-rate 10", "10 without a unit would be 10 bytes"),
                ("--limit-rate 1e1", "'1e1' is not a size"),
                ("--limit-rate 10M/s", "'10M/s' is not a size"),
                ("--staging-window 0", "staging-window must be more than 0 bytes"),
                ("-j 0", "jobs must be at least 1"),
                ("--segments 0", "segments must be at least 1"),
                ("--trials 0", "trials must be at least 1"),
                ("--staging-timeout 0", "staging-timeout must be longer than 0 seconds"),
            )
        ),
        pytest.param("fetch -c S1 -a missing.txt", "cannot read the credentials file missing.txt", id="auth"),
        pytest.param("fetch -c S1 --ca-bundle missing.pem", "missing.pem does not exist", id="ca"),
        pytest.param("fetch -c S1 --provider nasa", "no provider 'nasa'", id="provider"),
        pytest.param("fetch -c S1 --base-url archive", "not the URL of an archive", id="url"),
        pytest.param("fetch -c S1 --report missing/r.json", "--report: the folder of missing/r.json", id="report"),
        pytest.param("fetch -c S1 --events missing/e.jsonl", "--events: the folder of", id="events"),
        pytest.param("fetch -c S1 --wait 0", "--wait must be longer than 0 minutes", id="wait"),
        pytest.param("fetch -c S1 --json .", "--json: . is a folder", id="json"),
        pytest.param("fetch -c S1 --json - --report -", "--report and --json cannot both be", id="two-outputs"),
        pytest.param("fetch -c S1 --events - --report -", "--report and --events cannot both be", id="two-of-a-run"),
        pytest.param("search -c S1 --json - --format ids", "--format and --json cannot both be", id="two-of-a-search"),
        pytest.param("fetch -c S1 -n --report r.json", "-n fetches nothing: leave out --report", id="dry-report"),
        pytest.param("fetch -c S1 -n --events -", "-n fetches nothing: leave out --events", id="dry-events"),
        pytest.param("fetch -c S1 -n --on-delivered ls", "-n fetches nothing: leave out --on-delivered", id="dry-hook"),
        pytest.param("plan -c S1 --report r.json", "there is no option --report", id="plan-report"),
        pytest.param("plan -c S1 --events -", "there is no option --events", id="plan-events"),
        pytest.param("plan -c S1 --on-delivered ls", "there is no option --on-delivered", id="plan-hook"),
        pytest.param("collections peps --provider cdse", "peps or cdse? Name one archive", id="two-archives"),
        pytest.param("fetch -c S1 --id @missing.txt", "cannot read missing.txt", id="names"),
        pytest.param("fetch -c S1 --backend uvloop", "--backend must be asyncio or trio", id="backend"),
        pytest.param("search -c S1 -o found.shp", "cannot tell the format of found.shp", id="suffix"),
        pytest.param("search -c S1 -o missing/found.csv", "-o: the folder of", id="search-folder"),
        pytest.param("search -c S1 --format xml", "--format 'xml' is unknown", id="format"),
        pytest.param("download", "Missing argument", id="no-name"),
        pytest.param("download missing.geojson", "cannot read missing.geojson", id="no-file"),
        pytest.param("collections nasa", "no provider 'nasa'", id="collections"),
        pytest.param("sandbox --fault cut", "--fault 'cut' is not NAME=RATE", id="fault"),
        pytest.param("sandbox --fault fire=1", "unknown fault 'fire'", id="fault-name"),
        pytest.param("sandbox --product-size big", "--product-size: 'big' is not a size", id="sandbox-size"),
        pytest.param("sandbox --tape-fraction 2", "--tape-fraction must be at most 1, not 2.0", id="sandbox-value"),
    ],
)
def test_bad_usage_ends_with_2_and_one_clear_line(run, line, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    done = run(*line.split())

    assert done.code == 2
    assert message in done.err
    assert done.err.startswith("pepsasync: error: ")
    assert done.err.count("\n") == 1
    assert "Input should be" not in done.err
    assert done.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (["fetch", "-c", "S1", "--base-url", ""], "--base-url"),
        (["fetch", "-c", "S1", "--base-url="], "--base-url"),
        (["fetch", "-c", "S1", "-w", " "], "-w"),
        (["fetch", "-c", "S1", "-w", ""], "-w"),
        (["fetch", "-c", "S1", "--provider", ""], "--provider"),
        (["fetch", "-c", "S1", "-j", ""], "-j"),
        (["fetch", "-c", "S1", "--report", ""], "--report"),
        (["fetch", "-c", "S1", "--on-delivered", ""], "--on-delivered"),
        (["search", "-c", "S1", "-o", ""], "-o"),
        (["resume", ""], "DIR"),
        (["status", "-q", ""], "DIR"),
        (["verify", "--", ""], "DIR"),
        (["download", "NAME", ""], "FILE|NAME..."),
        (["collections", ""], "[PROVIDER|all] [COLLECTION]"),
    ],
)
def test_empty_values_are_refused_rather_than_taken_for_the_default(run, clients, line, name):
    done = run(*line)

    assert (done.code, done.out) == (2, "")
    assert done.err == f"pepsasync: error: {name} is empty. Leave it out, or give it a value\n"
    assert not clients.all


def single_values():
    """Each option of each command that takes one value: all its spellings."""
    for command in COMMANDS:
        for param in make_command([command]).commands[command].params:
            takes_one = param.param_type_name == "option" and param.nargs == 1
            if takes_one and not (param.multiple or param.count or param.is_flag):
                yield pytest.param(command, [*param.opts], id=f"{command} {param.opts[0]}")


@pytest.mark.parametrize(("command", "spellings"), [*single_values()])
@pytest.mark.parametrize("is_joined", [False, True])
def test_an_option_that_takes_one_value_is_refused_when_it_is_given_twice(run, clients, command, spellings, is_joined):
    first, last = spellings[0], spellings[-1]
    joined = [
        f"{first}=1" if first.startswith("--") else f"{first}1",
        f"{last}=2" if last.startswith("--") else f"{last}2",
    ]
    done = run(command, *(joined if is_joined else [first, "1", last, "2"]))

    assert (2, "") == (done.code, done.out)
    assert f"{max(spellings, key=len)} was given 2 times and takes one value" in done.err
    assert not clients.all


def test_names_and_flags_may_be_repeated(run, clients):
    assert run("fetch", "--id", "A", "--id", "B", "-x", "-x", "-v", "-v").code == 0

    assert ("A", "B") == clients.all[0].query.names


def test_an_empty_variable_of_the_environment_is_none(run, clients, monkeypatch):
    monkeypatch.setenv("PEPSASYNC_PROVIDER", "")

    assert run("fetch", "-c", "S1").code == 0
    assert clients.all[0].made_with.provider == "geodes"


def test_unexpected_errors_end_in_one_line_without_traceback(run, clients):
    clients.prepare = lambda client: setattr(client, "fatal", ZeroDivisionError("a bug"))

    done = run("search", "-c", "S1")

    assert done.code == 1
    assert "unexpected ZeroDivisionError: a bug" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("arguments", [("-v", "-v"), ("-vv",), ("--verbose", "-v")])
def test_twice_verbose_shows_the_traceback(run, clients, arguments):
    clients.prepare = lambda client: setattr(client, "fatal", errors.AuthError("no"))

    done = run("search", "-c", "S1", *arguments)

    assert done.code == 3
    assert "Traceback" in done.err


def test_debugging_from_the_environment(run, clients, monkeypatch):
    monkeypatch.setenv("PEPSASYNC_DEBUG", "1")
    clients.prepare = lambda client: setattr(client, "fatal", errors.AuthError("no"))

    assert "Traceback" in run("search", "-c", "S1").err


def test_missing_sandbox_extra_is_explained(run, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pepsasync.sandbox", None)

    for command in ("sandbox", "demo"):
        done = run(command)
        assert done.code == 2
        assert "pip install 'pepsasync[sandbox]'" in done.err


def test_main_takes_arguments_of_the_process(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["pepsasync", "collections", "peps"])

    assert main() == 0
    assert "S2ST" in capsys.readouterr().out
