"""Weak slices: the one that was planted is found, with its size, and noise is not told for weakness."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.evaluation.metrics import Aim
from headrace.evaluation.weak import Searched, losses_of, weak_slices

ROWS = 8000


def searched(seed: int = 0, planted: str = "") -> Searched:
    """Return rows whose losses are noise by day and row, and greater by 0.5 where the planted condition holds."""
    chance = np.random.default_rng(seed)
    day = np.sort(chance.integers(0, 40, ROWS))
    price, country = chance.normal(size=ROWS), chance.choice(["DE", "FR", "PT"], ROWS)
    missing = chance.random(ROWS) < 0.1
    where = {
        "": np.zeros(ROWS, dtype=bool),
        "country = PT": country == "PT",
        "price > 0.6": ~missing & (price > 0.674),
        "both": (country == "PT") & ~missing & (price > 0.674),
        "missing": missing,
    }[planted]
    losses = 1 + 0.3 * chance.normal(size=40)[day] + chance.exponential(size=ROWS) + 0.5 * where
    rows = pa.table(
        {
            "price": pa.array(np.where(missing, None, price), pa.float64()),
            "country": country,
            "holiday": day % 40 < 3,
            "weekday": [f"{n}" for n in day % 7],
            "weather": chance.normal(size=40)[day],
            "gift": chance.random(ROWS) < 0.3,
            "shop": [f"s{n}" for n in chance.integers(0, 400, ROWS)],
        }
    )
    return Searched(rows, losses, day)


COLUMNS = ["price", "country", "gift", "shop"]
OF_DAYS = ["holiday", "weekday", "weather"]
"""Columns that are the same on all rows of a day: what days differ by looks like theirs."""


@pytest.mark.parametrize(
    ("planted", "named"),
    [
        ("country = PT", "country = PT"),
        ("price > 0.6", "price > 0."),
        ("missing", "price is missing"),
        ("both", "price > 0."),
    ],
)
def test_a_planted_weakness_is_among_the_worst_and_its_size_within_its_interval(planted: str, named: str) -> None:
    found = weak_slices(searched(planted=planted), COLUMNS)
    held = [weak for weak in found if named in weak.slice and (planted != "both" or "country = PT" in weak.slice)]
    assert held
    assert held[0].low <= 0.5 <= held[0].high
    assert all(weak.worse_by > 0 for weak in found)
    assert [weak.worse_by for weak in found] == sorted((weak.worse_by for weak in found), reverse=True)


@pytest.mark.parametrize("columns", [COLUMNS, OF_DAYS, [*COLUMNS, *OF_DAYS]], ids=["of rows", "of days", "both"])
def test_of_forty_models_without_a_weakness_few_are_said_to_have_one(columns: list[str]) -> None:
    assert sum(bool(weak_slices(searched(seed), columns)) for seed in range(40)) <= 6


def test_the_order_of_rows_does_not_matter() -> None:
    whole = searched(planted="both")
    order = np.random.default_rng(1).permutation(ROWS)
    turned = Searched(whole.rows.take(order), whole.losses[order], whole.blocks[order])
    for one, other in zip(weak_slices(whole, COLUMNS), weak_slices(turned, COLUMNS), strict=True):
        assert one.model_dump() == pytest.approx(other.model_dump())


def test_a_column_without_any_value_and_one_with_a_single_one_are_searched() -> None:
    rows = pa.table({"nothing": pa.nulls(500, pa.float64()), "same": pa.array([1.0] * 500), "none": pa.nulls(500)})
    assert weak_slices(Searched(rows, np.ones(500), np.arange(500) // 50), rows.column_names) == []


def test_losses_are_those_of_the_task() -> None:
    answers, scores = np.array([0.0, 1.0]), np.array([0.2, 0.5])
    assert losses_of(answers, scores, Aim()) == pytest.approx([-np.log(0.8), -np.log(0.5)])
    assert losses_of(answers, scores, Aim("regression")) == pytest.approx([0.04, 0.25])
    assert losses_of(answers, scores, Aim("quantile", quantile=0.9)) == pytest.approx([0.02, 0.45])
    assert losses_of(answers, scores, Aim("ranking")) is None
    assert losses_of(answers, scores + 1, Aim()) is None
