"""`headrace leakcheck` names the cells that leak, and the rows of the future that they were made of."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from headrace.cli import main
from headrace.features.explain import explain_leaks
from headrace.features.leakage import find_leaks
from headrace.features.look import Declared
from headrace.project import Project
from platform_tests.features.leaky import RETURNS_OF_A_CUSTOMER, declare, make_all, shop_with, write_unchecked

MORE = "{sql: more.sql, entity: customer, time: known_at}"


def leaky_shop(root: Path) -> Project:
    """Return a shop whose training set counts an order's own return, and was written unchecked."""
    sql = RETURNS_OF_A_CUSTOMER.format(time="ordered_at", last="current row")
    project = shop_with(root, MORE, {"more.sql": sql})
    make_all(project)
    write_unchecked(project)
    return project


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return leaky_shop(tmp_path_factory.mktemp("leaky") / "shop")


def leakcheck(project: Project, monkeypatch: pytest.MonkeyPatch, *words: str) -> Result:
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    monkeypatch.chdir(project.root)
    return CliRunner().invoke(main, ["leakcheck", "shop", *words])


def test_a_leak_is_explained_by_the_very_rows_that_were_known_later(leaky: Project) -> None:
    declared, site = leaky.load("shop")
    assert declared.label
    known = Declared(declared.sources, declared.features, declared.label)
    rows = site.tables.read("shop/training/set")
    leaks = find_leaks(site, known, rows, sample=rows.num_rows)
    orders = {row["order_id"]: row for row in site.tables.read("shop/validated/orders").to_pylist()}
    explained = list(explain_leaks(site, known, leaks[:5], lambda _: ["order_id"], most=100))
    assert explained
    for leak, later in explained:
        customer = leak.row["customer"]
        expected = {
            name
            for name, order in orders.items()
            if order["customer"] == customer
            and order["returned"]
            and order["ordered_at"] <= leak.at < order["settled_at"]
        }
        assert {row.named["order_id"] for row in later} == expected
        assert [row.known for row in later] == sorted(orders[row.named["order_id"]]["settled_at"] for row in later)
        assert leak.stored - leak.honest == len(expected)


def test_leakcheck_names_cells_values_and_rows_and_ends_with_1(leaky: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    done = leakcheck(leaky, monkeypatch, "--rows", "60", "--most", "2")
    assert done.exit_code == 1
    assert "more_returns differs in" in done.output
    assert "60 of" in done.output
    assert "more_returns of 2024-01-0" in done.output
    assert "  made of orders: order_id 2024-01-0" in done.output
    assert "more cells are not shown (--most)" in done.output


@pytest.mark.slow
def test_leakcheck_of_an_honest_product_says_so_and_ends_with_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = RETURNS_OF_A_CUSTOMER.format(time="settled_at", last="current row")
    project = shop_with(tmp_path / "shop", MORE, {"more.sql": sql})
    assert make_all(project).success
    done = leakcheck(project, monkeypatch, "--rows", "100000")
    assert done.exit_code == 0, done.output
    assert "No feature knew the future in 150 of 150 rows." in done.output
    assert "note:" not in done.output


def test_a_table_that_was_changed_behind_the_platforms_back_is_explained_by_no_row(
    leaky: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, site = leaky.load("shop")
    rows = site.tables.read("shop/training/set")
    version = site.tables.version("shop/training/set")
    counts = rows["habit_count_3d"].to_pylist()
    column = rows.column_names.index("habit_count_3d")
    changed = rows.set_column(column, "habit_count_3d", [[count + 1 for count in counts]])
    site.tables.replace("shop/training/set", changed)
    done = leakcheck(leaky, monkeypatch, "--rows", "3")
    site.tables.replace("shop/training/set", site.tables.read("shop/training/set", version=version))
    assert "habit_count_3d differs in 3 of 3 rows" in done.output
    assert "no single row that became known later explains it" in done.output


@pytest.mark.slow
def test_leakcheck_says_that_a_table_is_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sql = RETURNS_OF_A_CUSTOMER.format(time="settled_at", last="current row")
    project = shop_with(tmp_path / "shop", MORE, {"more.sql": sql})
    assert make_all(project).success
    declare(project, "over: [3d]", "over: [3d, 5d]")
    done = leakcheck(project, monkeypatch)
    assert "note: shop/features/habit is to be made again (changed: " in done.output
