"""Profiles on Spark: the very counts that are made here, by day, model, column and bin."""

import math
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from headrace.core.days import Days
from headrace.core.errors import DataError
from headrace.models.meta import Input
from headrace.models.predict import MODEL, SCORE
from headrace.models.profile import Profile, profile_of
from headrace.monitoring.drift import DayProfile
from headrace.monitoring.watch import Inputs, day_profiles, live_drift
from headrace.store.site import Site
from headrace.store.tables import DAY
from platform_tests.models.shop import shop
from platform_tests.monitoring.watched import monitors, shifted, watched_shop

FIRST = date(2024, 3, 30)
NUMBERS = [None, math.nan, math.inf, -math.inf, 0.0, -0.0, 0.1, 0.1 + 1e-17, 0.30000000000000004, 5e-324, -1e308, 7.0]
WHOLE = [None, 0, -1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1]
EXACT = [None, Decimal("0.1"), Decimal("-1234567890123456789.1234567"), Decimal("0.3000001"), Decimal(7)]
TEXTS = [None, "", "a", "A", "a ", "'", "\\", "\u00e9", "e\u0301", "\U0001f600", "never seen"]
ROWS = pa.schema(
    {
        DAY: pa.date32(),
        MODEL: pa.string(),
        SCORE: pa.float64(),
        "of`it": pa.float64(),
        "small": pa.float32(),
        "whole": pa.int64(),
        "exact": pa.decimal128(38, 7),
        "paid": pa.bool_(),
        "text": pa.string(),
        "never": pa.float64(),
    }
)
KINDS = {name: "categorical" if name == "text" else "numeric" for name in ROWS.names[2:]}
INPUTS = [
    Input(name=name, kind=kind, categories=sorted(filter(None, TEXTS[:-1])) if kind == "categorical" else [])
    for name, kind in KINDS.items()
]


def scored(seed: int, count: int, days: int = 4) -> pa.Table:
    """Return rows that two models scored, in no order."""
    chance = Random(seed)

    def row() -> dict[str, Any]:
        return {
            DAY: FIRST + timedelta(days=chance.randrange(days)),
            MODEL: chance.choice(["one", "other"]),
            SCORE: chance.random(),
            "of`it": chance.choice([*NUMBERS, chance.gauss(0, 1)]),
            "small": chance.choice([None, 0.1, chance.random()]),
            "whole": chance.choice([*WHOLE, chance.randrange(9)]),
            "exact": chance.choice([*EXACT, Decimal(chance.randrange(10**9)).scaleb(-7)]),
            "paid": chance.choice([None, True, False]),
            "text": chance.choice(TEXTS),
            "never": None,
        }

    return pa.Table.from_pylist([row() for _ in range(count)], schema=ROWS)


def on_spark(site: Site, url: str) -> Site:
    product = site.product.model_copy(update={"engine": "spark"})
    return replace(site, product=product, place=replace(site.place, spark_url=url))


def in_order(profiles: list[DayProfile]) -> list[tuple[date, str]]:
    """Return the profiles as texts that tell each number and its type, in one order."""
    return sorted((part.day, repr(sorted(part.profile.items()))) for part in profiles)


def both_ways(site: Site, url: str, inputs: Inputs, reference: Profile, days: Days) -> list[list[DayProfile]]:
    return [list(day_profiles(at, days, inputs, reference)) for at in (site, on_spark(site, url))]


@pytest.mark.slow
def test_profiles_on_spark_are_those_of_the_local_engine_to_the_last_row(spark_url: str, tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.tables.replace("shop/predictions/batch", scored(1, 4000))
    site.tables.replace("shop/predictions/batch", scored(2, 500, days=1), days=Days(FIRST, FIRST))
    reference = profile_of(scored(3, 2000), INPUTS)
    inputs = {"one": INPUTS, "other": INPUTS[1:4]}
    local, spark = both_ways(site, spark_url, inputs, reference, Days(FIRST, FIRST + timedelta(days=2)))
    assert len(local) == 6
    assert sum(sum(part.profile["whole"]["counts"]) for part in local) > 2000
    assert in_order(spark) == in_order(local)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("gone", r"The model needs columns \['gone'\]"),
        ("text", "'text' is numeric for the model, but String in these rows"),
    ],
)
def test_columns_that_the_model_cannot_take_are_refused_in_the_same_words(
    spark_url: str, tmp_path: Path, wrong: str, told: str
) -> None:
    site = shop(tmp_path)
    site.tables.replace("shop/predictions/batch", scored(1, 100))
    inputs, days = {"one": [Input(name=wrong, kind="numeric")], "other": []}, Days(FIRST, FIRST)
    for at in (site, on_spark(site, spark_url)):
        with pytest.raises(DataError, match=told):
            list(day_profiles(at, days, inputs, {wrong: {"edges": []}}))


@pytest.mark.slow
def test_a_planted_shift_moves_as_far_on_spark_as_here(spark_url: str, tmp_path: Path) -> None:
    site = watched_shop(tmp_path, shifted)
    live = site.releases.live("shop")
    assert live
    local, spark = (live_drift(at, live, monitors().drift) for at in (site, on_spark(site, spark_url)))
    assert any(moved.alarms for moved in local)
    assert spark == local
