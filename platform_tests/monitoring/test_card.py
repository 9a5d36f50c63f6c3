"""All that is known of one feature, for people and for programs."""

import json
from pathlib import Path
from typing import Any

import pytest

from headrace.core.errors import DeclarationError
from headrace.features.declaration import Feature
from headrace.monitoring.card import card_of, card_text, figure
from headrace.monitoring.drift import Moved
from headrace.monitoring.listing import WIDTH
from headrace.monitoring.registry import registry_of
from headrace.monitoring.watch import with_history
from headrace.store.site import Site
from platform_tests.monitoring.test_registry import graph, released, site_with_features


def card(site: Site, what: str, **features: Feature) -> dict[str, Any]:
    return card_of(site, graph(**features), registry_of(site, graph(**features), {}), what)


def moved(site: Site, **changes: Any) -> None:
    """Write down that a feature has drifted."""
    live = site.releases.live("shop")
    assert live
    facts = {"day": site.clock.now().date(), "measure": "psi", "value": 0.5, "limit": 0.25, "rows": 70, **changes}
    site.tables.replace("shop/monitoring/drift", with_history(site, [Moved(**facts)], live.model))


def test_a_feature_says_what_it_is_where_it_comes_from_and_what_models_make_of_it(tmp_path: Path) -> None:
    site = site_with_features(tmp_path)
    released(site)
    moved(site, column="habit_price_mean_3d")
    found = card(site, "habit_price_mean_3d")
    text = card_text(found)
    assert "mean of `price` of the orders of one country in the 3 days before, as of each prediction" in text
    assert found["made_of"] == ["orders.at", "orders.price"]
    assert found["declared_at"].endswith("defs.yaml:1")
    assert "statistics of the 1,450 rows that release 1 was trained on, of 2024-03-01 to 2024-03-29" in text
    assert "PSI 0.500, limit 0.25, beyond it" in text
    assert "release 1, live   rank 1 of 4" in text
    assert "used by       shop, release 1" in text
    assert json.loads(json.dumps(found)) == found


def test_quantiles_are_told_from_the_least_to_the_greatest(tmp_path: Path) -> None:
    text = card_text(card(site_with_features(tmp_path), "habit_price_mean_3d"))
    head = next(line for line in text.splitlines() if "min" in line and "max" in line)
    assert head.split() == ["min", "1%", "5%", "25%", "50%", "75%", "95%", "99%", "max"]


def test_a_share_of_true_is_told_as_such(tmp_path: Path) -> None:
    assert "share of true 0." in card_text(card(site_with_features(tmp_path), "gifts_gift"))


def test_a_table_says_what_its_features_are_and_shows_its_sql(tmp_path: Path) -> None:
    site = site_with_features(tmp_path)
    text = card_text(card(site, "gifts"))
    assert "gifts, a feature table of shop" in text
    assert "owner         gifts@example.com" in text
    assert "gifts_gift  (boolean, 0.0% missing)" in text
    assert "select order_id, gift from orders" in text
    assert "made of       orders" in text


def test_a_feature_of_the_request_is_made_of_columns_of_the_request(tmp_path: Path) -> None:
    site = site_with_features(tmp_path)
    (tmp_path / "extra.sql").write_text("select returned * 2 as noise from request")
    assert card(site, "extra_noise")["made_of"] == ["request.returned"]


def test_what_is_not_made_yet_says_so(tmp_path: Path) -> None:
    site = site_with_features(tmp_path)
    bare = Site(site.product.model_copy(update={"product": "bare"}), tmp_path, site.place)
    text = card_text(card(bare, "habit_price_mean_3d"))
    assert "freshness     not made yet" in text
    assert "statistics of nothing: no training set is stored yet" in text
    assert "drift: no model is live" in text
    assert "importance: no released model has it as an input" in text
    assert "known once the table is made" in card_text(card(bare, "gifts"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("habit_price_mean_3", "Did you mean 'habit_price_mean_3d'?"),
        ("gift", "Did you mean 'gifts'?"),
        ("zzz", "its tables are habit, gifts, extra"),
    ],
)
def test_a_name_that_is_not_there_suggests_a_near_one(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(DeclarationError) as error:
        card(site_with_features(tmp_path), name)
    assert words in str(error.value)


def test_a_feature_of_a_table_that_was_never_made_may_be_there_once_it_is(tmp_path: Path) -> None:
    site = site_with_features(tmp_path)
    bare = Site(site.product.model_copy(update={"product": "bare"}), tmp_path, site.place)
    with pytest.raises(DeclarationError, match="The features of gifts are known once it is made"):
        card(bare, "gifts_gift")


def test_cards_fit_a_terminal(tmp_path: Path) -> None:
    site = site_with_features(tmp_path)
    released(site)
    texts = [card_text(card(site, what)) for what in ("habit", "habit_price_mean_3d", "gifts_gift")]
    assert max(len(line) for text in texts for line in text.splitlines() if str(tmp_path) not in line) <= WIDTH


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1234567, "1,234,567"), (1234.56, "1,234.6"), (0.123456, "0.1235"), (-2.5, "-2.5"), (1e-9, "1e-09")],
)
def test_figures_have_as_many_digits_as_people_read(value: float, text: str) -> None:
    assert figure(value) == text
