"""Features in Python go all the way through the assets, as those in SQL do."""

import re
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from headrace.automation.plan import plan
from headrace.core.errors import DataError, DeclarationError, UserCodeError
from headrace.features.compute import feature_rows
from headrace.features.declaration import Feature
from headrace.product import build
from headrace.project import Project
from headrace.recipes import recipes_of
from platform_tests.features.airline import SOURCES, airline, flight
from platform_tests.features.leaky import make, make_all, said, shop_with

DECLARED = '{python: "spend.py:spent", from: [orders], entity: customer, time: known_at}'
SPEND = """
import polars as pl

from .rounding import rounded


def spent(orders):
    rows = pl.DataFrame(orders).sort("ordered_at", "order_id")
    sums = rounded(pl.col("amount").cum_sum().over("customer"))
    return rows.select("customer", pl.col("ordered_at").alias("known_at"), sums.alias("sum")).to_arrow()
"""
ROUNDING = """
DIGITS = 1


def rounded(values):
    return values.round(DIGITS)
"""
MEAN_OF_ALL = SPEND.replace("cum_sum().over", "sum().over")
IN_SQL = """
select customer, ordered_at as known_at, round(sum(amount) over (partition by customer order by ordered_at, order_id), 1) as sum
from orders
"""


def shop(root: Path, spend: str = SPEND) -> Project:
    return shop_with(root, DECLARED, {"spend.py": spend, "rounding.py": ROUNDING})


def edit(project: Project, file: str, old: str, new: str) -> None:
    path = project.root / "platform" / "products" / "shop" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def planned(project: Project) -> list[str]:
    """Return the feature tables that are to be made again."""
    declared, site = project.load("shop")
    return [
        p.table
        for p in plan(site, declared.sources, list(recipes_of(declared, site)))
        if p.certain and "/features/" in p.table
    ]


def graph_of(project: Project) -> Any:
    return build(*project.load("shop")).resolve_asset_graph()


def failure(result: dg.ExecuteInProcessResult) -> str:
    [event] = result.filter_events(lambda event: event.is_step_failure)
    return event.step_failure_data.user_failure_data.description


@pytest.mark.slow
def test_a_table_in_python_is_that_of_the_same_sql(tmp_path: Path) -> None:
    in_python = shop(tmp_path / "python")
    in_sql = shop_with(tmp_path / "sql", "{sql: more.sql, entity: customer, time: known_at}", {"more.sql": IN_SQL})
    rows = []
    for project in (in_python, in_sql):
        assert make_all(project).success
        rows.append(project.load("shop")[1].tables.read("shop/features/more"))
    sums = [table["more_sum"].to_pylist() for table in rows]
    assert rows[0].drop_columns(["more_sum"]).equals(rows[1].drop_columns(["more_sum"]))
    assert sums[0] == pytest.approx(sums[1], abs=0.101)  # halves are rounded to even here, and up there
    assert len(sums[0]) > 100


def test_it_depends_on_the_sources_that_it_reads_and_is_of_kind_python(tmp_path: Path) -> None:
    node = graph_of(shop(tmp_path / "shop")).get(dg.AssetKey(["shop", "features", "more"]))
    assert {key.to_user_string() for key in node.parent_keys} == {"shop/validated/orders"}
    assert "python" in node.kinds


@pytest.mark.slow
def test_a_changed_helper_makes_the_table_again_and_a_comment_does_not(tmp_path: Path) -> None:
    project = shop(tmp_path / "shop")
    make_all(project)
    assert planned(project) == []
    edit(project, "rounding.py", "def rounded", "# to what a customer sees\ndef rounded")
    assert planned(project) == []
    edit(project, "rounding.py", "DIGITS = 1", "DIGITS = 0")
    assert planned(project) == ["shop/features/more"]
    make(project, "features/more")
    sums = project.load("shop")[1].tables.read("shop/features/more")["more_sum"].to_pylist()
    assert all(value == int(value) for value in sums)


@pytest.mark.slow
def test_a_function_that_sums_over_all_time_is_found_by_the_leakage_check(tmp_path: Path) -> None:
    result = make_all(shop(tmp_path / "shop", MEAN_OF_ALL))
    assert not result.success
    check = said(result, "leakage")
    assert [record.data["feature"] for record in check.metadata["leaks"].value.records] == ["more_sum"]


@pytest.mark.slow
def test_an_error_of_the_function_is_told_with_file_and_line_and_without_a_traceback(tmp_path: Path) -> None:
    result = make_all(shop(tmp_path / "shop", SPEND.replace('"amount"', '"amuont"')))
    words = failure(result)
    assert re.search(r"spend\.py:10: `return rows.*`: ColumnNotFoundError: .*amuont", words), words
    assert "Traceback" not in words


@pytest.mark.slow
def test_a_function_that_cannot_bear_what_was_known_earlier_is_told_so(tmp_path: Path) -> None:
    fragile = SPEND.replace("    rows =", "    assert orders.num_rows > 100\n    rows =", 1)
    words = failure(make_all(shop(tmp_path / "shop", fragile)))
    assert re.search(
        r"spend\.py:8: .*AssertionError.*the leakage check made 'more' of what was known at 2024", words
    ), words


@pytest.mark.parametrize(
    ("old", "new", "says", "key"),
    [
        ("from: [orders]", "from: [order]", r"no source 'order'.*Did you mean 'orders'", "from"),
        ("spend.py:spent", "spend.py:spend", r"has no function 'spend'. Did you mean 'spent'", "python"),
        ("spend.py:spent", "spent.py:spent", r"spent.py is not there. Did you mean 'spend.py'", "python"),
    ],
)
def test_names_that_lead_nowhere_are_found_while_loading(
    tmp_path: Path, old: str, new: str, says: str, key: str
) -> None:
    project = shop(tmp_path / "shop")
    edit(project, "defs.yaml", old, new)
    with pytest.raises(DeclarationError, match=says) as no:
        graph_of(project)
    assert no.value.path == ("features", "more", key)


@pytest.mark.parametrize(
    "declared",
    [
        {"python": "a.py:f", "entity": "origin"},
        {"sql": "a.sql", "from": ["flights"], "entity": "origin"},
        {"python": "a.py:f", "from": ["flights"]},
        {"python": "a.py:f", "from": [], "entity": "origin"},
        {"python": "a.py", "from": ["flights"], "entity": "origin"},
        {"python": "a.py:f", "sql": "a.sql", "from": ["flights"], "entity": "origin"},
    ],
)
def test_what_does_not_go_together_is_refused(declared: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"python|from"):
        Feature.model_validate(declared)


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        ("return 3", DataError, "needs an Arrow table, not int"),
        ("return flights.select(['origin'])", DataError, r"needs the columns \['origin'\] and values; it got \['origin'\]"),
        ("return flights.select(['dep_delay', 'tailnum'])", DataError, r"needs the columns \['origin'\] and values"),
        ("return flights.nothing", UserCodeError, r"sizes.py:2: `return flights.nothing`: AttributeError"),
    ],
)  # fmt: skip
def test_what_a_function_returns_instead_of_its_table_is_told(
    tmp_path: Path, body: str, error: type[Exception], says: str
) -> None:
    site = airline(tmp_path, [flight(1)], {"sizes.py": f"def size(flights):\n    {body}\n"})
    feature = Feature.model_validate({"python": "sizes.py:size", "from": ["flights"], "entity": "origin"})
    with pytest.raises(error, match=says):
        feature_rows(site, "size", feature, SOURCES, None)


def test_a_function_gets_its_rows_in_an_order_that_never_changes(tmp_path: Path) -> None:
    code = "def last(flights):\n    return flights.slice(flights.num_rows - 1).select(['origin', 'flight_id'])\n"
    feature = Feature.model_validate({"python": "last.py:last", "from": ["flights"], "entity": "origin"})
    made: list[pa.Table] = []
    for name, numbers in {"up": [1, 2, 3], "down": [3, 2, 1]}.items():
        site = airline(tmp_path / name, [flight(number) for number in numbers], {"last.py": code})
        made.append(feature_rows(site, "last", feature, SOURCES, None))
    assert made[0].equals(made[1])
    assert made[0]["last_flight_id"].to_pylist() == ["f003"]
