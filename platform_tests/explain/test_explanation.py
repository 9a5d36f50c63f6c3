"""What a model looks at: its inputs by weight, what they do in slices, and what the live model looks at instead."""

from pathlib import Path

import pytest

from headrace.core.errors import Refused
from headrace.explain.explanation import (
    RECORD,
    Explanation,
    explain_candidate,
    explained,
    recorded_explanation,
    rows_to_explain,
    sampled,
)
from headrace.models.candidate import the_candidate
from headrace.releases.release import Request, release_model
from headrace.store.site import Site
from platform_tests.models.shop import LABEL, judged, model, orders, shop, trained


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return shop(tmp_path)


def explanation_of(site: Site) -> Explanation:
    candidate = the_candidate(site)
    rows = rows_to_explain(site, LABEL, model(), candidate)
    return explain_candidate(site, candidate.digest, rows, ["country"])[0]


def test_inputs_are_told_by_weight_and_by_where_they_push(site: Site) -> None:
    trained(site)
    told = explanation_of(site)
    assert [influence.name for influence in told.inputs[:2]] == ["price", "country"]
    assert sum(influence.share for influence in told.inputs) == pytest.approx(1)
    price, country = told.inputs[:2]
    assert price.lean is not None
    assert price.lean > 0.9
    assert country.lean is None


def test_slices_say_what_an_input_does_there(site: Site) -> None:
    trained(site)
    slices = explanation_of(site).slices["country"]
    assert slices["PT"].mean["country"] > 0.5
    assert slices["DE"].mean["country"] < 0
    assert sum(part.rows for part in slices.values()) == 500


def test_a_slice_of_too_few_rows_is_left_out(site: Site) -> None:
    digest = trained(site)
    rows = orders(400)
    told, _ = explained(site, digest, rows.slice(0, 40), ["country"])
    assert sum(part.rows for part in told.slices["country"].values()) < 40


def test_what_the_live_model_does_not_look_at_stands_out_against_it(site: Site) -> None:
    blind = trained(site, model(ignore=["country"]))
    judged(site, blind, "auc >= 0.5")
    release_model(site, Request(blind, "a test", "a test"), [])
    trained(site)
    told = explanation_of(site)
    assert told.champion == blind
    assert told.shifts[0].name == "country"
    assert told.shifts[0].champion == 0 < told.shifts[0].share


def test_a_live_model_that_cannot_be_asked_about_the_rows_is_said(site: Site) -> None:
    first = trained(site)
    judged(site, first)
    release_model(site, Request(first, "a test", "a test"), [])
    site.tables.replace("shop/training/set", orders().drop_columns(["noise"]))
    trained(site)
    told = explanation_of(site)
    assert (told.champion, told.shifts) == (first, [])
    assert "noise" in told.note


def test_a_live_model_whose_files_were_edited_is_said_and_the_candidate_is_explained(site: Site) -> None:
    first = trained(site)
    judged(site, first)
    release_model(site, Request(first, "a test", "a test"), [])
    trained(site, model(trees=5))
    (site.place.models / first / "model.txt").write_text("edited")
    told = explanation_of(site)
    assert (told.champion, told.shifts, told.inputs[0].name) == (first, [], "price")
    assert "it was edited or damaged" in told.note


def test_what_was_told_is_kept_with_the_model(site: Site) -> None:
    digest = trained(site)
    assert recorded_explanation(site, digest) is None
    told = explanation_of(site)
    assert recorded_explanation(site, digest) == told
    site.models.record(digest, RECORD, {"rows": "many"})
    with pytest.raises(Refused, match="materialize model/explanation again"):
        recorded_explanation(site, digest)


def test_a_sample_is_even_over_the_order_of_rows() -> None:
    rows = orders(100)
    assert sampled(rows, 100) is rows
    assert sampled(rows, 4)["order_id"].to_pylist() == ["o00000", "o00033", "o00066", "o00099"]
