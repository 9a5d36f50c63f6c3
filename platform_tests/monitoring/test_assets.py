"""Monitoring as assets: real runs, checks with a value against a limit, and the page."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from headrace.core.days import DAY
from headrace.features.graph import Graph
from headrace.monitoring.assets import FEATURES, PREDICTIONS, monitoring_assets
from headrace.monitoring.declaration import Monitors
from headrace.monitoring.standing import Standing, standings
from headrace.store.site import Site
from platform_tests.models.shop import LABEL, model
from platform_tests.monitoring.watched import (
    FIRST,
    LAST,
    SOURCES,
    misjudged,
    monitors,
    open_shop,
    release,
    score,
    shifted,
    watched_shop,
)

AUC = "auc"
pytestmark = pytest.mark.slow
GRAPH = Graph(SOURCES, {}, {}, LABEL)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def run(site: Site, instance: dg.DagsterInstance, declared: Monitors | None = None) -> dg.ExecuteInProcessResult:
    assets = monitoring_assets(site, GRAPH, model(), declared or monitors(), {})
    return dg.materialize(assets, instance=instance, raise_on_error=False)


def check(result: dg.ExecuteInProcessResult, name: str) -> dg.AssetCheckEvaluation:
    return next(found for found in result.get_asset_check_evaluations() if found.check_name == name)


def known(result: dg.ExecuteInProcessResult, name: str) -> dict[str, Any]:
    return {key: value.value for key, value in check(result, name).metadata.items()}


def metadata(result: dg.ExecuteInProcessResult, layer: str, name: str) -> dict[str, Any]:
    made = result.asset_materializations_for_node(f"shop__{layer}__{name}")[0]
    return {key: value.value for key, value in made.metadata.items()}


def data_version(result: dg.ExecuteInProcessResult, name: str) -> str:
    return result.asset_materializations_for_node(f"shop__monitoring__{name}")[0].tags["dagster/data_version"]


@pytest.mark.parametrize("is_released", [False, True])
def test_before_anything_is_scored_checks_pass_without_a_made_up_number(
    tmp_path: Path, instance: dg.DagsterInstance, is_released: bool
) -> None:
    site = open_shop(tmp_path)
    if is_released:
        release(site)
    result = run(site, instance)
    assert result.success
    for name in (FEATURES, PREDICTIONS):
        assert check(result, name).passed
        assert "value" not in known(result, name)
        why = "has not scored a whole window" if is_released else "no model is live yet"
        assert why in str(check(result, name).description)
    assert check(result, AUC).passed
    assert "value" not in known(result, AUC)
    why = "labels of what the live model scored are not known yet" if is_released else "no model is live yet"
    assert known(result, AUC)["what"] == why
    assert site.tables.read("shop/monitoring/drift").num_rows == 0
    assert Path(metadata(result, "reports", "product")["path"]).exists()


def test_when_nothing_moved_the_checks_pass_and_say_what_came_nearest(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    result = run(watched_shop(tmp_path), instance)
    for name in (FEATURES, PREDICTIONS):
        facts = known(result, name)
        assert check(result, name).passed
        assert facts["value"] < facts["limit"]
        assert "limit" in facts["what"]


def test_a_planted_shift_fails_the_check_with_column_value_limit_and_picture(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    result = run(watched_shop(tmp_path, shifted), instance)
    facts = known(result, FEATURES)
    assert not check(result, FEATURES).passed
    assert check(result, FEATURES).severity == dg.AssetCheckSeverity.WARN
    assert (facts["column"], facts["limit"]) == ("price", 0.25)
    assert facts["value"] > 1.0
    assert facts["what"].startswith(f"PSI of price is {facts['value']:.3f}, limit 0.25, over 150 rows to {LAST}")
    assert facts["columns"].records[0].data["column"] == "price"
    assert facts["psi"].startswith("![plot](data:image/png;base64,")
    assert known(result, PREDICTIONS)["column"] == "score"
    assert not check(result, PREDICTIONS).passed


def test_calibrated_limits_come_from_the_days_of_the_training_set_and_say_so(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    site = watched_shop(tmp_path, shifted)
    result = run(site, instance, monitors(drift={"window": "3d", "threshold": "calibrated"}))
    facts = known(result, FEATURES)
    assert facts["threshold"].startswith(
        "limits calibrated on 27 windows of 3d of the training set, 2024-03-01 to 2024-03-29"
    )
    assert metadata(result, "monitoring", "drift")["threshold"] == facts["threshold"]
    assert known(result, PREDICTIONS)["threshold"] == "the limits are those that are declared"
    assert (facts["column"], check(result, FEATURES).passed) == ("price", False)
    limits = {(row.data["column"], row.data["measure"]): row.data["limit"] for row in facts["columns"].records}
    assert limits["price", "psi"] not in (0.2, limits["noise", "psi"])
    kept = site.tables.read("shop/monitoring/profiles")["of"].to_pylist()
    assert kept.count("training") == 29 * 4
    other = run(watched_shop(tmp_path / "still"), instance, monitors(drift={"window": "3d", "threshold": "calibrated"}))
    assert check(other, FEATURES).passed


def test_an_ignored_column_is_in_the_table_and_does_not_alarm(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    site = watched_shop(tmp_path, shifted)
    result = run(site, instance, monitors(drift={"window": "3d", "psi": 0.25, "ignore": ["price"]}))
    assert check(result, FEATURES).passed
    assert "price" in site.tables.read("shop/monitoring/drift")["column"].to_pylist()


def test_a_raised_limit_lets_the_same_rows_pass(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    site = watched_shop(tmp_path, shifted)
    assert check(run(site, instance, monitors(drift={"window": "3d", "psi": 20})), FEATURES).passed


def test_a_live_model_that_ranks_well_passes_with_its_auc(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    result = run(watched_shop(tmp_path), instance)
    facts = known(result, AUC)
    assert check(result, AUC).passed
    assert facts["value"] > facts["limit"] == 0.6
    assert facts["what"].startswith(
        f"auc is {facts['value']:.3f} ({facts['low']:.3f} to {facts['high']:.3f}), floor 0.6, on "
    )


def test_a_live_model_below_the_floor_fails_as_an_error(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    result = run(watched_shop(tmp_path, misjudged), instance)
    assert not check(result, AUC).passed
    assert check(result, AUC).severity == dg.AssetCheckSeverity.ERROR
    assert known(result, AUC)["value"] < 0.4
    assert result.success


def test_declared_slices_are_rows_and_stand_on_the_check(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    site = watched_shop(tmp_path)
    result = run(site, instance, monitors(quality={"floor": 0.5, "by": ["country"]}))
    facts = known(result, AUC)
    assert "worst by country: " in facts["what"]
    assert {row.data["part"] for row in facts["slices"].records} == {"DE", "FR", "PT"}
    parts = {(row["by"], row["part"]) for row in site.tables.read("shop/monitoring/quality").to_pylist()}
    assert parts == {("", ""), ("country", "DE"), ("country", "FR"), ("country", "PT")}


def test_another_metric_has_a_check_of_its_name_and_a_ceiling(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    declared = monitors(quality={"metric": "log_loss", "ceiling": 0.01})
    result = run(watched_shop(tmp_path), instance, declared)
    assert not check(result, "log_loss").passed
    assert known(result, "log_loss")["limit"] == 0.01
    assert "ceiling 0.01" in known(result, "log_loss")["what"]


def test_without_a_floor_quality_is_measured_and_has_no_check(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    site = watched_shop(tmp_path)
    result = run(site, instance, Monitors())
    made = {found.check_name for found in result.get_asset_check_evaluations()}
    assert made == {FEATURES, PREDICTIONS, "estimated", "inputs"}
    assert metadata(result, "monitoring", "quality")["verdict"].startswith("auc is 0.")
    assert len(set(site.tables.read("shop/monitoring/quality")["day"].to_pylist())) == 10


def test_the_checks_number_is_the_newest_of_the_table(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    site = watched_shop(tmp_path)
    result = run(site, instance)
    newest = [r for r in site.tables.read("shop/monitoring/quality").to_pylist() if r["metric"] == AUC][-1]
    assert known(result, AUC)["value"] == newest["value"]
    drift = [r for r in site.tables.read("shop/monitoring/drift").to_pylist() if r["day"] == LAST]
    features = [r["value"] / r["limit"] for r in drift if r["column"] != "score"]
    facts = known(result, FEATURES)
    assert facts["value"] / facts["limit"] == max(features)


def test_the_same_rows_give_the_same_data_versions(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    site = watched_shop(tmp_path)
    first, second = run(site, instance), run(site, instance)
    for name in ("drift", "quality"):
        assert data_version(first, name) == data_version(second, name)


def test_what_an_earlier_model_was_alarmed_by_stays_in_the_table(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    site = watched_shop(tmp_path, shifted)
    run(site, instance)
    before = site.tables.read("shop/monitoring/drift").to_pylist()
    release(site, trees=10)
    run(site, instance)
    after = site.tables.read("shop/monitoring/drift").to_pylist()
    assert after[: len(before)] == before
    assert len({row["model"] for row in after}) == 2
    keys = [(row["day"], row["column"], row["measure"], row["model"]) for row in after]
    assert len(set(keys)) == len(keys)


def test_the_live_models_own_rows_are_made_again_and_not_doubled(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    site = open_shop(tmp_path)
    release(site)
    score(site, FIRST, LAST - DAY)
    run(site, instance)
    score(site, LAST, LAST)
    run(site, instance)
    rows = site.tables.read("shop/monitoring/drift").to_pylist()
    keys = [(row["day"], row["column"], row["measure"]) for row in rows]
    assert len(set(keys)) == len(keys)
    assert max(row["day"] for row in rows) == LAST


def test_the_page_is_linked_from_its_asset(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    site = watched_shop(tmp_path)
    found = metadata(run(site, instance), "reports", "product")
    assert found["path"] == str(site.place.reports / "shop.html")
    assert found["report"] == (site.place.reports / "shop.html").as_uri()


def test_the_report_leaves_its_facts_and_writes_the_page_of_all_products(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    site = watched_shop(tmp_path, shifted)
    found = metadata(run(site, instance), "reports", "product")
    assert found["all products"] == (site.place.reports / "index.html").as_uri()
    [left] = standings(site.place.reports)
    assert isinstance(left, Standing)
    assert {mark.name: mark.state for mark in left.marks}["drift"] == "alarm"
    assert 'href="shop.html"' in (site.place.reports / "index.html").read_text()


def test_changed_limits_make_drift_stale_and_a_changed_floor_quality(tmp_path: Path) -> None:
    def versions(declared: Monitors) -> dict[str, str | None]:
        assets = monitoring_assets(open_shop(tmp_path), GRAPH, model(), declared, {})
        return {asset.key.path[-1]: next(iter(asset.code_versions_by_key.values())) for asset in assets}

    usual = versions(monitors())
    stricter = versions(monitors(drift={"window": "3d", "psi": 0.1}))
    higher = versions(monitors(quality={"floor": 0.7}))
    assert versions(monitors()) == usual
    assert (stricter["drift"] != usual["drift"], stricter["quality"] == usual["quality"]) == (True, True)
    assert (higher["drift"] == usual["drift"], higher["quality"] != usual["quality"]) == (True, True)


def test_a_check_that_fails_names_the_causes_in_its_words_and_the_asset_lists_them(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    site = watched_shop(tmp_path, shifted)
    result = run(site, instance)
    for name in (FEATURES, PREDICTIONS):
        assert f"Because (1) price moved since at least {FIRST}: all rows" in known(result, name)["what"]
        assert "price moved" in str(check(result, name).description)
    told = metadata(result, "monitoring", "drift")
    assert told["causes"].startswith("1. price moved")
    assert told["causes_json"]["causes"][0]["columns"] == ["price"]
    assert "price moved since at least" in (site.place.reports / "shop.html").read_text()


def test_a_check_that_passes_says_nothing_of_causes(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    result = run(watched_shop(tmp_path), instance)
    assert "Because" not in known(result, FEATURES)["what"]
    assert metadata(result, "monitoring", "drift")["causes"] == "Nothing has moved that chance could not have moved."
