"""The commands beside Dagster's own answer in words."""

from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from headrace.cli import main
from headrace.project import Project
from headrace.store.site import Site
from platform_tests.end_to_end.shop import make_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    root = make_project(tmp_path / "shop")
    monkeypatch.chdir(root)
    return Project(root)


@pytest.fixture
def site(project: Project) -> Site:
    return project.load("shop")[1]


def headrace(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def orders(**amounts: float) -> pa.Table:
    return pa.table({"order_id": list(amounts), "amount": list(amounts.values())})


def test_history_shows_the_versions_of_a_table(site: Site) -> None:
    site.tables.replace("shop/validated/orders", orders(a=1.0, b=2.0), why="to see")
    shown = headrace("history", "shop/validated/orders")
    assert shown.exit_code == 0
    assert shown.output.splitlines()[1].split()[0] == "0"
    assert shown.output.rstrip().endswith("to see")


def test_history_of_a_table_that_is_not_there_suggests_a_near_one(site: Site) -> None:
    site.tables.replace("shop/validated/orders", orders(a=1.0))
    shown = headrace("history", "shop/validated/order")
    assert shown.exit_code == 1
    assert "Did you mean 'shop/validated/orders'?" in shown.output


def test_diff_compares_by_the_unique_key_of_the_contract(site: Site) -> None:
    site.tables.replace("shop/validated/orders", orders(a=1.0, b=2.0))
    site.tables.replace("shop/validated/orders", orders(b=3.0, c=4.0))
    shown = headrace("diff", "shop/validated/orders", "0", "1")
    assert shown.exit_code == 0
    assert "compared by order_id" in shown.output
    assert "1 rows added, 1 removed, 1 changed: amount in 1" in shown.output


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("shop/raw/orders", ["_file", "_row"]),
        ("shop/validated/orders", ["order_id"]),
        ("shop/features/habit", ["customer", "time"]),
        ("shop/training/set", ["order_id"]),
        ("shop/predictions/batch", ["order_id"]),
        ("shop/monitoring/drift", []),
        ("elsewhere/raw/orders", []),
        ("orders", []),
    ],
)
def test_the_declaration_says_what_names_a_row(project: Project, table: str, key: list[str]) -> None:
    assert project.key_of(table) == key


def test_gc_says_what_would_go_and_then_removes_it(site: Site) -> None:
    site.tables.replace("shop/raw/orders", orders(a=1.0))
    orphan = site.place.tables / "shop/raw/orders/part-00000-orphan.snappy.parquet"
    orphan.write_bytes(b"half a file")
    planned = headrace("gc", "--dry-run")
    assert planned.exit_code == 0
    assert "1 would go" in planned.output
    assert orphan.exists()
    assert "1 removed" in headrace("gc", "shop").output
    assert not orphan.exists()
