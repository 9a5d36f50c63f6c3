"""Rules that cannot be kept are refused while loading."""

from typing import Any

import pytest
from pydantic import ValidationError

from headrace.contracts.declaration import Column, Contract


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"type": "string", "min": 1}, "`min` and `max` go with integer and double, not with string"),
        ({"type": "double", "min": 2, "max": 1}, "no value is at least 2.0 and at most 1.0"),
        ({"type": "integer", "matches": "[0-9]"}, "`matches` goes with string"),
        ({"type": "string", "matches": "[A"}, "is not a regular expression"),
        ({"type": "string", "matches": "(?=A).*"}, "looks around"),
        ({"type": "string", "one_of": [1, 2]}, "cannot hold 1"),
        ({"type": "boolean", "one_of": ["x"]}, "`one_of` goes with"),
        ({"type": "text"}, "Input should be"),
        ({"type": "string", "nulable": True}, "unknown key"),
        ({"type": "string", "max_ahead": "1d"}, "`max_ahead` goes with timestamp"),
        ({"type": "integer", "allow_nan": True}, "`allow_nan` goes with double"),
        ({"type": "string", "references": "planes"}, "names no column of a source"),
        ({"type": "double", "min": float("inf")}, "finite number"),
        ({"type": "double", "min_mean": 2, "max_mean": 1}, "no mean is at least 2.0"),
        ({"type": "double", "on_fail": {"mni": "warn"}}, "Input should be"),
        ({"type": "double", "learned": {"from": "3h"}}, "say 1d or more"),
    ],
)
def test_a_rule_that_does_not_fit_its_column_is_refused(declared: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Column.model_validate(declared)
    assert words in str(refused.value)


def test_a_contract_names_at_least_one_column() -> None:
    with pytest.raises(ValidationError):
        Contract(columns={})


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"rules": {"unique": "v > 0"}}, "no rule can be called 'unique'"),
        ({"volume": {"over": "28d"}}, "`min_share` or `max_share`"),
        ({"volume": {"over": "28d", "min_share": 2, "max_share": 1}}, "no share is at least 2.0"),
        ({"memory": "2 GB"}, "should match pattern"),
        ({"max_bad": 2}, "less than or equal to 1"),
    ],
)
def test_a_contract_that_cannot_be_kept_is_refused(declared: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Contract.model_validate({"columns": {"v": {"type": "integer"}}} | declared)
    assert words in str(refused.value)


def test_what_a_rule_says_for_itself_comes_before_what_its_column_and_its_contract_say() -> None:
    columns = {
        "a": {"type": "integer", "on_fail": {"min": "fail"}, "severity": "warn"},
        "b": {"type": "integer", "on_fail": "warn", "severity": {"min": "error"}},
    }
    contract = Contract.model_validate({"columns": columns, "on_fail": "quarantine"})
    assert [contract.on_fail_of(c, r) for c in "ab" for r in ("min", "max")] == ["fail", "quarantine", "warn", "warn"]
    assert [contract.severity_of(c, r) for c in "ab" for r in ("min", "max")] == ["warn", "warn", "error", "share"]
    assert contract.may_stop


def test_one_combination_of_columns_needs_no_second_pair_of_brackets() -> None:
    contract = Contract.model_validate({"columns": {"v": {"type": "integer"}}, "unique": ["v"]})
    assert contract.unique == [["v"]]


def test_a_contract_comes_back_from_the_form_in_which_dagster_hands_it_on() -> None:
    declared = {
        "columns": {
            "k": {"type": "string", "references": "planes.tailnum", "on_fail": {"references": "warn"}},
            "t": {"type": "timestamp", "max_ahead": "2d", "fresh_within": "36h", "learned": {"from": "7d"}},
            "v": {"type": "double", "max_missing": 0.1, "min_mean": 1, "severity": "error"},
        },
        "rules": {"one": "v > 0", "two": {"sql": "t is not null", "on_fail": "fail"}},
        "unique": ["k", "t"],
        "volume": {"over": "28d", "min_share": 0.5},
        "learned": {"from": "28d"},
        "memory": "1GiB",
    }
    contract = Contract.model_validate(declared)
    handed_on = contract.model_dump(by_alias=True, exclude_unset=True)
    assert Contract.model_validate(handed_on) == contract
