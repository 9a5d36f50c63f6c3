"""The numbers as people read them: the newest of each, folded where there are many, with how it went."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from headrace.monitoring.facts import ProductFacts
from headrace.monitoring.report import report_html
from headrace.monitoring.shown.numbers import BYTES, GROUPS, Figure, number_groups, spent_on, value_text
from headrace.monitoring.standing import standing_of
from headrace.numbers.number import MEANING
from platform_tests.monitoring.test_report import EVIL, measured, nothing

FIRST, LAST = date(2024, 4, 1), date(2024, 4, 9)


def number(name: str, value: float, unit: str, day: date = LAST, **more: Any) -> dict[str, Any]:
    return {"day": day, "name": name, "of": "", "value": value, "unit": unit, "count": 1, **more}


@pytest.fixture
def empty(tmp_path: Path) -> ProductFacts:
    return measured(nothing(tmp_path))


def figures(facts: ProductFacts) -> dict[str, Figure]:
    return {figure.name: figure for group in number_groups(facts) for figure in group.figures}


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (12.34, "ms", ("12.3", "ms")),
        (0.0042, "EUR", ("0.0042", "EUR")),
        (12345.6, "EUR", ("12,346", "EUR")),
        (0.25, "share", ("25", "%")),
        (0.01, "hours", ("36", "s")),
        (36.0, "hours", ("36", "h")),
        (72.0, "hours", ("3", "d")),
        (90.0, "s", ("1.5", "min")),
        (2.5e9, "bytes", ("2.5", "GB")),
        (4.0, "per 30d", ("4", "in 30 days")),
        (0.71234, "auc", ("0.712", "")),
        (2.0, "incidents", ("2", "")),
    ],
)
def test_a_value_is_said_in_a_unit_that_fits(value: float, unit: str, said: tuple[str, str]) -> None:
    assert value_text(value, unit) == said


def test_every_number_that_is_measured_has_its_place() -> None:
    assert {kind.name for _, kinds, _ in GROUPS for kind in kinds} | {BYTES} == set(MEANING)


def test_the_newest_day_counts_and_what_it_does_not_know_is_not_shown(empty: ProductFacts) -> None:
    rows = [
        number("open_incidents", 3.0, "incidents", FIRST),
        number("open_incidents", 1.0, "incidents"),
        number("prediction_latency", 9.0, "ms", FIRST, of="p99"),
    ]
    found = figures(replace(empty, numbers=rows))
    assert list(found) == ["open_incidents"]
    shown = found["open_incidents"]
    assert (shown.value, shown.first) == ("1", FIRST)
    assert "Open incidents, incidents, on 2 days, from 3 to 1; least 1, greatest 3" in str(shown.picture)


def test_costs_add_up_and_of_drift_the_farthest_column_counts(empty: ProductFacts) -> None:
    rows = [
        number("cost", 1.5, "EUR", of="raw/orders", count=2),
        number("cost", 2.5, "EUR", of="training/set", count=3),
        number("drift_score", 0.1, "psi", of="price"),
        number("drift_score", 0.4, "psi", of="noise"),
    ]
    found = figures(replace(empty, numbers=rows))
    assert (found["cost"].value, found["cost"].unit, found["cost"].note) == ("4", "EUR", "steps: 5")
    assert found["drift_score"].value == "0.400"
    assert found["drift_score"].note.startswith("of noise")


def test_of_quality_the_metric_that_is_watched_is_shown(empty: ProductFacts) -> None:
    rows = [number("realized_quality", value, of, of=of) for of, value in (("log_loss", 0.5), ("auc", 0.7))]
    assert list(figures(replace(empty, numbers=rows))) == ["realized_quality auc"]


def test_what_each_asset_took_is_told_the_dearest_first(empty: ProductFacts) -> None:
    rows = [
        number("cpu_seconds", 5.0, "s", of="raw/orders", count=4),
        number("cpu_seconds", 120.0, "s", of="training/set"),
        number("bytes", 3e6, "bytes", of="training/set"),
    ]
    [dearest, other] = spent_on(replace(empty, numbers=rows))
    assert (dearest.asset, dearest.cpu, dearest.bytes, dearest.cost) == ("training/set", "2 min", "3 MB", "-")
    assert (other.asset, other.times, other.bytes) == ("raw/orders", 4, "-")


def test_where_a_number_is_not_known_the_page_says_what_makes_it_known(empty: ProductFacts) -> None:
    assert "materialize <code>shop/monitoring/numbers</code>" in report_html(empty)
    text = report_html(replace(empty, numbers=[number("open_incidents", 0.0, "incidents")]))
    assert "<code>serve: {price: {cpu_hour: 0.04, gigabyte: 0.01, currency: EUR}}</code>" in text
    assert "<code>headrace serve</code> make latencies known" in text
    paid = report_html(replace(empty, numbers=[number("cost", 1.0, "EUR", of="raw/orders")]))
    assert "is known with a price" not in paid


def test_names_are_text_and_never_markup(empty: ProductFacts) -> None:
    rows = [number(name, 1.0, unit, day, of=EVIL) for day in (FIRST, LAST) for name, unit in (("freshness", "hours"), ("cpu_seconds", "s"))]  # fmt: skip
    text = report_html(replace(empty, numbers=rows))
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 3


def test_the_page_of_all_products_tells_few_of_them(empty: ProductFacts) -> None:
    rows = [
        number("prediction_latency", 12.3, "ms", of="p99"),
        number("cost", 4.0, "EUR", of="raw/orders"),
        number("cpu_seconds", 4.0, "s", of="raw/orders"),
    ]
    told = standing_of(replace(empty, numbers=rows)).numbers
    assert [(one.name, one.value) for one in told] == [("Latency p99", "12.3 ms"), ("Spent on all assets", "4 EUR")]
    unpriced = standing_of(replace(empty, numbers=rows[2:])).numbers
    assert [(one.name, one.value) for one in unpriced] == [("Processor time", "4 s")]
    assert standing_of(empty).numbers == []
