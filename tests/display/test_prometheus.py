"""A real Prometheus (Debian's `prometheus`) scrapes the metrics of a run, and its linter finds no fault."""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from pepsasync.display.counters import Counters
from pepsasync.events import (
    DownloadStarted,
    ProductFound,
    ProductStaged,
    QuotaReached,
    SearchFinished,
    StagingRequested,
    TiersWatched,
)

pytest.importorskip("sse_starlette", reason="needs the extra serve")
pytest.importorskip("prometheus_client", reason="needs the extra serve")
from pepsasync.display.serve.board import Board
from pepsasync.display.serve.server import serving

PATIENCE = 60.0
"""Seconds: the machine may be busy."""

DOCS = Path(__file__).parents[2] / "docs"
DASHBOARD = json.loads((DOCS / "grafana.json").read_text("utf-8"))

CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
- job_name: pepsasync
  authorization: {{credentials: "{token}"}}
  static_configs: [{{targets: ["{target}"]}}]
"""


@pytest.fixture
def board(tmp_path):
    board, who = Board(Counters(usual_rate=1e6), tmp_path), {"id": "1", "name": "A"}
    board.take(SearchFinished(products=2, bytes=200))
    board.take(ProductFound(**who, tier="tape", size=100))
    board.take(ProductFound(id="2", name="B", tier="tape", size=100))
    board.take(StagingRequested(id="2", name="B", times=1, retry_after=None))
    board.take(TiersWatched(waiting=1, online=1, next_poll=5, usual_wait=(1.0, 2.0), usual_interval=(1.0, 2.0)))
    board.take(ProductStaged(**who, seconds=12.5))
    board.take(QuotaReached(wait=60.0))
    board.take(DownloadStarted(**who, offset=0, size=100))
    return board


def test_the_dashboard_and_the_docs_name_every_metric_and_no_other(board):
    asked = {name for one in expressions() for name in names(one)}
    explained = names(
        "".join(row for row in (DOCS / "progress.md").read_text("utf-8").splitlines() if row[:3] == "| `")
    )
    with serving(board, 0) as url:
        text = httpx.get(f"{url}metrics", trust_env=False).text
    told = {line.partition(" ")[0].partition("{")[0] for line in text.splitlines() if line and line[0] != "#"}

    assert asked <= told
    assert explained == {name.removesuffix("_sum").removesuffix("_count") for name in told}


def test_the_dashboard_asks_for_labels_that_there_are(board):
    """A value that no metric has would show an empty panel for ever."""
    with serving(board, 0) as url:
        text = httpx.get(f"{url}metrics", trust_env=False).text
    told = set(re.findall(r'(\w+)="([^"]+)"', text))

    asked = {label for one in expressions() for label in re.findall(r'(\w+)="([^"$]+)"', one)}
    assert ("state", "waiting") in asked
    assert asked <= told


def test_the_dashboard_is_what_grafana_imports():
    """What its importer wants of a dashboard of this schema: identity, places on a grid of 24, sources that it names."""
    panels, variables = DASHBOARD["panels"], {one["name"]: one for one in DASHBOARD["templating"]["list"]}

    assert (DASHBOARD["schemaVersion"] >= 36, DASHBOARD["title"] != "", "id" in DASHBOARD) == (True, True, False)
    assert re.fullmatch(r"[\w-]{1,40}", DASHBOARD["uid"])
    assert len(panels) == len({panel["id"] for panel in panels})
    taken = [(x, y) for panel in panels for x, y in places(**panel["gridPos"])]
    assert len(taken) == len(set(taken))
    assert all(0 <= x < 24 for x, _ in taken)
    for panel in panels:
        assert panel["type"] in {"stat", "timeseries", "gauge", "table", "bargauge"}
        assert panel["datasource"] == {"type": "prometheus", "uid": "${source}"}
        assert len(panel["targets"]) == len({one["refId"] for one in panel["targets"]})
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD)))
    assert used - {"__rate_interval"} == set(variables)
    assert variables["source"]["type"] == "datasource"


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool")
def test_prometheus_understands_each_expression_of_the_dashboard(tmp_path):
    rules = [
        {"record": f"one:{number}", "expr": text.replace("$run", ".*").replace("$__rate_interval", "1m")}
        for number, text in enumerate(expressions())
    ]
    (tmp_path / "rules.json").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", tmp_path / "rules.json"], capture_output=True, text=True, timeout=60, check=False
    )

    assert (0, f"SUCCESS: {len(rules)} rules found") == (done.returncode, done.stdout.strip().splitlines()[-1].strip())


def expressions():
    return [one["expr"] for panel in DASHBOARD["panels"] for one in panel["targets"]]


def places(x, y, w, h):
    return [(x + right, y + down) for right in range(w) for down in range(h)]


def names(text):
    return set(re.findall(r"\bpepsasync_\w+", text))


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool")
@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text; version=1.0.0"])
def test_promtool_finds_no_fault(board, accept):
    with serving(board, 0) as url:
        answer = httpx.get(f"{url}metrics", headers={"Accept": accept}, trust_env=False)
    assert "pepsasync_products" in answer.text
    if "openmetrics" in accept:
        assert answer.text.endswith("# EOF\n")
        return  # promtool reads the older format only
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=answer.text, capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not shutil.which("prometheus"), reason="needs prometheus")
def test_prometheus_scrapes_it(board, tmp_path):
    with serving(board, 0) as url:
        _, _, target, token, _ = url.split("/")
        (tmp_path / "prometheus.yml").write_text(CONFIG.format(target=target, token=token))
        command = [
            "prometheus",
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'db'}",
        ]
        process = subprocess.Popen(
            [*command, "--web.listen-address=127.0.0.1:0"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            address = next(
                found[1] for line in process.stderr if (found := re.search(r'"Listening on" address=(\S+)', line))
            )
            with httpx.Client(base_url=f"http://{address}/api/v1/", trust_env=False, timeout=PATIENCE) as api:
                values = ask(api, "pepsasync_products")
                waited = ask(api, "pepsasync_tape_wait_seconds_sum")
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE)

    assert {one["metric"]["state"]: one["value"][1] for one in values} == {
        "done": "0",
        "waiting": "1",
        "under_way": "1",
        "queued": "0",
        "failed": "0",
        "left_out": "0",
    }
    assert waited[0]["value"][1] == "12.5"


def ask(api, query):
    """The result of a query, as soon as there is one."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        answer = api.get("query", params={"query": query})
        if answer.is_success and (found := answer.json()["data"]["result"]):
            return found
        time.sleep(0.1)
    raise AssertionError(api.get("targets").text)
