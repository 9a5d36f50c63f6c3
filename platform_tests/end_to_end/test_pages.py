"""The pages that a team opens each morning, in a real browser: on a desk and on a phone, by day and by night."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from headrace.core.days import DAY
from headrace.monitoring.inputs.look import STRANGE
from headrace.monitoring.overview import tell_overview
from headrace.monitoring.shown.inputs import NAMES
from headrace.numbers.number import MEANING, Number, rows_of
from platform_tests.end_to_end.browser import CHROMIUM, Browser, browsing
from platform_tests.monitoring.test_assets import run as monitored
from platform_tests.monitoring.test_overview import standing
from platform_tests.monitoring.watched import FIRST, shifted, watched_shop

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")]
LOADED_MS = "performance.getEntriesByType('navigation')[0].loadEventEnd"
LEVELS = "[...document.querySelectorAll('h1,h2,h3')].map(e => +e.tagName[1])"
OPEN_ALL = "document.querySelectorAll('details').forEach(d => d.open = true)"


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of reports of a project with a shop that has moved, and 39 others."""
    site = watched_shop(tmp_path_factory.mktemp("shop"), shifted)
    site.tables.replace("shop/monitoring/inputs", pa.Table.from_pylist(list(looked_at()), schema=STRANGE))
    site.tables.replace("shop/monitoring/numbers", pa.concat_tables(numbered()))
    for number in range(39):
        tell_overview(standing(f"product_{number:02d}", data="unknown" if number % 3 else "well"), site.place.reports)
    with dg.DagsterInstance.ephemeral() as instance:
        assert monitored(site, instance).success
    return site.place.reports


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with browsing(tmp_path / "browser") as browser:
        yield browser


def looked_at() -> Iterator[dict[str, Any]]:
    """Yield what was strange on each of ten days; more on each."""
    for day, measure, column in product(range(10), NAMES, ("price", "a_column_with_a_name_that_is_quite_long_indeed")):
        where = {"day": FIRST + day * DAY, "table": "predictions/batch", "column": column, "measure": measure}
        yield {**where, "value": day / 20, "limit": 0.3, "rows": 1000, "entity": "", "model": "m"}


def numbered() -> list[pa.Table]:
    """Return every number on each of ten days."""
    days = [FIRST + day * DAY for day in range(10)]
    at = datetime(2024, 4, 11, tzinfo=UTC)
    return [
        rows_of([Number(name, 10.0 * n, "hours", of) for name in MEANING for of in ("p99", "training/set")], at, day)
        for n, day in enumerate(days)
    ]


def show(browser: Browser, page: Path, width: int, scheme: str) -> None:
    browser.say("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.open(page.as_uri(), width)


@pytest.mark.parametrize("name", ["index.html", "shop.html"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_a_page_fits_its_window_and_asks_nobody(
    reports: Path, browser: Browser, width: int, scheme: str, name: str
) -> None:
    page = reports / name
    show(browser, page, width, scheme)
    browser.until(lambda: browser.see(LOADED_MS) > 0, "the page to be loaded")
    loaded = f"{page.stat().st_size:,} bytes, loaded in {browser.see(LOADED_MS):.0f} ms"
    sys.stdout.write(f"{name} at {width} px, {scheme}: {loaded}\n")
    browser.see(OPEN_ALL)
    assert page.stat().st_size < 1_000_000
    assert browser.see("document.documentElement.scrollWidth") <= width
    assert (browser.see("matchMedia('(prefers-color-scheme: dark)').matches")) is (scheme == "dark")
    levels = browser.see(LEVELS)
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert browser.see("document.querySelectorAll('main').length") == 1
    assert browser.see("[...document.querySelectorAll('th')].every(e => e.scope)")
    assert browser.see("[...document.querySelectorAll('svg[role=img]')].every(e => e.querySelector('title'))")
    assert browser.see("[...document.querySelectorAll('.plot svg')].every(e => e.closest('[role=img]').ariaLabel)")
    assert browser.see("[...document.querySelectorAll('.plot.wide svg')].every(e => e.clientWidth > 700)")
    assert browser.see("[...document.querySelectorAll('.figure')].every(e => e.scrollWidth <= e.clientWidth)")
    assert browser.troubles == []
    assert [url for url in browser.asked if not url.startswith(("file://", "data:", "about:"))] == []


def test_the_report_draws_every_number_and_every_look_at_the_scored_rows(reports: Path, browser: Browser) -> None:
    show(browser, reports / "shop.html", 1280, "light")
    titles = "[...document.querySelectorAll('%s title')].map(e => e.textContent)"
    assert len(browser.see(titles % ".figure svg.line")) >= len(MEANING) - 3
    looked = [title for title in browser.see(titles % ".three svg.line") if "share of rows" in title]
    assert len(looked) == len(NAMES)
    assert all("beyond its limit in 3 of them" in title for title in looked)


def test_a_column_opens_by_the_keyboard(reports: Path, browser: Browser) -> None:
    show(browser, reports / "shop.html", 375, "light")
    browser.see("document.querySelector('#column-1 summary').focus()")
    enter = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
    browser.say("Input.dispatchKeyEvent", type="keyDown", **enter)
    browser.say("Input.dispatchKeyEvent", type="keyUp", **enter)
    browser.until(lambda: browser.see("document.querySelector('#column-1').open"), "the column to open")
    assert browser.see("document.querySelector('#column-1 table').offsetHeight") > 100
