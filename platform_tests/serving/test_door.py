"""The door: what keeps the contract comes in as training has it, all else is refused with row, column and what was expected."""

import json
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core.errors import Refused
from headrace.serving.contract import Rule, columns_of
from headrace.serving.door import Door
from headrace.serving.problem import Problem

SCHEMA = pa.schema(
    [
        ("order_id", pa.string()),
        ("at", pa.timestamp("us", "UTC")),
        ("customer", pa.string()),
        ("price", pa.float64()),
        ("country", pa.string()),
        ("pieces", pa.int32()),
        ("gift", pa.bool_()),
        ("due", pa.date32()),
        ("rate", pa.decimal128(9, 2)),
        ("half", pa.float64()),
    ]
)
RULES = {
    "customer": Rule(nullable=False, matches="c[0-9]{1,3}"),
    "price": Rule(nullable=True, min=-5, max=100),
    "country": Rule(nullable=False, one_of=["DE", "FR"]),
    "pieces": Rule(nullable=False, min=0.5, max=7.5),
    "half": Rule(nullable=True, one_of=[0.5, 1.5]),
}
ROW = {"customer": "c1", "price": 1.5, "country": "DE", "pieces": 3}


def door(most: int = 100) -> Door:
    return Door(columns_of(SCHEMA, RULES, ("order_id", "at")), SCHEMA, most)


def refused(body: Any) -> Problem:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(Problem) as caught:
        door().read(data)
    return caught.value


def test_one_row_comes_in_with_the_types_of_training() -> None:
    given = ROW | {"at": "2024-05-01T12:00:00+02:00", "gift": True, "due": "2024-05-31", "rate": "1.25", "half": 0.5}
    asked = door().read(json.dumps(given).encode())
    assert asked.single
    [row] = asked.rows
    assert row["at"] == datetime(2024, 5, 1, 10, tzinfo=UTC)
    assert (row["due"], row["rate"], row["order_id"]) == (date(2024, 5, 31), Decimal("1.25"), None)


def test_a_list_is_many_rows_in_their_order() -> None:
    asked = door().read(json.dumps([ROW, ROW | {"price": None}, ROW | {"pieces": 7}]).encode())
    assert not asked.single
    assert [row["price"] for row in asked.rows] == [1.5, None, 1.5]


@pytest.mark.parametrize(
    ("changed", "column", "expected", "got"),
    [
        ({"country": "XX"}, "country", "a text, one of DE, FR", '"XX"'),
        ({"country": None}, "country", "a text, one of DE, FR", "null"),
        ({"customer": "c1\n"}, "customer", "a text, that matches c[0-9]{1,3}", '"c1\\n"'),
        ({"customer": "xc1"}, "customer", "a text, that matches c[0-9]{1,3}", '"xc1"'),
        ({"price": 100.5}, "price", "a number, at least -5, at most 100, or null", "100.5"),
        ({"price": "1.5"}, "price", "a number, at least -5, at most 100, or null", '"1.5"'),
        ({"pieces": 8}, "pieces", "a whole number, at least 0.5, at most 7.5", "8"),
        ({"pieces": 1.5}, "pieces", "a whole number, at least 0.5, at most 7.5", "1.5"),
        ({"pieces": True}, "pieces", "a whole number, at least 0.5, at most 7.5", "true"),
        ({"gift": 1}, "gift", "true or false, or null", "1"),
        (
            {"at": "2024-05-01T12:00:00"},
            "at",
            "an instant such as 2024-05-31T12:00:00Z, or null",
            '"2024-05-01T12:00:00"',
        ),
        ({"half": 0.75}, "half", "a number, one of 0.5, 1.5, or null", "0.75"),
        ({"due": "31.5.2024"}, "due", "a date such as 2024-05-31, or null", '"31.5.2024"'),
    ],
)
def test_a_value_that_breaks_the_contract_is_named(
    changed: dict[str, Any], column: str, expected: str, got: str
) -> None:
    problem = refused([ROW, ROW | changed])
    assert problem.status == 422
    assert problem.errors == [{"row": 1, "column": column, "expected": expected, "got": got}]


def test_all_that_is_wrong_is_listed_the_first_one_said() -> None:
    problem = refused([{"customer": "c1", "countri": "DE", "pieces": -1}, ROW])
    assert [(e["column"], e["got"]) for e in problem.errors] == [
        ("countri", "an unknown one"),
        ("country", "nothing"),
        ("pieces", "-1"),
    ]
    assert "did you mean 'country'?" in str(problem)
    assert str(problem).endswith("2 more are listed.")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[",
        b"\xff\xfe",
        b'{"price": NaN}',
        b"[1,",
        b'{"customer": "\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_what_is_no_json_is_said(body: bytes) -> None:
    assert refused(body).status == 400


@pytest.mark.parametrize("body", [b"null", b"7", b'"x"', b"[null]", b"[[]]", b'{"price": 1e999}'])
def test_json_that_is_no_row_is_refused(body: bytes) -> None:
    assert refused(body).status in (400, 422)


def test_a_number_that_no_column_holds_is_refused() -> None:
    for number in ("1e999", "-1e400", "99999999999999999999999999"):
        body = b'{"customer": "c1", "country": "DE", "price": %s, "pieces": %s}'
        assert refused(body % (number.encode(), b"3")).status in (400, 422)
        assert refused(body % (b"1.5", number.encode())).status in (400, 422)


def test_more_rows_than_declared_and_none_at_all_are_refused() -> None:
    with pytest.raises(Problem, match="3 rows are more than the 2") as caught:
        door(2).read(json.dumps([ROW] * 3).encode())
    assert caught.value.status == 413
    assert refused([]).status == 400


def test_long_values_are_shown_in_part() -> None:
    problem = refused(ROW | {"country": "x" * 10_000})
    assert len(problem.errors[0]["got"]) < 100


def test_a_problem_is_one_of_rfc_9457() -> None:
    body = json.loads(refused(ROW | {"country": "XX"}).body("r1"))
    assert body["status"] == 422
    assert set(body) == {"type", "title", "status", "detail", "instance", "errors"}
    assert body["instance"] == "urn:headrace:request:r1"


def test_a_type_that_json_has_not_is_refused_at_the_start() -> None:
    schema = pa.schema([("span", pa.duration("us"))])
    with pytest.raises(Refused, match="'span' is duration"):
        Door(columns_of(schema, {}, (None, None)), schema, 10)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
NEAR = st.fixed_dictionaries({}, optional={name: JSON | st.just(ROW.get(name)) for name in SCHEMA.names})


@settings(max_examples=300, deadline=None)
@given(st.one_of(JSON, NEAR, st.lists(NEAR, max_size=3)))
def test_no_json_does_more_than_break_the_contract(body: Any) -> None:
    with suppress(Problem):
        asked = door().read(json.dumps(body).encode())
        assert all(row["customer"].startswith("c") and row["country"] in ("DE", "FR") for row in asked.rows)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_break_the_contract(body: bytes) -> None:
    with pytest.raises(Problem):
        door().read(body)
