"""Columns that say too much about the label are named with the reason, and nothing stops; honest ones are let be."""

from datetime import timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from headrace.core.fingerprint import version_of
from headrace.features.declaration import Label, Suspect
from headrace.features.recipe import training_parts
from headrace.features.suspect import auc_alone, too_telling
from headrace.project import Project
from headrace.recipes import graph_of
from platform_tests.features.leaky import declare, make, make_all, said, shop_with

HONEST = ("{sql: more.sql, entity: customer, time: ordered_at}", "select customer, ordered_at, amount from orders")
FORGOTTEN = (", known_at: {returned: settled_at}", "")
TRUTH = pl.Series([True, False] * 200)


def shop(root: Path, sql: str, declared: str = "{sql: more.sql, entity: order_id}") -> Project:
    return shop_with(root, declared, {"more.sql": sql})


def suspected(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """Return the reason by column, as the check of the asset shows them."""
    check = said(result, "suspect")
    rows = [record.data for record in check.metadata["columns"].value.records]
    assert check.passed == (not rows)
    assert check.severity == dg.AssetCheckSeverity.WARN
    return {row["column"]: row["why"] for row in rows}


def test_of_a_label_that_is_a_number_no_column_is_suspected_by_its_auc() -> None:
    numbers = pa.table({"order_id": range(400), "at": range(400), "returned": np.linspace(0, 9, 400), "x": range(400)})
    classes = numbers.set_column(2, "returned", pa.array(TRUTH.sort().to_numpy().astype(np.int8)))
    label = Label(sql="label.sql", entity="order_id", time="at", column="returned", known_after=timedelta(days=1))
    assert [found.column for found in too_telling(classes, label, Suspect())] == ["x"]
    assert list(too_telling(numbers, label, Suspect())) == []


@pytest.mark.slow
def test_an_honest_product_has_no_suspects(tmp_path: Path) -> None:
    result = make_all(shop(tmp_path / "shop", HONEST[1], HONEST[0]))
    assert result.success
    assert suspected(result) == {}


@pytest.mark.slow
@pytest.mark.parametrize("made", ["returned", "not returned", "if(returned, 'back', 'kept')", "if(returned, 7, null)"])
def test_the_label_under_another_name_is_named_and_nothing_stops(tmp_path: Path, made: str) -> None:
    project = shop(tmp_path / "shop", f"select order_id, {made} as again from orders")
    declare(project, *FORGOTTEN)
    result = make_all(project)
    assert result.success
    assert suspected(result) == {
        "more_again": "is 'returned' under another name: one value for each class, on every row"
    }


@pytest.mark.slow
def test_a_column_that_alone_separates_the_label_is_named_until_it_is_allowed_to(tmp_path: Path) -> None:
    sql = "select order_id, 10 * returned::int + hash(order_id) % 7 + amount / 100 as days_held from orders"
    project = shop(tmp_path / "shop", sql)
    declare(project, *FORGOTTEN)
    found = suspected(make_all(project))
    assert list(found) == ["more_days_held"]
    assert "alone tells 'returned' with an AUC of" in found["more_days_held"]
    declare(project, "monitors: {", "monitors: {suspect: {ignore: [more_days_held]}, ")
    assert suspected(make_all(project)) == {}


@pytest.mark.slow
def test_the_limit_is_that_of_the_declaration(tmp_path: Path) -> None:
    project = shop(tmp_path / "shop", HONEST[1], HONEST[0])
    declare(project, "monitors: {", "monitors: {suspect: {auc: 0.7}, ")
    assert "amount" in suspected(make_all(project))


@pytest.mark.slow
def test_a_column_made_of_the_labels_own_source_before_it_is_known_is_named_by_its_lineage(tmp_path: Path) -> None:
    early = "select customer, ordered_at, returned and amount > 30 as dear from orders"
    project = shop(tmp_path / "shop", early, "{sql: more.sql, entity: customer, time: ordered_at}")
    result = make_all(project)
    assert not result.success
    assert not said(result, "leakage").passed
    assert suspected(result)["more_dear"] == (
        "is made of orders.returned, which 'returned' is made of and which is known at 'settled_at', "
        "but holds from `ordered_at` on"
    )


def test_another_limit_makes_the_set_again_so_that_it_is_judged_again(tmp_path: Path) -> None:
    project = shop(tmp_path / "shop", HONEST[1], HONEST[0])

    def version() -> str:
        declared, site = project.load("shop")
        return version_of(training_parts(site, graph_of(declared)))

    before = version()
    declare(project, "monitors: {", "monitors: {suspect: {auc: 0.9}, ")
    assert version() != before


@pytest.mark.slow
def test_what_was_said_is_said_again_where_nothing_has_changed(tmp_path: Path) -> None:
    project = shop(tmp_path / "shop", "select order_id, returned as again from orders")
    declare(project, *FORGOTTEN)
    with dg.DagsterInstance.ephemeral() as instance:
        make_all(project, instance)
        again = make(project, "training/set", instance=instance)
    assert not again.asset_materializations_for_node("shop__training__set")
    assert list(suspected(again)) == ["more_again"]
    assert said(again, "leakage").passed


def test_an_id_with_one_row_a_value_says_nothing() -> None:
    assert auc_alone(pl.Series([f"id{i}" for i in range(400)]), TRUTH) == 0.5


def test_a_text_that_stands_for_a_class_says_all() -> None:
    texts = pl.Series([f"{'back' if is_back else 'kept'}{i % 5}" for i, is_back in enumerate(TRUTH)])
    assert auc_alone(texts, TRUTH) == 1


def test_a_value_that_is_missing_for_one_class_says_all() -> None:
    chance = np.random.default_rng(0)
    values = pl.Series([chance.normal() if is_back else None for is_back in TRUTH])
    assert auc_alone(values, TRUTH) == 1


def test_times_are_no_numbers() -> None:
    assert (
        auc_alone(pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 1, 2), "1h", eager=True), TRUTH) is None
    )


@given(st.lists(st.integers(-5, 5), min_size=400, max_size=400))
def test_a_number_is_judged_as_scikit_learn_judges_it(values: list[int]) -> None:
    expected = roc_auc_score(TRUTH.to_numpy(), values)
    assert auc_alone(pl.Series(values), TRUTH) == pytest.approx(max(expected, 1 - expected))


@given(st.integers(0, 10**6), st.integers(1, 50))
def test_texts_of_chance_are_not_accused_however_few_rows_each_has(seed: int, rows_of_each: int) -> None:
    chance = np.random.default_rng(seed)
    texts = pl.Series([f"v{i}" for i in chance.integers(0, max(1, 400 // rows_of_each), 400)])
    found = auc_alone(texts, TRUTH)
    assert found is not None
    assert found < 0.75
