"""Feature SQL may read other feature tables: everything that asks what a table is made of knows of it."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from headrace.automation.plan import plan
from headrace.core.errors import DeclarationError
from headrace.features.declaration import Feature
from headrace.features.explain import explain_leaks
from headrace.features.graph import Graph, making_order, sources_behind
from headrace.features.leakage import find_leaks
from headrace.features.lineage import root_lineage
from headrace.features.look import Declared
from headrace.features.readers import readers_of
from headrace.features.verify import verify
from headrace.product import build, loop_of
from headrace.project import Project
from headrace.recipes import graph_of, recipes_of
from platform_tests.features.airline import CONTRACT, LABEL, SOURCES, airline, windows
from platform_tests.features.leaky import declare, make, make_all, said, shop_with, write_unchecked

MORE = "{sql: more.sql, entity: order_id}"
AGAINST_HABIT = """
select order_id, amount / habit_amount_mean_3d as against_habit, habit_count_3d as orders_so_far
from orders asof left join habit on orders.customer = habit.customer and orders.ordered_at >= habit.time
"""
LATER_HABIT = AGAINST_HABIT.replace(
    "orders.ordered_at >= habit.time", "orders.ordered_at + interval 2 days >= habit.time"
)


def shop(root: Path, sql: str = AGAINST_HABIT) -> Project:
    return shop_with(root, MORE, {"more.sql": sql})


def leaks_in(result: dg.ExecuteInProcessResult) -> set[str]:
    return {record.data["feature"] for record in said(result, "leakage").metadata["leaks"].value.records}


@pytest.mark.slow
def test_a_table_reads_another_as_it_is_stored(tmp_path: Path) -> None:
    project = shop(tmp_path / "shop")
    result = make_all(project)
    assert result.success
    assert said(result, "suspect").passed
    rows = project.load("shop")[1].tables.read("shop/training/set").to_pylist()
    assert [row["more_orders_so_far"] for row in rows] == [row["habit_count_3d"] for row in rows]
    shares = [(row["more_against_habit"], row["amount"] / row["habit_amount_mean_3d"]) for row in rows]
    assert all(stored == pytest.approx(expected) for stored, expected in shares)


def test_the_asset_depends_on_the_source_and_on_the_table_down_to_columns(tmp_path: Path) -> None:
    declared, site = shop(tmp_path / "shop").load("shop")
    node = build(declared, site).resolve_asset_graph().get(dg.AssetKey(["shop", "features", "more"]))
    assert {key.to_user_string() for key in node.parent_keys} == {"shop/validated/orders", "shop/features/habit"}
    lineage = node.metadata["dagster/column_lineage"].deps_by_column["more_against_habit"]
    assert {("/".join(dep.asset_key.path[1:]), dep.column_name) for dep in lineage} == {
        ("validated/orders", "amount"),
        ("features/habit", "habit_amount_mean_3d"),
    }


@pytest.mark.slow
def test_a_change_of_the_table_that_is_read_makes_the_one_that_reads_it_again(tmp_path: Path) -> None:
    project = shop(tmp_path / "shop")
    make_all(project)
    declare(project, "amount: amount}, agg", "amount: amount + 1}, agg")

    def planned() -> dict[str, tuple[str, ...]]:
        declared, site = project.load("shop")
        found = plan(site, declared.sources, list(recipes_of(declared, site)))
        return {p.table: p.why for p in found if "/features/" in p.table}

    before = planned()
    assert before["shop/features/more"] == ("if shop/features/habit changes",)
    make(project, "features/habit")
    assert planned() == {"shop/features/more": ("other content of shop/features/habit",)}
    make(project, "features/more")
    assert planned() == {}


def test_recipes_come_with_inputs_first_whatever_the_order_of_the_declaration(tmp_path: Path) -> None:
    project = shop(tmp_path / "shop")
    declare(project, "  features:\n", f"  features:\n    early: {MORE}\n")
    declare(project, f"    more: {MORE}\n", "")
    tables = [recipe.table for recipe in recipes_of(*project.load("shop"))]
    assert tables.index("shop/features/habit") < tables.index("shop/features/early")


@pytest.mark.slow
def test_a_table_that_reads_a_later_row_of_another_is_found_and_explained_by_rows_of_the_source(tmp_path: Path) -> None:
    project = shop(tmp_path / "shop", LATER_HABIT)
    result = make_all(project)
    assert not result.success
    assert leaks_in(result) == {"more_against_habit", "more_orders_so_far"}
    write_unchecked(project)
    declared, site = project.load("shop")
    assert declared.label
    known = Declared(declared.sources, declared.features, declared.label)
    leaks = find_leaks(site, known, site.tables.read("shop/training/set"))
    customers = {row["order_id"]: row["customer"] for row in site.tables.read("shop/validated/orders").to_pylist()}
    explained = dict(explain_leaks(site, known, leaks[::8], lambda _: ["order_id"]))
    assert any(explained.values())
    for leak, later in explained.items():
        assert {customers[row.named["order_id"]] for row in later} <= {leak.row["customer"]}
        assert all(row.known and row.known > leak.at for row in later)


@pytest.mark.slow
def test_a_leak_of_the_table_that_is_read_is_found_in_the_one_that_reads_it(tmp_path: Path) -> None:
    project = shop(tmp_path / "shop", "select customer, mean_mean as again from mean")
    declare(
        project, f"more: {MORE}", "more: {sql: more.sql, entity: customer}\n    mean: {sql: mean.sql, entity: customer}"
    )
    sql = "select customer, avg(amount) as mean from orders group by customer"
    (project.root / "platform/products/shop/mean.sql").write_text(sql)
    assert leaks_in(make_all(project)) == {"more_again", "mean_mean"}


@pytest.mark.slow
def test_a_table_in_python_can_be_read_by_sql(tmp_path: Path) -> None:
    sql = "select order_id, size_size > 1 as again from orders asof join size on orders.customer = size.customer and ordered_at >= size.time"
    project = shop(tmp_path / "shop", sql)
    size = '{python: "size.py:size", from: [orders], entity: customer, time: ordered_at}'
    declare(project, f"more: {MORE}", f"more: {MORE}\n    size: {size}")
    code = """
import polars as pl

def size(orders):
    rows = pl.DataFrame(orders).sort("ordered_at")
    return rows.select("customer", "ordered_at", size=pl.int_range(pl.len()).over("customer")).to_arrow()
"""
    (project.root / "platform/products/shop/size.py").write_text(code)
    result = make_all(project)
    assert result.success, said(result, "leakage").description


@pytest.mark.slow
def test_new_rows_of_a_source_ask_for_what_reads_it_through_other_tables(tmp_path: Path) -> None:
    project = shop(tmp_path / "shop", "select customer, time as at, habit_count_3d * 2 as twice from habit")
    declare(project, f"more: {MORE}", "more: {sql: more.sql, entity: customer, time: at}")
    declared, site = project.load("shop")
    assert sources_behind(site, declared.features, "more") == ["orders"]
    assert ["shop", "features", "more"] in loop_of(declared, site).data_keys(["orders"])
    graph = graph_of(declared)
    assert root_lineage(site, "more", graph)["more_twice"] == root_lineage(site, "habit", graph)["habit_count_3d"]
    assert "features/more" in readers_of(site, graph, {}, "orders", "amount")
    assert "features/more" not in readers_of(site, graph, {}, "orders", "settled_at")
    assert make_all(project).success


def sql_tables(**texts: str) -> tuple[dict[str, str], dict[str, Any]]:
    files = {f"{name}.sql": text for name, text in texts.items()}
    return files, {name: Feature(sql=f"{name}.sql", entity="origin") for name in texts}


def test_a_circle_is_refused_in_words(tmp_path: Path) -> None:
    files, features = sql_tables(
        one="select * from two", two="select * from three", three="select origin, 1 as n from one"
    )
    graph = Graph(SOURCES, {"flights": CONTRACT}, features, LABEL)
    with pytest.raises(DeclarationError, match="in a circle: one → two → three → one") as no:
        verify(airline(tmp_path, [], files), graph)
    assert no.value.path[0] == "features"


def test_a_table_that_reads_itself_is_a_circle(tmp_path: Path) -> None:
    files, features = sql_tables(one="select origin, one_n as n from one")
    with pytest.raises(DeclarationError, match="in a circle: one → one"):
        making_order(airline(tmp_path, [], files), features)


def test_a_name_that_is_a_source_and_a_table_is_refused_where_it_is_read(tmp_path: Path) -> None:
    files, features = sql_tables(size="select origin, 1 as n from flights")
    graph = Graph(SOURCES, {"flights": CONTRACT}, features | {"flights": windows()}, LABEL)
    with pytest.raises(DeclarationError, match="'flights' is a source and a feature table, too"):
        verify(airline(tmp_path, [], files), graph)


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("select origin, now_n as n from nwo", "no source or feature table 'nwo'; there are .*Did you mean 'now'"),
        ("select origin, now_mean as n from now", "no column 'now_mean'; there are .*now_count_2h"),
        ("select origin, hour as n from clock", "'clock' is computed from each request and is no table"),
    ],
)
def test_names_that_lead_nowhere_are_refused_while_loading(tmp_path: Path, sql: str, says: str) -> None:
    files, features = sql_tables(late=sql)
    files |= {"clock.sql": "select *, 1 as hour from request"}
    features |= {"now": windows(), "clock": Feature(on_request="clock.sql")}
    with pytest.raises(DeclarationError, match=says):
        verify(airline(tmp_path, [], files), Graph(SOURCES, {"flights": CONTRACT}, features, LABEL))
