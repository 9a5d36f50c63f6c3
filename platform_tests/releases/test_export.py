"""A model as ONNX: it says the same on real rows, or it is not written."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from headrace.core.errors import DeclarationError, Refused
from headrace.models.predict import load_predictor
from headrace.releases.export import LIMIT, export_model, first_trees, onnx_scores, refuse_failing, to_onnx
from headrace.store.site import Site
from platform_tests.models.shop import LABEL, gates, model, orders, shop, trained

pytest.importorskip("onnxruntime", reason="headrace[onnx] is not installed")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return shop(tmp_path)


def test_an_exported_model_says_the_same_of_numbers_categories_and_what_is_missing(site: Site) -> None:
    digest = trained(site)
    exported = export_model(site, LABEL, digest)
    assert exported.rows == 2000
    assert exported.most <= LIMIT
    strange = orders(500, seed=5)
    unseen = pa.array([None, "XX"] * 250)
    strange = strange.set_column(strange.column_names.index("country"), "country", unseen)
    predictor = load_predictor(site.models, digest)
    assert onnx_scores(exported.onnx, strange, predictor) == pytest.approx(predictor.predict(strange), abs=LIMIT)


def test_a_model_of_another_task_is_exported_with_its_values(site: Site) -> None:
    rows = orders()
    site.tables.replace("shop/training/set", rows.set_column(2, "returned", pa.array(np.arange(2000.0))))
    digest = trained(site, model(task="regression"))
    predictor = load_predictor(site.models, digest)
    scores = onnx_scores(to_onnx(predictor), rows, predictor)
    assert scores == pytest.approx(predictor.predict(rows), rel=1e-5)


def test_a_model_that_needs_more_digits_than_onnx_has_is_refused_and_the_row_named(site: Site) -> None:
    rows = orders()
    close = 1e9 + rows["price"].fill_null(0.0).to_numpy()
    site.tables.replace(
        "shop/training/set", rows.set_column(rows.column_names.index("price"), "price", pa.array(close))
    )
    digest = trained(site)
    with pytest.raises(Refused, match=r"something else in [\d,]+ of 2,000 rows, most in order_id o\d+: by 0\.\d+"):
        export_model(site, LABEL, digest)
    assert site.models.recorded(digest, "export") is None


def test_the_first_trees_of_a_model_are_a_model_of_their_own(site: Site) -> None:
    digest = trained(site)
    variant = first_trees(site, digest, 5)
    few, all_of_them = load_predictor(site.models, variant.digest), load_predictor(site.models, digest)
    assert variant.digest != digest
    assert few.meta.trees == 5
    assert not np.array_equal(few.predict(orders(50)), all_of_them.predict(orders(50)))
    refuse_failing(site, LABEL, model(), variant, gates("auc >= 0.6"))
    assert export_model(site, LABEL, variant.digest).most <= LIMIT


def test_a_variant_that_fails_a_gate_is_refused(site: Site) -> None:
    variant = first_trees(site, trained(site), 1)
    with pytest.raises(Refused, match=r"the first 1 of 20 trees of .* are refused by auc >= 0.99"):
        refuse_failing(site, LABEL, model(), variant, gates("auc >= 0.99"))


def test_more_trees_than_there_are_cannot_be_kept(site: Site) -> None:
    with pytest.raises(Refused, match="no more than 20 trees"):
        first_trees(site, trained(site), 20)


def test_a_calibrated_model_is_not_exported_without_its_calibration(site: Site) -> None:
    digest = trained(site, model(calibrate="platt"))
    with pytest.raises(DeclarationError, match="A calibrated model has no ONNX here"):
        export_model(site, LABEL, digest)
    with pytest.raises(Refused, match="right for all its trees alone"):
        first_trees(site, digest, 5)
