"""`headrace features`: what a person asks about features at a terminal, and what a program gets."""

import json
from pathlib import Path

import pytest

from headrace.project import Project
from platform_tests.features.leaky import make_all, shop_with
from platform_tests.features.neighbours import make_care, make_shop, neighbours
from platform_tests.test_cli import headrace

LARGEST = '{sql: largest.sql, entity: customer, time: ordered_at, owner: "team:sales", description: The largest order so far.}'
SQL = """select customer, ordered_at, max(amount) over (partition by customer order by ordered_at
  rows between unbounded preceding and current row) as amount from orders
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    project = shop_with(tmp_path / "shop", LARGEST, {"largest.sql": SQL})
    monkeypatch.chdir(project.root)
    return project


def test_features_are_listed_before_anything_is_made(project: Project) -> None:
    shown = headrace("features", "list")
    assert shown.exit_code == 0
    assert "shop at 2024-01-07 00:00 UTC: 3 features in 2 tables, no model is live" in shown.output
    assert "habit: windows by customer; not made yet" in shown.output


@pytest.mark.slow
def test_features_are_listed_with_how_fresh_and_how_complete_they_are(project: Project) -> None:
    assert make_all(project).success
    shown = headrace("features", "list", "shop")
    assert "more: SQL by customer; newest row " in shown.output
    assert "missing: of all " in shown.output
    facts = {fact["feature"]: fact for fact in json.loads(headrace("features", "list", "--json").output)}
    assert list(facts) == ["habit_count_3d", "habit_amount_mean_3d", "more_amount"]
    assert (facts["habit_amount_mean_3d"]["type"], facts["habit_amount_mean_3d"]["missing"]) == ("number", 0)
    assert (facts["habit_count_3d"]["type"], facts["more_amount"]["newest"][:10]) == ("integer", "2024-01-06")
    assert facts["more_amount"]["used_by"] == ["shop"]


def test_a_product_that_is_not_there_suggests_a_near_one(project: Project) -> None:
    assert project.products()
    shown = headrace("features", "list", "shops")
    assert shown.exit_code == 1
    assert "Did you mean 'shop'?" in shown.output


@pytest.mark.slow
def test_a_feature_is_shown_with_owner_description_and_sql(project: Project) -> None:
    assert make_all(project).success
    shown = headrace("features", "show", "shop", "more_amount")
    assert shown.exit_code == 0
    assert "owner         team:sales" in shown.output
    assert "description   The largest order so far." in shown.output
    file = project.root / "platform" / "products" / "shop" / "defs.yaml"
    line = 1 + next(i for i, text in enumerate(file.read_text().splitlines()) if text.startswith("    more:"))
    assert f"platform/products/shop/defs.yaml:{line}\n" in shown.output
    assert "made of       orders.amount, orders.customer, orders.ordered_at" in shown.output
    assert "rows between unbounded preceding and current row" in shown.output
    assert json.loads(headrace("features", "show", "shop", "habit", "--json").output)["kind"] == "windows"


def test_a_feature_that_is_not_there_suggests_a_near_one(project: Project) -> None:
    assert project.products()
    shown = headrace("features", "show", "shop", "habits")
    assert shown.exit_code == 1
    assert "Did you mean 'habit'?" in shown.output


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    project = neighbours(tmp_path / "project")
    monkeypatch.chdir(project.root)
    make_shop(project)
    assert make_care(project).success
    return project


def test_a_shared_table_is_listed_with_its_owner_and_at_its_owners_with_its_users(both: Project) -> None:
    assert both.products()
    assert "habit: shared by shop, windows by customer; newest change " in headrace("features", "list", "care").output
    assert "    used by care\n" in headrace("features", "list", "shop").output
    facts = json.loads(headrace("features", "list", "--json").output)
    told = [(fact["product"], fact["feature"], fact["kind"], fact["owner_product"], fact["used_by"]) for fact in facts]
    assert told == [
        ("care", "habit_count_3d", "shared", "shop", ["care"]),
        ("care", "habit_amount_mean_3d", "shared", "shop", ["care"]),
        ("shop", "habit_count_3d", "windows", "shop", ["care"]),
        ("shop", "habit_amount_mean_3d", "windows", "shop", ["care"]),
    ]


def test_a_shared_feature_is_shown_as_its_owner_declares_it_with_the_users_own_statistics(both: Project) -> None:
    shown = headrace("features", "show", "care", "habit_amount_mean_3d").output
    assert "habit_amount_mean_3d, a feature of care" in shown
    assert "mean of `amount` of the orders of one customer in the 3 days before, as of each prediction" in shown
    assert "platform/products/shop/defs.yaml:" in shown
    assert "owner         shop@example.com" in shown
    assert "made of       shop.orders.amount, shop.orders.ordered_at" in shown
    rows = both.load("care")[1].tables.count("care/training/set")
    assert f"statistics of all {rows:,} rows of the stored training set" in shown
    assert "habit_count_3d  (integer, 0.0% missing)" in headrace("features", "show", "care", "habit").output
