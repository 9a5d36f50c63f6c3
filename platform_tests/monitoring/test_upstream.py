"""What brought a cause: the sources, files and changes behind columns, from a real project."""

from datetime import date
from pathlib import Path

import pytest

from headrace.monitoring.upstream import origins_of, tables_behind, upstream_of
from headrace.project import Project
from headrace.recipes import graph_of
from headrace.store.code import code_files
from platform_tests.features.leaky import declare, make, make_all, shop_with
from platform_tests.test_cli import headrace

pytestmark = pytest.mark.slow
SQL = "select customer, ordered_at, amount * 2 as double from orders\n"
DECLARED = "{sql: more.sql, entity: customer, time: ordered_at}"
DAY = date(2024, 1, 3)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = shop_with(tmp_path / "shop", DECLARED, {"more.sql": SQL})
    assert make_all(project).success
    return project


def origin_of(project: Project) -> dict[str, object]:
    """Return what would be kept of a model that is trained now."""
    _, site = project.load("shop")
    names = site.tables.names()
    return {
        "versions": site.tables.newest(names),
        "parts": {name: site.ledger.parts(name) for name in names},
        "code": site.code.put(code_files(site.folder)),
    }


def test_a_column_is_led_back_to_source_file_and_to_what_changed_since(project: Project) -> None:
    declared, site = project.load("shop")
    graph, before = graph_of(declared), origin_of(project)
    assert origins_of(site, graph)["more_double"] == {"orders.amount"}
    assert origins_of(site, graph)["habit_amount_mean_3d"] == {"orders.amount", "orders.ordered_at"}
    behind = tables_behind(site, graph, ["more_double"])
    assert behind == ["shop/features/more", "shop/raw/orders", "shop/validated/orders"]

    still = upstream_of(site, graph, ["more_double"], DAY, before)
    assert (still.sources, still.files, still.changes) == (["orders.amount"], [f"{DAY}.csv"], [])

    declare(project, "amount: {type: double, min: 0}", "amount: {type: double, min: -1}")
    (site.folder / "more.sql").write_text(SQL.replace("* 2", "* 3"))
    assert make(project, "validated/orders", "features/more").success
    declared, site = project.load("shop")
    changes = upstream_of(site, graph_of(declared), ["more_double"], None, before).changes
    assert "contract of orders" in changes
    assert "features/more: more.sql" in changes
    assert "file more.sql" in changes

    rows = site.tables.read("shop/raw/orders")
    site.tables.replace("shop/raw/orders", rows.append_column("coupon", rows["amount"]))
    assert "column coupon of raw/orders is new" in upstream_of(site, graph, ["more_double"], None, before).changes


def test_the_command_says_first_that_nothing_is_live(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.root)
    shown = headrace("drift", "shop")
    assert shown.exit_code == 1
    assert "No model of shop is live" in shown.output
