"""Whatever dies, and whenever: afterwards everything is as if nothing had died."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest

from headrace.project import Project
from headrace.store.digest import rows_digest
from headrace.store.site import Site
from platform_tests.end_to_end.shop import land_days, make_project
from platform_tests.waiting import eventually

pytestmark = pytest.mark.slow
DAYS = 30
REPORT = '+key:"shop/reports/product"'
KILLED_AT = [
    "before_staging:1",  # raw: nothing is written
    "committed:1",  # raw: written, not reported; the next run finds it and goes on to the next table
    "committed:1",  # quarantine is written, validated is not
    "committed:1",  # validated
    "before_staging:1",  # features
    "committed:1",
    "committed:1",  # the training set
    "mlflow_started:1",  # MLflow's run is begun, nothing is trained
    "model_staging:1",  # the model's bytes
    "model_stored:1",  # the model is there, and nobody's candidate
    "committed:1",  # the candidate; MLflow knows nothing of it
    "model_logged:1",  # MLflow has its files, not registered
    "model_registered:1",  # registered, and not in the ledger
    "mlflow_finished:1",  # judged, and not in the ledger
    "log_staged:1",  # the release
    "log_published:1",  # released; MLflow's alias is not set
    "champion_mirrored:1",  # the alias is set, and not in the ledger
    "committed:1",  # the scores
    "report_staged:1",  # the report is written beside the one that people read
]
"""Where each run dies. What an earlier one has committed is not written again, so each gets further."""
MADE_AT = {"shop/model/candidate", "shop/predictions/batch", "shop/monitoring/numbers"}
"""Tables that hold the moment at which they were made, or what making took."""


def command(select: str) -> list[str]:
    days = "2024-01-01...2024-01-30"
    dagster = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "definitions", "-d", "platform"]
    return [*dagster, "--select", select, "--partition-range", days]


def environment(project: Project, **more: str) -> dict[str, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DAGSTER_HOME", raising=False)
        project.instance_home()
        return {**os.environ, **more}


def materialize(project: Project, select: str = REPORT, **more: str) -> int:
    done = subprocess.run(
        command(select), cwd=project.root, env=environment(project, **more), capture_output=True, check=False
    )
    return done.returncode


def wait_for(condition: Callable[[], object], what: str, deadline_s: float = 60) -> None:
    assert eventually(condition, deadline_s), f"waited {deadline_s} s for {what}"


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    project = Project(make_project(tmp_path / "shop"))
    land_days(project.root, 0, DAYS - 1)
    return project


def test_a_run_killed_in_each_layer_and_started_again_leaves_what_a_clean_run_leaves(
    shop: Project, tmp_path: Path
) -> None:
    clean = Project(make_project(tmp_path / "clean"))
    land_days(clean.root, 0, DAYS - 1)
    assert materialize(clean) == 0
    for point in KILLED_AT:
        assert materialize(shop, FAILPOINT=point) == -signal.SIGKILL, point
    assert materialize(shop) == 0

    (_, site), (_, unharmed) = shop.load("shop"), clean.load("shop")
    assert site.tables.names() == unharmed.tables.names()
    for table in unharmed.tables.names():
        if table not in MADE_AT:
            assert rows_digest(site.tables.read(table)) == rows_digest(unharmed.tables.read(table)), table
    assert site.tables.read("shop/raw/orders").num_rows == DAYS * 80
    decisions = site.releases.all("shop")
    assert [(d.outcome, d.model) for d in decisions] == [("released", unharmed.releases.all("shop")[0].model)]
    assert registered(site) == registered(unharmed) == {decisions[0].model: ["champion"]}
    assert set(ends_in_mlflow(site)) == {"FINISHED", "KILLED"}
    assert report(site) == report(unharmed)


def registered(site: Site) -> dict[str, list[str]]:
    """Return the aliases of each version in MLflow's registry, by the digest of its model; no digest has two versions."""
    client = mlflow.MlflowClient(site.place.mlflow_uri)
    versions = [client.get_model_version("shop", v.version) for v in client.search_model_versions("name = 'shop'")]
    found = {version.tags["headrace.digest"]: list(version.aliases) for version in versions}
    assert len(found) == len(versions)
    return found


def ends_in_mlflow(site: Site) -> list[str]:
    client = mlflow.MlflowClient(site.place.mlflow_uri)
    experiment = client.get_experiment_by_name("shop")
    assert experiment
    return [run.info.status for run in client.search_runs([experiment.experiment_id])]


def report(site: Site) -> str:
    """Return the report without the moments at which things were made, what that took, and the names that matplotlib draws."""
    text = (site.place.reports / "shop.html").read_text()
    text = re.sub(r"<h2>The numbers that matter</h2>.*?(?=<h2>)", "", text, flags=re.DOTALL)
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?|#?[mp][0-9a-f]{10}|<dc:date>.*?</dc:date>", "", text)


def test_a_step_in_a_process_of_its_own_dies_with_its_run(shop: Project) -> None:
    front = shop.root / "platform" / "definitions.py"
    front.write_text(front.read_text().replace('"products")', '"products", dg.multiprocess_executor)'))
    raw = 'key:"shop/raw/orders"'
    stopping = environment(shop, FAILPOINT="before_staging:1", FAILPOINT_ACTION="stop")
    with subprocess.Popen(
        command(raw), cwd=shop.root, env=stopping, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as run:
        wait_for(lambda: stopped_below(run.pid), "the step to stop where it is told to")
        (step,) = stopped_below(run.pid)
        run.kill()
    wait_for(lambda: not Path(f"/proc/{step}").exists() or state(step) == "Z", "the orphan to die")

    _, site = shop.load("shop")
    assert not site.tables.exists("shop/raw/orders")
    assert materialize(shop, raw) == 0
    assert site.tables.read("shop/raw/orders").num_rows == DAYS * 80


def stopped_below(pid: int) -> list[int]:
    """Return the processes below another one that are stopped."""
    below = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [p for child in below for p in ([child] if state(child) == "T" else stopped_below(child))]


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "gone"
