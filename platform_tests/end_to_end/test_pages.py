"""The pages that a team opens each morning, in a real browser: on a desk and on a phone, by day and by night."""

import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import dagster as dg
import pytest

from headrace.monitoring.overview import tell_overview
from platform_tests.end_to_end.browser import CHROMIUM, Browser, browsing
from platform_tests.monitoring.test_assets import run as monitored
from platform_tests.monitoring.test_overview import standing
from platform_tests.monitoring.watched import shifted, watched_shop

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")]
LOADED_MS = "performance.getEntriesByType('navigation')[0].loadEventEnd"
LEVELS = "[...document.querySelectorAll('h1,h2,h3')].map(e => +e.tagName[1])"
OPEN_ALL = "document.querySelectorAll('details').forEach(d => d.open = true)"


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of reports of a project with a shop that has moved, and 39 others."""
    site = watched_shop(tmp_path_factory.mktemp("shop"), shifted)
    for number in range(39):
        tell_overview(standing(f"product_{number:02d}", data="unknown" if number % 3 else "well"), site.place.reports)
    with dg.DagsterInstance.ephemeral() as instance:
        assert monitored(site, instance).success
    return site.place.reports


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with browsing(tmp_path / "browser") as browser:
        yield browser


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
    assert browser.troubles == []
    assert [url for url in browser.asked if not url.startswith(("file://", "data:", "about:"))] == []


def test_a_column_opens_by_the_keyboard(reports: Path, browser: Browser) -> None:
    show(browser, reports / "shop.html", 375, "light")
    browser.see("document.querySelector('details summary').focus()")
    enter = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
    browser.say("Input.dispatchKeyEvent", type="keyDown", **enter)
    browser.say("Input.dispatchKeyEvent", type="keyUp", **enter)
    browser.until(lambda: browser.see("document.querySelector('details').open"), "the column to open")
    assert browser.see("document.querySelector('details table').offsetHeight") > 100
