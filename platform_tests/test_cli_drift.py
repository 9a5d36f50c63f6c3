"""`headrace drift`: what a person is told of the newest drift, and what a program gets."""

import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from headrace.monitoring.cause import BinMoved, Cause, Causes, Effect, Upstream
from headrace.monitoring.kept import remember_causes
from headrace.project import Project
from headrace.store.site import Site
from platform_tests.end_to_end.shop import make_project
from platform_tests.models.shop import SPRING, orders
from platform_tests.monitoring.watched import at, release
from platform_tests.test_cli import headrace

pytestmark = pytest.mark.slow
DAY = date(2013, 7, 3)
CAUSE = Cause(
    kind="values",
    columns=["weather_now_temp", "weather_now_dewp"],
    slice=["origin = LGA"],
    rows=0.31,
    rows_before=0.3,
    what="median 70 → 88",
    since=DAY,
    until=None,
    is_older=False,
    carries=0.86,
    bins=[BinMoved(bin="weather_now_temp > 84.02", before=0.1, after=0.55, psi=0.77)],
    psi=1.2,
    importance=0.2,
    weight=0.07,
    upstream=Upstream(sources=["weather.dewp", "weather.temp"], files=["2013-07-03.csv"]),
    effect=Effect(metric="auc", value=-0.004, unseen=0.0),
)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    root = make_project(tmp_path / "shop")
    monkeypatch.chdir(root)
    _, site = Project(root).load("shop")
    site.tables.replace("shop/training/set", orders())
    at(site, SPRING + timedelta(days=30))
    return site


def test_the_newest_drift_is_told_with_its_causes_in_words_and_as_json(site: Site) -> None:
    none = headrace("drift", "shop")
    assert (none.exit_code, "No model of shop is live" in none.output) == (1, True)
    live = release(site)
    unmeasured = headrace("drift", "shop")
    assert unmeasured.exit_code == 1
    assert "has not been measured yet: materialize shop/monitoring/drift" in unmeasured.output
    causes = Causes(model=live.model, day=DAY, first=DAY, alarms=["PSI of weather_now_temp is 0.512"], causes=[CAUSE])
    remember_causes(site, causes)
    told = headrace("drift", "shop")
    assert told.exit_code == 0
    text = " ".join(told.output.split())
    assert (
        "1. weather_now_temp and 1 more moved since 2013-07-03: rows with origin = LGA (31 % of rows): median 70 → 88; "
        "they carry 86 % of its movement; source weather, file 2013-07-03.csv; expected effect on AUC -0.004"
    ) in text
    assert "PSI 1.20 within: weather_now_temp > 84.02 10 % → 55 % (adds 0.77)" in text
    assert len(told.output.splitlines()) < 40
    assert Causes.model_validate(json.loads(headrace("drift", "shop", "--json").output)) == causes
