"""Whether tables and picture say what was measured."""

from xml.etree import ElementTree as ET

import cases
import picture
import pytest
import table
from measure import Run, figures

SVG = "{http://www.w3.org/2000/svg}"


def way(*seconds):
    return figures([Run(each, each, 10_000_000) for each in seconds], 100_000_000, [])


@pytest.fixture
def results():
    ways = {"pepsasync": way(1.0), "slow & steady": way(4.0), "md5sum alone": way(0.5)}
    machine = {
        "date": "2026-11-22 10:00 UTC",
        "system": "Linux",
        "processor": "some",
        "processors": 2,
        "memory_GB": 24.0,
        "python": "3.11",
        "load_before": 0.1,
        "md5_MB_s": 600,
        "disk_MB_s": 300,
    }
    case = {"title": "One < two", "ways": ways, "missing": ["wget2"], "failed": ["aria2c: exit code 1"]}
    case["measured"] = "2026-11-22 10:00 UTC, scale `quick`"
    return {
        "scale": "quick",
        "note": "",
        "machine": machine,
        "versions": {"curl": "8.0", "wget2": None},
        "cases": {"one": case},
        "scripts": {"journal.py": {"lines": [{"products": 10, "peak_MB": 50.25}]}},
    }


def test_tables_show_the_fastest_first_and_who_is_missing(results):
    text = table.markdown(results)

    assert text.index("| md5sum alone") < text.index("| **pepsasync**") < text.index("slow & steady")
    assert "Not installed: wget2." in text
    assert "Failed: aria2c: exit code 1" in text
    assert "| 10 | 50.25 |" in text


def test_what_was_measured_before_says_when(results):
    assert "Measured" not in table.markdown(results)

    results["cases"]["one"]["measured"] = "2026-01-01 10:00 UTC, scale `full`"

    assert "Measured 2026-01-01 10:00 UTC, scale `full`." in table.markdown(results)


def test_only_what_stands_between_the_marks_is_written_again(results, tmp_path):
    path = tmp_path / "README.md"
    path.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    table.write_into(path, results)
    once = path.read_text()
    table.write_into(path, results)

    assert once == path.read_text()
    assert once.startswith("before\n")
    assert once.endswith("\nafter\n")
    assert "old" not in once


def test_a_file_without_marks_is_left_alone(results, tmp_path):
    path = tmp_path / "README.md"
    path.write_text("mine")

    with pytest.raises(ValueError, match="unpack"):
        table.write_into(path, results)
    assert "mine" == path.read_text()


def test_where_memory_counts_the_least_comes_first(results):
    results["cases"]["one"]["is_memory"] = True
    results["cases"]["one"]["ways"]["pepsasync"]["peak_MB"] = 30
    root = ET.fromstring(picture.draw(results))
    bars = [bar.get("class") for bar in root.iter(f"{SVG}rect")]

    assert ["other", "limit", "ours"] == bars


def test_bars_are_as_long_as_their_rates(results):
    root = ET.fromstring(picture.draw(results))
    bars = {bar.get("class"): float(bar.get("width")) for bar in root.iter(f"{SVG}rect")}

    assert pytest.approx(4, rel=0.01) == bars["ours"] / bars["other"]
    assert bars["ours"] < bars["limit"]
    assert {"One < two", "slow & steady"} <= {text.text for text in root.iter(f"{SVG}text")}


@pytest.mark.parametrize(
    ("target", "reached", "met"),
    [
        pytest.param(cases.Target("one", "a", "faster", 1.3, "b"), 2.0, True, id="faster"),
        pytest.param(cases.Target("one", "b", "faster", 0.95, "a"), 0.5, False, id="slower"),
        pytest.param(cases.Target("one", "b", "cpu", 1.15, "a"), 2.0, False, id="more-processor-time"),
        pytest.param(cases.Target("one", "a", "peak_MB", 100), 10, True, id="memory"),
    ],
)
def test_targets_are_judged(target, reached, met):
    found = {"a": way(1.0), "b": way(2.0)}

    assert reached == cases.judge(target, found)
    assert met is cases.is_met(target, reached)


def test_a_figure_that_older_results_lack_is_not_judged():
    assert cases.judge(cases.Target("many", "a", "busy", 0.9), {"a": {"seconds": 1.0}}) is None


def test_scripts_are_judged_by_their_worst_line():
    target = cases.ScriptTarget("a.py", "seconds", "s", 2, way="ours")
    lines = [{"way": "ours", "s": 1.0}, {"way": "theirs", "s": 9.0}, {"way": "ours", "s": 1.5}, {"way": "ours"}]

    assert 1.5 == cases.judge_script(target, lines)
    assert cases.judge_script(target, []) is None


def test_growth_is_from_the_first_line_to_the_last():
    target = cases.ScriptTarget("a.py", "memory", "MB", 1.1, cases.growth)

    assert 1.5 == cases.judge_script(target, [{"MB": 50}, {"MB": 90}, {"MB": 75}])
    assert cases.judge_script(target, [{"MB": 50}]) is None


def test_tables_judge_what_scripts_have_measured(results):
    results["scripts"]["page.py"] = {"lines": [{"archive": "peps", "more_ms": 501}, {"archive": "cdse", "more_ms": 9}]}

    assert "| 500 | 501 | **no** |" in table.markdown(results)


def test_a_target_without_its_rival_is_not_judged():
    assert cases.judge(cases.Target("one", "a", "faster", 1.3, "b"), {"a": way(1.0)}) is None


@pytest.mark.parametrize("scale", cases.SIZES)
def test_every_target_belongs_to_a_case_that_measures_it(scale):
    known = {case.name: case.ways for case in cases.make_cases(scale)}

    for target in cases.TARGETS:
        assert {target.way, target.other or target.way} <= set(known[target.case])
