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
    ],
)
def test_a_rule_that_does_not_fit_its_column_is_refused(declared: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Column.model_validate(declared)
    assert words in str(refused.value)


def test_a_contract_names_at_least_one_column() -> None:
    with pytest.raises(ValidationError):
        Contract(columns={})
