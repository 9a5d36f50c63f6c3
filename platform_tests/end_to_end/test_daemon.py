"""The loop closes without a click: a real daemon ingests, trains, scores, sees drift, and trains again."""

from pathlib import Path

import pytest

from headrace.declaration import ProductDeclaration
from headrace.definitions import watching
from headrace.demo.run import daemon, follow
from headrace.project import Project
from headrace.starter.start import DAYS, ROWS_A_DAY, start_project
from headrace.store.site import Site
from platform_tests.end_to_end.shop import land_days, make_project

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    project = Project(make_project(tmp_path / "shop"))
    monkeypatch.setenv("DAGSTER_HOME", str(project.instance_home()))
    return project


def loaded(project: Project) -> tuple[ProductDeclaration, Site]:
    return project.load("shop")


def test_drift_in_landed_data_retrains_with_its_reason(project: Project) -> None:
    _, site = loaded(project)
    told: list[str] = []
    log = site.place.home / "daemon.log"
    with watching("shop") as watch, daemon(project.root, log) as process:
        land_days(project.root, 0, 29)
        follow(watch, process, told.append, log)
        first = site.releases.live("shop")
        assert first is not None, told
        assert first.why.startswith("no model is live yet")

        land_days(project.root, 30, 39, shift=60.0)
        follow(watch, process, told.append, log)
        trainings, decisions = site.trainings.entries(), site.releases.all("shop")
        runs = [run for run in watch.instance.get_runs() if "headrace/training" in run.tags]

    assert len(trainings) == 2
    assert trainings[1]["reasons"][0].startswith("drift: PSI of")
    assert {run.tags["headrace/training"] for run in runs} == {"1", "2"}
    assert "drift: PSI of" in next(run.tags["headrace/reason"] for run in runs if run.tags["headrace/training"] == "2")
    assert len(decisions) == 2
    assert decisions[1].why.startswith("drift: PSI of")
    assert (site.place.reports / "shop.html").exists()
    assert site.tables.read("shop/predictions/batch").num_rows == 80 * 11


def test_a_new_project_goes_round_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    start_project(tmp_path / "mine")
    project = Project(tmp_path / "mine")
    monkeypatch.setenv("DAGSTER_HOME", str(project.instance_home()))
    _, site = project.load("returns")
    told: list[str] = []
    log = site.place.home / "daemon.log"
    with watching("returns") as watch, daemon(project.root, log) as process:
        follow(watch, process, told.append, log)
    live = site.releases.live("returns")
    assert live is not None, told
    assert live.why.startswith("no model is live yet")
    assert site.tables.read("returns/validated/orders").num_rows == DAYS * ROWS_A_DAY
    assert site.tables.exists("returns/predictions/batch"), told
    assert (site.place.reports / "returns.html").exists()
