"""New rows flow to features by themselves, from a folder and from a database, and only their days do: a real daemon."""

import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest
from dagster import DagsterRunStatus, RunsFilter

from headrace.automation.looks.sensors import RANGE_END, RANGE_START
from headrace.automation.sensors import INGESTING
from headrace.definitions import Watch, watching
from headrace.demo.run import daemon
from headrace.project import Project
from headrace.sources.pending import SETTLE_S
from platform_tests.end_to_end.shop import land_days, make_project
from platform_tests.sources.postgres import running_postgres
from platform_tests.waiting import eventually

pytestmark = pytest.mark.slow
DATABASE = '    visits: {database: {url: "env:SHOP_DB", table: visits, cursor: seen_at, lag: 1m, key: id}, time: seen_at, partition: day, every: 10s}\n'
FEATURE = (
    "    pages: {windows: {from: visits, entity: customer, time: seen_at, of: {visit: id}, agg: [count], over: [1d]}}\n"
)


@pytest.fixture
def address() -> Iterator[str]:
    with running_postgres() as address:
        yield address


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> Project:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    monkeypatch.setenv("SHOP_DB", address)
    project = Project(make_project(tmp_path / "shop"))
    file = project.root / "platform/products/shop/defs.yaml"
    text = file.read_text().replace("fresh_within: 36h}", "every: 1m}")
    text = text.replace("  contracts:\n", DATABASE + "  contracts:\n").replace("  label:", FEATURE + "  label:")
    kept = text.split("  label:")[0]
    file.write_text(kept)
    monkeypatch.setenv("DAGSTER_HOME", str(project.instance_home()))
    return project


def wait_for(condition: Callable[[], Any], what: str, log: Path, deadline_s: float = 180) -> Any:
    found = eventually(condition, deadline_s)
    assert found, f"waited {deadline_s} s for {what}\n{log.read_text()[-3000:]}"
    return found


def ranges(watch: Watch) -> list[tuple[str, str]]:
    runs = watch.instance.get_runs(RunsFilter(tags={INGESTING: "shop"}))
    return [(run.tags[RANGE_START], run.tags[RANGE_END]) for run in reversed(list(runs))]


def all_done(watch: Watch, runs: int) -> bool:
    found = watch.instance.get_runs(RunsFilter(tags={INGESTING: "shop"}))
    assert not [run for run in found if run.status == DagsterRunStatus.FAILURE]
    return len([run for run in found if run.status == DagsterRunStatus.SUCCESS]) >= runs


def test_new_rows_of_a_file_and_of_a_table_reach_their_days_of_the_features(
    project: Project, address: str, record_property: Callable[[str, object], None]
) -> None:
    _, site = project.load("shop")
    log = site.place.home / "daemon.log"
    with psycopg.connect(address, autocommit=True) as shop:
        shop.execute("create table visits (id bigint, customer text, seen_at timestamptz)")
        shop.execute("insert into visits values (1, 'c1', '2024-01-03T12:00:00Z')")
        land_days(project.root, 0, 29, rows=5)
        with watching("shop") as watch, daemon(project.root, log):
            wait_for(lambda: site.tables.exists("shop/features/pages") and all_done(watch, 1), "all to be made", log)
            wait_for(lambda: site.tables.exists("shop/features/habit"), "the features of the files", log)
            known = len(ranges(watch))

            land_days(project.root, 30, 30, rows=5)
            stable = time.time() + SETTLE_S
            wait_for(lambda: len(ranges(watch)) > known, "the run of the file", log)
            newest = next(iter(watch.instance.get_run_records(limit=1)))
            record_property("seconds from stable to asked", newest.create_timestamp.timestamp() - stable)
            wait_for(lambda: all_done(watch, known + 1), "the file's features", log)
            assert ranges(watch)[known:] == [("2024-01-30", "2024-01-31")]
            assert newest.dagster_run.asset_selection
            assert "visits" not in str(newest.dagster_run.asset_selection)

            shop.execute("insert into visits values (2, 'c2', '2024-01-10T12:00:00Z')")
            wait_for(lambda: len(ranges(watch)) > known + 1, "the run of the table", log)
            wait_for(lambda: all_done(watch, known + 2), "the table's features", log)
            assert ranges(watch)[known + 1 :] == [("2024-01-09", "2024-01-12")]
    pages = site.tables.read("shop/features/pages", columns=["customer", "_day"])
    assert date(2024, 1, 10) in pages["_day"].to_pylist()
    assert set(pages["customer"].to_pylist()) == {"c1", "c2"}
