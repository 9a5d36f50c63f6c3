"""Each site is given its own rows in a file of its own; sites that can learn nothing are named; their mean is a law."""

import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core.errors import DataError, DeclarationError
from headrace.models.federated.compared import IN_ONE_PLACE, compared
from headrace.models.federated.sites import write_rows
from headrace.models.split import split_rows
from headrace.models.train import lesson_of, train_model
from headrace.models.trainer import Lesson
from headrace.models.trainers.federated import _steps
from headrace.models.trainers.xgboost import Share, XGBoost, appended, kinds_of, more_trees, params_of
from platform_tests.models.federated.flower import federated
from platform_tests.models.shop import LABEL, model, orders, plain, relabelled, silent


def lesson(rows: pa.Table | None = None, **changes: Any) -> Lesson:
    return lesson_of(orders() if rows is None else rows, LABEL, federated(**changes), silent)


def written(folder: Path, given: Lesson, number: int = 0) -> pa.Table:
    assert given.standing
    with pa.OSFile(str(write_rows(given, given.standing, number, folder / f"site-{number}"))) as file:
        return pa.ipc.open_file(file).read_all()


def with_countries(rows: pa.Table, countries: list[str | None]) -> pa.Table:
    return rows.set_column(rows.column_names.index("country"), "country", pa.array(countries))


def test_each_site_has_the_rows_of_its_value_and_none_of_the_others(tmp_path: Path) -> None:
    rows, given = orders(600), lesson(orders(600))
    assert given.standing
    assert list(given.standing.names) == ["DE", "FR", "PT"]
    for number, name in enumerate(given.standing.names):
        here = rows["country"].to_numpy(zero_copy_only=False) == name
        found = written(tmp_path, given, number)
        assert found["answer"].to_pylist() == rows["returned"].to_numpy()[here].tolist()
        assert found["f0"].to_pylist() == rows["price"].filter(pa.array(here)).to_pylist()


def test_a_sites_file_is_for_this_user_alone_and_holds_neither_entities_nor_times_nor_names(tmp_path: Path) -> None:
    written(tmp_path, lesson())
    file = tmp_path / "site-0" / "rows.arrow"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    data = file.read_bytes()
    assert not [name for name in (b"price", b"order_id", b"country", b"o00001") if name in data]


def test_weights_go_with_their_rows(tmp_path: Path) -> None:
    rows = orders(600).append_column("worth", pa.array(np.arange(600.0)))
    found = written(tmp_path, lesson(rows, weight="worth"), 2)
    assert (
        found["weight"].to_pylist() == np.arange(600.0)[rows["country"].to_numpy(zero_copy_only=False) == "PT"].tolist()
    )
    assert set(written(tmp_path, lesson(orders(600)))["weight"].to_pylist()) == {1.0}


def test_a_column_that_is_none_is_named() -> None:
    with pytest.raises(DeclarationError, match=r"`by` names 'county', which is no column.*'country'"):
        lesson(federated={"by": "county"})


@pytest.mark.parametrize(
    ("countries", "why"),
    [
        (["DE"] * 59 + [None], "1 rows have no 'country', and so stand at no site"),
        (["DE"] * 60, "has 1 values in the rows to train on, and each is a site: there are 2 to 16"),
        ([f"c{number % 20}" for number in range(60)], "has 20 values"),
    ],
)
def test_rows_without_sites_and_too_few_or_too_many_sites_are_refused(countries: list[str | None], why: str) -> None:
    with pytest.raises(DataError, match=why):
        lesson(with_countries(orders(60), countries))


def test_a_site_of_few_rows_or_of_a_single_answer_is_named(tmp_path: Path) -> None:
    few = with_countries(orders(60), ["DE"] * 50 + ["FR"] * 10)
    with pytest.raises(DataError, match="Site country = 'FR' has 10 rows to train on, and a site needs 20"):
        written(tmp_path, lesson(few), 1)
    same = relabelled(with_countries(orders(60), ["DE"] * 30 + ["FR"] * 30), [0, 1] * 15 + [1] * 30)
    with pytest.raises(DataError, match="Site country = 'FR': all 30 rows to train on have the answer 1"):
        written(tmp_path, lesson(same), 1)


@given(trees=st.integers(1, 500), rounds=st.integers(1, 500))
def test_rounds_share_all_steps_as_evenly_as_can_be(trees: int, rounds: int) -> None:
    steps = _steps(trees, rounds)
    assert (len(steps), sum(steps)) == (rounds, trees)
    assert max(steps) - min(steps) <= 1


@settings(max_examples=15, deadline=None)
@given(sites=st.integers(1, 4), rounds=st.integers(1, 4), depth=st.integers(1, 4))
def test_sites_that_all_hold_the_same_rows_learn_what_one_of_them_learns_alone(
    sites: int, rounds: int, depth: int
) -> None:
    rows = orders(300)
    alone = train_model(rows, LABEL, plain("xgboost", trees=8, params={"max_depth": depth}), silent)
    given = lesson_of(rows, LABEL, plain("xgboost", params={"max_depth": depth}), silent)
    params = params_of(given.meta) | {"base_score": float(given.answers.mean())}
    share = Share(given.rows, kinds_of(given.meta.inputs), given.answers, np.ones(300), 1 / sites)
    found = b""
    for steps in _steps(8, rounds):
        sent = [more_trees(found, share, params, steps)] * sites
        for trees in sent:
            found = appended(found, trees)
    together = XGBoost().from_bytes(found, given.meta)
    assert together.booster.num_boosted_rounds() == 8 * sites
    assert together.predict(given.rows) == pytest.approx(alone.fitted.predict(given.rows), abs=2e-3)


def test_a_site_says_its_part_of_what_its_rows_say() -> None:
    given = lesson_of(orders(300), LABEL, plain("xgboost"), silent)
    share = Share(given.rows, kinds_of(given.meta.inputs), given.answers, np.ones(300), 1.0)
    params = params_of(given.meta) | {"base_score": 0.5}
    whole, half = (
        XGBoost().from_bytes(more_trees(b"", one, params, 1), given.meta).booster.trees_to_dataframe()
        for one in (share, replace(share, part=0.5))
    )
    leaves = whole["Feature"] == "Leaf"
    assert half["Gain"][leaves].tolist() == pytest.approx((whole["Gain"][leaves] / 2).tolist())
    assert half["Split"].equals(whole["Split"])


def test_parameters_that_xgboost_refuses_are_refused_in_its_words() -> None:
    given = lesson_of(orders(300), LABEL, plain("xgboost"), silent)
    share = Share(given.rows, kinds_of(given.meta.inputs), given.answers, np.ones(300), 1.0)
    with pytest.raises(DeclarationError, match=r"XGBoost refuses to train with params .*max_depth"):
        more_trees(b"", share, {"max_depth": -3}, 1)


def test_it_is_held_against_one_place_and_each_site_alone_on_the_same_test_rows() -> None:
    declared = federated()
    beside = list(compared(split_rows(orders(), LABEL, declared.split), LABEL, declared))
    assert [one.name for one in beside] == [IN_ONE_PLACE, "site DE alone", "site FR alone", "site PT alone"]
    assert sum(int(one.what.split()[2]) for one in beside[1:]) == int(beside[0].what.split()[2])
    assert all(0.6 < one.found.numbers["auc"] < 0.9 for one in beside)
    assert not list(compared(split_rows(orders(), LABEL, model().split), LABEL, model()))
