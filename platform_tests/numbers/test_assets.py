"""The numbers as an asset, over real runs: what each step spends stands on what it made."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from headrace.core.resources import COST
from headrace.core.spent import spending, spent
from headrace.monitoring.assets import monitoring_assets
from headrace.numbers.assets import numbers_assets
from headrace.numbers.declaration import Numbers
from headrace.numbers.keep import numbers_over_time, textfile
from headrace.numbers.measure import Declared
from headrace.product import build
from headrace.project import Project
from headrace.serving.declaration import Price
from platform_tests.end_to_end.shop import land_days, make_project
from platform_tests.models.shop import model
from platform_tests.monitoring.test_assets import GRAPH
from platform_tests.monitoring.watched import SOURCES, monitors, watched_shop


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def test_what_is_spent_is_counted_from_where_the_step_began() -> None:
    assert spent() is None
    with spending():
        sum(n * n for n in range(2_000_000))
        Path(__file__).read_bytes()
        used = spent()
    assert used
    assert used.cpu_seconds > 0
    assert used.bytes is None or used.bytes >= Path(__file__).stat().st_size
    assert spent() is None


def test_each_day_that_a_run_makes_counts_once_in_what_it_cost(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    project = Project(make_project(tmp_path / "shop"))
    land_days(project.root, 0, 4, rows=5)
    job = build(*project.load("shop")).resolve_implicit_global_asset_job_def()
    raw = dg.AssetKey(["shop", "raw", "orders"])
    days = {"dagster/asset_partition_range_start": "2024-01-01", "dagster/asset_partition_range_end": "2024-01-05"}
    result = job.get_subset(asset_selection={raw}).execute_in_process(instance=instance, tags=days)
    events = result.asset_materializations_for_node("shop__raw__orders")
    assert len(events) == 5
    told = [event.metadata for event in events if f"{COST}cpu_seconds" in event.metadata]
    assert len(told) == 1
    assert told[0][f"{COST}cpu_seconds"].value > 0


@pytest.mark.slow
def test_the_numbers_of_a_live_product_stand_in_a_table_and_in_a_file(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    site = watched_shop(tmp_path)
    declared = Declared(Numbers(), SOURCES, Price(cpu_hour=3600.0, currency="EUR"), is_estimated=True)
    assets = [*monitoring_assets(site, GRAPH, model(), monitors(), {}), *numbers_assets(site, declared)]
    assert dg.materialize(assets, instance=instance).success
    assert dg.materialize(assets, instance=instance).success
    table = numbers_over_time(site)
    assert table is not None
    numbers = {(row["name"], row["of"]): row for row in table.to_pylist()}
    assert {"realized_quality", "estimated_quality", "drift_score", "cost", "deployment_frequency"} <= {
        name for name, _ in numbers
    }
    cpu, spent_on = numbers["cpu_seconds", "monitoring/drift"], numbers["cost", "monitoring/drift"]
    assert cpu["count"] == 2
    assert cpu["value"] == pytest.approx(spent_on["value"])
    assert "headrace_product_drift_score{" in textfile(site).read_text()
    page = (site.place.reports / "shop.html").read_text()
    assert "Spent on all assets" in page
    assert "<b>What each asset took</b>" in page


def test_the_report_is_made_behind_all_that_it_shows(tmp_path: Path) -> None:
    project = Project(make_project(tmp_path / "shop"))
    graph = build(*project.load("shop")).resolve_asset_graph()
    behind = {key.path[-1] for key in graph.get(dg.AssetKey(["shop", "reports", "product"])).parent_keys}
    assert behind == {"champion", "drift", "quality", "estimated", "measures", "inputs", "numbers"}
    before = {key.path[-1] for key in graph.get(dg.AssetKey(["shop", "monitoring", "numbers"])).parent_keys}
    assert before == {"batch", "drift", "quality", "estimated", "champion"}
