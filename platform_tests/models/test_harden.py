"""Adversarial training: small moves against the model turn less, and what that costs is told."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from headrace.core.errors import DeclarationError
from headrace.models.candidate import train_candidate
from headrace.models.encode import encode
from headrace.models.harden import REACH, fit_hardened, losses, moved_against
from headrace.models.predict import load_predictor
from headrace.models.train import lesson_of, train_model
from headrace.models.trainer import Lesson
from headrace.models.trainers.lightgbm import Boosted, LightGBM
from platform_tests.models.shop import LABEL, model, orders, plain, shop, silent, trained

CLOSE = {"trees": 60, "params": {"num_leaves": 63, "min_data_in_leaf": 5, "learning_rate": 0.2}}
"""A model that learns its rows by heart, and so turns on small moves."""


def test_rows_are_moved_by_no_more_than_the_reach_and_never_to_the_models_gain() -> None:
    rows = orders(800)
    made = train_model(rows, LABEL, model(**CLOSE), silent)
    encoded, answers = encode(rows, made.meta.inputs), rows["returned"].to_numpy().astype(float)
    moved = moved_against(made.fitted, encoded, answers, made.meta)
    for name in ("price", "noise"):
        values = encoded[name].drop_null().to_numpy()
        steps = np.abs(moved[name].drop_null().to_numpy() - values)
        assert set(np.round(steps / values.std(), 9)) <= {0.0, REACH}
        assert steps.any()
        assert moved[name].is_null().equals(encoded[name].is_null())
    for name in ("country", "gift"):
        assert moved[name].to_pylist() == encoded[name].to_pylist()
    before, after = (losses(made.fitted.predict(table), answers, made.meta) for table in (encoded, moved))
    assert (after >= before).all()
    assert after.mean() > before.mean()


def test_a_hardened_model_stands_moves_that_turn_the_plain_one(tmp_path: Path) -> None:
    site = shop(tmp_path, orders(4000))
    made = train_candidate(site, LABEL, model(harden="adversarial", **CLOSE), 0, silent)
    plain, hardened = made.robustness["plain"], made.robustness["hardened"]
    lost = [found["moved against it"]["log_loss"] - found["as they are"]["log_loss"] for found in (plain, hardened)]
    assert lost[1] < 0.8 * lost[0]
    assert hardened["moved against it"]["auc"] > plain["moved against it"]["auc"]
    assert site.models.recorded(made.digest, "robustness") == made.robustness
    assert load_predictor(site.models, made.digest).meta.harden == "adversarial"


def test_a_hardened_model_has_the_same_bytes_again_and_other_ones_than_the_plain_model(tmp_path: Path) -> None:
    site = shop(tmp_path)
    once = trained(site, model(harden="adversarial"))
    assert trained(site, model(harden="adversarial")) == once != trained(site)


def test_a_plain_model_has_no_robustness_to_tell(tmp_path: Path) -> None:
    assert train_candidate(shop(tmp_path), LABEL, model(), 0, silent).robustness == {}


def test_numbers_are_hardened_too(tmp_path: Path) -> None:
    rows = orders(1000)
    worth = np.round(rows["price"].fill_null(0.0).to_numpy() * 10, 3)
    site = shop(tmp_path, rows.set_column(2, "returned", pa.array(worth)))
    found = train_candidate(site, LABEL, model(task="regression", harden="adversarial"), 0, silent).robustness
    assert found["plain"]["moved against it"]["rmse"] > found["plain"]["as they are"]["rmse"]


def test_an_order_of_groups_is_not_hardened() -> None:
    with pytest.raises(ValidationError, match="`harden` moves rows one by one"):
        model(task="ranking", group="basket", harden="adversarial")


def test_an_estimator_that_takes_no_weights_is_hardened_where_none_are_declared() -> None:
    rows, neighbours = orders(400).drop_columns(["price"]), "sklearn:sklearn.neighbors.KNeighborsClassifier"
    made = train_model(rows, LABEL, plain(neighbours, harden="adversarial"), silent)
    assert made.plain is not None
    weighed = rows.append_column("w", pa.array(np.ones(400)))
    with pytest.raises(DeclarationError, match="KNeighborsClassifier takes no weights"):
        train_model(weighed, LABEL, plain(neighbours, harden="adversarial", weight="w"), silent)


def test_a_row_and_its_copy_weigh_together_what_the_row_weighs() -> None:
    seen = []

    class Watched(LightGBM):
        def fit(self, lesson: Lesson) -> Boosted:
            seen.append(lesson.weights)
            return super().fit(lesson)

    rows = orders(400).append_column("w", pa.array(np.arange(400.0)))
    fit_hardened(Watched(), lesson_of(rows, LABEL, model(weight="w"), silent))
    assert np.array_equal(seen[1][:400] + seen[1][400:], seen[0])
