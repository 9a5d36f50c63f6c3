"""Examples and schemas of contracts: rows that the door accepts, and texts that expressions match."""

import math
from datetime import UTC, datetime
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from headrace.serving.contract import Pattern, Rule, columns_of
from headrace.serving.door import Door
from headrace.serving.matching import text_matching
from headrace.serving.sample import sample_row
from headrace.serving.schema import row_schema

NOW = datetime(2024, 5, 31, 12, tzinfo=UTC)
LIMIT = st.one_of(st.none(), st.floats(-1e9, 1e9))


def door_of(kind: pa.DataType, **rule: Any) -> Door:
    requests = pa.schema([("id", pa.string()), ("at", pa.timestamp("us", "UTC")), ("x", kind)])
    rules = {"x": Rule(**{"nullable": False} | rule)}
    return Door(columns_of(requests, rules, ("id", "at")), requests, 10)


def schema_of(kind: pa.DataType, **rule: Any) -> dict[str, Any]:
    door = door_of(kind, **rule)
    requests = pa.schema([("id", pa.string()), ("at", pa.timestamp("us", "UTC")), ("x", kind)])
    column: dict[str, Any] = row_schema(door.columns, requests, {})["properties"]["x"]
    return column


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("c[0-9]{1,3}", "c1"),
        (r"\d{4}-\d\d-\d\d", "1111-11-11"),
        ("(?:DE|FR)+x?", "DEx"),
        (r"[^a-z]\w*\.(?P<end>com|org)", "1a.com"),
        ("^a.c$", "aac"),
        ("|b", ""),
        (r"[\]x]{2}", "xx"),
        ("[]a]", "a"),
        ("x{0}y", "y"),
    ],
)
def test_a_text_is_made_that_an_expression_matches(pattern: str, text: str) -> None:
    assert text_matching(pattern) == text
    assert Pattern(pattern)(text)


@pytest.mark.parametrize(
    "pattern", [r"\p{Greek}+", "(?i)abc", "[[:alpha:]]", "a{999}", "a^b", r"\Qa.b\E", "((a{90}){90}){90}"]
)
def test_of_an_expression_beyond_the_plain_ones_no_text_is_made_up(pattern: str) -> None:
    assert text_matching(pattern) is None


@given(st.text("ab1[](){}|*+?.^$\\-,:&~", max_size=12))
@settings(max_examples=500, deadline=None)
def test_whatever_the_expression_a_text_matches_it_or_there_is_none(pattern: str) -> None:
    try:
        holds = Pattern(pattern)
        holds("")
    except pa.ArrowInvalid:
        return
    text = text_matching(pattern)
    assert text is None or holds(text)


@given(LIMIT, LIMIT, st.sampled_from([pa.float64(), pa.int64(), pa.int8()]))
@settings(max_examples=300, deadline=None)
def test_a_number_between_any_limits_is_accepted_and_fits_the_schema(
    least: float | None, most: float | None, kind: Any
) -> None:
    if least is not None and most is not None and least > most:
        least, most = most, least
    door = door_of(kind, min=least, max=most)
    row = sample_row(door, ("id", "at"), {}, NOW).row
    low, high = (-math.inf if least is None else least), (math.inf if most is None else most)
    if row is None:
        edges = (max(low, -128), min(high, 127)) if kind == pa.int8() else (low, high)
        assert kind != pa.float64()
        assert math.ceil(edges[0]) > math.floor(edges[1])
        return
    assert door.read(msgspec.json.encode(row)).rows[0]["x"] == row["x"]
    Draft202012Validator(schema_of(kind, min=least, max=most)).validate(row["x"])


@pytest.mark.parametrize(
    ("kind", "rule", "value"),
    [
        (pa.string(), {"one_of": ["DE", "FR"]}, "DE"),
        (pa.float64(), {"one_of": [1.5, 2.5]}, 1.5),
        (pa.float64(), {"min": -100, "max": 100}, 0.0),
        (pa.int64(), {"min": 3}, 3),
        (pa.int64(), {"min": 0.5, "max": 1.4}, 1),
        (pa.float32(), {"max": -2}, -2.0),
        (pa.bool_(), {}, False),
        (pa.date32(), {}, "2024-05-31"),
        (pa.timestamp("us", "UTC"), {}, "2024-05-31T12:00:00+00:00"),
        (pa.timestamp("us"), {}, "2024-05-31T12:00:00"),
        (pa.time64("us"), {}, "12:00:00"),
        (pa.decimal128(10, 2), {}, "1"),
        (pa.large_string(), {"matches": "[A-Z]{3}"}, "AAA"),
    ],
)
def test_a_row_is_made_of_the_contract_alone_and_the_door_accepts_it(kind: Any, rule: Any, value: Any) -> None:
    door = door_of(kind, **rule)
    sample = sample_row(door, ("id", "at"), {}, NOW)
    assert sample.row == {"x": value}
    assert sample.notes == {}
    Draft202012Validator(schema_of(kind, **rule)).validate(value)


def test_a_text_without_rules_is_one_that_the_model_knows_or_a_word_that_stands_for_one_and_says_so() -> None:
    assert sample_row(door_of(pa.string()), ("id", "at"), {"x": ["PT", "FR"]}, NOW).row == {"x": "PT"}
    sample = sample_row(door_of(pa.string()), ("id", "at"), {}, NOW)
    assert sample.row == {"x": "example"}
    assert "stands for one that nobody knows" in sample.notes["x"]


def test_where_no_text_can_be_made_up_it_is_left_out_or_there_is_no_row() -> None:
    assert sample_row(door_of(pa.string(), matches="(?i)abc", nullable=True), ("id", "at"), {}, NOW).row == {}
    sample = sample_row(door_of(pa.string(), matches="(?i)abc"), ("id", "at"), {}, NOW)
    assert sample.row is None
    assert "No example" in sample.notes["x"]


def test_the_schema_says_the_limits_that_there_are() -> None:
    assert schema_of(pa.float64()) == {"type": "number", "description": "A number."}
    assert schema_of(pa.float64(), min=0) == {"type": "number", "minimum": 0.0, "description": "A number, at least 0."}
    assert math.inf not in schema_of(pa.float32()).values()
    assert "pattern" not in schema_of(pa.string(), matches=r"\pL+")
    assert schema_of(pa.string(), matches="a+", nullable=True)["type"] == ["string", "null"]
    assert schema_of(pa.string(), one_of=["a"], nullable=True)["enum"] == ["a", None]
    assert schema_of(pa.float64(), one_of=[0.5])["enum"] == [0.5]
    assert schema_of(pa.decimal128(10, 2))["type"] == ["string", "number"]
