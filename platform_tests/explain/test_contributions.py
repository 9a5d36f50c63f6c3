"""What each input adds to a score: it sums up to the score, and names what the truth is made of."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from headrace.core.errors import DataError
from headrace.explain.contributions import PIECE, contributions
from headrace.models.predict import Predictor, load_predictor, score_rows
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


class Sum:
    """A model that does not explain itself: three times the price and the gift; what is missing counts nothing."""

    def predict(self, encoded: pa.Table) -> Any:
        return 3 * encoded["price"].fill_null(0.0).to_numpy() + encoded["gift"].to_numpy()

    def to_bytes(self) -> bytes:
        return b""

    def importance(self) -> None:
        return None


def test_a_model_that_does_not_explain_itself_is_asked(site: Site) -> None:
    rows, background = orders(40, seed=1), orders(30, seed=2)
    told = contributions(rows, Predictor(Sum(), load_predictor(site.models, trained(site)).meta), background)
    for name, factor in (("price", 3.0), ("gift", 1.0)):
        values, means = (t[name].cast(pa.float64()).fill_null(0.0).to_numpy() for t in (rows, background))
        assert told.values[:, told.names.index(name)] == pytest.approx(factor * (values - means.mean()))
    assert told.values[:, told.names.index("noise")] == pytest.approx(0)
    assert told.raw == pytest.approx(Sum().predict(rows.set_column(5, "gift", rows["gift"].cast(pa.float64()))))


def test_rows_without_an_input_are_refused(site: Site) -> None:
    with pytest.raises(DataError, match="country"):
        contributions(orders(10).drop_columns(["country"]), load_predictor(site.models, trained(site)))
