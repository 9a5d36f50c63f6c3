"""What the retrain sensor of a product with a live model sees, decides and keeps: real tables, runs, checks and logs."""

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from click.testing import CliRunner

from headrace.automation.evidence import drift_readings, grown, quality_readings, readings, shift_readings, spent
from headrace.automation.memory import Memory
from headrace.cli import main
from headrace.monitoring.declaration import Drift, Quality
from headrace.monitoring.drift import Moved
from headrace.monitoring.quality import Realized
from headrace.monitoring.shifts.shift import Shift
from headrace.product import loop_of
from platform_tests.automation.test_loop import tick
from platform_tests.end_to_end.shop import make_project
from platform_tests.releases.test_why import Shop

pytestmark = pytest.mark.slow
ESTIMATED = dg.AssetKey(["shop", "monitoring", "estimated"])
PRICE = "serve: {price: {cpu_hour: 0.04, currency: USD}}"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop of thirty days whose first model is live, and has scored its newest day."""
    shop = Shop(make_project(tmp_path_factory.mktemp("first") / "shop"))
    shop.land(0, 29)
    shop.train()
    shop.run(loop_of(*shop.project.load("shop")).live_keys, {})
    return shop.project.root


@pytest.fixture
def shop(first: Path, tmp_path: Path) -> Shop:
    shutil.copytree(first, tmp_path / "shop")
    return Shop(tmp_path / "shop")


def declare(shop: Shop, retrain: str, *more: tuple[str, str]) -> None:
    defs = shop.project.root / "platform/products/shop/defs.yaml"
    text = defs.read_text().replace("retrain: {when: [drift], cooldown: 3d, budget: 8 per 30d}", retrain)
    for old, new in more:
        assert old in text
        text = text.replace(old, new)
    defs.write_text(text)


def look(shop: Shop, instance: dg.DagsterInstance, cursor: str | None = None) -> tuple[str, Any]:
    answer = tick(shop.project, "shop__retrain", instance, cursor)
    asked = [request.tags["headrace/reason"] for request in answer.run_requests or []]
    return (f"Train: {asked[0]}" if asked else str(answer.skip_message)), answer.cursor


def estimate(instance: dg.DagsterInstance, auc: float) -> None:
    facts: dict[str, Any] = {"what": f"auc is about {auc}", "value": auc, "limit": 0.7}
    said = dg.AssetCheckEvaluation(
        asset_key=ESTIMATED,
        check_name="estimated",
        passed=auc >= 0.7,
        metadata=facts,
        severity=dg.AssetCheckSeverity.WARN,
    )
    instance.report_runless_asset_event(said)


def test_a_live_model_without_a_reason_is_left_alone_in_words(shop: Shop, instance: dg.DagsterInstance) -> None:
    declare(shop, "retrain: {when: [drift, quality, 'age > 30d', 'rows > 20%', schema, code]}")
    said, _ = look(shop, instance)
    assert said.startswith("Nothing to do: drift: ")
    assert "age: live for 0.0 d of 30d" in said
    assert "labelled rows more than the 2,321 that the live model was trained on, of 20%" in said
    assert "schema: as when the live model was trained; code: as when the live model was trained" in said


def test_estimated_quality_trains_once_enough_evaluations_confirm_it(shop: Shop, instance: dg.DagsterInstance) -> None:
    declare(shop, "retrain: {when: [estimated], confirm: 2 of 3}")
    said, cursor = look(shop, instance)
    assert said == "Nothing to do: estimated: no check fails."
    words = []
    for auc in (0.65, 0.72, 0.65):
        estimate(instance, auc)
        said, cursor = look(shop, instance, cursor)
        assert look(shop, instance, cursor)[0] == said or said.startswith("Train"), "a second look hears nothing new"
        words.append(said)
    assert "beyond its limit in 1 of the last 3 windows, 2 confirm it: auc is about 0.65" in words[0]
    assert words[1].startswith("Nothing to do")
    assert words[2] == "Train: estimated: auc is about 0.65"


def test_a_failed_check_of_estimated_quality_is_heard_by_a_sensor_that_was_not_there(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    declare(shop, "retrain: {when: [estimated]}")
    estimate(instance, 0.65)
    assert look(shop, instance)[0] == "Train: estimated: auc is about 0.65"


def test_new_labelled_rows_train(shop: Shop, instance: dg.DagsterInstance) -> None:
    declare(shop, "retrain: {when: ['rows > 20%']}")
    shop.land(30, 39)
    shop.ingest()
    said, _ = look(shop, instance)
    assert said == "Train: rows: 799 labelled rows more than the 2,321 that the live model was trained on, above 20%"


def test_another_contract_and_other_feature_code_train_and_say_what_is_other(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    declare(
        shop,
        "retrain: {when: [schema]}",
        ("amount: {type: double, min: 0}", "amount: {type: double, min: 0, max: 9000}"),
    )
    said, _ = look(shop, instance)
    assert said == "Train: schema: shop/validated/orders: Contract as declared"
    declare(shop, "", ("retrain: {when: [schema]}", "retrain: {when: [code]}"), ("over: [3d]", "over: [4d]"))
    shutil.rmtree(shop.site.place.logs / "shop" / "trainings")
    said, _ = look(shop, instance)
    assert said.startswith("Train: code: shop/features/habit: ")


def test_a_training_is_measured_and_one_that_passes_the_budget_in_money_is_refused(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    declare(shop, "retrain: {when: ['age > 1h'], budget: 5 USD per 30d}\n  " + PRICE)
    entries = shop.site.costs.entries()
    assert [entry["what"] for entry in entries] == ["training", "evaluation"]
    [cost] = spent(loop_of(*shop.project.load("shop")))
    assert cost.amount == pytest.approx(sum(entry["cpu_seconds"] for entry in entries) / 3600 * 0.04)
    shop.land(30, 32)
    shop.ingest()
    shutil.copytree(shop.project.root, shop.project.root.with_name("poor"))
    assert look(shop, instance)[0].startswith("Train: age")
    poor = Shop(shop.project.root.with_name("poor"))
    declare(poor, "", ("budget: 5 USD", f"budget: {cost.amount * 1.9:.12f} USD"))
    assert "are spent, and a training takes about" in look(poor, instance)[0]


def test_decisions_are_kept_and_shown_in_words(
    shop: Shop, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor = None
    for _ in range(3):
        _, cursor = look(shop, instance, cursor)
    shop.land(30, 31)
    said, cursor = look(shop, instance, cursor)
    assert "late source: newest row of 'orders'" not in said
    monkeypatch.chdir(shop.project.root)
    shown = CliRunner().invoke(main, ["decisions", "shop"]).output
    assert "2024-01-31 00:00  Nothing to do: drift: " in shown
    kept = json.loads(CliRunner().invoke(main, ["decisions", "shop", "--json"]).output)
    assert [entry["train"] for entry in kept["decisions"]] == [False, False]
    assert kept["decisions"][1]["repeated"] == 2
    assert kept["looks"] == []


def test_what_monitors_measured_of_the_live_model_is_read_window_by_window(shop: Shop) -> None:
    shop.land(30, 36, shift=60.0)
    shop.ingest()
    shop.run(loop_of(*shop.project.load("shop")).live_keys, {})
    loop = loop_of(*shop.project.load("shop"))
    live = loop.site.releases.live("shop")
    assert live is not None
    found = readings(loop, live, Memory())
    assert found["drift"][-1].ratio > 1
    assert "PSI of" in found["drift"][-1].what
    assert [reading.at for reading in found["drift"]] == sorted(reading.at for reading in found["drift"])
    assert found["quality"]
    memory = Memory()
    assert grown(loop, live, memory) == grown(loop, live, memory)


def test_drift_beyond_one_column_trains_where_that_is_declared(shop: Shop, instance: dg.DagsterInstance) -> None:
    declare(
        shop,
        "retrain: {when: [shifts]}",
        ("score_psi: 10}", "score_psi: 10, multivariate: {domain_classifier: {auc: 0.8}}}"),
    )
    assert look(shop, instance)[0] == "Nothing to do: shifts: no check fails."
    shop.land(30, 36, shift=60.0)
    shop.ingest()
    shop.run(loop_of(*shop.project.load("shop")).live_keys, {})
    said, _ = look(shop, instance)
    told = "Train: shifts: a classifier tells the window from the training set with an AUC of 1.000, limit 0.800, over 240 rows"
    assert said.startswith(told)


def test_what_is_known_of_a_kind_of_shift_holds_until_its_next_day() -> None:
    labels = Shift(date(2024, 3, 1), "label", "psi", 0.4, 0.2, 100, column="returned")
    calm, shown = (Shift(date(2024, 3, d), "pca", "reconstruction_error", 1.0, 1.5, 100, low=0.5) for d in (3, 4))
    slices = [Shift(date(2024, 3, 3), "slices", "psi", value, None, 100) for value in (1.0, 2.0)]
    found = shift_readings([shown, *slices, calm, labels], ZoneInfo("UTC"))
    assert [(reading.at.day, reading.ratio) for reading in found] == [(2, 2.0), (4, 2.0), (5, 2.0)]
    later = Shift(date(2024, 3, 4), "label", "psi", 0.1, 0.2, 100, column="returned")
    assert shift_readings([labels, calm, later], ZoneInfo("UTC"))[-1].ratio == pytest.approx(0.5)


def test_ignored_columns_and_days_without_a_value_are_no_readings() -> None:
    day, zone = date(2024, 3, 1), ZoneInfo("America/New_York")
    moved = [Moved(day, "month", "psi", 9.0, 0.2, 100), Moved(day, "amount", "psi", 0.1, 0.2, 100)]
    [reading] = drift_readings(moved, Drift(ignore=["month"]), zone)
    assert reading.ratio == pytest.approx(0.5)
    assert reading.at.isoformat() == "2024-03-02T05:00:00+00:00"
    days = [Realized(day, "m", 100, 0.6), Realized(day, "m", 3, None, "too few")]
    [quality] = quality_readings(days, Quality(floor=0.68), zone)
    assert quality.ratio == pytest.approx(0.4 / 0.32)
