"""Causes that were planted in real flights are named first, and where nothing moved nothing is named."""

import os
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from headrace.monitoring.bins import codes_of
from headrace.monitoring.causes import Compared, explained
from platform_tests.monitoring.planted import KINDS, ROWS, Window, planted, still

FIRST = date(2013, 7, 1)
LIMIT, FEW = 0.2, 12_000
OVERLAP = 0.8
"""How much of the rows of the slice that is named, and of those that were touched, is the same."""
TRIALS = int(os.environ.get("CAUSE_TRIALS", "60"))
"""How many worlds are tried where nine of ten have to come out right: CAUSE_TRIALS=200 takes ten minutes."""


def compared(window: Window, **more: object) -> Compared:
    return Compared(window.before, window.after, window.days, FIRST, window.inputs, LIMIT, **more)  # type: ignore[arg-type]


def is_first(kind: str, seed: int, rows: int) -> bool:
    window = planted(kind, seed, rows)
    found = explained(compared(window))
    if not found.named:
        return False
    first = found.named[0]
    named = first.found.slice.holds_then(codes_of(window.after, found.columns), window.days)
    overlap = (named & window.touched).sum() / (named | window.touched).sum()
    if kind == "share doubled":
        return bool(overlap >= OVERLAP and first.cause.kind == "share")
    return bool(overlap >= OVERLAP and first.cause.columns[0] == window.column)


def test_what_was_planted_in_two_percent_of_the_rows_is_named_first() -> None:
    trials = [(KINDS[seed % len(KINDS)], seed) for seed in range(20)]
    missed = [trial for trial in trials if not is_first(*trial, rows=FEW)]
    assert len(missed) <= 2, missed


@pytest.mark.slow
def test_what_was_planted_is_named_first_in_nine_of_ten_trials() -> None:
    trials = [(KINDS[seed % len(KINDS)], 1000 + seed) for seed in range(TRIALS)]
    missed = [trial for trial in trials if not is_first(*trial, rows=ROWS)]
    assert len(missed) <= TRIALS // 10, missed


def test_where_nothing_moved_nothing_is_named() -> None:
    assert not [seed for seed in range(10) if explained(compared(still(seed, FEW))).causes]


@pytest.mark.slow
def test_where_nothing_moved_something_is_named_in_one_of_twenty_trials_at_the_most() -> None:
    assert sum(bool(explained(compared(still(2000 + seed))).causes) for seed in range(TRIALS)) <= TRIALS // 20


def test_a_sample_against_itself_has_not_moved() -> None:
    window = still(0, 5000)
    same = Window(window.before, window.before, window.days, window.touched)
    assert explained(compared(same)).causes == []


def test_the_order_of_the_columns_does_not_matter() -> None:
    window = planted("unit change", 0, FEW)
    names = window.before.column_names[::-1]
    turned = Window(window.before.select(names), window.after.select(names), window.days, window.touched)
    told = [
        (cause.columns[0], sorted(cause.slice), cause.what, cause.rows)
        for cause in (explained(compared(asked)).causes[0] for asked in (turned, window))
    ]
    assert told[0] == told[1]


def plain(rows: int = 12_000, seed: int = 0) -> pa.Table:
    chance = np.random.default_rng(seed)
    return pa.table(
        {
            "site": chance.choice(["a", "b", "c", "d"], size=rows, p=[0.4, 0.3, 0.2, 0.1]),
            "size": chance.choice(["s", "l"], size=rows),
            "x": chance.normal(50, 10, size=rows),
            "y": chance.normal(5, 1, size=rows),
            "z": chance.normal(size=rows),
        }
    )


def moved(column: str, where: np.ndarray, to: object, seed: int = 1) -> Window:
    after = plain(seed=seed)
    values = np.where(where, to, after[column].to_numpy(zero_copy_only=False))  # type: ignore[call-overload]
    after = after.set_column(after.column_names.index(column), column, pa.array(values, from_pandas=True))
    return Window(plain(), after, np.arange(len(values)) * 7 // len(values), where, column)


def rows_of(site: str, seed: int = 1) -> np.ndarray:
    return plain(seed=seed)["site"].to_numpy(zero_copy_only=False) == site  # type: ignore[no-any-return]


def test_a_change_in_all_rows_is_one_of_all_rows() -> None:
    everywhere = np.ones(12_000, dtype=bool)
    [cause] = explained(compared(moved("x", everywhere, plain(seed=1)["x"].to_numpy() + 15))).causes
    assert (cause.columns, cause.slice, cause.carries) == (["x"], [], 1.0)
    assert str(cause).startswith("x moved since at least 2013-07-01: all rows: ")


def test_columns_that_moved_in_the_same_slice_are_one_cause() -> None:
    both = moved("x", rows_of("c"), plain(seed=1)["x"].to_numpy() + 20)
    y = both.after["y"].to_numpy()
    after = both.after.set_column(3, "y", pa.array(np.where(rows_of("c"), y + 2, y)))
    [cause] = explained(compared(Window(both.before, after, both.days, both.touched))).causes
    assert (sorted(cause.columns), cause.slice) == (["x", "y"], ["site = c"])


def test_columns_of_one_source_that_moved_in_all_rows_are_one_cause_and_others_are_others() -> None:
    chance = np.random.default_rng(5)
    after = plain(seed=1)
    for place in (2, 3, 4):
        name = after.column_names[place]
        spread = float(np.std(after[name].to_numpy()))
        added = after[name].to_numpy() + 1.5 * spread + chance.normal(size=12_000) * 0.01 * spread
        after = after.set_column(place, name, pa.array(added))
    window = Window(plain(), after, np.arange(12_000) * 7 // 12_000, None)
    origins = {"x": frozenset({"weather.x"}), "y": frozenset({"weather.y"}), "z": frozenset({"tests.z"})}
    found = explained(compared(window, origins=origins)).causes
    assert sorted(sorted(cause.columns) for cause in found) == [["x", "y"], ["z"]]


def test_causes_are_ranked_by_the_importance_of_their_columns() -> None:
    both = moved("x", rows_of("a"), plain(seed=1)["x"].to_numpy() + 20)
    y = both.after["y"].to_numpy()
    after = both.after.set_column(3, "y", pa.array(np.where(rows_of("b"), y + 2, y)))
    window = Window(both.before, after, both.days, both.touched)
    for first, importance in (("x", {"x": 0.9, "y": 0.1}), ("y", {"x": 0.1, "y": 0.9})):
        causes = explained(compared(window, importance=importance)).causes
        assert [cause.columns[0] for cause in causes] == [first, {"x": "y", "y": "x"}[first]]
        assert causes[0].importance == 0.9


def test_missing_values_new_texts_and_other_units_are_called_so() -> None:
    x = plain(seed=1)["x"].to_numpy()
    [missing] = explained(compared(moved("x", rows_of("b"), np.nan))).causes
    assert (missing.kind, missing.what) == ("missing", "missing 0 % → 100 %")
    [unseen] = explained(compared(moved("size", rows_of("b"), "xl"))).causes
    assert (unseen.kind, unseen.what) == ("unseen", "100 % have size xl, never seen before")
    [unit] = explained(compared(moved("x", rows_of("b"), x * 2.54))).causes
    assert unit.what.startswith("as if times 2.5")
    [degrees] = explained(compared(moved("x", rows_of("b"), (x - 32) / 1.8))).causes
    assert degrees.what.startswith("as if times 0.55")
    assert degrees.what.endswith("another unit?")


def test_a_slice_that_has_another_share_is_told_with_both() -> None:
    before, after = plain(), plain(18_000, seed=1)
    keeps = (after["site"].to_numpy(zero_copy_only=False) == "d") | (np.random.default_rng(3).random(18_000) < 0.4)
    window = Window(before, after.filter(pa.array(keeps)), np.arange(keeps.sum()) * 7 // keeps.sum(), None)
    [cause] = explained(compared(window)).causes
    assert (cause.kind, cause.columns, cause.slice) == ("share", ["site"], ["site = d"])
    assert cause.what.startswith("are 2.")
    assert cause.what.endswith("9.8 % → 22 % of rows")


def test_what_began_before_the_window_is_dated_by_the_days_before_it() -> None:
    window = moved("x", rows_of("b"), plain(seed=1)["x"].to_numpy() + 20)
    earlier, back = plain(seed=2), np.arange(12_000) * 10 // 12_000 + 1
    x = earlier["x"].to_numpy()
    changed = rows_of("b", seed=2) & (back <= 4)
    earlier = earlier.set_column(2, "x", pa.array(np.where(changed, x + 20, x)))
    [cause] = explained(compared(window, earlier=earlier, days_before=back)).causes
    assert (cause.since, cause.is_older) == (FIRST - timedelta(days=4), False)
    assert f"since {FIRST - timedelta(days=4)}" in str(cause)


def test_what_began_within_the_window_or_is_over_says_when() -> None:
    x, day = plain(seed=1)["x"].to_numpy(), np.arange(12_000) * 7 // 12_000
    [late] = explained(compared(moved("x", rows_of("a") & (day >= 4), x + 20))).causes
    assert (late.since, late.until) == (FIRST + timedelta(days=4), None)
    [over] = explained(compared(moved("x", rows_of("a") & (day == 2), x + 20))).causes
    assert (over.since, over.until) == (FIRST + timedelta(days=2), FIRST + timedelta(days=2))
    assert "moved on 2013-07-03" in str(over)


def test_what_a_slice_carries_is_the_part_of_the_index_that_is_gone_with_it() -> None:
    window = moved("x", rows_of("a"), plain(seed=1)["x"].to_numpy() + 8)
    [cause] = explained(compared(window)).causes
    assert cause.slice == ["site = a"]
    assert cause.carries is not None
    assert 0.95 <= cause.carries <= 1
