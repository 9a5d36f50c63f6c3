"""The page of all products: whoever writes, whenever, nothing is lost; small facts alone are read."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headrace.core.declaration import Identity
from headrace.incidents.note import close
from headrace.monitoring.facts import Arrived
from headrace.monitoring.overview import PAGE, overview_html, tell_overview
from headrace.monitoring.standing import Mark, Standing, Unread, standing_of, standings, write_standing
from headrace.releases.incidents import Trouble, write_once
from headrace.sources.freshness import Freshness
from platform_tests.monitoring.test_report import EVIL, Page, measured, nothing, released, retrained
from platform_tests.monitoring.watched import misjudged, monitors, shifted, watched_shop

NOW = datetime(2024, 4, 11, tzinfo=UTC)
NAMES = ("live", "drift", "quality", "data", "incidents")


def standing(product: str = "shop", **states: Any) -> Standing:
    """Return how a product stands, well but for the states that are given."""
    marks = [Mark(name=n, state=states.get(n, "well"), word=f"{n} of {product}", what="a figure") for n in NAMES]
    return Standing(
        product=product, owner=None, description="", as_of=NOW, live=None, decision=None, marks=marks, card=False
    )


def mark(found: Standing, name: str) -> tuple[str, str, str]:
    [one] = [one for one in found.marks if one.name == name]
    return one.state, one.word, one.what


def _tell(numbers: tuple[str, range]) -> None:
    folder, own = numbers
    for number in own:
        tell_overview(standing(f"product_{number}"), Path(folder))


def test_products_that_write_at_once_are_all_on_the_page(tmp_path: Path) -> None:
    shares = [(str(tmp_path), range(start, 24, 3)) for start in range(3)]
    with ProcessPoolExecutor(3, mp_context=get_context("fork")) as pool:
        list(pool.map(_tell, shares))
    text = (tmp_path / PAGE).read_text()
    assert all(f'href="product_{number}.html"' in text for number in range(24))
    assert [path.name for path in tmp_path.iterdir() if path.suffix not in (".json", ".html", ".lock")] == []


def test_a_product_that_writes_again_takes_its_own_place(tmp_path: Path) -> None:
    tell_overview(standing("one"), tmp_path)
    tell_overview(standing("one", drift="alarm"), tmp_path)
    text = (tmp_path / PAGE).read_text()
    assert text.count('href="one.html"') == 1
    assert "1 with an alarm" in text


@given(st.sets(st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True), max_size=5), st.sampled_from(NAMES))
def test_what_was_left_is_what_is_read(tmp_path_factory: pytest.TempPathFactory, names: set[str], alarm: str) -> None:
    folder = tmp_path_factory.mktemp("reports")
    left = [standing(name, **{alarm: "alarm"}) for name in sorted(names)]
    for one in left:
        write_standing(one, folder)
    assert sorted(standings(folder), key=lambda s: s.product) == left


def test_facts_that_cannot_be_read_are_said_and_hide_no_other(tmp_path: Path) -> None:
    write_standing(standing("one"), tmp_path)
    (tmp_path / "two.standing.json").write_text('{"product": "tw')
    (tmp_path / "three.standing.json").write_text(standing("three").model_dump_json()[:-1] + ', "newer": 1}')
    found = list(standings(tmp_path))
    assert [type(one) for one in found] == [Standing, Unread, Unread]
    text = overview_html(found)
    assert "materialize two/reports/product anew" in text
    assert "three.standing.json cannot be read (the whole: Value error, unknown key &#39;newer&#39;" in text
    assert 'href="one.html"' in text


def test_what_alarms_comes_first_then_what_is_not_known() -> None:
    text = overview_html([standing("a"), standing("b", data="unknown"), standing("c", quality="alarm")])
    places = [text.index(f'href="{name}.html"') for name in "cba"]
    assert places == sorted(places)


def test_a_state_is_said_in_words_and_by_a_sign_not_by_colour_alone() -> None:
    text = overview_html([standing("a", drift="alarm", data="unknown")])
    for colour, sign, name in (("bad", "▲", "drift"), ("soft", "\N{EN DASH}", "data"), ("good", "✓", "quality")):
        assert f'<b class="{colour}"><span class="sign" aria-hidden="true">{sign}</span> {name} of a</b>' in text


def test_a_product_that_is_well_stands_with_its_figures_against_their_limits(tmp_path: Path) -> None:
    site = watched_shop(tmp_path)
    facts = measured(site)
    fresh = Freshness(1.0, 36.0, "newest row of 'orders' is 1.0 h old, within 36h")
    facts = replace(facts, arrived=[replace(facts.arrived[0], freshness=fresh)])
    found = standing_of(facts)
    assert found.state == "well"
    assert found.live is not None
    assert (found.live.number, found.live.at) == (1, site.releases.all("shop")[0].at)
    assert mark(found, "drift")[:2] == ("well", "within limits")
    newest = max(facts.quality, key=lambda row: row["day"])
    assert mark(found, "quality") == (
        "well",
        f"AUC {newest['value']:.3f}",
        f"floor 0.6, on {newest['rows']} labels to {date(2024, 4, 9)}",
    )
    assert mark(found, "data") == ("well", "fresh", fresh.what)
    assert mark(found, "incidents") == ("well", "none", "no incident is open")


def test_drift_beyond_its_limit_and_quality_below_its_floor_are_alarms(tmp_path: Path) -> None:
    moved = standing_of(measured(watched_shop(tmp_path / "a", shifted)))
    assert mark(moved, "drift")[:2] == ("alarm", "2 alarms")
    assert mark(moved, "drift")[2].endswith("limit 0.25, to 2024-04-09")
    turned = standing_of(measured(watched_shop(tmp_path / "b", misjudged)))
    assert mark(turned, "quality")[0] == "alarm"
    assert mark(turned, "quality")[1].endswith(", beyond its limit")
    assert turned.state == "alarm"


def test_an_ignored_column_is_no_alarm_of_the_overview(tmp_path: Path) -> None:
    declared = monitors(drift={"window": "3d", "ignore": ["price", "score"]})
    found = standing_of(measured(watched_shop(tmp_path, shifted), declared))
    assert mark(found, "drift")[:2] == ("well", "within limits")
    assert "price" not in mark(found, "drift")[2]


def test_what_is_not_known_is_neither_well_nor_an_alarm(tmp_path: Path) -> None:
    new = standing_of(measured(nothing(tmp_path / "a")))
    assert (new.live, new.decision) == (None, None)
    assert [mark(new, name)[0] for name in ("live", "drift", "quality")] == ["unknown"] * 3
    assert mark(new, "data")[:2] == ("alarm", "late")
    waiting = standing_of(measured(released(tmp_path / "b")))
    assert mark(waiting, "drift")[2] == "the live model has not scored a whole window yet"
    unlimited = [Arrived(source="orders", rows=1, by_day={}, quarantined=0, reasons={}, freshness=None)]
    assert mark(standing_of(replace(measured(released(tmp_path / "c")), arrived=unlimited)), "data")[0] == "unknown"


def test_the_last_decision_and_why_a_model_is_live_are_told(tmp_path: Path) -> None:
    found = standing_of(measured(retrained(tmp_path)))
    assert found.decision is not None
    assert found.live == found.decision
    assert found.decision.why.startswith("drift: PSI of price")
    assert "because drift: PSI of price" in overview_html([found])


def test_an_incident_is_an_alarm_until_it_is_over(tmp_path: Path) -> None:
    site = released(tmp_path)
    write_once(site, Trouble("Release 1 was edited", "It is not served", mended=False))
    found = mark(standing_of(measured(site)), "incidents")
    assert found[:2] == ("alarm", "1 open")
    assert "Release 1 was edited" in found[2]
    close(site, 1, "restored from a backup", "a test", NOW)
    assert mark(standing_of(measured(site)), "incidents") == ("well", "none", "no incident is open")


def test_the_overview_loads_nothing_and_never_runs_what_a_user_wrote(tmp_path: Path) -> None:
    found = standing_of(measured(retrained(tmp_path)), card=True)
    assert found.decision is not None
    evil = {"owner": EVIL, "description": EVIL, "decision": found.decision.model_copy(update={"why": EVIL})}
    text = overview_html([found.model_copy(update=evil)])
    page = Page(text)
    assert page.open == []
    assert page.tags.isdisjoint({"script", "link", "iframe", "object", "embed", "img"})
    assert set(page.targets) == {"#products", "shop.html", "shop.features.html", "shop.release-2.html"}
    assert text.count("&lt;script&gt;") == 3
    assert "default-src 'none'" in text


def test_no_product_takes_the_name_of_the_page() -> None:
    with pytest.raises(ValidationError, match="'index' is the name of the page of all products"):
        Identity(product="index")


def test_of_200_products_the_page_stays_small(tmp_path: Path) -> None:
    for number in range(200):
        write_standing(standing(f"product_{number}"), tmp_path)
    tell_overview(standing("product_0"), tmp_path)
    assert (tmp_path / PAGE).stat().st_size < 500_000
