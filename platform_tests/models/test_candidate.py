"""A candidate: found again under its content, whatever happened while it was trained."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.core.errors import NoRows, Refused, TableMissing
from headrace.models.candidate import split_version, the_candidate
from headrace.models.predict import SCORE
from headrace.store.cause import Cause
from headrace.store.site import Site
from platform_tests.models.shop import LABEL, SAMPLED, model, orders, shop, trained

TRAIN = """
import sys
from pathlib import Path
from headrace.core.declaration import Identity
from headrace.core.errors import StoreError
from headrace.core.place import Place
from headrace.store.site import Site
from platform_tests.models.shop import trained
folder = Path(sys.argv[1])
try:
    print(trained(Site(Identity(product="shop"), folder, Place.at(folder))))
except StoreError as error:
    print(type(error).__name__)
"""


def train_in_a_process(site: Site, failpoint: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN, str(site.folder)],
        env={**os.environ, "FAILPOINT": failpoint},
        stdout=subprocess.PIPE,
        text=True,
    )


def complete_models(site: Site) -> list[str]:
    return sorted(p.name for p in site.place.models.iterdir() if not p.name.startswith(".") and p.name != "records")


def test_the_candidate_is_the_model_that_was_trained_last(tmp_path: Path) -> None:
    site = shop(tmp_path)
    first, second = trained(site), trained(site, model(trees=10))
    assert first != second
    assert (the_candidate(site).digest, the_candidate(site).version, the_candidate(site).reason) == (
        second,
        0,
        "a test",
    )


def test_a_model_records_the_version_of_its_training_set_and_of_the_tables_that_it_was_made_of(tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.tables.replace("shop/training/set", orders(1500), why=Cause(inputs={"shop/features/habit": 3}))
    (training,) = site.models.trainings(trained(site))
    assert (training["product"], training["table"], training["version"]) == ("shop", "shop/training/set", 1)
    assert training["inputs"] == {"shop/features/habit": 3}


def test_training_twice_gives_one_model(tmp_path: Path) -> None:
    site = shop(tmp_path)
    assert trained(site) == trained(site)
    assert len(complete_models(site)) == 1


def test_the_order_in_which_rows_lie_in_the_store_does_not_matter(tmp_path: Path) -> None:
    rows, declared = orders(500), model(params=SAMPLED)
    turned = shop(tmp_path / "turned", rows.take(list(range(499, -1, -1))))
    assert trained(shop(tmp_path / "straight", rows), declared) == trained(turned, declared)


def test_an_older_version_of_the_training_set_can_still_be_split(tmp_path: Path) -> None:
    site = shop(tmp_path, orders(500))
    site.tables.replace("shop/training/set", orders(900))
    assert [split_version(site, LABEL, model(), v).train.num_rows for v in (0, 1)] == [362, 652]


def test_the_profile_holds_the_inputs_of_training_and_the_scores_of_the_test(tmp_path: Path) -> None:
    site = shop(tmp_path, orders(1000))
    profile = site.models.recorded(trained(site), "profile") or {}
    assert sorted(profile) == ["country", "gift", "noise", "price", SCORE]
    assert sum(profile["noise"]["counts"]) == 725
    assert sum(profile[SCORE]["counts"]) == 250


@pytest.mark.slow
@pytest.mark.parametrize("failpoint", ["model_staging", "model_stored", "before_staging", "committed"])
def test_a_killed_training_run_again_gives_the_model_of_a_clean_one(tmp_path: Path, failpoint: str) -> None:
    clean = trained(shop(tmp_path / "clean"))
    site = shop(tmp_path / "killed")
    killed = train_in_a_process(site, failpoint)
    killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert trained(site) == clean
    assert complete_models(site) == [clean]
    assert the_candidate(site).digest == clean


@pytest.mark.slow
def test_of_several_trainings_at_once_each_is_the_candidate_or_refused_in_words(tmp_path: Path) -> None:
    site = shop(tmp_path)
    processes = [train_in_a_process(site) for _ in range(3)]
    said = [process.communicate(timeout=120)[0].strip() for process in processes]
    [digest] = complete_models(site)
    assert set(said) <= {digest, "FenceLost", "StoreError"}
    assert digest in said
    assert the_candidate(site).digest == digest == trained(site)


def test_without_a_training_there_is_no_candidate(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"materialize model/candidate first"):
        the_candidate(shop(tmp_path))


def test_without_a_training_set_the_missing_table_is_named(tmp_path: Path) -> None:
    site = shop(tmp_path)
    (site.place.tables / "shop/training/set").rename(site.place.tables / "elsewhere")
    with pytest.raises(TableMissing, match="shop/training/set"):
        trained(site)


def test_an_empty_training_set_gives_no_model(tmp_path: Path) -> None:
    with pytest.raises(NoRows):
        trained(shop(tmp_path, orders(10).slice(0, 0)))
