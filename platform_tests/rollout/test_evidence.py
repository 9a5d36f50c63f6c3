"""What requests have shown, read from their log: by step and model, by entity, in pairs, and with what came true."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from headrace.rollout.advance import advance
from headrace.rollout.evidence import KEPT, Plan, evidence_of
from headrace.rollout.judge import Arms, Evidence, judge
from headrace.rollout.state import Rollout, current
from headrace.serving.journal import FIXED
from headrace.store.site import Site
from platform_tests.rollout.served import MINUTE, NOON, ORDERS, Traffic, make_shop, release, serve

LATER = NOON + timedelta(hours=1)


def begun(folder: Path, at: datetime = NOON, **canary: Any) -> tuple[Site, Plan]:
    """Return a shop whose second release has begun to take over, at noon."""
    site, plan = make_shop(folder, **canary)
    release(site, "one")
    release(site, "two")
    advance(site, plan, at)
    return site, plan


def under_way(site: Site) -> Rollout:
    found = current(site)
    assert found
    return found


def seen(site: Site, plan: Plan) -> Evidence:
    return evidence_of(site, plan, under_way(site), LATER)


def one(found: Evidence, measure: Any) -> Arms:
    [arms] = found.arms[measure]
    return arms


def test_nothing_is_seen_where_nothing_was_asked(tmp_path: Path) -> None:
    site, plan = begun(tmp_path)
    found = seen(site, plan)
    assert (found.requests, found.arms, found.baked, found.steps) == (0, {}, timedelta(hours=1), 4)


def test_requests_are_counted_by_model_with_their_failures_and_scores(tmp_path: Path) -> None:
    site, plan = begun(tmp_path, steps=["25%"])
    serve(site, under_way(site), Traffic(errors=(0.0, 0.2), scores=(0.3, 0.4)), at=NOON + MINUTE)
    found = seen(site, plan)
    errors, shift = one(found, "errors"), one(found, "shift")
    assert errors.champion.count + errors.candidate.count == 2000
    assert found.requests == errors.candidate.count == pytest.approx(500, abs=80)
    assert (errors.champion.mean, errors.candidate.mean) == (0, pytest.approx(0.2, abs=0.06))
    assert shift.candidate.count == errors.candidate.count - errors.candidate.total
    assert shift.champion.mean == pytest.approx(0, abs=1e-9)
    assert shift.champion.variance * shift.champion.count == pytest.approx(1, rel=0.01)
    assert shift.candidate.mean == pytest.approx(1.0, abs=0.2)
    assert errors.pairs is None


def test_slow_is_what_takes_longer_than_the_champions_99th_percentile_and_for_the_candidate_the_tolerance_more(
    tmp_path: Path,
) -> None:
    site, plan = begun(tmp_path, steps=["50%"])
    serve(site, under_way(site), Traffic(requests=4000, milliseconds=(20.0, 24.0)), at=NOON + MINUTE)
    found = seen(site, plan)
    rows = site.tables.read("shop/predictions/online").to_pylist()
    took = [row["milliseconds"] for row in rows if row["role"] == "live"]
    assert found.slow_ms == pytest.approx(np.quantile(took, 0.99))
    latency = one(found, "latency")
    assert latency.champion.mean == pytest.approx(0.01, abs=0.002)
    assert latency.candidate.mean == pytest.approx(0.01, abs=0.008)


def test_failed_requests_are_not_slow_and_rows_of_a_request_count_once(tmp_path: Path) -> None:
    site, plan = begun(tmp_path, steps=["50%"])
    serve(site, under_way(site), Traffic(requests=500, errors=(1.0, 0.5)), at=NOON + MINUTE)
    rows = site.tables.read("shop/predictions/online")
    second = rows.set_column(1, "row", pa.array([1] * rows.num_rows, pa.int32()))
    site.tables.replace("shop/predictions/online", pa.concat_tables([rows, second]))
    found = seen(site, plan)
    errors = one(found, "errors")
    assert errors.champion.count + errors.candidate.count == 500
    assert one(found, "latency").candidate.count == 0
    assert found.slow_ms is None


def test_an_entity_that_comes_again_is_one_entity(tmp_path: Path) -> None:
    site, plan = begun(tmp_path, steps=["50%"])
    serve(site, under_way(site), Traffic(requests=1000, customers=40), at=NOON + MINUTE)
    errors = one(seen(site, plan), "errors")
    assert errors.champion.entities + errors.candidate.entities == 40
    assert errors.champion.counts2 == errors.champion.entities * 25**2


def test_entities_are_those_of_the_column_that_is_declared(tmp_path: Path) -> None:
    site, plan = begun(tmp_path, steps=["50%"], by="customer")
    serve(site, under_way(site), Traffic(requests=1000), at=NOON + MINUTE, more=lambda number: f"c{number % 7}")
    found = seen(site, plan)
    assert found.holds == ()
    assert one(found, "errors").champion.entities == 7


def test_a_column_that_is_called_as_one_of_the_logs_own_is_found_beside_it(tmp_path: Path) -> None:
    site, plan = begun(tmp_path, steps=["50%"], by="key")
    serve(site, under_way(site), Traffic(requests=700), at=NOON + MINUTE, more=lambda number: f"c{number % 7}")
    rows = site.tables.read("shop/predictions/online")
    site.tables.replace("shop/predictions/online", rows.rename_columns({"customer": "key_"}))
    assert one(seen(site, plan), "errors").champion.entities == 7


def test_the_logs_own_columns_are_those_that_the_server_writes() -> None:
    assert set(FIXED.names) == KEPT


def test_the_labels_entity_may_be_named_though_it_stands_in_a_column_of_the_logs_own(tmp_path: Path) -> None:
    site, plan = begun(tmp_path, steps=["50%"], by="order_id")
    serve(site, under_way(site), Traffic(requests=1000, customers=40), at=NOON + MINUTE)
    found = seen(site, plan)
    assert found.holds == ()
    assert one(found, "errors").champion.counts2 == one(found, "errors").champion.entities * 25**2


def test_a_declared_column_that_no_request_has_holds_the_rollout_and_each_goes_by_its_own_id(tmp_path: Path) -> None:
    site, plan = begun(tmp_path, steps=["50%"], by="costumer")
    serve(site, under_way(site), Traffic(requests=1000), at=NOON + MINUTE)
    found = seen(site, plan)
    assert found.holds == ("no request has had the column 'costumer' that `by` names, so that each goes by its own id",)
    assert one(found, "errors").champion.counts2 == one(found, "errors").champion.count


def test_a_request_whose_column_is_empty_goes_by_its_own_id(tmp_path: Path) -> None:
    site, plan = begun(tmp_path, steps=["50%"], by="customer")
    serve(site, under_way(site), Traffic(requests=200), at=NOON + MINUTE, more=lambda n: "c" if n % 2 else None)
    errors = one(seen(site, plan), "errors")
    assert errors.champion.entities + errors.candidate.entities == 100 + 2


def test_in_the_shadow_the_scores_of_the_same_row_are_compared(tmp_path: Path) -> None:
    site, plan = begun(tmp_path)
    serve(site, under_way(site), Traffic(requests=300, errors=(0.0, 0.1), scores=(0.3, 0.35)), at=NOON + MINUTE)
    shift = one(seen(site, plan), "shift")
    assert shift.pairs
    assert shift.champion.count == 300
    assert shift.pairs.count == shift.candidate.count < 300
    assert shift.pairs.mean == pytest.approx(0.5, abs=0.05)
    assert shift.pairs.variance < (shift.champion.variance + shift.candidate.variance) / 10


def test_a_step_sees_what_came_in_while_it_lasted_and_nothing_of_other_releases(tmp_path: Path) -> None:
    site, plan = begun(tmp_path, steps=["50%"])
    rollout = under_way(site)
    serve(site, rollout, Traffic(requests=100), at=NOON - MINUTE)
    serve(site, rollout, Traffic(requests=200), at=NOON + MINUTE)
    release(site, "three", at=NOON)
    advance(site, plan, NOON + 2 * MINUTE)
    serve(site, under_way(site), Traffic(requests=300), at=NOON + 3 * MINUTE)
    errors = one(seen(site, plan), "errors")
    assert errors.champion.count + errors.candidate.count == 300


def came_true(site: Site, scored: dict[str, float], at: datetime) -> None:
    """Let half of the orders be returned, whatever was said of them."""
    orders = pa.table(
        {
            "order_id": list(scored),
            "at": pa.array([at] * len(scored), pa.timestamp("us", "UTC")),
            "returned": [number % 2 for number in range(len(scored))],
        }
    )
    site.tables.replace("shop/validated/orders", orders.cast(ORDERS))


@pytest.mark.parametrize(("stage", "pairs"), [("shadow", True), ("50%", False)])
def test_the_loss_is_the_brier_score_of_what_came_true(tmp_path: Path, stage: str, pairs: bool) -> None:
    site, plan = begun(tmp_path, steps=[stage])
    serve(site, under_way(site), Traffic(requests=400), at=NOON + MINUTE)
    rows = site.tables.read("shop/predictions/online").to_pylist()
    came_true(site, {row["entity"]: 0.0 for row in rows}, NOON + MINUTE)
    [quality] = seen(site, plan).arms["quality"]
    truth = {entity: number % 2 for number, entity in enumerate(dict.fromkeys(row["entity"] for row in rows))}
    mine = [(row["score"] - truth[row["entity"]]) ** 2 for row in rows if row["role"] != "live"]
    assert quality.candidate.mean == pytest.approx(np.mean(mine))
    assert quality.candidate.count == len(mine)
    assert (quality.pairs is not None) == pairs


def test_labels_that_cannot_be_known_yet_are_not_asked_for(tmp_path: Path) -> None:
    site, plan = begun(tmp_path, steps=["50%"])
    serve(site, under_way(site), Traffic(requests=100), at=NOON + MINUTE)
    unknown = Plan(plan.canary, plan.label.model_copy(update={"known_after": timedelta(days=36500)}), plan.model)
    (site.folder / "label.sql").unlink()
    found = seen(site, unknown)
    assert (found.arms["quality"], found.notes) == ([], {})


@pytest.mark.parametrize("bake", ["30m", "1d"])
def test_labels_that_cannot_be_read_hide_no_other_harm_and_hold_a_step_that_waits_for_them(
    tmp_path: Path, bake: str
) -> None:
    site, plan = begun(tmp_path, steps=["50%"], bake=bake)
    serve(site, under_way(site), Traffic(requests=1000, errors=(0.0, 0.3)), at=NOON + MINUTE)
    (site.folder / "label.sql").write_text("select * from refunds")
    found = seen(site, plan)
    assert found.notes["quality"].startswith("the labels cannot be read: ")
    assert bool(found.holds) == (bake == "1d")
    assert judge(found, plan.canary).verdict == "roll_back"


def test_quality_is_of_every_step_each_for_itself(tmp_path: Path) -> None:
    site, plan = begun(tmp_path, steps=["shadow", "50%"], bake="1m", at_least=100)
    serve(site, under_way(site), Traffic(requests=1200), at=NOON + MINUTE)
    standing = advance(site, plan, NOON + 10 * MINUTE)
    assert standing
    assert standing.judgement.verdict == "go_on"
    serve(site, under_way(site), Traffic(requests=600, seed=1), at=NOON + 20 * MINUTE)
    entities = dict.fromkeys(row["entity"] for row in site.tables.read("shop/predictions/online").to_pylist())
    came_true(site, dict.fromkeys(entities, 0.0), NOON + MINUTE)
    shadow, half = seen(site, plan).arms["quality"]
    assert shadow.pairs
    assert (shadow.pairs.count, half.pairs) == (1200, None)
    assert half.champion.count + half.candidate.count == 600


@pytest.mark.parametrize(
    ("said", "loss"),
    [
        ({"task": "regression"}, lambda score, truth: (score - truth) ** 2 / 0.25),
        (
            {"task": "quantile", "quantile": 0.9},
            lambda score, truth: max(0.9 * (truth - score), -0.1 * (truth - score)) / 0.5,
        ),
    ],
    ids=["regression", "quantile"],
)
def test_the_loss_of_a_number_is_in_units_of_the_labels_spread(tmp_path: Path, said: Any, loss: Any) -> None:
    site, plan = begun(tmp_path, steps=["shadow"])
    serve(site, under_way(site), Traffic(requests=400), at=NOON + MINUTE)
    rows = [row for row in site.tables.read("shop/predictions/online").to_pylist() if row["role"] == "shadow"]
    came_true(site, {row["entity"]: 0.0 for row in rows}, NOON + MINUTE)
    [quality] = seen(site, Plan(plan.canary, plan.label, plan.model.model_copy(update=said))).arms["quality"]
    expected = np.mean([loss(row["score"], number % 2) for number, row in enumerate(rows)])
    assert quality.candidate.mean == pytest.approx(expected)


def test_a_ranking_has_no_loss_by_row_and_that_is_said(tmp_path: Path) -> None:
    site, plan = begun(tmp_path)
    serve(site, under_way(site), Traffic(requests=100), at=NOON + MINUTE)
    found = seen(site, Plan(plan.canary, plan.label, plan.model.model_copy(update={"task": "ranking"})))
    assert found.arms["quality"] == []
    assert "its quality is not judged here" in found.notes["quality"]
