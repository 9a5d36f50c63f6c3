"""LightGBM by its C interface: the same numbers as by its package, to the last bit."""

import subprocess
import sys
import threading
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest

from headrace.core.errors import StoreError
from headrace.models.native import Trees

CHANCE = np.random.default_rng(7)


@pytest.fixture(scope="module")
def booster() -> tuple[lgb.Booster, Any]:
    rows = CHANCE.normal(size=(3000, 6))
    rows[CHANCE.random(rows.shape) < 0.1] = np.nan
    rows[:, 3] = CHANCE.integers(0, 9, 3000)
    answers = (np.nan_to_num(rows[:, 0]) + (rows[:, 3] == 4) + CHANCE.normal(size=3000) > 0).astype(float)
    data = lgb.Dataset(rows, answers, categorical_feature=[3])
    return lgb.train({"objective": "binary", "num_leaves": 15, "verbose": -1}, data, 30), rows


def test_rows_are_scored_as_by_the_package(booster: tuple[lgb.Booster, Any]) -> None:
    theirs, rows = booster
    trees = Trees(theirs.model_to_string().encode())
    expected = theirs.predict(rows)
    assert (trees.predict(rows) == expected).all()
    row = trees.row()
    assert [row(values) for values in rows.tolist()] == list(expected)


def test_contributions_are_those_of_the_package(booster: tuple[lgb.Booster, Any]) -> None:
    theirs, rows = booster
    trees = Trees(theirs.model_to_string().encode())
    assert (trees.contributions(rows[:50]) == theirs.predict(rows[:50], pred_contrib=True)).all()


def test_each_thread_has_its_own_row(booster: tuple[lgb.Booster, Any]) -> None:
    theirs, rows = booster
    trees, expected = Trees(theirs.model_to_string().encode()), theirs.predict(rows)
    wrong: list[int] = []

    def ask(start: int) -> None:
        row = trees.row()
        wrong.extend(n for n in range(start, len(rows), 4) if row(rows[n].tolist()) != expected[n])

    threads = [threading.Thread(target=ask, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_row_outlives_the_trees_it_was_made_of(booster: tuple[lgb.Booster, Any]) -> None:
    theirs, rows = booster
    row = Trees(theirs.model_to_string().encode()).row()
    assert row(rows[0].tolist()) == theirs.predict(rows[:1])[0]


def test_a_text_that_is_none_of_lightgbms_is_refused() -> None:
    with pytest.raises(StoreError, match="LightGBM refuses"):
        Trees(b"no model\n")


def test_the_package_is_not_loaded() -> None:
    code = "import sys, headrace.models.native as n; n.library_path(); print('lightgbm' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
        == "False"
    )
