"""`collections`: what archives have and can be asked for; completion by the shell."""

import json
import os
import subprocess
import sys

import pytest

from archives import root, running
from pepsasync import Client
from pepsasync.providers import provider_names
from pepsasync.providers.collections import ARCHIVES, doubt, names_of
from pepsasync.providers.completion import attributes_of
from pepsasync.sync.order import read_order

OWN = ("peps", "geodes", "cdse")


@pytest.fixture(scope="module")
def archive():
    with running(30, tape_fraction=0, geodes_version="2.2") as served:
        yield served


@pytest.mark.parametrize("provider", OWN)
def test_attributes_of_a_collection_with_types(provider, archive, run):
    where = ("--base-url", root(archive, provider))
    done = run("collections", provider, "S2ST", *where)
    told = json.loads(run("collections", "S2ST", "--provider", provider, "--format", "json", *where).out)

    assert done.code == 0, done.err
    names = [line.split()[0] for line in done.out.splitlines()]
    assert ["ATTRIBUTE", *(each["name"] for each in told["attributes"])] == names
    assert (1, provider, "S2ST") == (told["schema"], told["provider"], told["collection"])
    clouds = next(each for each in told["attributes"] if "cloud" in each["name"].lower())
    assert "number" == clouds["type"]


def test_values_where_the_archive_tells_them(archive, run):
    done = run("collections", "s1", "geodes", "--base-url", archive.geodes_url)

    [direction] = [line for line in done.out.splitlines() if line.startswith("sat:orbit_state")]
    assert "Ascending, Descending" in direction


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param("collections nasa", "no provider 'nasa'", id="neither"),
        pytest.param("collections cdse peps", "cdse or peps? Name one", id="two-archives"),
        pytest.param("collections cdse S1 S2", "S1 or S2? Name one", id="two-collections"),
    ],
)
def test_what_is_refused(arguments, message, run):
    done = run(*arguments.split())

    assert done.code == 2
    assert message in done.err


def test_a_collection_of_which_the_archive_tells_nothing(archive, run):
    done = run("collections", "cdse", "NOTHING-9", "--base-url", archive.cdse_url)

    assert done.code == 2
    assert "tells of no attributes of NOTHING-9" in done.err


@pytest.mark.parametrize("provider", provider_names())
def test_collections_as_json(provider, run):
    told = json.loads(run("collections", provider, "--format", "json").out)

    assert provider == told["provider"]
    assert all(each["name"] and each["what"] for each in told["collections"])


@pytest.mark.parametrize("provider", OWN)
def test_an_unknown_attribute_ends_with_2_and_a_hint(provider, archive, run, tmp_path):
    wrong = {"geodes": "sat:orbit_stat"}.get(provider, "orbitDirecton")
    done = run(
        *("fetch", "-c", "S1", "--property", f"{wrong}=x", "-w", tmp_path / "data"),
        *("--provider", provider, "--base-url", root(archive, provider)),
    )

    assert done.code == 2
    assert f"there is no attribute '{wrong}'. Did you mean" in done.err


def test_an_order_keeps_its_attributes(archive, run, tmp_path):
    order = tmp_path / "order.toml"
    given = ("--property", "orbitDirection=ASCENDING", "--property", "orbitNumber>5")
    done = run("order", "new", order, "-c", "S1", *given, "--provider", "cdse", "-w", tmp_path / "data")

    assert done.code == 0, done.err
    assert ("orbitDirection=ASCENDING", "orbitNumber>5") == read_order(order).query.property


def test_of_several_archives_the_first_is_shown(run, monkeypatch):
    monkeypatch.setenv("PEPSASYNC_PROVIDER", "cdse,geodes")

    assert run("collections").out == run("collections", "cdse").out


def completed(line, **more):
    """What the shell offers for the last word of a line."""
    environment = {"_PEPSASYNC_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    program = "import sys; from pepsasync.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PATH": "", "PYTHONPATH": ":".join(sys.path), **environment, **more},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_shell_completes_commands_options_collections_and_attributes():
    assert ["collections"] == completed("pepsasync coll")
    assert "--published-since" in completed("pepsasync search --pub")
    assert "SENTINEL-5P" in completed("pepsasync collections SENT", PEPSASYNC_PROVIDER="cdse")
    assert ["polarisationChannels="] == completed("pepsasync fetch --property pola", PEPSASYNC_PROVIDER="cdse")
    assert ["cdse"] == completed("pepsasync collections cd")


@pytest.mark.parametrize("provider", OWN)
def test_there_is_something_to_complete(provider):
    assert len(attributes_of(provider)) > 10
    assert "S1" in names_of(provider)


@pytest.mark.parametrize(
    ("provider", "names"),
    [
        (
            "wekeo",
            "S1 S2 S2ST S3 EO:ESA:DAT:SENTINEL-1 EO:ESA:DAT:SENTINEL-2 EO:ESA:DAT:SENTINEL-3 EO:EUM:DAT:SENTINEL-3:OL_1_EFR___",
        ),
        ("asf", "S1 SENTINEL-1A_SLC SENTINEL-1A_DP_GRD_HIGH"),
        ("cdse", "S1 S2 S2ST S3 SENTINEL-1 SENTINEL-2 SENTINEL-3 SENTINEL-5P LANDSAT-8"),
        ("peps", "S1 S2 S2ST S3"),
    ],
)
def test_names_of_collections_are_whole(provider, names):
    assert names.split() == [*names_of(provider)]
    assert all(doubt(provider, name) is None for name in names.split())


def test_a_name_that_is_nearly_one_is_told():
    assert "did you mean EO:ESA:DAT:SENTINEL-1?" in doubt("wekeo", "EO:ESA:DAT:SENTINEL1")
    assert "did you mean" not in doubt("wekeo", "EO")


@pytest.mark.parametrize("provider", provider_names())
def test_what_an_archive_is_needs_no_account(provider, run):
    about = ARCHIVES[provider]
    done = run("collections", provider)
    told = json.loads(run("collections", provider, "--format", "json").out)

    assert all(text in done.out for text in about)
    assert {name: told[name] for name in about._fields} == about._asdict()
    assert (1, provider) == (told["schema"], told["provider"])


def test_all_archives_one_after_the_other(run):
    done = run("collections", "all")
    told = json.loads(run("collections", "all", "--format", "json").out)

    assert {each["provider"] for each in told["archives"]} == set(provider_names()) == ARCHIVES.keys()
    assert all(each["collections"] and each["account"] for each in told["archives"])
    assert all(about.account in done.out for about in ARCHIVES.values())


@pytest.mark.parametrize("provider", provider_names())
async def test_limits_are_those_that_are_kept(provider, anyio_backend):
    async with Client(provider, base_url=None if provider != "peps" else "https://peps.example/resto") as client:
        limits = client.provider.limits

    assert f"{limits.downloads} " in ARCHIVES[provider].limits
    if limits.quota:
        assert f"{limits.quota.products} downloads an hour" in ARCHIVES[provider].limits
