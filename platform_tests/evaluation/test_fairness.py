"""Fairness: gaps between the values of protected columns, with what chance may have added, and gates on them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from headrace.evaluation.evaluate import Evaluation, Measuring, evaluate
from headrace.evaluation.gate import judge
from platform_tests.models.shop import LABEL, gates, judged, model, shop, trained

SPRING = datetime(2024, 3, 1, tzinfo=UTC)


def scored(favour: float, rows: int = 6000) -> Evaluation:
    """Return the evaluation of scores that lie so much higher for one of two sexes, all else equal."""
    chance = np.random.default_rng(0)
    sex, chances = chance.choice(["f", "m"], rows), chance.beta(2, 2, rows)
    at = [SPRING + timedelta(days=30) * (n / rows) for n in range(rows)]
    table = pa.table(
        {
            "order_id": [f"o{n}" for n in range(rows)],
            "at": pa.array(at, pa.timestamp("us", "UTC")),
            "returned": (chance.random(rows) < chances).astype(np.int8),
            "sex": sex,
        }
    )
    return evaluate(table, np.clip(chances + favour * (sex == "m"), 0, 1), Measuring(LABEL, slices=["sex"]))


def test_a_gap_is_the_distance_of_the_values_and_lies_in_its_interval() -> None:
    evaluation = scored(0.2)
    of = {value: part.metrics["positive_rate"] or 0 for value, part in evaluation.slices["sex"].items()}
    gap = evaluation.gaps["sex"]["positive_rate"]
    assert gap.value == pytest.approx(of["m"] - of["f"])
    assert (gap.least, gap.greatest) == ("f", "m")
    assert 0.15 < gap.low <= gap.value <= gap.high < 0.4


def test_scores_that_favour_nobody_have_gaps_that_chance_explains() -> None:
    gaps = scored(0.0).gaps["sex"]
    assert {"positive_rate", "true_positive_rate", "false_positive_rate", "auc"} <= gaps.keys()
    assert all(gap.value < 0.05 for gap in gaps.values())


@pytest.mark.parametrize(("favour", "passed"), [(0.0, True), (0.2, False)])
def test_a_gate_on_a_gap_refuses_what_favours_one_value(favour: float, passed: bool) -> None:
    [verdict] = judge(gates("positive_rate gap by sex <= 0.1"), scored(favour), None)
    assert verdict.passed is passed
    assert " of m" in verdict.why
    assert verdict.low is not None
    assert verdict.low <= (verdict.value or 0)


def test_one_value_alone_has_no_gap_and_its_gate_refuses() -> None:
    [verdict] = judge(gates("auc gap by country <= 0.1"), scored(0.0), None)
    assert verdict.why == "fewer than two values of 'country' have 100 rows to compare"


def test_protected_columns_are_measured_and_listed_without_a_gate(tmp_path: Path) -> None:
    site = shop(tmp_path)
    declared = model(evaluation={"protected": ["country"]})
    judgement = judged(site, trained(site, declared), declared=declared)
    assert {row["column"] for row in judgement.tables()["gaps"]} == {"country"}
    assert sorted(judgement.evaluation.slices) == ["country"]
