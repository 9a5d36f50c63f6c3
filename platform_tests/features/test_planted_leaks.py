"""Leaks as people plant them without knowing: each is found by the asset of the training set; honest forms are let be."""

import os
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from headrace.project import Project
from platform_tests.features.leaky import RETURNS_OF_A_CUSTOMER, declare, make_all, said, shop_with

BY_CUSTOMER = "{sql: more.sql, entity: customer, time: known_at}"
BY_ORDER = "{sql: more.sql, entity: order_id}"
WINDOW = """
select mine.order_id, count(*) filter (theirs.returned) as more
from orders as mine join orders as theirs
  on theirs.customer = mine.customer and theirs.settled_at {side} mine.ordered_at
group by mine.order_id
"""
GLOBAL_MEAN = "select customer, avg(amount) as mean from orders group by customer"
TARGET_ENCODING = """
select distinct customer, min(ordered_at) over by_customer as known_at, avg(returned::int) over by_customer as rate
from orders window by_customer as (partition by customer)
"""


def leaking(result: dg.ExecuteInProcessResult) -> set[str]:
    """Return the features that the check of the training set names; it stops the set exactly where there are any."""
    check = said(result, "leakage")
    found = {record.data["feature"] for record in check.metadata["leaks"].value.records}
    assert result.success == check.passed == (not found)
    return found


def made_with(root: Path, declared: str, sql: str) -> dg.ExecuteInProcessResult:
    return make_all(shop_with(root, declared, {"more.sql": sql}))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("declared", "sql", "feature"),
    [
        pytest.param(BY_CUSTOMER, RETURNS_OF_A_CUSTOMER.format(time="ordered_at", last="current row"), "more_returns", id="an order that counts itself"),
        pytest.param(BY_ORDER, WINDOW.format(side=">="), "more_more", id="a window that ends at the wrong side"),
        pytest.param("{sql: more.sql, entity: customer}", GLOBAL_MEAN, "more_mean", id="a mean over all time"),
        pytest.param(BY_CUSTOMER, TARGET_ENCODING, "more_rate", id="target encoding"),
        pytest.param("{on_request: more.sql}", "select *, avg(amount) over () as mean from request", "more_mean", id="a mean over all requests"),
        pytest.param("{on_request: more.sql}", "select *, lead(amount) over (partition by customer order by asked_at) as next from request", "more_next", id="the next request"),
    ],
)  # fmt: skip
def test_a_planted_leak_is_found_and_the_training_set_is_not_written(
    tmp_path: Path, declared: str, sql: str, feature: str
) -> None:
    project = shop_with(tmp_path / "shop", declared, {"more.sql": sql})
    assert leaking(make_all(project)) == {feature}
    assert not project.load("shop")[1].tables.exists("shop/training/set")


@pytest.mark.slow
def test_a_version_of_the_training_set_is_known_to_gates_as_checked(tmp_path: Path) -> None:
    project = shop_with(tmp_path / "shop", BY_ORDER, {"more.sql": WINDOW.format(side="<")})
    assert leaking(make_all(project)) == set()
    site = project.load("shop")[1]
    version = site.tables.version("shop/training/set")
    assert [site.findings.found(check, version) for check in ("leakage", "labels")] == [0, 0]
    assert site.findings.found("leakage", 99) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("declared", "sql"),
    [
        pytest.param(BY_CUSTOMER, RETURNS_OF_A_CUSTOMER.format(time="settled_at", last="current row"), id="returns once settled"),
        pytest.param(BY_ORDER, WINDOW.format(side="<"), id="a window that ends before the order"),
        pytest.param(BY_CUSTOMER, "select customer, ordered_at as known_at, avg(amount) over (partition by customer order by ordered_at) as mean from orders", id="a running mean"),
        pytest.param("{on_request: more.sql}", "select *, amount / habit_amount_mean_3d as dearer from request", id="a ratio of the request's own"),
    ],
)  # fmt: skip
def test_the_honest_form_of_it_raises_no_alarm(tmp_path: Path, declared: str, sql: str) -> None:
    result = made_with(tmp_path / "shop", declared, sql)
    assert leaking(result) == set()
    assert said(result, "suspect").passed


@pytest.mark.slow
def test_sql_of_the_request_may_read_how_long_ago_an_event_was(tmp_path: Path) -> None:
    project = shop_with(
        tmp_path / "shop",
        "{on_request: more.sql}",
        {"more.sql": "select habit_since_3d / 60 as hours from request"},
    )
    declare(project, "agg: [mean, count]", "agg: [mean, since]")
    assert leaking(make_all(project)) == set()


def fill_in(project: Project, day: str, column: str, value: str) -> None:
    """Land a day's file again, with another value in one column of its first row."""
    path = project.root / "landing" / "orders" / f"{day}.csv"
    header, first, *rest = path.read_text().splitlines()
    cells = first.split(",")
    cells[header.split(",").index(column)] = value
    path.write_text("\n".join([header, ",".join(cells), *rest]) + "\n")
    later = path.stat().st_mtime + timedelta(minutes=1).total_seconds()
    os.utime(path, (later, later))


def wall_clock_shop(root: Path) -> Project:
    project = shop_with(root, BY_CUSTOMER, {"more.sql": "select customer, ordered_at as known_at, amount from orders"})
    declare(project, "clock: replay", "clock: wall")
    return project


@pytest.mark.slow
def test_a_value_that_was_filled_in_after_predictions_is_named_from_the_versions_of_its_table(tmp_path: Path) -> None:
    project = wall_clock_shop(tmp_path / "shop")
    assert said(make_all(project), "suspect").passed
    fill_in(project, "2024-01-03", "amount", "61.25")
    result = make_all(project)
    assert result.success
    check = said(result, "suspect")
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert check.description
    assert "orders.amount became another in 1 rows after predictions that may have used it" in check.description
    assert "order_id 2024-01-03-0 at " in check.description
    declare(project, "monitors: {", "monitors: {suspect: {ignore: [orders.amount]}, ")
    assert said(make_all(project), "suspect").passed


@pytest.mark.slow
def test_a_value_that_is_declared_to_be_known_later_may_be_filled_in_later(tmp_path: Path) -> None:
    project = wall_clock_shop(tmp_path / "shop")
    declare(project, "{returned: settled_at}", "{returned: settled_at, amount: settled_at}")
    (project.root / "platform/products/shop/label.sql").write_text(
        "select order_id, ordered_at as asked_at, customer, returned from orders\n"
    )
    (project.root / "platform/products/shop/more.sql").write_text(
        "select customer, settled_at as known_at, amount from orders\n"
    )
    assert make_all(project).success
    fill_in(project, "2024-01-03", "amount", "61.25")
    assert said(make_all(project), "suspect").passed


@pytest.mark.slow
def test_rows_that_are_added_to_a_day_are_no_values_that_were_filled_in(tmp_path: Path) -> None:
    project = wall_clock_shop(tmp_path / "shop")
    make_all(project)
    path = project.root / "landing" / "orders" / "2024-01-03.csv"
    header, first, *_ = path.read_text().splitlines()
    (path.parent / "late.csv").write_text(f"{header}\n{first.replace('2024-01-03-0', '2024-01-03-late', 1)}\n")
    assert said(make_all(project), "suspect").passed


@pytest.mark.slow
def test_a_replayed_history_has_no_moments_at_which_values_were_filled_in(tmp_path: Path) -> None:
    project = wall_clock_shop(tmp_path / "shop")
    declare(project, "clock: wall", "clock: replay")
    make_all(project)
    fill_in(project, "2024-01-03", "amount", "61.25")
    assert said(make_all(project), "suspect").passed
