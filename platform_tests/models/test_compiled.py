"""Compiled trees: as LightGBM says, whatever is missing; made and proved apart, once; refused where a byte is another."""

import sys
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.models import compilation
from headrace.models.compilation import Compilation, bulk_predictor
from headrace.models.compiled import Forest, Native, make_object, target
from headrace.models.encode import encode
from headrace.models.predict import load_predictor
from headrace.store.site import Site
from platform_tests.models.shop import graded, model, orders, plain, priced, shop, trained


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return shop(tmp_path)


def kind() -> str:
    return f"compiled.{target()}"


def object_file(site: Site, digest: str) -> Path:
    return site.place.models / digest / f"{kind()}.o"


def recorded(site: Site, digest: str) -> Compilation:
    return Compilation.model_validate(site.models.recorded(digest, kind()))


def apart(site: Site, digest: str, rows: pa.Table) -> float:
    """Return how far compiled trees are from LightGBM at most."""
    bulk = bulk_predictor(site, digest)
    assert bulk.is_compiled, bulk.how
    return float(np.abs(bulk.predictor.predict(rows) - load_predictor(site.models, digest).predict(rows)).max())


def booster(folder: Path, **params: Any) -> tuple[lgb.Booster, Forest]:
    """Return trees over two numbers and a category of which some rows lack each, and the same compiled."""
    chance = np.random.default_rng(0)
    values = np.column_stack([chance.normal(size=2000), chance.integers(0, 4, 2000), chance.integers(0, 20, 2000)])
    answers = (chance.random(2000) < 1 / (1 + np.exp(-values[:, 0] - (values[:, 2] % 3) + values[:, 1]))).astype(float)
    if not params.get("whole"):
        values[chance.random(values.shape) < 0.1] = np.nan
    given = {"objective": "binary", "verbose": -1, "num_leaves": 15, "min_data_in_leaf": 5}
    data = lgb.Dataset(values, answers, categorical_feature=[2])
    made = lgb.train(given | {k: v for k, v in params.items() if k != "whole"}, data, 20)
    made.save_model(folder / "model.txt")
    return made, Forest(make_object(folder / "model.txt"), (folder / "model.txt").read_text())


@pytest.fixture(scope="module", params=["missing", "whole", "zero as missing", "no missing", "forest"])
def trees(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[lgb.Booster, Forest]:
    params: dict[str, Any] = {
        "missing": {},
        "whole": {"whole": True},
        "zero as missing": {"zero_as_missing": True},
        "no missing": {"use_missing": False},
        "forest": {"boosting": "rf", "bagging_fraction": 0.5, "bagging_freq": 1},
    }[request.param]
    return booster(tmp_path_factory.mktemp("trees"), **params)


NUMBERS = st.one_of(
    st.sampled_from([None, 0.0, -0.0, 1e-36, -1e-36, 1e-34, 1.0, -1.0, 1e9, -1e9, 1e300]), st.floats(-5, 5)
)
CODES = st.one_of(st.none(), st.integers(0, 60).map(float))


@settings(deadline=None, max_examples=100)
@given(rows=st.lists(st.tuples(NUMBERS, NUMBERS, CODES), min_size=1, max_size=20))
def test_compiled_trees_say_what_lightgbm_says_of_missing_values_zeros_and_categories_never_seen(
    trees: tuple[lgb.Booster, Forest], rows: list[tuple[float | None, ...]]
) -> None:
    made, forest = trees
    columns = {f"c{number}": pa.array(values, pa.float64()) for number, values in enumerate(zip(*rows, strict=True))}
    encoded = pa.table(columns)
    numbers = np.array(rows, dtype=float)
    assert np.abs(forest.predict(encoded) - made.predict(numbers)).max() < 1e-12


def test_rows_in_many_pieces_get_their_own_scores(trees: tuple[lgb.Booster, Forest]) -> None:
    made, forest = trees
    values = np.random.default_rng(1).normal(size=(50_000, 3))
    values[:, 2] = np.abs(values[:, 2] * 10).astype(int)
    encoded = pa.concat_tables(pa.table({f"c{n}": part[:, n] for n in range(3)}) for part in np.array_split(values, 7))
    assert np.abs(forest.predict(encoded) - made.predict(values)).max() < 1e-12


@pytest.mark.parametrize(
    ("rows", "declared"),
    [
        (orders(), model()),
        (priced(), model(task="regression")),
        (priced(), model(task="quantile", quantile=0.9)),
        (graded(), model(task="ranking", group="basket")),
    ],
    ids=["classification", "regression", "quantile", "ranking"],
)
def test_each_task_is_compiled(tmp_path: Path, rows: pa.Table, declared: Any) -> None:
    site = shop(tmp_path, rows)
    assert apart(site, trained(site, declared), rows) <= 1e-6


@pytest.mark.parametrize("method", ["isotonic", "platt"])
def test_a_calibration_goes_on_behind_compiled_trees(site: Site, method: str) -> None:
    digest = trained(site, model(calibrate=method))
    tuned = bulk_predictor(site, digest).predictor
    assert tuned.tuned.calibration
    assert apart(site, digest, orders(seed=3)) <= 1e-6
    assert not np.allclose(tuned.predict(orders()), tuned.fitted.predict(encode(orders(), tuned.inputs)))


def test_rows_without_values_and_with_texts_never_seen_are_scored_as_lightgbm_does(site: Site) -> None:
    rows = orders(50)
    odd = rows.set_column(rows.column_names.index("country"), "country", pa.array(["XX", None] * 25))
    odd = odd.set_column(odd.column_names.index("price"), "price", pa.array([None, 0.0, np.nan, 1e9, -1e9] * 10))
    assert apart(site, trained(site), odd) <= 1e-12


def test_a_model_is_compiled_once(site: Site) -> None:
    digest = trained(site)
    assert bulk_predictor(site, digest).is_compiled
    made = object_file(site, digest).stat().st_mtime_ns
    assert bulk_predictor(site, digest).is_compiled
    assert object_file(site, digest).stat().st_mtime_ns == made


def test_few_rows_are_scored_by_lightgbm_and_nothing_is_compiled_for_them(site: Site) -> None:
    digest = trained(site)
    few = bulk_predictor(site, digest, rows=1000)
    assert not few.is_compiled
    assert few.how == "LightGBM: 1,000 rows are too few for compiled trees to pay"
    assert not list((site.place.models / digest).glob("compiled.*.o"))
    assert bulk_predictor(site, digest, rows=50_000_000).is_compiled


def test_what_was_found_stands_beside_the_model(site: Site) -> None:
    digest = trained(site)
    how = bulk_predictor(site, digest).how
    found = recorded(site, digest)
    assert found.rows == 2000 + 4 * 2 * 200
    assert found.apart <= 1e-12
    assert how.startswith("compiled trees: at most ")
    site.models.verify(digest)
    site.models.remove(digest)
    assert not object_file(site, digest).exists()


@pytest.mark.parametrize(
    "damaged",
    [
        lambda data, _: data[:-1],
        lambda _, __: b"",
        lambda data, _: data[:5000] + b"\x90" + data[5001:],
        lambda _, other: other,
    ],
    ids=["cut short", "empty", "one byte changed", "of another model"],
)
def test_an_object_file_that_is_not_the_one_that_was_made_is_made_anew(site: Site, damaged: Any) -> None:
    digest, other = trained(site, model(trees=3)), trained(site, model(trees=2))
    scores = bulk_predictor(site, digest).predictor.predict(orders())
    bulk_predictor(site, other)
    path = object_file(site, digest)
    good = path.read_bytes()
    path.write_bytes(damaged(good, object_file(site, other).read_bytes()))
    assert (bulk_predictor(site, digest).predictor.predict(orders()) == scores).all()
    assert path.read_bytes() == good


def test_an_object_file_that_is_gone_is_made_anew(site: Site) -> None:
    digest = trained(site)
    bulk_predictor(site, digest)
    object_file(site, digest).unlink()
    assert bulk_predictor(site, digest).is_compiled
    assert object_file(site, digest).exists()


def test_a_record_that_says_something_else_is_not_believed(site: Site) -> None:
    digest = trained(site)
    bulk_predictor(site, digest)
    site.models.record(digest, kind(), {"object": object_file(site, digest).name, "more": 1})
    assert bulk_predictor(site, digest).is_compiled
    assert recorded(site, digest).rows > 0


def test_an_object_file_of_another_machine_or_library_is_never_looked_at(site: Site) -> None:
    digest = trained(site)
    foreign = site.place.models / digest / "compiled.0123456789abcdef.o"
    foreign.write_bytes(b"not ours")
    site.models.record(digest, "compiled.0123456789abcdef", {"object": "x"})
    assert bulk_predictor(site, digest).is_compiled
    assert foreign.read_bytes() == b"not ours"


def test_trees_that_say_something_else_are_not_used_and_the_reason_is_known(tmp_path: Path) -> None:
    rows = priced()
    dear = pa.array(rows["returned"].to_numpy() * 1e12)
    site = shop(tmp_path, rows.set_column(rows.column_names.index("returned"), "returned", dear))
    digest = trained(site, model(task="regression", trees=40))
    bulk = bulk_predictor(site, digest)
    assert not bulk.is_compiled
    assert "LightGBM: compiled trees say something else in " in bulk.how
    assert "limit 1e-06" in bulk.how
    assert (bulk.predictor.predict(rows) == load_predictor(site.models, digest).predict(rows)).all()
    assert not object_file(site, digest).exists()


def test_without_rows_to_prove_them_on_trees_are_not_compiled(site: Site, tmp_path: Path) -> None:
    digest = trained(site)
    elsewhere = shop(tmp_path / "else", orders().drop_columns(["price"]))
    again = elsewhere.models.put(site.models.files(digest))
    assert "no rows of a training set" in bulk_predictor(elsewhere, again).how


def test_where_compiling_takes_too_long_lightgbm_scores(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "LONGEST_S", 0.01)
    bulk = bulk_predictor(site, trained(site))
    assert bulk.how == "LightGBM: compiling the trees takes longer than 0.01 s"
    assert not list(site.spill.folder.iterdir())


def test_what_ends_the_process_that_compiles_ends_no_other(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "TRY", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    assert "was ended by signal 11" in bulk_predictor(site, trained(site)).how


def test_what_lleaves_does_not_know_is_said(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "TRY", compilation.TRY.replace("make_and_try(", "make_and_try(3, "))
    assert "LightGBM: the trees cannot be compiled: TypeError" in bulk_predictor(site, trained(site)).how


def test_too_many_leaves_are_left_to_lightgbm(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "MOST_LEAVES", 10)
    assert "leaves are too many to compile, more than 10" in bulk_predictor(site, trained(site)).how


def test_without_lleaves_lightgbm_scores_and_says_how_to_get_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = trained(site)
    monkeypatch.setitem(sys.modules, "lleaves", None)
    bulk = bulk_predictor(site, digest)
    assert bulk.how == "LightGBM: compiled trees need lleaves, pip install 'headrace[compile]'"
    assert len(bulk.predictor.predict(orders())) == 2000


def test_models_of_other_trainers_score_as_they_do(site: Site) -> None:
    digest = trained(site, plain("sklearn:sklearn.ensemble.HistGradientBoostingClassifier"))
    bulk = bulk_predictor(site, digest)
    assert "trees of lightgbm alone are compiled" in bulk.how
    assert (bulk.predictor.predict(orders()) == load_predictor(site.models, digest).predict(orders())).all()


def test_whatever_else_is_asked_of_a_compiled_model_lightgbm_answers(site: Site) -> None:
    digest = trained(site)
    fast, own = bulk_predictor(site, digest).predictor.fitted, load_predictor(site.models, digest).fitted
    assert isinstance(fast, Native)
    assert fast.to_bytes() == own.to_bytes()
    assert fast.importance() == own.importance()
