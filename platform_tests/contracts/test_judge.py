"""Each rule of a contract finds the rows that break it, and says so in words."""

import random
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.cast import cast_rows
from headrace.contracts.declaration import Contract
from headrace.contracts.judge import Judged, Rows, judge_rows, repeats, without
from headrace.contracts.verdict import Failure
from platform_tests.sources.ferries import ferry_line


def contract(**rules: Any) -> Contract:
    return Contract.model_validate({"columns": {"v": {"type": "string"} | rules}})


def check(
    folder: Path, texts: list[str | None], declared: Contract, malformed: list[str | None] | None = None
) -> Judged:
    landed = pa.table({"v": pa.array(texts, pa.string())})
    typed = cast_rows(ferry_line(folder), landed, declared.columns)
    lines = pa.chunked_array([pa.array(malformed or [None] * len(texts), pa.string())])
    return judge_rows(Rows(landed, typed, lines), declared)


def reasons_of(found: Judged) -> dict[int, str]:
    return dict(found.bad.select("row", "reason").iter_rows())


@pytest.mark.parametrize(
    ("rules", "texts", "reasons"),
    [
        ({}, ["x", None], {1: "v is missing"}),
        ({"nullable": True}, ["x", None], {}),
        ({"type": "integer"}, ["7", "abc", "7.0"], {1: "v: 'abc' is no integer", 2: "v: '7.0' is no integer"}),
        ({"type": "double"}, ["NaN", "1"], {0: "v: 'NaN' is no double"}),
        ({"type": "double", "allow_nan": True}, ["NaN", "1"], {0: "v is missing"}),
        ({"type": "double", "allow_nan": True, "nullable": True}, [" nan ", "1"], {}),
        (
            {"type": "double", "allow_nan": True, "nullable": True},
            ["inf", "-Infinity", "1e999"],
            {0: "v: 'inf' is no double", 1: "v: '-Infinity' is no double", 2: "v: '1e999' is no double"},
        ),
        ({"type": "double", "min": 0}, ["-0", "1e308"], {}),
        ({"type": "double", "unique": True}, ["-0", "0.0"], {1: "v: 0.0 stands in an earlier row, too"}),
        ({"type": "integer"}, ["007", "12345678901234567890"], {1: "v: '12345678901234567890' is no integer"}),
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
    assert reasons_of(check(tmp_path, texts, contract(**rules))) == reasons


def test_a_line_that_is_no_row_is_judged_as_that_alone(tmp_path: Path) -> None:
    found = check(tmp_path, ["x", None], contract(), malformed=[None, "1 columns where 2 belong: y"])
    assert reasons_of(found) == {1: "not a row: 1 columns where 2 belong: y"}


def test_failures_are_counted_by_rule_with_examples(tmp_path: Path) -> None:
    found = check(tmp_path, ["1", "-1", "-2", "-3", "-4", "x"], contract(type="integer", min=0))
    assert found.verdict.failures == (
        Failure("v", "min", 4, ("v: -1 breaks min 0.0", "v: -2 breaks min 0.0", "v: -3 breaks min 0.0")),
        Failure("v", "type", 1, ("v: 'x' is no integer",)),
    )
    assert found.verdict.bad_share == 5 / 6


def test_no_rows_break_nothing(tmp_path: Path) -> None:
    found = check(tmp_path, [], contract(unique=True))
    assert (reasons_of(found), found.verdict.failures, found.verdict.bad_share) == ({}, (), 0.0)


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(-5, 15)), max_size=30))
def test_a_row_is_bad_exactly_if_its_own_value_is(values: list[int | None]) -> None:
    declared = contract(type="integer", min=0, max=10)
    column = pa.table({"v": pa.array(values, pa.int64())})
    found = judge_rows(Rows(column, column), declared)
    assert set(found.bad["row"]) == {n for n, v in enumerate(values) if v is None or not 0 <= v <= 10}


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([None, "a", "b"]), st.sampled_from([None, 1, 2])), max_size=30))
def test_a_key_repeats_exactly_if_an_earlier_row_has_all_its_values(keys: list[tuple[str | None, int | None]]) -> None:
    frame = pl.DataFrame(keys, schema={"k": pl.String, "n": pl.Int64}, orient="row")
    expected = [i for i, key in enumerate(keys) if None not in key and key in keys[:i]]
    assert repeats(frame).to_list() == expected


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.sampled_from([None, 1, 5, 9])] * 2), max_size=20), st.randoms())
def test_the_order_of_rows_changes_no_verdict_but_that_on_repeats(rows: list[Any], chance: random.Random) -> None:
    declared = Contract.model_validate(
        {"columns": {name: {"type": "integer", "min": 2, "max": 8, "on_fail": {"max": "warn"}} for name in ("v", "w")}}
    )

    def bad_rows() -> list[Any]:
        table = pa.table([pa.array(part, pa.int64()) for part in zip(*rows, strict=True)] or [[], []], schema=schema)
        bad = judge_rows(Rows(table, table), declared).bad
        return [(rows[row], reason, aside) for row, reason, aside in bad.iter_rows()]

    schema = pa.schema([("v", pa.int64()), ("w", pa.int64())])
    before = [*map(str, bad_rows())]
    chance.shuffle(rows)
    assert sorted(before) == sorted(map(str, bad_rows()))


def test_rows_aside_are_left_out_and_the_types_stay() -> None:
    table = pa.table({"s": ["a", None, "c"], "n": pa.array([1, 2, 3], pa.int32())})
    kept = without(table, pl.DataFrame({"row": [0]}, schema={"row": pl.UInt32}))
    assert kept.to_pydict() == {"s": [None, "c"], "n": [2, 3]}
    assert kept.schema == table.schema
