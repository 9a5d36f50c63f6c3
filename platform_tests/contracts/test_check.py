"""A contract compiled to pandera judges a polars frame from Python."""

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from pandera.errors import SchemaErrors

from headrace.contracts.check import compile_contract
from headrace.contracts.declaration import Contract


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
