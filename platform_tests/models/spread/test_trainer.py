"""LightGBM on a real Ray cluster of two nodes: workers learn together, what they learn is as good, and no failure hangs."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sklearn.metrics import roc_auc_score

from headrace.core.declaration import Identity
from headrace.core.errors import DataError, DeclarationError, HeadraceError, Refused, StoreError
from headrace.core.place import Place
from headrace.explain.contributions import contributions
from headrace.models.candidate import beside_of, the_candidate, train_candidate
from headrace.models.cluster import connected
from headrace.models.declaration import Model
from headrace.models.encode import encode
from headrace.models.origin import origin_of
from headrace.models.predict import Predictor, load_predictor
from headrace.models.spread.declaration import Workers
from headrace.models.spread.gang import gathered
from headrace.models.spread.lesson import as_rows, dealt
from headrace.models.spread.proof import ROOT
from headrace.models.spread.trainer import ON, BoostedTogether
from headrace.models.spread.worker import Work
from headrace.models.train import Trained, lesson_of, train_model
from headrace.store.leftovers import staged_leftovers
from headrace.store.lessons import lying
from headrace.store.site import Site
from platform_tests.models.shop import LABEL, SAMPLED, graded, model, orders, priced, shop, silent, trained
from platform_tests.models.test_assets import Way, table
from platform_tests.models.tuning.cluster import running_cluster
from platform_tests.models.tuning.test_search import found_by, searched
from platform_tests.waiting import eventually

PATIENCE_S = 60.0
TOGETHER = {"lightgbm": {"on": "ray", "workers": 2}}
TWO = Workers(on="ray", workers=2)
TRAIN = """
import sys
from pathlib import Path
from platform_tests.models.shop import trained
from platform_tests.models.spread.test_trainer import on_ray_again, together
trained(on_ray_again(Path(sys.argv[1]), sys.argv[2]), together())
"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running_cluster() as found:
        yield found


def on_ray(folder: Path, address: str | None, rows: pa.Table | None = None) -> Site:
    site = shop(folder, rows)
    return replace(site, place=replace(site.place, ray_address=address))


def on_ray_again(folder: Path, address: str) -> Site:
    """Return the shop of a folder, as it lies there."""
    return Site(Identity(product="shop"), folder, replace(Place.at(folder), ray_address=address))


def together(**changes: Any) -> Model:
    return model(trainer=TOGETHER, **changes)


def learned(site: Site, declared: Model, rows: pa.Table | None = None) -> Trained:
    return train_model(orders() if rows is None else rows, LABEL, declared, silent, beside_of(site))


def scores_of(made: Trained, rows: pa.Table) -> Any:
    return Predictor(made.fitted, made.meta).predict(rows)


def auc_of(made: Trained) -> float:
    rows = orders(20_000, seed=1)
    return float(roc_auc_score(rows["returned"].to_numpy(), scores_of(made, rows)))


def roots_of(made: Trained) -> set[int]:
    """Return how many rows the first nodes of the model's trees have seen."""
    return {int(count) for count in ROOT.findall(made.fitted.to_bytes().decode())}


def left_in(site: Site) -> list[Path]:
    return list(site.place.lessons.glob("*/*"))


def wait_for(ready: Callable[[], int | None]) -> int:
    found = eventually(ready, PATIENCE_S)
    assert found
    return found


def a_worker_that_learns() -> int | None:
    """Return the process of a worker that is learning on a cluster that this process has started."""
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if (place / "cmdline").read_bytes().startswith(b"ray::_Worker.learn") and _is_ours(place):
                return int(place.name)
    return None


def _is_ours(place: Path) -> bool:
    """Return whether the node that a process belongs to, whose session it shares, was started by this process."""
    session = (place / "stat").read_text().rpartition(")")[2].split()[3]
    return Path(f"/proc/{session}/stat").read_text().rpartition(")")[2].split()[1] == str(os.getpid())


@contextmanager
def a_taken_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        yield taken.getsockname()[1]


@pytest.mark.slow
def test_workers_on_both_nodes_learn_one_model_from_all_rows_which_is_the_same_each_time(
    tmp_path: Path, address: str
) -> None:
    site = on_ray(tmp_path, address)
    one, other = learned(site, together()), learned(site, together())
    assert isinstance(one.fitted, BoostedTogether)
    workers = one.fitted.listed()
    assert len({worker["node"] for worker in workers}) == 2
    assert [worker["rows"] for worker in workers] == [1000, 1000]
    assert all(worker["cpu seconds"] > 0 for worker in workers)
    assert roots_of(one) == {2000}
    assert one.fitted.to_bytes() == other.fitted.to_bytes()
    assert not left_in(site)


@pytest.mark.slow
def test_what_workers_learn_is_as_good_as_what_one_process_learns_by_any_seed_and_better_than_from_half_of_the_rows(
    tmp_path: Path, address: str
) -> None:
    site, rows = on_ray(tmp_path, address), orders(4000)
    sampled = {"params": {"num_leaves": 7, "learning_rate": 0.2, "feature_fraction": 0.7, **SAMPLED}}
    alone = [auc_of(learned(site, model(**sampled, seed=seed), rows)) for seed in range(8)]
    spread = 2 * np.std(alone, ddof=1)
    for seed in range(3):
        assert abs(auc_of(learned(site, together(**sampled, seed=seed), rows)) - np.mean(alone)) < spread
    half = rows.filter(pc.equal(dealt(lesson_of(rows, LABEL, together()), 2), 0))
    assert np.mean(alone) - auc_of(learned(site, model(**sampled), half)) > spread


@pytest.mark.slow
def test_a_candidate_of_workers_is_calibrated_stored_scored_and_explained_like_any_other(
    tmp_path: Path, address: str
) -> None:
    site = on_ray(tmp_path, address)
    with dg.DagsterInstance.ephemeral() as instance:
        way = Way(site, instance, together(calibrate="isotonic"))
        result = way.run()
        assert result.success
        again = way.run("candidate")
    assert not again.asset_materializations_for_node("shop__model__candidate")
    assert len(table(result, "workers")) == 2
    digest = the_candidate(site).digest
    predictor = load_predictor(site.models, digest)
    assert (predictor.meta.trainer, predictor.meta.workers, predictor.meta.tuned) == ("lightgbm", 2, True)
    rows = orders(500, seed=1)
    assert roc_auc_score(rows["returned"].to_numpy(), predictor.predict(rows)) > 0.75
    told = contributions(rows, predictor)
    raw = predictor.fitted.predict(encode(rows, predictor.inputs))
    assert 1 / (1 + np.exp(-told.raw)) == pytest.approx(raw)
    origin = origin_of(site, digest)
    assert origin
    assert origin["cost"]["workers"]["rows"] == predictor.meta.rows
    assert not left_in(site)


@pytest.mark.slow
def test_groups_stay_whole_and_weights_count_when_workers_rank_together(tmp_path: Path, address: str) -> None:
    site = on_ray(tmp_path, address)
    rows = graded().append_column("worth", pa.array(np.where(np.arange(2000) % 100 < 50, 1.0, 5.0)))
    made = learned(site, together(task="ranking", group="basket", weight="worth"), rows)
    unseen = graded(orders(seed=1))
    assert np.corrcoef(scores_of(made, unseen), unseen["returned"].to_numpy())[0, 1] > 0.7
    assert roots_of(made) == {2000}


@pytest.mark.slow
def test_a_hardened_model_of_workers_learns_from_moved_copies_too(tmp_path: Path, address: str) -> None:
    made = learned(on_ray(tmp_path, address), together(task="regression", harden="adversarial"), priced())
    assert roots_of(made) == {4000}
    assert np.corrcoef(scores_of(made, priced(seed=1)), priced(seed=1)["returned"].to_numpy())[0, 1] > 0.8


@pytest.mark.slow
def test_trials_on_the_cluster_learn_alone_and_the_model_of_what_they_find_together(
    tmp_path: Path, address: str
) -> None:
    site = on_ray(tmp_path, address, orders(800))
    tune = {"trials": 2, "on": "ray", "num_leaves": [2, 63]}
    made = train_candidate(site, LABEL, searched(trainer=TOGETHER, tune=tune), 0, silent)
    assert len(found_by(made).trials) == 2
    assert (made.meta.workers, len(made.workers)) == (2, 2)


@pytest.mark.slow
def test_a_worker_that_is_killed_is_told_nothing_is_stored_and_the_next_training_works(
    tmp_path: Path, address: str
) -> None:
    site = on_ray(tmp_path, address)
    killer = threading.Thread(target=lambda: os.kill(wait_for(a_worker_that_learns), signal.SIGKILL))
    killer.start()
    with pytest.raises(StoreError, match=r"Worker \d of 2.*lost.*Nothing was stored: run this again"):
        trained(site, together(trees=200_000))
    killer.join()
    assert not list(site.models.digests())
    assert not left_in(site)
    assert load_predictor(site.models, trained(site, together())).meta.workers == 2


@pytest.mark.slow
def test_what_a_killed_training_leaves_is_found(tmp_path: Path, address: str) -> None:
    site = on_ray(tmp_path, address)
    command = [sys.executable, "-c", TRAIN, str(site.folder), address]
    killed = subprocess.run(command, env={**os.environ, "FAILPOINT": "lesson_written"}, check=False)
    assert killed.returncode == -signal.SIGKILL
    [leftover] = staged_leftovers(site.place.home, datetime.now(UTC), timedelta(days=1))
    assert [leftover.path] == left_in(site)
    leftover.remove()
    assert trained(site, together())


@pytest.mark.slow
def test_a_cluster_that_is_too_small_or_busy_refuses_instead_of_waiting_for_ever(tmp_path: Path, address: str) -> None:
    with connected(address, ON):
        for wanted in ({"workers": 3}, {"workers": 2, "processors": 2}):
            asked = gathered(TWO.model_copy(update=wanted))
            with pytest.raises(Refused, match=r"2 processors on 2 nodes.*Add nodes"), asked:
                pass
        late = gathered(TWO, free_within_s=1)
        with gathered(TWO), pytest.raises(StoreError, match=r"no 2 x 1 processors free for 1 s: other work"), late:
            pass
    assert trained(on_ray(tmp_path, address), together())


@pytest.mark.slow
def test_a_port_that_is_taken_meanwhile_is_an_error_in_words(tmp_path: Path, address: str) -> None:
    site = on_ray(tmp_path, address)
    lesson = lesson_of(orders(), LABEL, together(), silent, beside_of(site))
    with (
        a_taken_port() as port,
        connected(address, ON),
        gathered(TWO) as gang,
        lying(site.place.lessons, as_rows(lesson), dealt(lesson, 2)) as rows,
    ):
        free = gang.introduce(rows)[1].machine
        works = [Work(number, [f"127.0.0.2:{port}", free], rows, lesson.meta, 1) for number in range(2)]
        with pytest.raises(StoreError, match=rf"Worker 1 of 2, 127.0.0.2:{port}, lost the others: Binding port {port}"):
            gang.learn(works)


@pytest.mark.slow
def test_a_node_that_does_not_see_the_home_folder_is_an_error_in_words(tmp_path: Path, address: str) -> None:
    with (
        connected(address, ON),
        gathered(TWO) as gang,
        pytest.raises(StoreError, match="all nodes of the cluster need"),
    ):
        gang.introduce(tmp_path / "elsewhere")


@pytest.mark.slow
def test_parameters_that_workers_refuse_are_refused_in_lightgbms_words_and_nothing_is_left(
    tmp_path: Path, address: str
) -> None:
    site = on_ray(tmp_path, address)
    with pytest.raises(DeclarationError, match=r"LightGBM refuses to train with params .*bagging_fraction"):
        trained(site, together(params={"bagging_fraction": 3.0}))
    assert not left_in(site)


@pytest.mark.slow
def test_rows_that_cannot_be_split_prove_nothing_and_are_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(DataError, match="found nothing to split on in 2000 rows"):
        learned(on_ray(tmp_path, address), together(params={"min_data_in_leaf": 5000}))


def test_without_an_address_it_is_said_which_variable_to_set_and_a_cluster_that_is_away_is_said_to_be(
    tmp_path: Path,
) -> None:
    for address, kind, why in [
        (None, DeclarationError, "set HEADRACE_RAY_ADDRESS to host:port"),
        ("127.0.0.1:1", StoreError, r"127.0.0.1:1 does not answer.*Is its head up"),
    ]:
        site = on_ray(tmp_path / str(address), address)
        with pytest.raises(kind, match=why) as told:
            trained(site, together())
        assert isinstance(told.value, HeadraceError)
        assert not left_in(site)


def test_fewer_rows_than_workers_are_refused(tmp_path: Path) -> None:
    declared = model(trainer={"lightgbm": {"on": "ray", "workers": 40}})
    with pytest.raises(DataError, match="30 rows cannot be dealt to 40 workers"):
        learned(on_ray(tmp_path, "127.0.0.1:1"), declared, orders(30))
