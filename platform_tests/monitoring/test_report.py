"""The report: one page that needs nothing else, at every stage, and never runs what a user wrote."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from headrace.core.declaration import Identity
from headrace.evaluation.evaluate import Measuring
from headrace.monitoring.declaration import Monitors
from headrace.monitoring.facts import Arrived, ProductFacts, product_facts
from headrace.monitoring.quality import Watching, realized_by_day
from headrace.monitoring.realized import realized_rows
from headrace.monitoring.report import report_html, write_report
from headrace.monitoring.watch import live_drift
from headrace.store.site import Site
from platform_tests.models.shop import LABEL
from platform_tests.monitoring.watched import SOURCES, monitors, open_shop, release, score, shifted, watched_shop

EVIL = "<script>alert('x')</script>"


def measured(site: Site, declared: Monitors | None = None) -> ProductFacts:
    """Return the facts of a site whose drift and quality have just been measured."""
    declared = declared or monitors()
    live = site.releases.live("shop")
    if live:
        drift = [{**vars(m), "model": live.model} for m in live_drift(site, live, declared.drift)]
        days = realized_by_day(realized_rows(site, LABEL), Watching(Measuring(LABEL), declared.quality))
        quality = [vars(d) for d in days]
        for name, rows in (("drift", drift), ("quality", quality)):
            if rows:
                site.tables.replace(f"shop/monitoring/{name}", pa.Table.from_pylist(rows))
    return product_facts(site, SOURCES, LABEL, declared)


def nothing(folder: Path) -> Site:
    return open_shop(folder)


def refused(folder: Path) -> Site:
    site = open_shop(folder)
    decision = {"outcome": "refused", "model": "m" * 64, "at": site.clock.now(), "who": "a person", "why": "too bad"}
    site.releases.decide("shop", {**decision, "evidence": {"auc": None, "rows": 0, "gates": []}}, after=0)
    return site


def released(folder: Path) -> Site:
    site = open_shop(folder)
    release(site)
    return site


def one_day(folder: Path) -> Site:
    site = released(folder)
    score(site, date(2024, 4, 1), date(2024, 4, 1))
    return site


def retrained(folder: Path) -> Site:
    site = watched_shop(folder, shifted)
    release(site, "drift: PSI of price", trees=10)
    return site


STAGES: dict[str, tuple[Callable[[Path], Site], str]] = {
    "nothing": (nothing, "no model has been released yet"),
    "refused": (refused, "too bad"),
    "released": (released, "the live model has not scored a whole window yet"),
    "one day": (one_day, "labels are too few"),
    "watched": (watched_shop, "within limits"),
    "retrained": (retrained, "Release 2 went live because drift: PSI of price"),
}


class Page(HTMLParser):
    """Collects tags that were opened and never closed, and every attribute that could load something."""

    VOID = frozenset({"meta", "br", "link", "img", "input", "hr", "!doctype"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.targets: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.targets += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href", "action", "data", "srcset")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("stage", STAGES)
def test_the_page_renders_at_every_stage_and_says_what_there_is_not(tmp_path: Path, stage: str) -> None:
    make, words = STAGES[stage]
    text = report_html(measured(make(tmp_path)))
    page = Page(text)
    assert page.open == []
    assert words in text


def test_the_page_loads_nothing(tmp_path: Path) -> None:
    text = report_html(measured(retrained(tmp_path)))
    page = Page(text)
    assert page.tags.isdisjoint({"script", "link", "iframe", "object", "embed"})
    links = [target for target in page.targets if not target.startswith(("#", "data:image/png;base64,"))]
    assert links == ["shop.features.html", "index.html"]
    assert "default-src 'none'" in text
    assert "@import" not in text
    assert not re.findall(r"url\((?!#)", text)


def test_the_page_is_small(tmp_path: Path) -> None:
    assert len(report_html(measured(retrained(tmp_path))).encode()) < 1_000_000


def test_a_reason_with_causes_opens_to_them(tmp_path: Path) -> None:
    facts = measured(retrained(tmp_path))
    assert facts.live is not None
    reason = "drift: PSI of price is 3. Because (1) price moved since 2024-04-01"
    text = report_html(replace(facts, decisions=[replace(facts.live.release, why=reason)]))
    assert (
        "<details><summary>drift: PSI of price is 3</summary>Because (1) price moved since 2024-04-01</details>" in text
    )


def test_what_users_write_is_text_and_never_markup(tmp_path: Path) -> None:
    facts = measured(watched_shop(tmp_path, shifted))
    assert facts.live is not None
    evil_release = replace(facts.live.release, why=EVIL, who=EVIL, evidence={"auc": 0.7, "gates": [
        {"gate": EVIL, "passed": True, "value": 1.0, "limit": 0.5, "why": EVIL}]})  # fmt: skip
    arrived: Any = replace(facts.arrived[0], source=EVIL, reasons={EVIL: 1}, by_day={facts.now.date(): 1})
    evil = replace(
        facts,
        product=Identity(product="shop", owner=EVIL, description=EVIL),
        live=replace(facts.live, release=evil_release, importance={EVIL: 0.5}),
        decisions=[evil_release],
        trainings=[{"number": 1, "at": "2024-04-01T00:00:00", "reasons": [EVIL]}],
        arrived=[arrived],
        drift=[{**row, "column": EVIL} for row in facts.drift],
    )
    text = report_html(evil)
    assert "script" not in Page(text).tags
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 12


def test_the_page_and_the_check_tell_the_same_number_of_alarms(tmp_path: Path) -> None:
    site = watched_shop(tmp_path, shifted)
    live = site.releases.live("shop")
    assert live is not None
    moved = live_drift(site, live, monitors().drift)
    alarms = sum(m.alarms for m in moved if m.day == moved[-1].day)
    assert alarms == 2
    assert f"{alarms} alarms</b>" in report_html(measured(site))


def test_an_ignored_column_is_shown_and_does_not_alarm(tmp_path: Path) -> None:
    site = watched_shop(tmp_path, shifted)
    text = report_html(measured(site, monitors(drift={"window": "3d", "ignore": ["price", "score"]})))
    assert "within limits" in text
    assert "(ignored)" in text


def test_a_late_source_is_said_first_of_all(tmp_path: Path) -> None:
    assert '<b class="bad">late</b>source &#39;orders&#39; has never arrived' in report_html(
        measured(nothing(tmp_path))
    )


def test_a_source_that_never_came_has_no_picture(tmp_path: Path) -> None:
    empty = Arrived(source="orders", rows=0, by_day={}, quarantined=0, reasons={}, freshness=None)
    assert "rows a day" not in report_html(replace(measured(nothing(tmp_path)), arrived=[empty]))


def test_the_page_is_the_same_for_the_same_facts(tmp_path: Path) -> None:
    facts = measured(watched_shop(tmp_path))
    assert report_html(facts) == report_html(facts)


def test_the_page_is_written_whole_and_leaves_nothing_else_behind(tmp_path: Path) -> None:
    path = write_report(measured(nothing(tmp_path)), tmp_path / "reports" / "shop.html")
    assert path.read_text().endswith("</html>")
    assert [file.name for file in path.parent.iterdir()] == ["shop.html"]
