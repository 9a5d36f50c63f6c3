"""The model card says what is known, says what is not known, and lets no markup through."""

from datetime import timedelta
from pathlib import Path

import pytest

from headrace.explain.card import Told, told_of
from headrace.explain.declaration import Card
from headrace.explain.explanation import explain_candidate, rows_to_explain
from headrace.explain.page import card_html, card_markdown, write_card
from headrace.explain.recipe import card_parts
from headrace.features.graph import Graph
from headrace.models.candidate import the_candidate
from headrace.releases.release import Request, release_model
from headrace.sources.declaration import Source
from headrace.store.site import Site
from platform_tests.models.shop import LABEL, gates, judged, model, orders, shop, trained

GRAPH = Graph({"orders": Source(files="orders/*.csv", time="at")}, {}, {}, LABEL)
CARD = Card(intended_use="Ask before sending | not after.", not_for="<b>Credit</b>", limits="No gifts before March.")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = shop(tmp_path, owner="shop@example.com", description="Returns <script>alert(1)</script> of orders.")
    (tmp_path / "label.sql").write_text("select order_id, at, returned, price from orders")
    return site


def released(site: Site, *texts: str) -> Told:
    digest = trained(site)
    judged(site, digest, *texts)
    release = release_model(site, Request(digest, "Ada", "a <i>manual</i> training"), gates(*texts))
    return told_of(site, CARD, GRAPH, None, release)


def test_a_card_says_what_for_from_what_how_well_and_by_whom(site: Site) -> None:
    text = card_markdown(released(site, "auc >= 0.6", "auc by country >= 0.5"))
    assert text.startswith("# shop, release 1\n")
    assert "Asked for by Ada" in text
    assert "| intended use | Ask before sending \\| not after. |" in text
    assert "| known limits | No gifts before March. |" in text
    assert "| trained on | 1,4" in text
    assert "| data | shop/training/set version 0 |" in text
    assert "| auc | 0.8" in text
    assert "| PT | 1" in text
    assert "| auc >= 0.6 | passed |" in text
    assert "materialize model/explanation" in text


def test_a_card_says_what_the_model_looks_at_and_what_the_one_before_did(site: Site) -> None:
    released(site)
    site.tables.replace("shop/training/set", orders(seed=4))
    digest = trained(site)
    judged(site, digest)
    explain_candidate(site, digest, rows_to_explain(site, LABEL, model(), the_candidate(site)), [])
    text = card_markdown(
        told_of(site, CARD, GRAPH, None, release_model(site, Request(digest, "Ada", "again"), gates()))
    )
    assert "| price | " in text
    assert "raises the score" in text
    assert "Looked at most otherwise than by the model before" in text
    assert "which neither was trained on" in text


def test_what_nobody_has_said_is_said_to_be_missing(site: Site) -> None:
    told = released(site)
    text = card_markdown(told_of(site, Card(), GRAPH, None, told.release))
    assert "| intended use | not said: declare" in text


def test_markup_in_what_people_wrote_stays_text(site: Site) -> None:
    page = card_html(released(site))
    assert "<script>" not in page
    assert "<b>" not in page
    assert "<i>" not in page
    assert "&lt;b&gt;Credit&lt;/b&gt;" in page
    assert page.count("<table>") >= 4


def test_a_card_is_written_as_markdown_and_as_a_page(site: Site) -> None:
    written = write_card(site, released(site))
    assert written.page.read_text() == written.html
    assert written.page.with_suffix(".md").read_text() == written.markdown
    assert written.page.name == "shop.release-1.html"


def test_a_label_without_origins_still_has_a_card(site: Site) -> None:
    told = released(site)
    late = Graph({}, {}, {}, LABEL.model_copy(update={"known_after": timedelta(days=2)}))
    assert card_markdown(told_of(site, CARD, late, None, told.release))


def test_a_card_says_whether_the_model_is_fair_and_how_it_bears_small_moves(site: Site) -> None:
    declared = model(harden="adversarial", evaluation={"protected": ["country"]})
    digest = trained(site, declared)
    judged(site, digest, declared=declared)
    release = release_model(site, Request(digest, "Ada", "a test"), gates())
    text = card_markdown(told_of(site, CARD, GRAPH, declared, release))
    assert "| country | auc | 0." in text
    assert "hard tests passed" in text
    assert "| hardened | moved against it | 0." in text
    assert "nobody has looked" in card_markdown(told_of(site, CARD, GRAPH, None, release))


def test_another_wording_of_the_card_is_another_card() -> None:
    assert any(part.endswith(".TEMPLATE") for part in card_parts(CARD))
