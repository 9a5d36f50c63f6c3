"""Scores by a stored model: what was trained is what scores, and damaged bytes are refused before they are parsed."""

from pathlib import Path

import numpy as np
import pytest

from headrace.core.errors import DataError, DigestMismatch, StoreError
from headrace.models.predict import load_predictor, score_rows
from headrace.store.site import Site
from platform_tests.models.shop import orders, shop, trained


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return shop(tmp_path)


def model_file(site: Site, digest: str, name: str = "model.txt") -> Path:
    return site.place.models / digest / name


def test_each_row_gets_a_probability_in_row_order(site: Site) -> None:
    predictor = load_predictor(site.models, trained(site))
    rows = orders(300, seed=7)
    scores = score_rows(rows, predictor)
    assert ((scores > 0) & (scores < 1)).all()
    order = np.random.default_rng(0).permutation(300)
    assert (score_rows(rows.take(order), predictor) == scores[order]).all()


def test_columns_in_any_order_and_beside_others_give_the_same_scores(site: Site) -> None:
    predictor = load_predictor(site.models, trained(site))
    rows = orders(50)
    turned = rows.select(rows.column_names[::-1]).append_column("more", rows["price"])
    assert (score_rows(turned, predictor) == score_rows(rows, predictor)).all()


def test_no_rows_give_no_scores(site: Site) -> None:
    assert len(score_rows(orders(10).slice(0, 0), load_predictor(site.models, trained(site)))) == 0


def test_rows_without_an_input_are_refused(site: Site) -> None:
    with pytest.raises(DataError, match=r"needs columns \['price'\]"):
        score_rows(orders(10).drop_columns(["price"]), load_predictor(site.models, trained(site)))


@pytest.mark.parametrize("name", ["model.txt", "meta.json"])
@pytest.mark.parametrize(
    "damaged",
    [
        lambda data: data[:-1],
        lambda data: data[:100],
        lambda _: b"",
        lambda data: data + b"\n",
        lambda data: b"x" + data[1:],
    ],
    ids=["last byte gone", "cut short", "empty", "one byte more", "one byte changed"],
)
def test_an_edited_file_is_refused_and_named(site: Site, name: str, damaged: object) -> None:
    digest = trained(site)
    path = model_file(site, digest, name)
    path.write_bytes(damaged(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(DigestMismatch, match=f"{name} is not the file that was stored"):
        load_predictor(site.models, digest)


@pytest.mark.parametrize("seed", range(20))
def test_a_flipped_byte_anywhere_is_refused(site: Site, seed: int) -> None:
    digest = trained(site)
    path = model_file(site, digest)
    data = bytearray(path.read_bytes())
    data[np.random.default_rng(seed).integers(len(data))] ^= 1
    path.write_bytes(data)
    with pytest.raises(DigestMismatch):
        load_predictor(site.models, digest)


def test_a_removed_file_is_refused(site: Site) -> None:
    digest = trained(site)
    model_file(site, digest).unlink()
    with pytest.raises(DigestMismatch):
        load_predictor(site.models, digest)


def test_a_manifest_that_was_rewritten_to_match_an_edit_is_refused(site: Site) -> None:
    digest = trained(site)
    manifest = model_file(site, digest, "manifest.json")
    manifest.write_bytes(manifest.read_bytes().replace(b'"meta.json": "', b'"meta.json":  "'))
    with pytest.raises(DigestMismatch):
        load_predictor(site.models, digest)


def test_a_model_that_is_not_there_is_named(site: Site) -> None:
    with pytest.raises(StoreError, match="There is no model abc"):
        load_predictor(site.models, "abc")
