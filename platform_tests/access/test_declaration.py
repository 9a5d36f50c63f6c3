"""What may be declared of limits, and how it reads when it is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headrace.access.declaration import Limits, parse_rate, rate_text


@pytest.mark.parametrize(("text", "rate"), [("100/s", 100), ("600/m", 10), ("36 / h", 0.01)])
def test_a_rate_is_a_number_and_a_unit_of_time(text: str, rate: float) -> None:
    assert Limits.model_validate({"per_key": text}).per_key == rate


@pytest.mark.parametrize("text", ["100", "0/s", "-1/s", "1/d", "1.5/s", True, 0, -1])
def test_what_is_no_rate_is_refused_in_words(text: object) -> None:
    with pytest.raises(ValidationError, match=r"is not a rate: write a number and a unit of time"):
        Limits.model_validate({"per_key": text})


@given(st.integers(1, 10**9 - 1), st.sampled_from("smh"))
def test_a_rate_is_read_back_as_it_was_written(number: int, unit: str) -> None:
    rate = parse_rate(f"{number}/{unit}")
    assert parse_rate(rate_text(rate)) == rate


def test_limits_are_read_back_as_they_were_written() -> None:
    said = {"per_key": "600/m", "per_address": None, "body": "2MiB", "within": {"header": "3s", "idle": "1m"}}
    limits = Limits.model_validate(said)
    assert Limits.model_validate(limits.model_dump()) == limits


@pytest.mark.parametrize("said", [{"burst": 0}, {"most_waiting": 0}, {"within": {"header": "0s"}}, {"body": "0MiB"}])
def test_a_limit_that_lets_nothing_in_is_refused(said: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Limits.model_validate(said)
