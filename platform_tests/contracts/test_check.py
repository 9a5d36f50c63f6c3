"""Each rule of a contract finds the rows that break it, and says so in words."""

from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandera.errors import SchemaErrors

from headrace.contracts.cast import cast_rows
from headrace.contracts.check import Checked, Failure, Rows, check_rows, compile_contract
from headrace.contracts.declaration import Contract
from platform_tests.sources.ferries import ferry_line


def contract(**rules: Any) -> Contract:
    return Contract.model_validate({"columns": {"v": {"type": "string"} | rules}})


def check(
    folder: Path, texts: list[str | None], declared: Contract, malformed: list[str | None] | None = None
) -> Checked:
    landed = pa.table({"v": pa.array(texts, pa.string())})
    typed = cast_rows(ferry_line(folder), landed, declared.columns)
    return check_rows(Rows(landed, typed, malformed or [None] * len(texts)), declared)


@pytest.mark.parametrize(
    ("rules", "texts", "reasons"),
    [
        ({}, ["x", None], {1: "v is missing"}),
        ({"nullable": True}, ["x", None], {}),
        ({"type": "integer"}, ["7", "abc", "7.0"], {1: "v: 'abc' is no integer", 2: "v: '7.0' is no integer"}),
        ({"type": "double"}, ["NaN", "1"], {0: "v: 'NaN' is no double"}),
        ({"type": "double", "min": 0}, ["-0.5", "0"], {0: "v: -0.5 breaks min 0.0"}),
        ({"type": "integer", "max": 10}, ["10", "11"], {1: "v: 11 breaks max 10.0"}),
        ({"one_of": ["EWR", "JFK"]}, ["EWR", "LGA"], {1: "v: LGA breaks one_of ['EWR', 'JFK']"}),
        (
            {"matches": "[A-Z]{3}"},
            ["EWR", "EWRX", "ewr"],
            {1: "v: EWRX breaks matches [A-Z]{3}", 2: "v: ewr breaks matches [A-Z]{3}"},
        ),
        ({"unique": True}, ["a", "b", "a", "a"], dict.fromkeys((2, 3), "v: a stands in an earlier row, too")),
        ({"unique": True, "nullable": True}, ["a", None, None], {}),
        ({"type": "integer", "min": 5, "one_of": [7]}, ["3"], {0: "v: 3 breaks one_of [7]; v: 3 breaks min 5.0"}),
    ],
)
def test_a_broken_rule_is_named_with_its_column_and_value(
    tmp_path: Path, rules: dict[str, Any], texts: list[str | None], reasons: dict[int, str]
) -> None:
    assert check(tmp_path, texts, contract(**rules)).reasons == reasons


def test_a_line_that_is_no_row_is_judged_as_that_alone(tmp_path: Path) -> None:
    found = check(tmp_path, ["x", None], contract(), malformed=[None, "1 columns where 2 belong: y"])
    assert found.reasons == {1: "not a row: 1 columns where 2 belong: y"}


def test_failures_are_counted_by_rule_with_examples(tmp_path: Path) -> None:
    found = check(tmp_path, ["1", "-1", "-2", "-3", "-4", "x"], contract(type="integer", min=0))
    assert found.failures == (
        Failure("v", "min", 4, ("v: -1 breaks min 0.0", "v: -2 breaks min 0.0", "v: -3 breaks min 0.0")),
        Failure("v", "type", 1, ("v: 'x' is no integer",)),
    )
    assert found.bad_share == 5 / 6


def test_no_rows_break_nothing(tmp_path: Path) -> None:
    found = check(tmp_path, [], contract(unique=True))
    assert (found.reasons, found.failures, found.bad_share) == ({}, (), 0.0)


def test_a_compiled_contract_is_a_pandera_schema_that_stands_alone() -> None:
    schema = compile_contract(contract(type="integer", min=0))
    assert schema.validate(pl.DataFrame({"v": [1, 2]})).height == 2
    with pytest.raises(SchemaErrors):
        schema.validate(pl.DataFrame({"v": [-1]}), lazy=True)


@given(st.lists(st.one_of(st.none(), st.integers(-5, 15)), max_size=30))
def test_a_row_is_bad_exactly_if_its_own_value_is(values: list[int | None]) -> None:
    declared = contract(type="integer", min=0, max=10)
    column = pa.table({"v": pa.array(values, pa.int64())})
    found = check_rows(Rows(column, column, [None] * len(values)), declared)
    assert set(found.reasons) == {n for n, v in enumerate(values) if v is None or not 0 <= v <= 10}
