"""Every check of the project: `nox` runs what a change must pass, `nox -s bench` measures."""

import os
import tarfile
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_external_run = True
nox.options.sessions = ["lint", "typing", "docs", "tests", "lowest", "quick_bench"]

RIVALS = ["aiohttp", "obstore", "requests", "stac-asset", "parfive", "pypdl", "pygeodes", "eodag"]
"""What people use instead, for the benchmarks."""

PYPROJECT = nox.project.load_toml("pyproject.toml")


def group(name: str) -> list[str]:
    """Requirements of one dependency group."""
    return PYPROJECT["dependency-groups"][name]


def lower_bounds() -> list[str]:
    """Every direct dependency, pinned to the oldest version that is declared."""
    project = PYPROJECT["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["sandbox"]]
    return [requirement.replace(">=", "==") for requirement in declared]


@nox.session
def lint(session: nox.Session) -> None:
    """Style, and the layers that modules may not cross."""
    session.install("-e", ".[sandbox]", *group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")


@nox.session
def typing(session: nox.Session) -> None:
    """Types of the package, and of its public names as users see them."""
    session.install("-e", ".[sandbox,serve,stac,trace]", *group("typing"))
    session.run("mypy")
    session.run("mypy", "--strict", "tests/typing/api.py")


@nox.session
def tests(session: nox.Session) -> None:
    """All tests, on asyncio and trio, against the installed package."""
    session.install(".[dask,map,s3,sandbox,serve,stac,trace]", *group("test"))
    session.run("pytest", "-n", str(min(4, os.cpu_count() or 1)), *session.posargs)


@nox.session
def notebooks(session: nox.Session) -> None:
    """The notebooks in `examples/`, run from the first cell to the last."""
    session.install(".[map,sandbox]", "nbclient", "ipykernel", *group("test"))
    session.run("pytest", "tests/pipeline/test_notebooks.py", *session.posargs)


@nox.session
def man(session: nox.Session) -> None:
    """The manual pages, into `man/`."""
    session.install(".")
    session.run("python", "tools/man_pages.py", "man")


@nox.session
def eodag(session: nox.Session) -> None:
    """The plugin for eodag, which is too heavy for the other tests, with the newest eodag."""
    session.install(".[sandbox]", "eodag", *group("test"))
    session.run("pytest", "tests/pipeline/test_eodag.py", *session.posargs)


@nox.session
def dask(session: nox.Session) -> None:
    """Workers, schedulers and coordinators of Dask that are killed, which takes too long for the other tests."""
    session.install(".[dask,sandbox]", *group("test"))
    session.run("pytest", "tests/cluster", *session.posargs, env={"PEPSASYNC_LONG_TESTS": "1"})


@nox.session
def clients(session: nox.Session) -> None:
    """The official clients of WEkEO and ASF, unchanged, with the sandbox."""
    session.install(".[sandbox]", "hda", "asf_search", *group("test"))
    session.run("pytest", "tests/pipeline/test_wekeo.py", "tests/pipeline/test_asf.py", "-k", "official")


@nox.session
def prometheus(session: nox.Session) -> None:
    """Let a real Prometheus scrape the metrics of a run; needs Debian's `prometheus`, which has `promtool` too."""
    session.install(".[sandbox,serve]", *group("test"))
    session.run("pytest", "tests/display/test_prometheus.py", *session.posargs)


@nox.session
def s3(session: nox.Session) -> None:
    """Buckets on OpenStack Swift, started from Debian's packages (`tests/swift_store.py`), not on moto's server."""
    session.install(".[s3,sandbox]", *group("test"))
    session.run("pytest", "tests/bucket", *session.posargs, env={"TEST_STORE": "swift"})


@nox.session
def lowest(session: nox.Session) -> None:
    """The tests that meet other libraries, on the oldest versions that are declared."""
    session.install(".[sandbox]", *lower_bounds(), *group("test"))
    # Older anyio and httpcore leave sockets of cancelled requests to the collector.
    relaxed = ("-W", "ignore::ResourceWarning")
    session.run(
        "pytest",
        "-n",
        "2",
        *relaxed,
        "tests/unit",
        "tests/transfer",
        "tests/limits",
        "tests/engine",
        "tests/pipeline",
        "tests/sync",
        "tests/cli/test_startup.py",
    )


@nox.session
def package(session: nox.Session) -> None:
    """Wheel and sdist into `dist/`: both are the same bytes when the sdist builds them again, and the wheel works."""
    session.install("build")
    scratch = Path(session.create_tmp())
    for old in (*Path("dist").glob("pepsasync-*"), *(scratch / "again").glob("*")):
        old.unlink()
    session.run("python", "-m", "build", "--outdir", "dist")
    (sdist,) = Path("dist").glob("*.tar.gz")
    with tarfile.open(sdist) as packed:
        packed.extractall(scratch, filter="data")
    session.run(
        "python", "-m", "build", "--outdir", str(scratch / "again"), str(scratch / sdist.name[: -len(".tar.gz")])
    )
    for again in (scratch / "again").iterdir():
        if again.read_bytes() != Path("dist", again.name).read_bytes():
            session.error(f"{again.name} is not the same when it is built again")
    (wheel,) = Path("dist").glob("*.whl")
    session.install(f"{wheel}[sandbox]")
    session.chdir(scratch)
    session.run("pepsasync", "demo")


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation site, into `site/`; a link that leads nowhere fails it."""
    session.install(".", *group("docs"))
    session.run("zensical", "build", "--clean", "--strict")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure, side by side with other tools; see benchmarks/README.md."""
    session.install(".[sandbox,trio]", "trustme>=1.2")
    for rival in RIVALS:  # one that cannot be installed here is left out, and the benchmark says so
        session.install(rival, success_codes=range(256))
    session.run("python", "benchmarks/bench.py", *session.posargs)


@nox.session
def quick_bench(session: nox.Session) -> None:
    """Has something become much slower? Two minutes, ratios to curl, wide margins."""
    session.install(".", "trustme>=1.2")
    session.run("python", "benchmarks/quick.py", *session.posargs)
