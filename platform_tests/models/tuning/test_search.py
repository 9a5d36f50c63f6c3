"""A search for parameters: on the training rows alone, within its budget, the same however often it was killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from headrace.core.declaration import Identity
from headrace.core.errors import DataError, DeclarationError, NoRows
from headrace.core.place import Place
from headrace.models.candidate import Made, recorded_tuning, train_candidate
from headrace.models.declaration import Model
from headrace.models.meta import load_meta
from headrace.models.split import Split, split_rows
from headrace.models.tuning.folds import validation_folds, with_params
from headrace.models.tuning.plots import tuning_plots
from headrace.models.tuning.search import Found
from headrace.models.tuning.study import open_study
from headrace.store.site import Site
from platform_tests.models.shop import LABEL, model, orders, plain, priced, relabelled, shop, silent
from platform_tests.models.test_own import STEPS, TRAIN

POOR = {"num_leaves": 2, "learning_rate": 0.01}
SPACE = {"num_leaves": [2, 63], "learning_rate": [0.001, 0.5]}
TUNE = """
import sys
from pathlib import Path
from platform_tests.models.tuning.test_search import again
print(again(Path(sys.argv[1])).digest)
"""


def searched(trials: int = 4, **changes: Any) -> Model:
    """Return a small model, some of whose parameters are searched for."""
    return model(**{"trees": 5, "params": POOR, "tune": {"trials": trials, **SPACE}} | changes)


def tuned(site: Site, declared: Model | None = None) -> Made:
    return train_candidate(site, LABEL, declared or searched(), 0, silent)


def found_by(made: Made) -> Found:
    assert made.tuning
    return made.tuning.found


def values(made: Made) -> list[tuple[Any, ...]]:
    return [(trial.number, trial.params, trial.folds, trial.value) for trial in found_by(made).trials]


def again(folder: Path) -> Made:
    """Search in the shop of a folder."""
    return tuned(Site(Identity(product="shop"), folder, Place.at(folder)), searched(8))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return shop(tmp_path / "shop", orders(800))


def studies(site: Site) -> list[Path]:
    return sorted((site.place.studies / "shop").glob("*.db"))


def test_each_fold_is_judged_by_what_was_known_before_it_and_lies_in_the_training_rows() -> None:
    rows = split_rows(orders(), LABEL, model().split).train
    folds = validation_folds(rows, LABEL, model().split)
    assert len(folds) == 3
    for fold in folds:
        learned, judged = (pc.min_max(part[LABEL.time]).as_py() for part in (fold.train, fold.test))
        assert learned["max"] + LABEL.known_after <= judged["min"]
    firsts = [pc.min(fold.test[LABEL.time]).as_py() for fold in folds]
    assert firsts == sorted(firsts)
    assert pc.max(folds[-1].test[LABEL.time]).as_py() == pc.max(rows[LABEL.time]).as_py()


def test_with_a_split_by_group_each_fold_judges_groups_that_it_did_not_learn_from() -> None:
    names = pa.array([f"c{number % 200}" for number in range(2000)])
    rows, split = orders().append_column("customer", names), {"by": "group", "column": "customer", "test": "20%"}
    declared = model(split=split).split
    folds = validation_folds(split_rows(rows, LABEL, declared).train, LABEL, declared)
    learned, judged = (
        [set(part["customer"].to_pylist()) for part in parts] for parts in zip(*map(sides, folds), strict=True)
    )
    assert len(folds) == 3
    assert all(not one & other for one, other in zip(learned, judged, strict=True))
    assert sum(map(len, judged)) == len(set.union(*judged))


def sides(fold: Split) -> tuple[pa.Table, pa.Table]:
    return fold.train, fold.test


@pytest.mark.slow
def test_the_labels_of_the_test_rows_take_no_part(tmp_path: Path) -> None:
    rows = orders(800)
    after = rows.num_rows * 3 // 4
    other = np.where(np.arange(rows.num_rows) < after, rows["returned"].to_numpy(), 1 - rows["returned"].to_numpy())
    one, two = shop(tmp_path / "one", rows), shop(tmp_path / "two", relabelled(rows, other))
    assert values(tuned(one)) == values(tuned(two))


def test_the_model_is_that_of_the_best_trial_and_says_its_parameters(site: Site) -> None:
    made = tuned(site)
    found = found_by(made)
    best = max(found.trials, key=lambda trial: trial.value or 0)
    assert found.best == best.value > found.default
    assert (
        load_meta(site.models, made.digest).params
        == {"num_leaves": 7, "learning_rate": 0.2} | best.params
        == made.meta.params
    )
    assert all(2 <= t.params["num_leaves"] <= 63 and 0.001 <= t.params["learning_rate"] <= 0.5 for t in found.trials)
    by_hand = train_candidate(site, LABEL, with_params(searched(), best.params), 0, silent)
    assert by_hand.digest == made.digest


def test_the_search_is_kept_with_the_model_and_names_the_model_of_the_declared_parameters(site: Site) -> None:
    made = tuned(site)
    kept = recorded_tuning(site, made.digest) or {}
    assert kept["default"] == train_candidate(site, LABEL, model(trees=5, params=POOR), 0, silent).digest
    assert (kept["cost"]["trials"], kept["cost"]["resumed"], len(kept["trials"])) == (4, 0, 4)
    assert {row["model"] for row in made.baselines} >= {"candidate", "declared parameters"}


def test_parameters_that_do_no_better_than_the_declared_ones_are_not_taken(site: Site) -> None:
    made = tuned(site, searched(2, tune={"trials": 2, "min_gain_to_split": [1e8, 1e9]}))
    found = found_by(made)
    assert found.params == {}
    assert found.best == found.default
    assert "none did better" in found.said
    assert made.tuning
    assert made.tuning.default == made.digest


@pytest.mark.slow
def test_the_same_search_gives_the_same_trials_and_another_seed_others(tmp_path: Path) -> None:
    one, two, other = (shop(tmp_path / name, orders(800)) for name in ("one", "two", "other"))
    first = tuned(one)
    assert values(tuned(two)) == values(first)
    assert values(tuned(other, searched(seed=1))) != values(first)


def test_a_search_that_is_done_is_not_made_again(site: Site) -> None:
    first, second = tuned(site), tuned(site)
    assert first.digest == second.digest
    assert found_by(second).resumed == 4
    assert [t.ended for t in found_by(first).trials] == [t.ended for t in found_by(second).trials]


@pytest.mark.slow
def test_a_greater_budget_goes_on_where_the_smaller_one_ended(tmp_path: Path) -> None:
    grown, whole = shop(tmp_path / "grown", orders(800)), shop(tmp_path / "whole", orders(800))
    tuned(grown, searched(3))
    more = tuned(grown, searched(6))
    assert found_by(more).resumed == 3
    assert values(more) == values(tuned(whole, searched(6)))
    assert len(studies(grown)) == 1


@pytest.mark.slow
def test_other_rows_parameters_or_ranges_are_another_study(site: Site) -> None:
    tuned(site, searched(1))
    tuned(site, searched(1, params={"num_leaves": 9}))
    tuned(site, searched(1, tune={"trials": 1, "num_leaves": [2, 62]}))
    site.tables.replace("shop/training/set", orders(900))
    train_candidate(site, LABEL, searched(1), 1, silent)
    assert len(studies(site)) == 4


def test_no_trial_is_begun_once_the_time_is_spent(site: Site) -> None:
    tuned(site, searched(2))
    [path] = studies(site)
    with open_study(path, "auc", 0) as study:
        study.seconds = 3600.0
    made = tuned(site, searched(10, tune={"trials": 10, "within": "1h", **SPACE}))
    assert (len(found_by(made).trials), found_by(made).resumed) == (2, 2)


def test_a_trial_that_is_worse_than_most_on_its_first_spans_is_pruned(site: Site) -> None:
    found = found_by(tuned(site, searched(14)))
    given_up = [trial for trial in found.trials if trial.value is None]
    assert given_up
    assert all(len(trial.folds) < 3 for trial in given_up)
    assert found.pruned == len(given_up)
    assert len(found.trials) == 14


@pytest.mark.slow
def test_importances_say_which_parameter_mattered_and_few_trials_say_nothing(site: Site) -> None:
    assert found_by(tuned(site, searched(2))).importances == {}
    found = found_by(tuned(site, searched(12)))
    assert list(found.importances) == sorted(found.importances, key=lambda name: -found.importances[name])
    assert sum(found.importances.values()) == pytest.approx(1)
    assert list(tuning_plots(found)) == ["tuning history", "tuning importance"]


def test_a_number_is_searched_for_by_the_error_that_should_be_small(tmp_path: Path) -> None:
    site = shop(tmp_path, priced(orders(800)))
    found = found_by(tuned(site, searched(task="regression")))
    assert found.metric == "rmse"
    assert found.best == min([found.default, *(t.value for t in found.trials if t.value is not None)])


@pytest.mark.slow
def test_the_parameters_of_any_trainer_can_be_searched_for(site: Site) -> None:
    (site.folder / "train.py").write_text(TRAIN)
    (site.folder / "steps.py").write_text(STEPS)
    tune = {"trials": 2, "slope": [0.5, 1.0, 2.0]}
    assert found_by(tuned(site, plain("train.py:fit", tune=tune))).metric == "auc"
    tune = {"trials": 2, "max_iter": [5, 20]}
    made = tuned(site, plain("sklearn:sklearn.ensemble.HistGradientBoostingClassifier", tune=tune))
    assert {type(trial.params["max_iter"]) for trial in found_by(made).trials} == {int}


def test_parameters_that_the_trainer_refuses_end_the_search_with_its_words(site: Site) -> None:
    with pytest.raises(DeclarationError, match="bagging_fraction"):
        tuned(site, searched(tune={"trials": 2, "bagging_fraction": [2.0, 3.0]}))


def test_calibration_learns_from_rows_that_the_search_has_not_seen(tmp_path: Path) -> None:
    site = shop(tmp_path, orders())
    made = tuned(site, searched(1, calibrate="platt"))
    assert made.tuning
    assert made.tuning.rows < made.meta.rows * 1.01
    assert made.tuning.rows < split_rows(orders(), LABEL, model().split).train.num_rows


def test_rows_that_are_too_few_to_tune_on_are_refused_with_what_to_do(tmp_path: Path) -> None:
    few = orders().slice(1400)
    with pytest.raises(NoRows, match=r"too few to tune on.*leave `model.tune` out"):
        tuned(shop(tmp_path / "few", few), searched(split={"test": "9d"}))


def test_a_span_with_one_class_is_refused_with_its_number(tmp_path: Path) -> None:
    rows = orders(800)
    labels = rows["returned"].to_numpy().copy()
    labels[200:400] = 0
    with pytest.raises(DataError, match=r"Fold 1 of 3.*has no auc"):
        tuned(shop(tmp_path, relabelled(rows, labels)))


@pytest.mark.slow
@pytest.mark.parametrize("killed_at", ["fold_judged:1", "fold_judged:8", "fold_judged:19"])
def test_a_killed_search_goes_on_and_finds_what_one_that_was_not_killed_finds(tmp_path: Path, killed_at: str) -> None:
    clean = tuned(shop(tmp_path / "clean", orders(800)), searched(8))
    site = shop(tmp_path / "shop", orders(800))
    command = [sys.executable, "-c", TUNE, str(site.folder)]
    killed = subprocess.run(command, env={**os.environ, "FAILPOINT": killed_at}, check=False)
    assert killed.returncode == -signal.SIGKILL
    made = tuned(site, searched(8))
    assert made.digest == clean.digest
    assert values(made) == values(clean)
    assert found_by(made).resumed < 8
