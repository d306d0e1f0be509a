"""Everything that is measured of pepsasync, beside its rivals: `nox -s bench`, or this script.

Files come from an nginx on the loopback (Debian: apt-get install nginx-light curl; rivals that are commands: aria2
wget2). Each way runs in processes of its own, in turns, after a warm-up. Writes `results.json`, and from it the tables
of `README.md` and the picture `results.svg`.
"""

import argparse
import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import cases
import commands
import facts
import link
import measure
import picture
import server
import table
import warmth

HERE = Path(__file__).parent

SCRIPTS = {
    "page.py": {"full": ["--repeats", "9"], "half": ["--repeats", "5"], "quick": ["--repeats", "3"]},
    "makespan.py": {"full": ["--repeats", "3"], "half": ["--repeats", "1"], "quick": ["--quick"]},
    "schedule.py": {scale: [] for scale in cases.SIZES},
    "bands.py": {"full": ["--repeats", "3"], "half": ["--repeats", "1"], "quick": ["--quick"]},
    "search.py": {
        "full": ["--products", "100000"],
        "half": ["--products", "20000"],
        "quick": ["--products", "2000"],
    },
    "memory.py": {
        "full": ["--products", "100", "5000"],
        "half": ["--products", "100", "1000"],
        "quick": ["--products", "100"],
    },
    "length.py": {
        "full": ["--gigabytes", "1", "20"],
        "half": ["--gigabytes", "1", "5"],
        "quick": ["--gigabytes", "0.2", "1"],
    },
    "journal.py": {
        "full": ["--products", "10000", "100000"],
        "half": ["--products", "10000", "100000"],
        "quick": ["--products", "10000"],
    },
    "scale.py": {
        "full": ["--products", "10000", "100000"],
        "half": ["--products", "10000", "100000"],
        "quick": ["--products", "100", "1000"],
    },
    "endurance.py": {
        "full": ["--products", "1200"],
        "half": ["--products", "600"],
        "quick": ["--products", "200", "--every", "4"],
    },
}
"""What else is run, with its options at each scale; `--quick` at the scales that are missing, if the script has it."""

SCRIPT_LIMIT = 1800.0
"""Seconds after which a script is given up."""

STARTS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "pepsasync --version": [sys.executable, "-m", "pepsasync", "--version"],
    "pepsasync --help": [sys.executable, "-m", "pepsasync", "--help"],
    "pepsasync fetch --help": [sys.executable, "-m", "pepsasync", "fetch", "--help"],
    "curl --version": ["curl", "--version"],
    "eodag --version": ["eodag", "--version"],
    "stac-asset --version": ["stac-asset", "--version"],
}


def main():
    given = read_options()
    if given.show:
        show(json.loads(given.results.read_text()), given)
        return
    server.need_commands()
    results = json.loads(given.results.read_text()) if given.only and given.results.exists() else {}
    results |= {"scale": given.scale, "note": given.note, "machine": facts.machine(), "versions": facts.versions()}
    results.setdefault("cases", {})
    results.setdefault("scripts", {})
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="bench-") as name:
        folder = Path(name)
        results["machine"]["disk_MB_s"] = round(facts.disk_rate(folder) / 1e6)
        measure_everything(results, given, folder)
    show(results, given)


def measure_everything(results, given, folder):
    """Fill `results`, and keep them after each step: hours of measuring are not lost to what fails at the end."""
    known = {case.name: case for case in cases.make_cases(given.scale)}
    steps = [name for name in (*known, "start", *SCRIPTS) if not given.only or name in given.only]
    for with_tls in (False, True):
        if these := [known[name] for name in steps if name in known and known[name].tls is with_tls]:
            measure_cases(these, results, given, folder / ("tls" if with_tls else "plain"))
    results["cases"] = {name: results["cases"][name] for name in known if name in results["cases"]}
    if "start" in steps:
        results["start"] = measure_starts(5 if given.scale == "quick" else 15)
        keep(results, given)
    for script in SCRIPTS:
        if script in steps:
            run_script(script, results, given.scale)
            keep(results, given)


def measure_cases(these, results, given, folder):
    """Measure the cases that one server can serve."""
    folder.mkdir()
    with server.nginx(folder, with_tls=these[0].tls) as (root, authority):
        for case in these:
            say(case.title)
            made = server.make_files(folder, root, case.files, case.size, shared=case.shared, slow=case.slow)
            with linked(case, root, made) as files:
                found = measure_case(case, case.work(files, authority), given, folder)
            measured = f"{results['machine']['date']}, scale `{given.scale}`{', free memory held' * given.hold_memory}"
            results["cases"][case.name] = {"title": case.title, "is_memory": case.slow, "measured": measured} | found
            keep(results, given)


@contextlib.contextmanager
def linked(case, root, files):
    """Give the files as a case reaches them: over its link, if it has one."""
    if case.round_trip is None:
        yield files
        return
    address, _, port = root.rpartition(":")
    with link.link_to(int(port), case.round_trip, server.processes()) as near:
        yield tuple(replace(file, url=file.url.replace(root, f"{address}:{near}")) for file in files)


def measure_case(case, work, given, folder):
    """Figures of each way, and which ways are missing or failed."""
    missing, failed = cases.find_missing(case), []
    ways = [way for way in case.ways if way not in missing and (given.rivals or way in BASICS)]
    repeats = given.repeats or cases.SIZES[given.scale]["repeats"]
    with warmth.held(work.size) if given.hold_memory else contextlib.nullcontext():
        touched = warmth.needed(work.size) if given.hold_memory else None
        runs = measure.measure(ways, work, repeats, folder, failed.append, touched=touched)
    found = {way: measure.figures(runs[way], work.size, runs.get(case.ways[0])) for way in runs}
    for line in [*table.plain_lines(found), *failed, *(f"{way}: not installed" for way in missing)]:
        say(line)
    return {"ways": found, "missing": missing, "failed": failed}


BASICS = (*cases.OURS, "pepsasync on trio", "curl", cases.CURL, *commands.LIMITS)
"""Ways that are measured even without rivals."""


def measure_starts(repeats):
    """Milliseconds until a command has said its word, in turns."""
    taken = {name: [] for name, argv in STARTS.items() if shutil.which(argv[0])}
    for turn in range(repeats + 1):
        for name in measure.rotated(list(taken), turn):
            began = time.perf_counter()
            done = subprocess.run(STARTS[name], capture_output=True, check=False)
            if done.returncode == 0 and turn:
                taken[name].append((time.perf_counter() - began) * 1000)
    found = {}
    for name, values in taken.items():
        if values:
            found[name] = {"ms": round(statistics.median(values)), "min": round(min(values)), "max": round(max(values))}
            say(f"{name:26} {found[name]['ms']:5} ms")
    return found


def run_script(script, results, scale):
    """Run another script of this folder and keep the JSON lines that it prints."""
    if not (HERE / script).exists():
        return
    say(script)
    argv = [sys.executable, HERE / script, *script_options(script, scale)]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=SCRIPT_LIMIT, check=False)
    except subprocess.TimeoutExpired:
        results["scripts"][script] = {"failed": f"took longer than {SCRIPT_LIMIT:.0f} s"}
        return
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    results["scripts"][script] = {"lines": lines}
    if done.returncode:
        results["scripts"][script]["failed"] = f"exit code {done.returncode} {measure.last_words(done.stderr)}"
    for line in lines:
        say(json.dumps(line))


def script_options(script, scale):
    if (known := SCRIPTS[script].get(scale)) is not None:
        return known
    asked = subprocess.run([sys.executable, HERE / script, "--help"], capture_output=True, text=True, check=False)
    return ["--quick"] if scale == "quick" and "--quick" in asked.stdout else []


def keep(results, given):
    given.results.write_text(json.dumps(results, indent=1) + "\n")


def show(results, given):
    """Write tables and picture, from the results alone."""
    keep(results, given)
    (given.results.with_suffix(".svg")).write_text(picture.draw(results))
    say(f"written: {given.results} and its picture")
    if given.results == HERE / "results.json":
        table.write_into(HERE / "README.md", results)
        say("written: the tables of README.md")


def read_options():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--scale", choices=cases.SIZES, default="full")
    options.add_argument("--repeats", type=int, help="runs that count; 3 at the full scale")
    names = [case.name for case in cases.make_cases("quick")] + ["start", *SCRIPTS]
    only = f"{', '.join(names)}; the other results stay"
    options.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=only)
    options.add_argument("--folder", help="where everything is written (default: the folder for temporary files)")
    options.add_argument("--results", type=Path, default=HERE / "results.json")
    options.add_argument("--note", default="", help="a remark that goes with the figures")
    options.add_argument("--no-rivals", dest="rivals", action="store_false", help="only curl and md5sum")
    options.add_argument("--hold-memory", action="store_true", help=warmth.HELP)
    options.add_argument("--show", action="store_true", help="only write tables and picture again")
    return options.parse_args()


def say(line):
    if line:
        print(line, flush=True)


if __name__ == "__main__":
    main()
