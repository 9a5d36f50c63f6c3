"""What each input adds to a score: it sums up to the score, and names what the truth is made of."""

from pathlib import Path

import numpy as np
import pytest

from headrace.core.errors import DataError
from headrace.explain.contributions import PIECE, contributions
from headrace.models.predict import load_predictor, score_rows
from headrace.store.site import Site
from platform_tests.models.shop import orders, shop, trained


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return shop(tmp_path)


def test_contributions_of_a_row_and_the_base_sum_up_to_its_raw_score(site: Site) -> None:
    predictor, rows = load_predictor(site.models, trained(site)), orders(500, seed=3)
    scores = score_rows(rows, predictor)
    assert contributions(rows, predictor).raw == pytest.approx(np.log(scores / (1 - scores)), abs=1e-9)


def test_rows_are_explained_in_pieces_as_they_are_at_once(site: Site) -> None:
    predictor, rows = load_predictor(site.models, trained(site)), orders(PIECE + 7, seed=3)
    told = contributions(rows, predictor)
    assert told.values.shape == (PIECE + 7, len(predictor.inputs))
    assert (told.values[PIECE:] == contributions(rows.slice(PIECE), predictor).values).all()


def test_no_rows_have_no_contributions(site: Site) -> None:
    predictor = load_predictor(site.models, trained(site))
    assert contributions(orders(10).slice(0, 0), predictor).values.shape == (0, len(predictor.inputs))


def test_rows_without_an_input_are_refused(site: Site) -> None:
    with pytest.raises(DataError, match="country"):
        contributions(orders(10).drop_columns(["country"]), load_predictor(site.models, trained(site)))
