"""scikit-learn by import path: what fits is stored without pickle; what does not is refused, and malice is not loaded."""

import io
import json
import subprocess
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pyarrow as pa
import pytest
import skops.io as sio
from sklearn.preprocessing import FunctionTransformer

from headrace.core.errors import DataError, DeclarationError, StoreError, UserCodeError
from headrace.models.predict import Predictor, load_predictor
from headrace.models.train import Trained, importance, train_model
from headrace.models.trainer import Beside
from headrace.models.trainers.skops import loaded, strange_types
from platform_tests.models.shop import LABEL, graded, orders, plain, priced, shop, silent, trained

LOGISTIC = "sklearn:sklearn.linear_model.LogisticRegression"
PIPELINES = "sklearn:platform_tests.models.pipelines"
OWN = """
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder


def by_country():
    parts = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["country"]), (SimpleImputer(), ["price"])
    )
    return make_pipeline(parts, LogisticRegression())


def a_number():
    return 7
"""


def learn(trainer: str, rows: Any = None, folder: Path = Path(), **changes: Any) -> Trained:
    rows = orders() if rows is None else rows
    return train_model(rows, LABEL, plain(trainer, **changes), silent, Beside(folder, "shop"))


def test_an_estimator_that_takes_no_missing_values_is_refused_with_what_to_declare_instead() -> None:
    with pytest.raises(
        DataError, match=r"LogisticRegression takes no missing values.*\['price'\].*SimpleImputer.*sklearn:<file>"
    ):
        learn(LOGISTIC)


def test_it_is_refused_at_scoring_too_where_only_new_rows_lack_values() -> None:
    whole = orders().drop_columns(["price"])
    model = learn(LOGISTIC, whole)
    predictor = Predictor(model.fitted, model.meta)
    assert len(predictor.predict(whole)) == 2000
    strange = whole.set_column(3, "country", pa.array(["XX"] * 2000))
    with pytest.raises(DataError, match=r"takes no missing values.*\['country'\]"):
        predictor.predict(strange)


@pytest.mark.parametrize("name", ["filled", "forest", "READY"])
def test_a_pipeline_of_an_installed_package_is_trained_stored_and_loaded(tmp_path: Path, name: str) -> None:
    site = shop(tmp_path)
    predictor = load_predictor(site.models, trained(site, plain(f"{PIPELINES}.{name}")))
    assert len(predictor.predict(orders(30))) == 30


def test_a_pipeline_beside_the_declaration_sees_columns_by_name_and_is_loaded_without_its_file(tmp_path: Path) -> None:
    site = shop(tmp_path)
    (tmp_path / "pipes.py").write_text(OWN)
    digest = trained(site, plain("sklearn:pipes.py:by_country"))
    (tmp_path / "pipes.py").unlink()
    assert len(load_predictor(site.models, digest).predict(orders(30))) == 30


def test_params_and_seed_reach_into_a_pipeline_and_an_unknown_one_gets_the_nearest_name() -> None:
    model = learn(f"{PIPELINES}.forest", params={"randomforestclassifier__max_depth": 3}, seed=5)
    last = model.fitted.fitted[-1]  # type: ignore[attr-defined]
    assert (last.max_depth, last.random_state) == (3, 5)
    with pytest.raises(DeclarationError, match="Did you mean 'randomforestclassifier__max_depth'"):
        learn(f"{PIPELINES}.forest", params={"randomforestclassifier__max_dept": 3})


def test_weights_go_to_the_last_step_and_an_estimator_without_them_is_refused() -> None:
    even, heavy = (learn(f"{PIPELINES}.filled", **c) for c in ({}, {"class_weight": {1: 5}}))
    scores = [Predictor(m.fitted, m.meta).predict(orders(seed=1)).mean() for m in (even, heavy)]
    assert scores[1] > scores[0] + 0.1
    with pytest.raises(DeclarationError, match="KNeighborsClassifier takes no weights"):
        learn(
            "sklearn:sklearn.neighbors.KNeighborsClassifier", orders().drop_columns(["price"]), class_weight="balanced"
        )


def test_importance_is_what_the_estimator_says_of_each_input() -> None:
    assert next(iter(importance(learn(f"{PIPELINES}.forest")))) == "price"
    assert next(iter(importance(learn(f"{PIPELINES}.filled")))) == "price"


@pytest.mark.parametrize(
    ("trainer", "changes", "why"),
    [
        (
            "sklearn:sklearn.linear_model.LogisticRegresion",
            {},
            "no estimator 'LogisticRegresion'.*'LogisticRegression'",
        ),
        ("sklearn:sklearn.nothing.At_all", {}, "cannot be imported: No module named 'sklearn.nothing'"),
        ("sklearn:math.sqrt", {}, "cannot be called without arguments"),
        ("sklearn:sklearn.linear_model.Ridge", {}, "gives no probabilities of classes"),
        (LOGISTIC, {"task": "regression"}, "is no regressor"),
        ("sklearn:sklearn.linear_model.Ridge", {"task": "quantile", "quantile": 0.5}, "predicts no quantile"),
        ("sklearn:sklearn.linear_model.Ridge", {"task": "ranking", "group": "basket"}, "scikit-learn ranks nothing"),
        (f"{PIPELINES}.filled", {"params": {"logisticregression__C": -1}}, "refuses to train with params"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(trainer: str, changes: dict[str, Any], why: str) -> None:
    rows = {"regression": priced, "quantile": priced, "ranking": graded}.get(changes.get("task", ""), orders)()
    with pytest.raises(DeclarationError, match=why):
        learn(trainer, rows, **changes)


def test_a_function_that_gives_no_estimator_is_refused_and_one_that_fails_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "pipes.py").write_text(OWN + "\n\ndef broken():\n    return 1 / 0\n")
    with pytest.raises(DeclarationError, match=r"'pipes\.py:a_number' gives a int"):
        learn("sklearn:pipes.py:a_number", folder=tmp_path)
    with pytest.raises(UserCodeError, match=r"pipes\.py:\d+: .*ZeroDivisionError"):
        learn("sklearn:pipes.py:broken", folder=tmp_path)


def test_a_model_that_holds_code_of_others_is_refused_before_it_is_stored(tmp_path: Path) -> None:
    (tmp_path / "pipes.py").write_text(
        OWN + "\n\ndef doubled():\n    from sklearn.preprocessing import FunctionTransformer\n"
        "    return make_pipeline(SimpleImputer(), FunctionTransformer(twice), LogisticRegression())\n\n\n"
        "def twice(rows):\n    return rows * 2\n"
    )
    with pytest.raises(DeclarationError, match=r"holds product_shop\.pipes\.twice, which a stored model may not"):
        learn("sklearn:pipes.py:doubled", folder=tmp_path).fitted.to_bytes()


def planted(data: bytes, change: Any) -> bytes:
    """Return a stored model with its description changed."""
    with ZipFile(io.BytesIO(data)) as packed:
        files = {name: packed.read(name) for name in packed.namelist()}
    files["schema.json"] = json.dumps(change(json.loads(files["schema.json"]))).encode()
    made = io.BytesIO()
    with ZipFile(made, "w") as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return made.getvalue()


def renamed(schema: dict[str, Any]) -> dict[str, Any]:
    return schema | {"__class__": "Popen", "__module__": "subprocess"}


@pytest.mark.parametrize(
    "malice",
    [
        lambda _: sio.dumps(FunctionTransformer(subprocess.call, kw_args={"args": ["touch", "PLACE"]})),
        lambda data: planted(data, renamed),
        lambda data: data[:-30],
        lambda _: b"not a model",
    ],
    ids=["a function that starts programs", "a class that starts programs", "cut short", "no archive"],
)
def test_a_planted_artifact_is_refused_and_nothing_of_it_runs(tmp_path: Path, malice: Any) -> None:
    site = shop(tmp_path)
    digest = trained(site, plain(f"{PIPELINES}.filled"))
    files = {name: site.models.get(digest, name) for name in ("model.skops", "meta.json")}
    evil = site.models.put({**files, "model.skops": malice(files["model.skops"])})
    with pytest.raises(StoreError, match="is not loaded"):
        load_predictor(site.models, evil)
    assert not Path("PLACE").exists()


def schema(text: bytes) -> bytes:
    packed = io.BytesIO()
    with ZipFile(packed, "w") as file:
        file.writestr("schema.json", text)
    return packed.getvalue()


JUNK = [
    b"",
    b"junk",
    schema(b"{}"),
    schema(b"[1]"),
    schema(b"no"),
    schema(b'{"__loader__": "ObjectNode", "protocol": 2}'),
]


@pytest.mark.parametrize("data", JUNK)
def test_junk_is_refused_in_words(data: bytes) -> None:
    with pytest.raises(StoreError, match=r"no file of skops that can be read.*Train again"):
        strange_types(data)
    with pytest.raises(StoreError, match=r"no file of skops that can be read.*Train again"):
        loaded(data)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_stored_estimator_that_was_cut_off_is_refused_in_words(share: float) -> None:
    data = learn("sklearn:sklearn.naive_bayes.GaussianNB", orders().drop_columns(["price"])).fitted.to_bytes()
    with pytest.raises(StoreError, match="no file of skops that can be read"):
        strange_types(data[: int(len(data) * share)])
