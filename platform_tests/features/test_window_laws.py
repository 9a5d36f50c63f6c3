"""The law of windows: at every instant they are what plain Python makes of the events in (t - over, t] known at t."""

import math
import statistics
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from random import Random
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core.days import Days, local_day
from headrace.core.errors import DataError
from headrace.core.names import duration_text
from headrace.features.declaration import Windows
from headrace.features.join import FeatureTable, join_features
from headrace.features.steps import PIECE, local_days, step_function
from headrace.features.windows import EVENTS, events_sql, since_columns, zero_columns
from headrace.sources.declaration import Source
from headrace.store.engine import query_rows

ZONE = "America/New_York"
CLOCKS_GO_FORWARD = datetime(2013, 3, 10, 5, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SALES = pa.schema(
    [
        ("shop", pa.string()),
        ("till", pa.int64()),
        ("sold_at", pa.timestamp("us", "UTC")),
        ("known_at", pa.timestamp("us", "UTC")),
        ("amount", pa.float64()),
        ("paid", pa.bool_()),
        ("item", pa.string()),
    ]
)
LATE_ROWS = {"files": "sales/*.csv", "time": "sold_at", "known_at": "known_at"}
LATE_VALUES = {"files": "sales/*.csv", "time": "sold_at", "known_at": {"amount": "known_at", "item": "known_at"}}
AT_ONCE = {"files": "sales/*.csv", "time": "sold_at"}
NUMBERS = ["count", "since", "sum", "mean", "std", "min", "max", "last", "first", "distinct"]
TEXTS = ["count", "since", "last", "first", "distinct"]
CONDITIONS = ["count", "since", "share", "mean", "sum", "last"]
KINDS: list[tuple[dict[str, str], list[str]]] = [
    ({"x": "amount", "p": "paid"}, NUMBERS),
    ({"i": "item"}, TEXTS),
    ({"p": "paid"}, CONDITIONS),
]

half_hours = st.integers(-60, 60).map(lambda n: CLOCKS_GO_FORWARD + timedelta(minutes=30 * n))
moments = st.builds(lambda at, shift: at + shift * MICROSECOND, half_hours, st.sampled_from([0, 0, 0, 1, -1]))
sale = st.fixed_dictionaries(
    {
        "shop": st.sampled_from(["A", "A", "B", None]),
        "till": st.sampled_from([1, 1, 2, None]),
        "sold_at": st.none() | moments,
        "known_at": st.none() | moments,
        "amount": st.none() | st.sampled_from([0.0, -0.0, 0.1, 0.2, -7.25, 3e6, 3e6 + 1e-9, 12345678.9]),
        "paid": st.none() | st.booleans(),
        "item": st.none() | st.sampled_from(["", "a", "b", "B", "\u00e9"]),
    }
)
declarations = st.builds(
    lambda source, entity, kind, over, where: (source, entity, kind, over, where),
    st.sampled_from([LATE_ROWS, LATE_ROWS, LATE_VALUES, AT_ONCE]),
    st.sampled_from(["shop", ["shop", "till"]]),
    st.sampled_from([*KINDS, KINDS[0]]),
    st.lists(st.sampled_from(["30m", "3h", "25h", "40h"]), min_size=1, max_size=2, unique=True),
    st.sampled_from([None, "paid"]),
)


def steps_of(
    windows: Windows,
    source: Source,
    sales: list[dict[str, Any]],
    span: tuple[datetime, datetime] | None = None,
    piece: int = PIECE,
) -> pa.Table:
    rows = pa.Table.from_pylist(sales, schema=SALES)
    return step_function("w", windows, query_rows(events_sql(windows, source, span), {EVENTS: rows}), span, piece)


def joined(windows: Windows, steps: pa.Table, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    table = FeatureTable(
        "w", steps, windows.entities, since=since_columns("w", windows), zeros=zero_columns("w", windows)
    )
    schema = pa.schema([("shop", pa.string()), ("till", pa.int64()), ("at", pa.timestamp("us", "UTC"))])
    return join_features(pa.Table.from_pylist(asked, schema=schema), "at", [table]).to_pylist()


def known(windows: Windows, source: Source, sale: dict[str, Any]) -> datetime | None:
    late = source.known_at == "known_at" or (source.known_at and not set(windows.of.values()) <= {"paid"})
    stamps = [sale["sold_at"], sale["known_at"]] if late else [sale["sold_at"]]
    return None if None in stamps else max(stamps)


def alive(
    windows: Windows, source: Source, sales: list[dict[str, Any]], row: dict[str, Any], over: timedelta
) -> list[dict[str, Any]]:
    """The sales that count for a row, oldest first."""
    mine = [
        sale
        for sale in sales
        if all(sale[e] is not None and sale[e] == row[e] for e in windows.entities)
        and (at := known(windows, source, sale))
        and at <= row["at"]
        and row["at"] - over < sale["sold_at"]
        and (windows.where is None or sale["paid"])
    ]
    return sorted(mine, key=lambda sale: sale["sold_at"])


def exact(value: float) -> Fraction:
    return Fraction(round(Fraction(value) * 10**9), 10**9)


def sample_std(values: Sequence[Any]) -> float | None:
    if len(values) < 2:
        return None
    middle = sum(map(exact, values)) / Fraction(len(values))
    return math.sqrt(sum((exact(v) - middle) ** 2 for v in values) / (len(values) - 1))


def newest(events: list[tuple[datetime, Any]]) -> Any:
    return max(events)[1] if events else None


def oldest(events: list[tuple[datetime, Any]]) -> Any:
    return min(events)[1] if events else None


BY_HAND: dict[str, Callable[[list[tuple[datetime, Any]]], Any]] = {
    "sum": lambda events: float(sum(exact(v) for _, v in events)),
    "mean": lambda events: float(sum(exact(v) for _, v in events) / len(events)) if events else None,
    "share": lambda events: sum(1 for _, v in events if v) / len(events) if events else None,
    "std": lambda events: sample_std([v for _, v in events]),
    "min": lambda events: min((float(v) for _, v in events), default=None),
    "max": lambda events: max((float(v) for _, v in events), default=None),
    "last": newest,
    "first": oldest,
    "distinct": lambda events: len({v for _, v in events}),
}


def expected(
    windows: Windows, source: Source, sales: list[dict[str, Any]], row: dict[str, Any]
) -> dict[str, int | float | str | None]:
    answers: dict[str, Any] = {}
    for over in windows.over:
        counted, suffix = alive(windows, source, sales, row, over), duration_text(over)
        answers[f"w_count_{suffix}"] = len(counted)
        since = (row["at"] - counted[-1]["sold_at"]) / timedelta(minutes=1) if counted else None
        answers[f"w_since_{suffix}"] = since
        for name, column in windows.of.items():
            events = [(sale["sold_at"], sale[column]) for sale in counted if sale[column] is not None]
            for agg in set(windows.agg) - {"count", "since"}:
                answers[f"w_{name}_{agg}_{suffix}"] = BY_HAND[agg](events)
    return answers


def same(got: Any, wanted: Any) -> bool:
    if isinstance(got, float) and isinstance(wanted, float):
        return math.isclose(got, wanted, rel_tol=1e-13)
    return bool(got == wanted) and (got is None) == (wanted is None)


def edges(windows: Windows, sales: list[dict[str, Any]]) -> set[datetime]:
    """The instants at which something may change, and those beside them."""
    stamps = {sale[c] for sale in sales for c in ("sold_at", "known_at") if sale[c]}
    stamps |= {sale["sold_at"] + over for sale in sales for over in windows.over if sale["sold_at"]}
    return {stamp + shift * MICROSECOND for stamp in stamps for shift in (-1, 0, 1)}


def declare(drawn: tuple[Any, ...]) -> tuple[Windows, Source]:
    source, entity, (of, agg), over, where = drawn
    windows = {"from": "sales", "entity": entity, "time": "sold_at", "of": of, "agg": agg, "over": over, "where": where}
    return Windows.model_validate(windows), Source.model_validate(source)


@pytest.mark.slow
@settings(max_examples=120, deadline=None)
@given(st.lists(sale, max_size=14), declarations, st.lists(moments, max_size=4))
def test_every_aggregation_is_what_plain_python_says_as_of_any_moment(
    sales: list[dict[str, Any]], drawn: tuple[Any, ...], asked: list[datetime]
) -> None:
    windows, source = declare(drawn)
    times = sorted(edges(windows, sales) | set(asked))
    rows = [{"shop": shop, "till": 1, "at": at} for at in times for shop in ("A", "B", None)]
    for row in joined(windows, steps_of(windows, source, sales), rows) if rows else []:
        for column, wanted in expected(windows, source, sales, row).items():
            assert same(row[column], wanted), (column, row, wanted)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.lists(sale, max_size=14), declarations, st.randoms(use_true_random=False))
def test_neither_days_nor_pieces_nor_the_order_of_rows_change_a_byte(
    sales: list[dict[str, Any]], drawn: tuple[Any, ...], chance: Random
) -> None:
    windows, source = declare(drawn)
    days = Days(date(2013, 3, 7), date(2013, 3, 14))
    whole = steps_of(windows, source, sales, days.instants(ZONE))
    parts = pa.concat_tables(steps_of(windows, source, sales, Days(day, day).instants(ZONE)) for day in days)
    assert as_bytes(parts) == as_bytes(whole)
    shuffled = chance.sample(sales, len(sales))
    assert as_bytes(steps_of(windows, source, shuffled, piece=chance.choice([1, 3, 5]))) == as_bytes(whole)


def as_bytes(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(pa.table(pl.DataFrame(rows).rechunk().to_arrow()).cast(rows.schema))
    written: bytes = sink.getvalue().to_pybytes()
    return written


def test_a_day_of_23_hours_ends_where_the_next_begins() -> None:
    start, end = Days(date(2013, 3, 10), date(2013, 3, 10)).instants(ZONE)
    assert end.astimezone(UTC) - start.astimezone(UTC) == timedelta(hours=23)


def test_a_window_over_a_change_of_the_clocks_reaches_back_by_hours_and_not_by_the_wall_clock() -> None:
    windows, source = amounts_over("sum", "25h")
    monday = Days(date(2013, 3, 11), date(2013, 3, 11)).instants(ZONE)
    sold = monday[0].astimezone(UTC) - timedelta(hours=24, minutes=30)
    [row] = steps_of(windows, source, [sales_of([1.0])[0] | {"sold_at": sold}], monday).to_pylist()
    assert (row["time"], row["w_x_sum_25h"]) == (sold + timedelta(hours=25), 0.0)


@given(st.lists(moments))
def test_an_instant_lies_in_its_local_day_whatever_the_clocks_do(at: list[datetime]) -> None:
    days = local_days(pa.chunked_array([at], pa.timestamp("us", "UTC")), ZONE)
    assert days.to_pylist() == [local_day(moment, ZONE) for moment in at]
    assert days.type == pa.date32()


def sales_of(amounts: Sequence[float], **changes: Any) -> list[dict[str, Any]]:
    row = {"shop": "A", "till": 1, "paid": True, "item": "a"} | changes
    times = [CLOCKS_GO_FORWARD + timedelta(minutes=i) for i in range(len(amounts))]
    return [row | {"sold_at": at, "known_at": at, "amount": x} for at, x in zip(times, amounts, strict=True)]


def amounts_over(agg: str, over: str) -> tuple[Windows, Source]:
    windows, source = declare((AT_ONCE, "shop", KINDS[0], [over], None))
    return windows.model_copy(update={"agg": [agg]}), source


@pytest.mark.parametrize("offset", [0.0, 1e9, -1e12])
def test_a_standard_deviation_is_as_exact_far_from_zero_as_near_it(offset: float) -> None:
    windows, source = amounts_over("std", "3h")
    near = [i % 7 / 8 for i in range(500)]
    stds = steps_of(windows, source, sales_of([offset + x for x in near]))["w_x_std_3h"].to_pylist()
    wanted = [statistics.stdev(near[max(0, i - 179) : i + 1]) if i else None for i in range(500)]
    assert stds[0] is None
    assert stds[1:500] == pytest.approx(wanted[1:], rel=1e-12)


def test_the_deviation_of_equal_values_is_zero_and_not_nearly_zero() -> None:
    windows, source = amounts_over("std", "3h")
    stds = steps_of(windows, source, sales_of([1e12 + 0.1] * 50))["w_x_std_3h"].to_pylist()
    assert set(stds[1:50]) == {0.0}


@pytest.mark.parametrize("amount", [-7.25, 0.1, 3e6 + 1e-9, 12345678.9])
def test_the_sum_and_the_mean_of_one_value_are_that_value(amount: float) -> None:
    windows, source = amounts_over("sum", "3h")
    both = windows.model_copy(update={"agg": ["sum", "mean"]})
    [row, _] = steps_of(both, source, sales_of([amount])).to_pylist()
    assert (row["w_x_sum_3h"], row["w_x_mean_3h"]) == (amount, amount)


@pytest.mark.parametrize(("agg", "amounts"), [("std", [0.0, 1e11]), ("sum", [1e28] * 20)])
def test_what_cannot_be_summed_exactly_is_refused_in_words(agg: str, amounts: list[float]) -> None:
    windows, source = amounts_over(agg, "3h")
    with pytest.raises(DataError, match="larger unit"):
        steps_of(windows, source, sales_of(amounts))


def test_of_events_at_one_instant_the_greatest_value_is_the_last_and_the_least_the_first() -> None:
    windows = declare((AT_ONCE, "shop", KINDS[1], ["3h"], None))[0]
    sales = [
        sale | {"item": item, "sold_at": CLOCKS_GO_FORWARD} for sale in sales_of([0.0]) for item in ("b", "c", "a")
    ]
    [row, _] = steps_of(windows, Source(**AT_ONCE), sales).to_pylist()
    assert (row["w_i_last_3h"], row["w_i_first_3h"], row["w_i_distinct_3h"]) == ("c", "a", 3)


def test_an_event_of_another_age_of_the_world_only_costs_time() -> None:
    windows = declare((AT_ONCE, ["shop", "till"], KINDS[0], ["3h"], None))[0]
    many = [sale | {"till": till} for till in range(100) for sale in sales_of([1.0])]
    early = sales_of([2.0])[0] | {"sold_at": datetime(1, 1, 1, tzinfo=UTC)}
    steps = steps_of(windows, Source(**AT_ONCE), [*many, early])
    assert steps["w_count_3h"].to_pylist() == [1, 0, *[1] * 100, *[0] * 100]
    assert steps["w_x_sum_3h"].to_pylist()[:2] == [2.0, 0.0]
