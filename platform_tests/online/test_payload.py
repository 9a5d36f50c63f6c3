"""What is packed comes back: to the bit, and in its type."""

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core.errors import DataError
from headrace.online.many import ManySteps, Spots
from headrace.online.payload import Layout, TooEarly, microseconds

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1))
TYPES: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "double": (pa.float64(), st.floats()),
    "float": (pa.float32(), st.floats(width=32)),
    "long": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "short": (pa.int16(), st.integers(-(2**15), 2**15 - 1)),
    "byte": (pa.uint8(), st.integers(0, 255)),
    "truth": (pa.bool_(), st.booleans()),
    "text": (pa.large_string(), st.text()),
    "bytes": (pa.large_binary(), st.binary()),
    "day": (pa.date32(), st.dates(date(1, 1, 1))),
    "moment": (pa.timestamp("us", "UTC"), MOMENTS.map(lambda at: at.replace(tzinfo=UTC))),
    "local": (pa.timestamp("us"), MOMENTS),
    "span": (pa.duration("us"), st.timedeltas(timedelta(-(10**4)), timedelta(10**4))),
    "clock": (pa.time64("us"), st.times()),
    "exact": (pa.decimal128(38, 9), st.decimals(-(10**28), 10**28, places=9)),
}
SCHEMA = pa.schema([(name, kind) for name, (kind, _) in TYPES.items()])
ROWS = st.lists(
    st.fixed_dictionaries({n: st.none() | values for n, (_, values) in TYPES.items()}), min_size=1, max_size=7
)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return (math.isnan(one) and math.isnan(other)) or (
            one == other and math.copysign(1, one) == math.copysign(1, other)
        )
    return type(one) is type(other) and one == other


def packed(rows: pa.Table, starts: list[int], **more: Any) -> list[bytes]:
    times = pa.chunked_array([[NOW + timedelta(hours=n) for n in range(rows.num_rows)]], pa.timestamp("us", "UTC"))
    return list(
        Layout(rows.schema, timed=True).pack(rows, times, starts, more.get("dropped", [False] * (len(starts) - 1)))
    )


def spots(layout: Layout, payloads: Sequence[bytes | None]) -> Spots:
    """Return payloads one after another."""
    lengths = [len(payload or b"") for payload in payloads]
    starts = [-1 if p is None else sum(lengths[:n]) for n, p in enumerate(payloads)]
    return Spots(b"".join([*filter(None, payloads), bytes(layout.longest)]), np.array(starts))


@given(ROWS, st.integers(0, 6))
@settings(deadline=None)
def test_every_value_of_every_step_comes_back(rows: list[dict[str, Any]], cut: int) -> None:
    table, layout = pa.Table.from_pylist(rows, schema=SCHEMA), Layout(SCHEMA, timed=True)
    starts = sorted({0, min(cut, len(rows)), len(rows)})
    found, lying = [], []
    for payload, first, end in zip(packed(table, starts), starts, starts[1:], strict=False):
        for number in range(first, end):
            step = layout.find(payload, microseconds(NOW + timedelta(hours=number, minutes=59)))
            assert step
            values = layout.values(step)
            assert all(map(same, values, table.slice(number, 1).to_pylist()[0].values()))
            found.append(microseconds(NOW + timedelta(hours=number, minutes=59)))
            lying.append(payload)
    columns = ManySteps(layout).columns(ManySteps(layout).find_all(spots(layout, lying), np.array(found)))
    assert [column.type for column in columns] == SCHEMA.types
    assert all(column.buffers()[1].address % 8 == 0 for column in columns)
    for column, kept in zip(columns, table.columns, strict=True):
        assert all(map(same, column.to_pylist(), kept.to_pylist()))
    nothing = ManySteps(layout).columns(ManySteps(layout).find_all(spots(layout, [None]), np.array([0])))
    assert [column.type for column in nothing] == SCHEMA.types
    assert all(column.to_pylist() == [None] for column in nothing)


def test_a_step_holds_from_its_instant_until_the_next() -> None:
    rows = pa.table({"v": [1.0, 2.0]})
    layout = Layout(rows.schema, timed=True)
    [payload] = packed(rows, [0, 2])
    held = [
        layout.find(payload, microseconds(NOW + timedelta(microseconds=us)))
        for us in (-1, 0, 3_599_999_999, 3_600_000_000)
    ]
    assert [layout.values(step) if step else None for step in held] == [None, [1.0], [1.0], [2.0]]
    moments = np.array([microseconds(NOW) + us for us in (-1, 0, 3_599_999_999, 3_600_000_000)])
    [column] = ManySteps(layout).columns(ManySteps(layout).find_all(spots(layout, [payload] * 4), moments))
    assert column.to_pylist() == [None, 1.0, 1.0, 2.0]


def test_before_the_first_step_nobody_knows_what_held_if_earlier_ones_were_left_out() -> None:
    rows = pa.table({"v": [1.0]})
    [payload] = packed(rows, [0, 1], dropped=[True])
    with pytest.raises(TooEarly, match=r"the first step is of 2024-05-01T12:00:00Z. Raise `serve\.online\.back`"):
        Layout(rows.schema, timed=True).find(payload, microseconds(NOW) - 1)


def test_a_column_of_a_type_without_a_place_is_refused() -> None:
    with pytest.raises(DataError, match="Column 'v' is list<item: int64>, which cannot be served online"):
        Layout(pa.schema([("v", pa.list_(pa.int64()))]), timed=True)


def test_decimals_keep_their_places() -> None:
    rows = pa.table({"v": pa.array([Decimal("1.50")], pa.decimal128(9, 2))})
    layout = Layout(rows.schema, timed=True)
    step = layout.find(packed(rows, [0, 1])[0], microseconds(NOW))
    assert step
    assert str(layout.values(step)[0]) == "1.50"


def test_a_date_that_python_does_not_have_is_named_by_its_column() -> None:
    rows = pa.table({"n": [1], "until": pa.array([4_000_000], pa.int32()).view(pa.date32())})
    [payload] = packed(rows, [0, 1])
    layout = Layout(rows.schema, timed=True)
    found = layout.find(payload, microseconds(NOW))
    assert found
    with pytest.raises(DataError, match="Column 'until' holds a date or time outside of the years 1 to 9999"):
        layout.values(found)
