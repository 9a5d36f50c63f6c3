"""A contract compiled to pandera judges a polars frame from Python."""

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandera.errors import SchemaErrors

from headrace.contracts.check import compile_contract
from headrace.contracts.daily import day_failures
from headrace.contracts.declaration import Contract
from headrace.contracts.judge import Rows, judge_rows
from headrace.store.engine import query_rows


def contract(**rules: Any) -> Contract:
    return Contract.model_validate({"columns": {"v": {"type": "string"} | rules}})


def test_a_compiled_contract_is_a_pandera_schema_that_stands_alone() -> None:
    schema = compile_contract(contract(type="integer", min=0))
    assert schema.validate(pl.DataFrame({"v": [1, 2]})).height == 2
    with pytest.raises(SchemaErrors):
        schema.validate(pl.DataFrame({"v": [-1]}), lazy=True)


FULL = Contract.model_validate(
    {
        "columns": {
            "flight": {"type": "string", "unique": True},
            "leg": {"type": "integer", "max_missing": 0.5, "min_mean": 1, "unique": True},
            "left": {"type": "timestamp"},
            "came": {"type": "timestamp", "nullable": True},
        },
        "rules": {"comes_later": "came > left"},
        "unique": [["leg", "left"]],
    }
)
DAWN, NOON = datetime(2024, 5, 1, 6, tzinfo=UTC), datetime(2024, 5, 1, 12, tzinfo=UTC)
GOOD = {"flight": ["a", "b"], "leg": [1, None], "left": [DAWN, DAWN], "came": [NOON, None]}


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({}, None),
        ({"came": [DAWN, NOON]}, "comes_later: came > left"),
        ({"leg": [None, None]}, "leg max_missing 0.5"),
        ({"leg": [0, None]}, "leg mean 1.0...inf"),
        ({"leg": [2, 2]}, "unique leg"),
        ({"leg": [2, 2], "left": [DAWN, DAWN]}, "unique leg, left"),
        ({"flight": ["a", "a"]}, "field_uniqueness"),
    ],
)
def test_rules_over_columns_and_rows_go_along(changed: dict[str, Any], rule: str | None) -> None:
    types = {"flight": pl.String, "leg": pl.Int64, "left": pl.Datetime("us", "UTC"), "came": pl.Datetime("us", "UTC")}
    frame = pl.DataFrame(GOOD | changed, schema=types)
    schema = compile_contract(FULL)
    if rule is None:
        assert schema.validate(frame).height == 2
    else:
        with pytest.raises(SchemaErrors) as broken:
            schema.validate(frame, lazy=True)
        assert rule in set(broken.value.failure_cases["check"])


Legs = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from([None, 0, 1, 2, 9]), st.sampled_from([None, 1, 5])),
    min_size=1,
    max_size=6,
)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(Legs)
def test_pandera_takes_exactly_the_frames_in_which_the_asset_finds_nothing(legs: list[Any]) -> None:
    declared = Contract.model_validate(
        {
            "columns": {
                "k": {"type": "string", "one_of": ["a", "b"]},
                "n": {"type": "integer", "min": 1, "max": 5, "max_missing": 0.5},
                "m": {"type": "integer", "nullable": True, "max_mean": 4},
            },
            "rules": {"grows": "m >= n"},
            "unique": [["k", "n"]],
        }
    )
    frame = pl.DataFrame(legs, schema={"k": pl.String, "n": pl.Int64, "m": pl.Int64}, orient="row")
    rows = frame.to_arrow()
    broken = query_rows("select count(*) as c from rows where not (m >= n)", {"rows": rows})["c"][0].as_py()
    clean = not (
        judge_rows(Rows(rows, rows), declared).verdict.failures or list(day_failures(rows, declared)) or broken
    )
    try:
        compile_contract(declared).validate(frame, lazy=True)
        taken = True
    except SchemaErrors:
        taken = False
    assert taken is clean
