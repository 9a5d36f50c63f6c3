"""A trainer of the user's own: its files go with the model, and whatever becomes of them later, the model loads."""

from pathlib import Path
from typing import Any

import pytest

from headrace.core.errors import DataError, DeclarationError, UserCodeError
from headrace.models.meta import load_meta
from headrace.models.predict import load_predictor
from headrace.models.recipe import candidate_parts
from headrace.store.site import Site
from platform_tests.models.shop import LABEL, graded, orders, plain, shop, trained

TRAIN = """
import json

import numpy as np

from .steps import steepness


class Steps:
    def __init__(self, middle, slope):
        self.middle, self.slope = middle, slope

    def predict(self, rows):
        price = np.nan_to_num(rows["price"].to_numpy(), nan=self.middle)
        return 1 / (1 + np.exp(np.clip(-self.slope * (price - self.middle), -50, 50)))

    def to_bytes(self):
        return json.dumps([self.middle, self.slope]).encode()


def fit(rows, answers, weights, params, seed):
    price = rows["price"].to_numpy()
    return Steps(float(np.nanmean(price)), steepness(params))


def from_bytes(data):
    return Steps(*json.loads(data))
"""
STEPS = "def steepness(params):\n    return params.get('slope', 1.5)\n"
MINE = "train.py:fit"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = shop(tmp_path)
    write(made, TRAIN)
    (tmp_path / "steps.py").write_text(STEPS)
    return made


def write(site: Site, text: str) -> None:
    (site.folder / "train.py").write_text(text)


def test_it_trains_is_stored_and_scores(site: Site) -> None:
    digest = trained(site, plain(MINE, params={"slope": 2.0}))
    scores = load_predictor(site.models, digest).predict(orders(30))
    assert ((scores > 0) & (scores < 1)).all()
    assert trained(site, plain(MINE, params={"slope": 2.0})) == digest
    assert set(load_meta(site.models, digest).code) == {"train.py", "steps.py"}


def test_what_becomes_of_its_files_later_does_not_change_a_model_that_is_there(site: Site) -> None:
    digest = trained(site, plain(MINE))
    before = load_predictor(site.models, digest).predict(orders(30))
    (site.folder / "steps.py").write_text(STEPS.replace("1.5", "9.0"))
    write(site, TRAIN.replace("Steps(*json.loads(data))", "None"))
    assert (load_predictor(site.models, digest).predict(orders(30)) == before).all()
    for name in ("train.py", "steps.py"):
        (site.folder / name).unlink()
    assert (load_predictor(site.models, digest).predict(orders(30)) == before).all()


def test_a_change_of_its_code_or_of_what_that_calls_makes_the_candidate_again_and_a_comment_does_not(
    site: Site,
) -> None:
    before = candidate_parts(site, LABEL, plain(MINE))
    write(site, TRAIN + "# a remark\n")
    assert candidate_parts(site, LABEL, plain(MINE)) == before
    (site.folder / "steps.py").write_text(STEPS.replace("1.5", "9.0"))
    assert candidate_parts(site, LABEL, plain(MINE)) != before
    (site.folder / "steps.py").write_text(STEPS)
    write(site, TRAIN.replace("nan=self.middle", "nan=0.0"))
    assert candidate_parts(site, LABEL, plain(MINE)) != before


@pytest.mark.parametrize(
    ("before", "after", "error", "why"),
    [
        ("def from_bytes", "def load", DeclarationError, "has no function 'from_bytes'"),
        ("def fit", "def learn", DeclarationError, "has no function 'fit'"),
        ("def to_bytes", "def dump", DeclarationError, "returned a Steps without to_bytes"),
        (".encode()", "", DeclarationError, "to_bytes returned str: it must return bytes"),
        (
            "return Steps(float",
            "1 / 0; return Steps(float",
            UserCodeError,
            r"train\.py:\d+: .*ZeroDivisionError.*while training",
        ),
        ("return 1 / (1 +", "return price[:1] / (1 +", DataError, "shape"),
        ("from .steps", "from .missing", UserCodeError, "missing"),
    ],
)
def test_what_is_wrong_with_it_is_said_in_words(site: Site, before: str, after: str, error: Any, why: str) -> None:
    text = TRAIN.replace(before, after)
    if error is DataError:
        text = TRAIN.replace(
            "return 1 / (1 + np.exp(np.clip(-self.slope * (price - self.middle), -50, 50)))", "return price[:1]"
        )
    write(site, text)
    with pytest.raises(error, match=why):
        trained(site, plain(MINE))


def test_for_a_ranking_the_function_asks_for_groups(tmp_path: Path) -> None:
    site = shop(tmp_path, graded())
    (tmp_path / "steps.py").write_text(STEPS)
    write(site, TRAIN)
    ranking = plain(MINE, task="ranking", group="basket")
    with pytest.raises(DeclarationError, match="for `task: ranking` the function needs an argument `groups`"):
        trained(site, ranking)
    write(site, TRAIN.replace("params, seed)", "params, seed, groups)"))
    assert trained(site, ranking)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=r"train\.py is not there"):
        trained(shop(tmp_path), plain(MINE))
