"""Behaviour tests: each catches the fault that it is made for, and a sound model passes them all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import expit

from headrace.core.errors import DeclarationError
from headrace.evaluation.behaviour import MOST_ROWS, Behaviour, Subject, behaviours
from headrace.evaluation.judgement import behaviours_of
from headrace.models.encode import inputs_of
from platform_tests.models.shop import model, orders, shop, trained

ROWS = orders(300)
INPUTS = inputs_of(ROWS, ["order_id", "at", "returned"])


def price(rows: pa.Table) -> Any:
    return np.nan_to_num(rows["price"].cast(pa.float64()).fill_null(0.0).to_numpy())


def sound(rows: pa.Table) -> Any:
    country = rows["country"].fill_null("").to_numpy(zero_copy_only=False)
    return expit(price(rows) + (country == "PT"))


def in_its_place(rows: pa.Table) -> Any:
    return sound(rows) + np.arange(rows.num_rows) * 1e-3


def by_the_batch(rows: pa.Table) -> Any:
    return sound(rows) - sound(rows).mean()


def without_missing(rows: pa.Table) -> Any:
    return np.where(rows["price"].is_null().to_numpy(), np.nan, sound(rows))


def known_countries(rows: pa.Table) -> Any:
    known = np.isin(rows["country"].fill_null("DE").to_numpy(zero_copy_only=False), ["DE", "FR", "PT"])
    return np.where(known, sound(rows), np.nan)


def on_the_edge(rows: pa.Table) -> Any:
    return (np.modf(np.abs(price(rows)) * 1e4)[0] > 0.5).astype(float)


def found(score: Callable[[pa.Table], Any], **hints: str) -> list[Behaviour]:
    return behaviours(Subject(score, INPUTS, ROWS, 0.5), hints)


def failed(score: Callable[[pa.Table], Any], **hints: str) -> set[tuple[str, str]]:
    return {(b.test, b.of) for b in found(score, **hints) if b.hard and not b.passed}


def test_a_sound_model_passes_every_hard_test() -> None:
    assert failed(sound, price="increasing") == set()


@pytest.mark.parametrize(
    ("score", "test"),
    [
        (in_its_place, ("row order", "")),
        (in_its_place, ("duplicates", "")),
        (by_the_batch, ("one by one", "")),
        (without_missing, ("missing values", "price")),
        (without_missing, ("missing values", "")),
        (known_countries, ("unseen category", "country")),
    ],
)
def test_a_fault_is_caught_by_the_test_that_is_made_for_it(score: Callable[[pa.Table], Any], test: Any) -> None:
    assert test in failed(score)
    assert test not in failed(sound)


def test_a_hint_is_held_against_every_row_and_counts_those_that_break_it() -> None:
    assert failed(sound, price="decreasing") == {("monotonic", "price")}
    [broken] = [b for b in found(sound, price="decreasing") if b.test == "monotonic"]
    assert broken.value == 1.0
    assert broken.what.startswith("300 of 300 rows are not decreasing in price")


def test_a_column_that_moves_nothing_in_another_unit_is_told_and_is_no_fault() -> None:
    units = {b.of: b for b in found(sound) if b.test == "unit change"}
    assert sorted(units) == ["noise", "price"]
    assert (units["price"].passed, units["noise"].passed, units["noise"].hard) == (True, False, False)
    assert units["noise"].what.endswith("it is not looked at")


def test_small_nudges_tell_how_far_scores_move_and_how_many_decisions_turn() -> None:
    [calm], [wild] = ([b for b in found(score) if b.test == "small nudges"] for score in (sound, on_the_edge))
    assert calm.value < 0.01 < wild.value
    assert "0.00%" not in wild.what


def test_the_same_rows_and_seed_find_the_same() -> None:
    assert found(on_the_edge) == found(on_the_edge)


def test_of_many_rows_a_thousand_are_looked_at() -> None:
    asked: list[int] = []

    def count(rows: pa.Table) -> Any:
        asked.append(rows.num_rows)
        return sound(rows)

    behaviours(Subject(count, INPUTS, orders(5000), 0.5), {})
    assert max(asked) == 2 * MOST_ROWS


@pytest.mark.parametrize("declared", [model(), model(task="classification", trees=3)], ids=["twenty trees", "three"])
def test_a_trained_model_passes_every_hard_test(tmp_path: Path, declared: Any) -> None:
    site = shop(tmp_path)
    tests = behaviours_of(site, trained(site, declared), orders(500, seed=1), declared)
    assert not [b for b in tests if b.hard and not b.passed]
    assert {b.test for b in tests} == {
        "row order", "duplicates", "one by one", "missing values", "unseen category", "unit change", "small nudges"
    }  # fmt: skip


def test_a_hint_on_what_is_no_numeric_input_gets_the_nearest_name(tmp_path: Path) -> None:
    site = shop(tmp_path)
    wrong = model(evaluation={"monotonic": {"prise": "increasing"}})
    with pytest.raises(DeclarationError, match=r"`monotonic` names 'prise'.*Did you mean 'price'"):
        behaviours_of(site, trained(site), orders(100), wrong)
