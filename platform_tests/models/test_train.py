"""Training: honest splits, equal bytes for equal rows, and clear words where nothing can be learned."""

import os
import subprocess
import sys
from hashlib import sha256

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core.errors import DataError, DeclarationError, NoRows, OneClassOnly
from headrace.models.split import canonical
from headrace.models.train import importance, train_model
from platform_tests.models.shop import LABEL, SAMPLED, SPRING, model, orders, relabelled, silent

DIGEST = """
from hashlib import sha256
from headrace.models.train import train_model
from platform_tests.models.shop import LABEL, model, orders
print(sha256(train_model(orders(20000), LABEL, model(), print).fitted.to_bytes()).hexdigest())
"""


def text_of(rows: pa.Table, **changes: object) -> bytes:
    return train_model(rows, LABEL, model(**changes), silent).fitted.to_bytes()


@pytest.mark.slow
def test_the_same_rows_give_the_same_bytes_on_one_thread_and_on_two() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            env={**os.environ, "OMP_NUM_THREADS": threads},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()[-1]
        for threads in ("1", "2")
    }
    assert digests == {sha256(text_of(orders(20000))).hexdigest()}


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31))
def test_rows_in_any_order_give_the_same_bytes_once_they_are_in_canonical_order(seed: int) -> None:
    rows = orders(500)
    shuffled = rows.take(np.random.default_rng(seed).permutation(rows.num_rows))
    assert text_of(canonical(shuffled, LABEL), params=SAMPLED) == text_of(rows, params=SAMPLED)


def test_rows_in_another_order_give_another_model() -> None:
    rows = orders(500)
    turned = rows.take(list(range(499, -1, -1)))
    assert text_of(turned, params=SAMPLED) != text_of(rows, params=SAMPLED)


def test_the_way_rows_are_cut_into_chunks_does_not_matter() -> None:
    rows = orders(500)
    assert text_of(pa.concat_tables([rows.slice(0, 123), rows.slice(123)])) == text_of(rows)


def test_another_seed_gives_another_model() -> None:
    assert text_of(orders(), params=SAMPLED, seed=1) != text_of(orders(), params=SAMPLED, seed=2)


def test_what_belongs_to_the_model_says_what_it_was_trained_on() -> None:
    rows = orders(500)
    meta = train_model(rows, LABEL, model(ignore=["noise"]), silent).meta
    assert [(i.name, i.categories) for i in meta.inputs] == [
        ("price", []),
        ("country", ["DE", "FR", "PT"]),
        ("gift", []),
    ]
    assert (meta.rows, meta.train_from, meta.train_to) == (500, SPRING, pc.max(rows["at"]).as_py())


def test_the_model_gains_most_from_what_the_truth_depends_on() -> None:
    trained = train_model(orders(), LABEL, model(), silent)
    shares = importance(trained)
    assert list(shares)[:2] == ["price", "country"]
    assert sum(shares.values()) == pytest.approx(1)


@pytest.mark.slow
def test_progress_is_told_while_it_trains() -> None:
    told: list[str] = []
    train_model(orders(300), LABEL, model(trees=120), told.append)
    assert told == ["50 of 120 trees", "100 of 120 trees", "120 of 120 trees"]


def test_one_class_only_is_refused_with_the_label_and_its_file() -> None:
    with pytest.raises(OneClassOnly, match=r"All 50 training rows have returned = 1.*label\.sql"):
        text_of(relabelled(orders(50), [1] * 50))


def test_no_rows_are_refused() -> None:
    with pytest.raises(NoRows):
        text_of(orders(10).slice(0, 0))


def test_a_label_that_is_neither_0_nor_1_is_refused() -> None:
    with pytest.raises(DataError, match="must be 0 or 1"):
        text_of(relabelled(orders(50), [0, 2] * 25))


def test_a_boolean_label_is_as_good_as_0_and_1() -> None:
    rows = orders(300)
    assert text_of(relabelled(rows, rows["returned"].cast(pa.bool_()).to_pylist())) == text_of(rows)


def test_rows_without_any_input_are_refused() -> None:
    with pytest.raises(DataError, match="no column to learn from"):
        text_of(orders(50).select(["order_id", "at", "returned"]))


def test_an_ignored_column_that_is_not_there_gets_the_nearest_name() -> None:
    with pytest.raises(DeclarationError, match="Did you mean 'country'"):
        text_of(orders(50), ignore=["contry"])


def test_a_parameter_out_of_range_is_an_error_of_the_declaration() -> None:
    with pytest.raises(DeclarationError, match=r"LightGBM refuses to train with params .*num_leaves"):
        text_of(orders(50), params={"num_leaves": 1})


def test_a_column_whose_name_lightgbm_would_refuse_is_an_input_like_any_other() -> None:
    rows = orders(300).rename_columns(["order_id", "at", "returned", 'price, "net"', "country", "gift", "noise"])
    assert train_model(rows, LABEL, model(), silent).meta.inputs[0].name == 'price, "net"'
