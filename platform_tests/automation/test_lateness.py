"""Dagster's own freshness: which asset may be how old, and what Dagster makes of it."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.freshness import FreshnessState
from dagster._core.instance_for_test import instance_for_test
from dagster._core.loader import LoadingContextForTest
from dagster._core.test_utils import freeze_time
from dagster._daemon.freshness import FreshnessDaemon

from headrace.automation.lateness.assets import longest_pause
from headrace.automation.lateness.windows import MAKING, SCORING, Lateness, lateness_of
from headrace.product import build, loop_of
from headrace.project import Project
from platform_tests.end_to_end.shop import make_project

DAY, LIMIT = timedelta(days=1), timedelta(hours=36)
WALL = ("  clock: replay\n", ""), ("  end: 2024-12-31\n", "")
TWO_SOURCES = (
    "    orders: {files:",
    '    rates: {files: "landing/rates/*.csv", time: at, fresh_within: 2h}\n'
    '    names: {files: "landing/names.csv"}\n    orders: {files:',
)


def project(root: Path, *changes: tuple[str, str]) -> Project:
    make_project(root)
    defs = root / "platform" / "products" / "shop" / "defs.yaml"
    text = defs.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    defs.write_text(text)
    return Project(root)


def policies(made: Project) -> dict[str, dg.FreshnessPolicy | None]:
    nodes = build(*made.load("shop")).resolve_asset_graph().asset_nodes
    return {node.key.to_user_string().removeprefix("shop/"): node.freshness_policy_or_from_metadata for node in nodes}


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    log = {"module": "headrace.resources", "class": "EventLog", "config": {"base_dir": str(tmp_path / "log")}}
    with instance_for_test({"event_log_storage": log}) as made:
        yield made


def test_each_asset_has_the_window_of_what_is_declared_and_others_have_none(tmp_path: Path) -> None:
    found = policies(project(tmp_path, *WALL, TWO_SOURCES))
    window = dg.FreshnessPolicy.time_window
    assert found["raw/orders"] == window(fail_window=LIMIT)
    assert found["validated/orders"] == window(fail_window=LIMIT + MAKING)
    assert found["features/habit"] == window(fail_window=LIMIT + MAKING)
    assert found["raw/rates"] == window(fail_window=timedelta(hours=2))
    scored = window(fail_window=2 * DAY + SCORING, warn_window=DAY + SCORING)
    assert {name for name, policy in found.items() if policy == scored} == {
        "predictions/batch",
        "reports/product",
        *(f"monitoring/{n}" for n in ("profiles", "measures", "drift", "quality", "estimated", "inputs", "numbers")),
    }
    without = {name for name, policy in found.items() if policy is None}
    assert without >= {
        "raw/names",
        "validated/names",
        "quarantine/orders",
        "training/set",
        "model/candidate",
        "model/champion",
    }


def test_a_table_over_several_sources_is_late_with_the_one_that_comes_most_often(tmp_path: Path) -> None:
    both = (
        "  label: {sql:",
        "    rated: {sql: rated.sql, entity: customer, time: ordered_at, ttl: 3h}\n  label: {sql:",
    )
    made = project(tmp_path, *WALL, TWO_SOURCES, both)
    sql = "select o.customer, o.ordered_at, r.rate from orders o join rates r on r.at = o.ordered_at\n"
    (tmp_path / "platform" / "products" / "shop" / "rated.sql").write_text(sql)
    found = lateness_of(loop_of(*made.load("shop")), DAY)
    assert found["features", "rated"] == Lateness(timedelta(hours=2) + MAKING)
    assert found["features", "habit"] == Lateness(LIMIT + MAKING)


@pytest.mark.parametrize("changes", [[], [WALL[1]], [WALL[0]]])
def test_a_clock_that_is_replayed_or_a_history_that_is_over_gives_no_policy(
    tmp_path: Path, changes: list[tuple[str, str]]
) -> None:
    assert set(policies(project(tmp_path, *changes)).values()) == {None}


def test_sensors_schedules_checks_and_resources_stay_as_they_were(tmp_path: Path) -> None:
    with_one = build(*project(tmp_path / "with", *WALL).load("shop"))
    without = build(*project(tmp_path / "without").load("shop"))
    for part in ("sensors", "schedules", "resources"):
        named = [{getattr(one, "name", one) for one in getattr(made, part) or ()} for made in (with_one, without)]
        assert named[0] == named[1]
    keys = [made.resolve_asset_graph().asset_check_keys for made in (with_one, without)]
    assert keys[0] == keys[1]


@pytest.mark.parametrize(
    ("cron", "pause"), [("0 6 * * *", DAY), ("0 6 * * 1-5", 3 * DAY), ("0 6 * * 1", 7 * DAY), ("0 * * * *", DAY / 24)]
)
def test_the_longest_pause_of_a_schedule_is_that_between_two_of_its_ticks(cron: str, pause: timedelta) -> None:
    assert longest_pause(cron, "UTC") == pause


def test_a_day_of_25_hours_is_within_what_a_run_may_take() -> None:
    assert longest_pause("0 6 * * *", "Europe/Berlin") <= DAY + timedelta(hours=1) < DAY + SCORING


@pytest.mark.slow
def test_dagster_itself_finds_what_has_not_come_late_and_keeps_that_in_our_event_log(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    graph = build(*project(tmp_path, *WALL).load("shop")).resolve_asset_graph()

    def state(name: str, after: timedelta) -> FreshnessState:
        key = dg.AssetKey(["shop", *name.split("/")])
        with freeze_time(datetime.now(UTC) + after):
            asyncio.run(FreshnessDaemon()._evaluate_asset(LoadingContextForTest(instance), graph.get(key)))
        return instance.get_freshness_state_records([key])[key].freshness_state

    assert state("raw/orders", timedelta()) == FreshnessState.UNKNOWN
    for name in (["raw", "orders"], ["monitoring", "drift"]):
        instance.report_runless_asset_event(dg.AssetMaterialization(["shop", *name]))
    assert state("raw/orders", timedelta(hours=35)) == FreshnessState.PASS
    assert state("raw/orders", timedelta(hours=37)) == FreshnessState.FAIL
    assert state("monitoring/drift", timedelta(hours=26)) == FreshnessState.PASS
    assert state("monitoring/drift", timedelta(hours=28)) == FreshnessState.WARN
    assert state("monitoring/drift", timedelta(hours=52)) == FreshnessState.FAIL
    assert state("training/set", timedelta(days=365)) == FreshnessState.NOT_APPLICABLE
