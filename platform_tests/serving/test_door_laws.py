"""The door: whatever comes is rows that keep the contract, or a problem; what it lets in can be scored and written down."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.serving.contract import Rule, columns_of
from headrace.serving.door import Door
from headrace.serving.opened import open_service
from headrace.serving.problem import Problem
from headrace.serving.service import Service
from platform_tests.serving.bar import ROW, bar, released, served

Let = TypeVar("Let")
KINDS = [
    pa.string(), pa.large_string(), pa.bool_(), pa.int8(), pa.int32(), pa.int64(), pa.uint8(), pa.uint64(), pa.float32(), pa.float64(),
    pa.date32(), pa.timestamp("us", "UTC"), pa.timestamp("us"), pa.time64("us"), pa.decimal128(10, 2), pa.decimal128(38, 0),
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
VALUE = st.one_of(
    JSON,
    st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat()),
    st.datetimes().map(lambda moment: moment.isoformat()),
    st.dates().map(lambda day: day.isoformat()),
    st.times().map(lambda moment: moment.isoformat()),
    st.decimals(allow_nan=True).map(str),
    st.decimals(-(10**8), 10**8, places=2).map(str),
    st.sampled_from(["c1", "DE", "PT", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1E+9999999"]),
)


def door_of(kind: pa.DataType, **rule: Any) -> Door:
    requests = pa.schema([("x", kind)])
    return Door(columns_of(requests, {"x": Rule(**rule)}, (None, None)), requests, 10)


def let_in(read: Callable[[bytes], Let], value: Any) -> Let | None:
    """Return what is read of a value, or None where it is refused as it should be."""
    refused: Problem | None = None
    try:
        return read(value if isinstance(value, bytes) else json.dumps(value).encode())
    except Problem as problem:
        refused = problem
    assert refused.status in (400, 413, 422)
    told = msgspec.json.decode(refused.body())
    assert told["detail"]
    assert all({"row", "column", "expected", "got"} == set(error) for error in told.get("errors", []))
    return None


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    site = bar(tmp_path_factory.mktemp("shop"))
    released(site)
    service = open_service(served(site), site.place, lambda _: None)
    yield service
    service.close()


@given(VALUE, st.sampled_from(KINDS))
@settings(max_examples=500, deadline=None)
def test_a_value_of_any_type_is_let_in_and_can_be_written_down_or_is_a_problem(value: Any, kind: pa.DataType) -> None:
    asked = let_in(door_of(kind).read, {"x": value})
    if asked is None:
        return
    [written] = pa.array([asked.rows[0]["x"]], kind).to_pylist()
    if pa.types.is_timestamp(kind) and written is not None:
        assert datetime(1, 1, 2) < written.replace(tzinfo=None) < datetime(9999, 12, 31)


@given(JSON)
@settings(max_examples=400, deadline=None)
def test_any_json_is_rows_or_a_problem(service: Service, body: Any) -> None:
    call = let_in(service.call, body)
    assert call is None or call.asked.rows


@given(st.binary(max_size=200))
@settings(max_examples=500, deadline=None)
def test_any_bytes_are_rows_or_a_problem(service: Service, body: bytes) -> None:
    call = let_in(service.call, body)
    assert call is None or call.asked.rows


@given(
    st.dictionaries(st.sampled_from([*ROW, "order_id", "at"]), VALUE | st.sampled_from(list(ROW.values())), max_size=7)
)
@settings(max_examples=400, deadline=None)
def test_what_the_door_lets_in_the_model_scores_alike_alone_and_among_others(service: Service, changes: Any) -> None:
    body = json.dumps({**ROW, **changes}).encode()
    call = let_in(service.call, body)
    if call is None:
        return
    alone = json.loads(service.answer(call))["prediction"]
    [among] = json.loads(service.tried(b"[" + body + b"]"))["predictions"]
    assert 0 < alone < 1
    assert among == alone


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "0001-12-31T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
def test_an_instant_that_no_table_can_keep_is_refused(service: Service, moment: str) -> None:
    with pytest.raises(Problem, match="column 'at': expected an instant such as"):
        service.call(json.dumps({**ROW, "at": moment}).encode())
    assert service.call(json.dumps({**ROW, "at": "0002-01-01T00:00:00+14:00"}).encode())


@pytest.mark.parametrize(
    ("number", "holds"),
    [("99999999.99", True), ("-0.10", True), ("1.100", True), ("0.001", False), ("100000000", False), ("1E+7", True),
     ("1E+8", False), ("NaN", False), ("Infinity", False), ("0E+50", True), ("0.00", True)],
)  # fmt: skip
def test_a_decimal_has_no_more_digits_than_its_type(number: str, holds: bool) -> None:
    door = door_of(pa.decimal128(10, 2))
    if holds:
        assert door.read(json.dumps({"x": number}).encode()).rows[0]["x"] == Decimal(number)
    else:
        with pytest.raises(Problem, match="column 'x'"):
            door.read(json.dumps({"x": number}).encode())


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999", "-1e999"])
def test_a_number_that_is_none_is_no_request(text: str) -> None:
    with pytest.raises(Problem) as refused:
        door_of(pa.float64()).read(f'{{"x": {text}}}'.encode())
    assert refused.value.status in (400, 422)


def test_an_instant_is_one_in_any_zone() -> None:
    asked = door_of(pa.timestamp("us", "UTC")).read(b'{"x": "2024-05-31T14:00:00+02:00"}')
    assert asked.rows[0]["x"] == datetime(2024, 5, 31, 12, tzinfo=UTC)
