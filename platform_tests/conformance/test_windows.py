"""The law of windows on Spark: the very rows that the local engine makes, whatever the history."""

from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from headrace.core.days import Days
from headrace.core.errors import DataError, NotCarried
from headrace.features.declaration import Windows
from headrace.features.spark import windows_shape
from headrace.features.spark_windows import Emission, seen_sql, windows_sql
from headrace.features.steps import local_days, step_function
from headrace.features.windows import EVENTS, events_sql
from headrace.sources.declaration import Source
from headrace.store.spark import as_shaped
from headrace.store.tables import DAY
from platform_tests.conformance.both import Both, differing
from platform_tests.features.test_window_laws import (
    AT_ONCE,
    CONDITIONS,
    LATE_ROWS,
    LATE_VALUES,
    NUMBERS,
    SALES,
    TEXTS,
    ZONE,
)

CLOCKS_CHANGE = datetime(2013, 3, 10, 5, tzinfo=UTC)
AMOUNTS = [None, 0.0, -0.0, 0.1, 0.2, -7.25, 3e6, 3e6 + 1e-9, 12345678.9, 1e9 + 0.3]
HISTORIES = 60
DAYS = Days(date(2013, 3, 9), date(2013, 3, 10))


def histories(seed: int) -> pa.Table:
    """Return the sales of many tills, each a history of its own, in no order."""
    chance = Random(seed)
    sales = [_sale(chance, till) for till in range(HISTORIES) for _ in range(chance.randint(0, 20))]
    chance.shuffle(sales)
    return pa.Table.from_pylist(sales, schema=SALES)


def _sale(chance: Random, till: int) -> dict[str, Any]:
    sold, known = (
        CLOCKS_CHANGE + timedelta(minutes=30 * chance.randint(-60, 60), microseconds=chance.choice([0, 0, 0, 1, -1]))
        for _ in range(2)
    )
    return {
        "shop": chance.choice(["A", "A", "B", None]),
        "till": till,
        "sold_at": chance.choice([None, sold, sold, sold, sold]),
        "known_at": chance.choice([None, known, known, known, sold]),
        "amount": chance.choice([*AMOUNTS, chance.random() * 1e6, chance.gauss(0, 1)]),
        "paid": chance.choice([None, True, False]),
        "item": chance.choice([None, "", "a", "b", "B", "\u00e9", "\U0001f600"]),
    }


def declared(of: dict[str, str], agg: list[str], where: str | None = None) -> Windows:
    windows = {"from": "sales", "entity": ["shop", "till"], "time": "sold_at", "over": ["30m", "3h", "25h"]}
    return Windows.model_validate(windows | {"of": of, "agg": agg, "where": where})


def locally(both: Both, windows: Windows, source: Source, sales: pa.Table, days: Days | None) -> pa.Table:
    span = days.instants(ZONE) if days else None
    events = both.local.query(events_sql(windows, source, span), {EVENTS: sales})
    steps = step_function("w", windows, events, span)
    return steps.append_column(DAY, local_days(steps["time"], ZONE))


def on_spark(both: Both, windows: Windows, source: Source, sales: pa.Table, days: Days | None) -> pa.Table:
    span, views = days.instants(ZONE) if days else None, {EVENTS: sales}
    sql = seen_sql(windows, source, span)
    seen = both.spark.shape(sql, views)
    emission = Emission("w", windows, both.spark.carry(sql, views), seen, ZONE, span)
    return as_shaped(both.spark.run(windows_sql(emission), views), windows_shape("w", windows, seen), "w")


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        (LATE_ROWS, {"x": "amount", "p": "paid"}, NUMBERS, None, None),
        (LATE_ROWS, {"x": "amount", "late": "amount > 0.15"}, NUMBERS, "paid", DAYS),
        (LATE_VALUES, {"x": "amount", "n": "till * 2", "d": "till * 0.1"}, NUMBERS, None, DAYS),
        (AT_ONCE, {"i": "item", "p": "paid"}, TEXTS, None, None),
        (LATE_VALUES, {"i": "item"}, TEXTS, "amount > 0", DAYS),
        (LATE_ROWS, {"x": "amount"}, ["count", "mean"], None, None),
        (LATE_ROWS, {"x": "amount"}, ["std", "distinct"], None, DAYS),
        (LATE_ROWS, {"x": "amount"}, ["min"], None, None),
        (LATE_ROWS, {"p": "paid", "much": "amount > 1"}, CONDITIONS, None, DAYS),
    ],
)
def test_windows_on_spark_are_those_of_the_local_engine_to_the_last_digit(
    both: Both, case: tuple[dict[str, Any], dict[str, str], list[str], str | None, Days | None]
) -> None:
    known, of, agg, where, days = case
    windows, sales = declared(of, agg, where), histories(len(agg))
    rows = [make(both, windows, Source.model_validate(known), sales, days) for make in (locally, on_spark)]
    assert rows[0].num_rows > 100
    assert not differing(*rows)


@pytest.mark.slow
def test_a_source_without_events_makes_no_rows(both: Both) -> None:
    windows, nothing = declared({"x": "amount"}, NUMBERS), SALES.empty_table()
    rows = [make(both, windows, Source.model_validate(LATE_ROWS), nothing, None) for make in (locally, on_spark)]
    assert not differing(*rows)


@pytest.mark.slow
def test_what_cannot_be_summed_exactly_is_refused_in_words(both: Both) -> None:
    large = [
        _sale(Random(1), 0) | {"shop": "A", "sold_at": CLOCKS_CHANGE, "known_at": CLOCKS_CHANGE, "amount": 9e28}
    ] * 20
    windows = declared({"x": "amount"}, ["sum"])
    with pytest.raises(DataError, match="larger unit"):
        on_spark(both, windows, Source.model_validate(AT_ONCE), pa.Table.from_pylist(large, schema=SALES), None)


@pytest.mark.slow
def test_texts_are_not_summed(both: Both) -> None:
    with pytest.raises(NotCarried, match="does not sum values of type string"):
        on_spark(both, declared({"i": "item"}, ["sum"]), Source.model_validate(AT_ONCE), histories(1), None)


@pytest.mark.slow
def test_a_share_of_a_number_is_refused(both: Both) -> None:
    with pytest.raises(DataError, match="a `share` is of what is true or false, and 'x' is neither"):
        on_spark(both, declared({"x": "amount"}, ["share"]), Source.model_validate(AT_ONCE), histories(1), None)
