"""Some members of products on the command line: fetch, ls, plan, status, verify, resume and orders."""

import json
import signal
import tomllib

import pytest

from archives import final_names, root, sandbox

PERIOD = ["-c", "S2ST", "-d", "2015-01-01", "-f", "2018-01-01"]
SIZE = 1_000_000
BANDS = ("--bands", "B02,B04")


@pytest.fixture(params=["cdse"])
def served(request, tmp_path):
    archive = sandbox(6, tape_fraction=0, product_size=SIZE, vary=False)
    archive.start()
    account(archive, tmp_path)
    yield archive
    archive.stop()


def account(archive, folder):
    for name, text in (("cdse", f"{archive.username} {archive.password}"), ("geodes", archive.api_key)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)


def where(archive, folder, provider="cdse"):
    return ["--provider", provider, "--base-url", root(archive, provider), "-a", folder / provider]


def fetch(archive, folder, *more, provider="cdse"):
    return ["fetch", *where(archive, folder, provider), "-w", folder / "data", *PERIOD, *more]


def bands_in(folder):
    return sorted({path.stem[-3:] for path in (folder / "data").rglob("*.jp2")})


def test_bands_are_fetched_and_told(run, served, tmp_path):
    done = run(*fetch(served, tmp_path, *BANDS, "--report", tmp_path / "report.json"))
    report = json.loads((tmp_path / "report.json").read_text())
    told = json.loads(run("status", tmp_path / "data", "--format", "json").out)

    assert done.code == 0, done.err
    assert "delivered: 3 products" in done.err
    assert bands_in(tmp_path) == ["B02", "B04"]
    assert all(name.endswith(".SAFE") for name in final_names(tmp_path / "data"))
    assert {5} == {len(product["members"]) for product in report["products"]}
    assert told["is_complete"] is True
    assert told["partial"] == 3
    assert {5} == {product["members"] for product in told["products"]}
    assert "partial: 3 products" in run("status", tmp_path / "data").out


def test_named_products_come_in_part_and_then_whole(run, served, tmp_path):
    name = next(product.name for product in served.catalogue if product.collection == "S2ST")
    words = ["download", name, *where(served, tmp_path), "-w", tmp_path / "data"]
    some, whole, again = run(*words, "--include", "*.xml"), run(*words, "-x"), run(*words, *BANDS)

    assert (some.code, whole.code, again.code) == (0, 0, 0), some.err + whole.err
    assert final_names(tmp_path / "data") == [f"{name}.SAFE"]
    assert 18 == sum(path.is_file() for path in (tmp_path / "data" / f"{name}.SAFE").rglob("*"))
    assert "already here: 1 product" in again.err
    assert "partial" not in run("verify", tmp_path / "data").err


def test_a_partial_folder_beside_the_whole_zip_is_not_counted(run, served, tmp_path):
    name = next(product.name for product in served.catalogue if product.collection == "S2ST")
    words = ["download", name, *where(served, tmp_path), "-w", tmp_path / "data"]
    some, whole = run(*words, *BANDS), run(*words)

    assert (some.code, whole.code) == (0, 0), some.err + whole.err
    assert final_names(tmp_path / "data") == [f"{name}.SAFE", f"{name}.zip"]
    assert "partial" not in run("status", tmp_path / "data").out


def test_a_partial_folder_does_not_pass_for_the_zip_that_is_gone(run, served, tmp_path):
    name = next(product.name for product in served.catalogue if product.collection == "S2ST")
    words = ["download", name, *where(served, tmp_path), "-w", tmp_path / "data"]
    some, whole = run(*words, *BANDS), run(*words)
    assert (some.code, whole.code) == (0, 0), some.err + whole.err
    zipped = tmp_path / "data" / f"{name}.zip"

    zipped.unlink()
    told = json.loads(run("status", tmp_path / "data", "--format", "json").out)
    assert (told["partial"], told["gone"]["products"]) == (1, 1)
    verified = run("verify", tmp_path / "data")
    assert verified.code == 1
    assert f"missing  {name}: it was delivered here, and is gone: only some members are here" in verified.out
    resumed = run("resume", tmp_path / "data", *where(served, tmp_path))
    assert resumed.code == 0, resumed.err
    assert zipped.exists()

    zipped.unlink()
    repaired = run("verify", tmp_path / "data", "--repair", *where(served, tmp_path))
    assert repaired.code == 0, repaired.err
    assert zipped.exists()
    assert run("verify", tmp_path / "data").code == 0


def test_verify_tells_what_is_partial_and_repairs_no_more_than_it(run, served, tmp_path):
    assert run(*fetch(served, tmp_path, *BANDS)).code == 0
    good = run("verify", tmp_path / "data", "-v")
    [band, *_] = (tmp_path / "data").rglob("*_B02.jp2")
    right = band.read_bytes()
    band.write_bytes(b"damaged")
    bad = run("verify", tmp_path / "data")
    repaired = run("verify", tmp_path / "data", "--repair", *where(served, tmp_path))

    assert good.code == 0
    assert "3 products: 3 right; 3 partial" in good.err
    assert "5 of 18 members" in good.err
    assert (bad.code, "differs from what was unpacked" in bad.out) == (1, True)
    assert repaired.code == 0, repaired.err
    assert right == band.read_bytes()
    assert bands_in(tmp_path) == ["B02", "B04"]


def test_ls_lists_what_there_is_and_what_would_come(run, served, tmp_path):
    name = next(product.name for product in served.catalogue if product.collection == "S2ST")
    everything = run("ls", name, *where(served, tmp_path))
    some = run("ls", f"{name}.SAFE", *BANDS, *where(served, tmp_path))
    listed = json.loads(run("ls", name, "--format", "json", "--exclude", "*.jp2", *where(served, tmp_path)).out)

    assert (everything.code, some.code) == (0, 0), everything.err
    sizes = {line.split()[1]: int(line.split()[0].replace(",", "")) for line in everything.out.splitlines()}
    assert 18 == len(sizes)
    assert SIZE * 0.9 < sum(sizes.values()) < SIZE
    assert "18 members" in everything.err
    assert 5 == len(some.out.splitlines())
    assert {path for path in sizes if not path.endswith(".jp2")} == {member["path"] for member in listed}
    assert all(member["size"] == sizes[member["path"]] for member in listed)


def test_ls_of_nothing_says_so_and_ends_as_a_search_does(run, served, tmp_path):
    name = next(product.name for product in served.catalogue if product.name.startswith("S2"))
    done = run("ls", name, "--include", "*.nothing", *where(served, tmp_path))

    assert (done.code, done.out) == (0, "")
    assert done.err.strip() == f"nothing matches: no file of {name} fits --include *.nothing"


def test_ls_of_what_is_not_there(run, served, tmp_path):
    done = run("ls", "S2A_NONE", *where(served, tmp_path))

    assert done.code == 1
    assert "no such product" in done.err


def test_plan_tells_the_bytes_that_are_saved(run, served, tmp_path):
    command = ["plan", *fetch(served, tmp_path, *BANDS)[1:]]
    told, words = json.loads(run(*command, "--format", "json").out), run(*command)
    assert run(*fetch(served, tmp_path, *BANDS)).code == 0
    after = json.loads(run(*command, "--format", "json").out)
    came = sum(path.stat().st_size for path in (tmp_path / "data").rglob("*.SAFE/**/*") if path.is_file())

    assert told["members"]["bands"] == ["B02", "B04"]
    assert (told["members"]["is_known"], told["members"]["looked_at"]) == (True, 2)
    assert told["to_fetch"]["bytes"] == pytest.approx(came, rel=0.05)
    assert told["members"]["saved_bytes"] == 3 * SIZE - told["to_fetch"]["bytes"]
    assert "saved" in words.out
    assert (after["already_here"], after["to_fetch"]["products"]) == (3, 0)


def test_plan_says_beforehand_when_whole_products_must_come(run, served, tmp_path):
    done = run("plan", *fetch(served, tmp_path, *BANDS, provider="geodes")[1:])
    told = json.loads(run("plan", *fetch(served, tmp_path, *BANDS, provider="geodes")[1:], "--format", "json").out)

    assert "whole products are fetched, and what is not wanted is removed" in done.out
    assert (told["members"]["is_whole"], told["members"]["saved_bytes"]) == (True, 0)


def test_plan_without_an_account_does_not_fail(run, served, tmp_path):
    command = ["plan", "--provider", "cdse", "--base-url", served.cdse_url, "-w", tmp_path / "data", *PERIOD, *BANDS]
    done = run(*command)

    assert done.code == 0, done.err
    assert "is not known" in done.out


def test_a_whole_product_and_all_of_one_order_say_nothing_of_members(run, served, tmp_path):
    assert run(*fetch(served, tmp_path)).code == 0
    told = json.loads(run("plan", *fetch(served, tmp_path)[1:], "--format", "json").out)

    assert told["members"] is None
    assert 0 == json.loads(run("status", tmp_path / "data", "--format", "json").out)["partial"]
    assert "partial" not in run("verify", tmp_path / "data").err


@pytest.mark.parametrize("command", ["fetch", "plan"])
def test_a_band_that_there_is_not_is_refused_at_once(run, served, tmp_path, command):
    done = run(command, *fetch(served, tmp_path, "--bands", "B99")[1:])

    assert done.code == 2
    assert "no band 'B99'" in done.err
    assert not (tmp_path / "data").exists()


def test_resume_brings_the_members_of_the_order(run, spawn, served, tmp_path):
    process = spawn(*fetch(served, tmp_path, *BANDS, "--events", "-", "--limit-rate", "300k", "-j", "1"))
    for line in process.stdout:
        if '"download_progressed"' in line:
            break
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    done = run("resume", tmp_path / "data", *where(served, tmp_path))

    assert done.code == 0, done.err
    assert 3 == len(final_names(tmp_path / "data"))
    assert bands_in(tmp_path) == ["B02", "B04"]
    assert json.loads(run("status", tmp_path / "data", "--format", "json").out)["is_complete"] is True


def test_an_order_keeps_its_bands_and_takes_more(run, served, tmp_path):
    order = tmp_path / "bands.toml"
    made = run("order", "new", order, *fetch(served, tmp_path, *BANDS, "--exclude", "*.xml")[1:])
    first, second = run("sync", order), run("sync", order)

    assert made.code == 0, made.err
    written = tomllib.loads(order.read_text())
    assert (written["bands"], written["exclude"]) == (["B02,B04"], ["*.xml"])
    assert (first.code, second.code) == (0, 0), first.err
    assert ("bands: 3 products delivered" in first.err, second.err) == (True, "")
    assert bands_in(tmp_path) == ["B02", "B04"]
    order.write_text(order.read_text().replace('bands = ["B02,B04"]', 'bands = "B03"'))
    assert "3 products delivered" in run("sync", order).err
    assert bands_in(tmp_path) == ["B02", "B03", "B04"]


def test_an_order_with_a_band_that_there_is_not_is_refused(run, served, tmp_path):
    order = tmp_path / "bands.toml"
    assert run("order", "new", order, *fetch(served, tmp_path, *BANDS)[1:]).code == 0
    order.write_text(order.read_text().replace("B02,B04", "B02,B99"))
    done = run("sync", order)

    assert done.code == 2
    assert "no band 'B99'" in done.err
