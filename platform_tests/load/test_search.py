"""Which rates are asked, what the capacity is, and what is said of a promise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headrace.load.declaration import Bounds, Plan
from headrace.load.report import Report, bounds_of, hold
from headrace.load.search import NEAR, search
from headrace.load.step import Step
from headrace.serving.declaration import Serve, Sla

SLA = Sla.model_validate({"p99": "20ms", "rate": "200/s", "errors": "1%"})


def step(rate: float, p99: float | None = 10.0, *, asked: int = 1000, failed: int = 0, late: float = 0.1) -> Step:
    return Step(
        rate=rate, seconds=5, asked=asked, answered=asked - failed, too_many=0, unavailable=failed, errors={},
        with_retry=failed, p50_ms=p99, p95_ms=p99, p99_ms=p99, max_ms=p99, late_ms=late,
    )  # fmt: skip


@given(st.floats(60, 40_000))
def test_the_capacity_that_is_found_is_the_true_one_but_for_a_tenth(true: float) -> None:
    found = search(lambda rate, _: step(rate, 10 if rate <= true else 200), Plan(), Bounds())
    assert found.capacity
    assert found.capacity <= true < found.capacity * NEAR + 1
    assert [s.rate for s in found.steps] == sorted(s.rate for s in found.steps)
    assert not found.note


def test_rates_that_are_given_are_asked_as_they_are_and_the_highest_that_was_borne_is_the_capacity() -> None:
    asked = []

    def ask(rate: float, seconds: float) -> Step:
        asked.append((rate, seconds))
        return step(rate, 10 if rate <= 200 else 200)

    assert search(ask, Plan(rates=[400, 100, 200], seconds=2), Bounds()).capacity == 200
    assert asked == [(400, 2), (100, 2), (200, 2)]


def test_a_rate_that_failed_once_is_asked_again_before_it_counts() -> None:
    failed = []

    def ask(rate: float, _: float) -> Step:
        if rate == 100 and not failed:
            failed.append(rate)
            return step(rate, 500)
        return step(rate, 10 if rate < 1000 else 500)

    assert (search(ask, Plan(), Bounds()).capacity or 0) > 800


def test_where_the_first_rate_is_not_borne_there_is_no_capacity() -> None:
    found = search(lambda rate, _: step(rate, 500), Plan(), Bounds())
    assert (found.capacity, len(found.steps)) == (None, 1)


def test_a_generator_that_fell_behind_is_named_and_the_server_is_not_blamed() -> None:
    found = search(
        lambda rate, _: step(rate, 10 if rate < 300 else 500, late=0.1 if rate < 300 else 80), Plan(), Bounds()
    )
    assert found.capacity == 200
    assert found.note.startswith("At 400/s the load generator itself was late by 80 ms and more")


def test_a_server_that_bears_all_that_can_be_asked_may_bear_more() -> None:
    assert "may bear more" in search(lambda rate, _: step(rate), Plan(), Bounds()).note


@pytest.mark.parametrize(
    ("measured", "kept", "said"),
    [
        (step(200), [True, True], "10.0 ms of 1,000 answers"),
        (step(200, 20.5), [False, True], "20.5 ms of 1,000 answers"),
        (step(200, failed=10), [True, True], "10.0 ms of 990 answers"),
        (step(200, failed=11), [True, False], "1.10% of 1,000: 11 503"),
        (step(200, None, failed=1000), [False, False], "nothing was answered"),
        (step(200, 60, late=50), [False, True], "the generator itself was late by 50.0 ms"),
        (step(200, None, asked=0), [False, False], "nothing was answered"),
    ],
)
def test_a_promise_is_kept_or_missed_in_words(measured: Step, kept: list[bool], said: str) -> None:
    held = hold(SLA, measured)
    assert [one.kept for one in held] == kept
    assert any(said in one.why for one in held)
    report = Report(product="shop", of="", bounds=bounds_of(SLA), steps=[measured], capacity=None, held=held)
    assert report.is_missed == (not all(kept))
    assert ("MISSED" in report.text) == report.is_missed


def test_an_sla_says_a_latency_a_rate_and_a_share_of_errors() -> None:
    assert (SLA.p99, SLA.rate, SLA.errors) == (20, 200, 0.01)
    assert Sla.model_validate_json(SLA.model_dump_json()) == SLA
    assert Serve.model_validate({"sla": {"p99": "1.5s", "rate": "600/m"}}).sla == Sla(p99=1500, rate=10)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"p99": "20", "rate": "200/s"}, "'20' is not a short time"),
        ({"p99": "0ms", "rate": "200/s"}, "is not a short time"),
        ({"p99": "20ms", "rate": "50/h"}, "greater than or equal to 1"),
        ({"p99": "20ms", "rate": "200/s", "erors": "1%"}, "erors"),
    ],
)
def test_an_sla_that_says_something_else_is_refused(wrong: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Sla.model_validate(wrong)
