"""A lesson becomes a table and shares of it again: nothing is lost, nothing comes twice, and groups stay whole."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.errors import DataError, StoreError
from headrace.models.spread.lesson import Share, as_rows, as_share, dealt
from headrace.models.train import lesson_of
from headrace.models.trainer import Lesson
from headrace.store.lessons import lying, share_of
from platform_tests.models.shop import LABEL, graded, model, orders, silent


def lesson(rows: pa.Table, **changes: Any) -> Lesson:
    return lesson_of(rows, LABEL, model(**changes), silent)


def shares(folder: Path, of: Lesson, workers: int) -> list[Share]:
    with lying(folder, as_rows(of), dealt(of, workers)) as rows:
        return [as_share(share_of(rows, worker)) for worker in range(workers)]


@given(rows=st.integers(20, 300), workers=st.integers(2, 9), seed=st.integers(0, 5))
def test_rows_are_dealt_evenly_and_for_the_same_seed_the_same(rows: int, workers: int, seed: int) -> None:
    learned = lesson(orders(rows), seed=seed)
    to = dealt(learned, workers).to_numpy()
    counts = np.bincount(to, minlength=workers)
    assert len(to) == rows
    assert counts.max() - counts.min() <= 1
    assert (to == dealt(learned, workers).to_numpy()).all()


def test_each_row_is_in_one_share_with_its_answer_and_weight_in_the_order_of_before(tmp_path: Path) -> None:
    rows = orders().append_column("worth", pa.array(np.arange(2000.0)))
    whole = lesson(rows, weight="worth")
    parts = shares(tmp_path, whole, 3)
    assert all((np.diff(part.weights) > 0).all() for part in parts)
    order = np.argsort(np.concatenate([part.weights for part in parts]))
    together = pa.concat_tables([part.rows for part in parts]).take(pa.array(order))
    assert together.rename_columns(whole.rows.column_names).equals(whole.rows)
    assert (np.concatenate([part.answers for part in parts])[order] == whole.answers).all()
    assert all(part.groups is None for part in parts)


def test_groups_that_are_ranked_go_to_one_worker_as_a_whole(tmp_path: Path) -> None:
    rows = graded()
    whole = lesson(
        rows.take(pa.array(np.argsort(rows["basket"].to_numpy(zero_copy_only=False), kind="stable"))),
        task="ranking",
        group="basket",
    )
    parts = shares(tmp_path, whole, 2)
    assert sum(len(part.groups) for part in parts) == 100
    assert all((part.groups == 20).all() and part.weights is None for part in parts)
    with pytest.raises(DataError, match="100 groups cannot be dealt to 101 workers"):
        dealt(whole, 101)


def test_rows_to_learn_from_lie_there_only_as_long_as_they_are_learned_from_also_after_an_error(tmp_path: Path) -> None:
    all_to_one = lying(tmp_path, as_rows(lesson(orders())), pa.array([0] * 2000))
    with pytest.raises(ZeroDivisionError), all_to_one as rows:
        raise ZeroDivisionError(rows.is_dir())
    assert not list(tmp_path.iterdir())
    with pytest.raises(StoreError, match="all nodes of the cluster need the home folder"):
        share_of(rows, 0)
