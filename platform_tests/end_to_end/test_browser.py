"""The report and the asset graph as a person sees them: in a real browser."""

import io
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import matplotlib.image
import pytest

from headrace.definitions import load_platform
from headrace.monitoring.declaration import Monitors
from headrace.monitoring.facts import product_facts
from headrace.monitoring.registry import registry_of
from headrace.monitoring.registry_page import write_registry
from headrace.monitoring.report import write_report
from headrace.project import Project
from platform_tests.end_to_end.browser import CHROMIUM, Browser, browsing
from platform_tests.end_to_end.shop import land_days, make_project
from platform_tests.end_to_end.test_crash import environment, wait_for
from platform_tests.models.shop import LABEL
from platform_tests.monitoring.test_assets import run as monitored
from platform_tests.monitoring.test_registry import graph, released, site_with_features
from platform_tests.monitoring.watched import SOURCES, watched_shop

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: nobody looks at the report"),
]
HEADINGS = [
    "Why this model is live, and what was decided before",
    "Quality over time",
    "Drift",
    "The live model on its test rows",
    "What arrived",
    "Why it was trained",
    "The numbers that matter",
    "The rows that were scored",
]
BOXES = """[...document.querySelectorAll('%s')].map(e => e.getBoundingClientRect()).map(
    b => [b.left, b.top + scrollY, b.right, b.bottom + scrollY])"""
Box = list[float]


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with browsing(tmp_path / "browser") as browser:
        yield browser


def texts(browser: Browser, selector: str) -> list[str]:
    found: list[str] = browser.see(
        f"[...document.querySelectorAll('{selector}')].map(e => e.innerText ?? e.textContent)"
    )
    return found


def boxes(browser: Browser, selector: str) -> list[Box]:
    found: list[Box] = browser.see(BOXES % selector)
    return found


def overlapping(found: list[Box], slack: float = 1) -> list[tuple[Box, Box]]:
    """Return which boxes lie over each other by more than `slack` pixels."""
    return [(a, b) for i, a in enumerate(found) for b in found[:i] if _overlap(a, b) > slack]


def _overlap(a: Box, b: Box) -> float:
    return min(min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1]))


def colours(png: bytes) -> int:
    """Return how many colours a picture has: a blank one has one."""
    pixels = matplotlib.image.imread(io.BytesIO(png))
    return len({tuple(pixel) for pixel in pixels.reshape(-1, pixels.shape[-1])[::7].tolist()})


def asked_of_others(browser: Browser, own: str) -> list[str]:
    return [url for url in browser.asked if not url.startswith((own, "data:", "blob:", "about:"))]


@pytest.mark.parametrize("width", [1280, 400], ids=["on a desk", "on a phone"])
def test_the_report_shows_what_is_live_and_its_pictures_side_by_side(
    tmp_path: Path, browser: Browser, width: int
) -> None:
    site = watched_shop(tmp_path / "shop")
    with dg.DagsterInstance.ephemeral() as instance:
        assert monitored(site, instance).success
    page = write_report(product_facts(site, SOURCES, LABEL, Monitors()), tmp_path / "shop.html")
    browser.open(page.as_uri(), width)

    assert texts(browser, "h1") == ["shop"]
    assert texts(browser, "h2") == HEADINGS
    tiles = dict(zip(texts(browser, ".tile small"), texts(browser, ".tile b"), strict=True))
    assert list(tiles) == ["LIVE", "QUALITY", "DRIFT", "DATA", "LAST DECISION"]
    assert (tiles["LIVE"], tiles["LAST DECISION"]) == ("release 1", "released")
    assert tiles["QUALITY"].startswith("AUC 0.")
    titles = texts(browser, ".plot h3")
    for words in ("AUC of the last", "PSI of the newest window", "ROC, AUC 0.", "Calibration", "What the model looks"):
        assert [title for title in titles if title.startswith(words)], (words, titles)
    pictures = boxes(browser, ".plot svg")
    assert len(pictures) == len(titles)
    small = [box for box in pictures if box[2] - box[0] < 200 or box[3] - box[1] < 40]
    assert small == []
    assert browser.see("[...document.querySelectorAll('.plot svg')].every(s => s.querySelectorAll('path').length > 5)")
    assert overlapping(boxes(browser, ".card, h2")) == []
    assert browser.see("document.documentElement.scrollWidth") <= width
    assert colours(browser.picture()) > 20
    assert browser.troubles == []
    assert asked_of_others(browser, "file://") == []


def test_the_report_of_a_new_product_says_that_there_is_nothing_yet(tmp_path: Path, browser: Browser) -> None:
    project = Project(make_project(tmp_path / "shop"))
    land_days(project.root, 0, 2)
    declared, site = project.load("shop")
    assert declared.label
    page = write_report(
        product_facts(site, declared.sources, declared.label, declared.monitors), tmp_path / "shop.html"
    )
    browser.open(page.as_uri())
    assert texts(browser, "h2") == HEADINGS
    assert texts(browser, ".tile b") == ["nothing", "not known", "not measured", "late", "none"]
    assert overlapping(boxes(browser, ".card, h2")) == []
    assert (browser.troubles, asked_of_others(browser, "file://")) == ([], [])


@pytest.mark.parametrize("width", [1200, 390], ids=["on a desk", "on a phone"])
def test_features_are_found_by_typing_and_fit_the_window(tmp_path: Path, browser: Browser, width: int) -> None:
    site = site_with_features(tmp_path / "shop")
    released(site)
    page = write_registry(site, graph(), registry_of(site, graph(), {}))
    browser.open(page.as_uri(), width)

    seen = "[...document.querySelectorAll('tbody tr')].filter(r => r.offsetHeight).map(r => r.querySelector('b').innerText)"
    assert browser.see(seen) == ["habit_price_mean_3d", "gifts_gift", "extra_noise"]
    typed = "(() => { const box = document.getElementById('find'); box.value = '%s'; box.dispatchEvent(new Event('input')) })()"
    browser.see(typed % "  ONE country ")
    assert browser.see(seen) == ["habit_price_mean_3d"]
    assert texts(browser, "#shown") == ["1 of 3"]
    browser.see(typed % "")
    assert len(browser.see(seen)) == 3
    small = [box for box in boxes(browser, "svg.spread") if box[2] - box[0] < 100 or box[3] - box[1] < 20]
    assert small == []
    assert overlapping(boxes(browser, ".card, h2")) == []
    assert browser.see("document.documentElement.scrollWidth") <= width
    assert (browser.troubles, asked_of_others(browser, "file://")) == ([], [])


@contextmanager
def dagster_ui(project: Project) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    serve = ["dagster_webserver", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(
        [sys.executable, "-m", *serve],
        cwd=project.root,
        env=environment(project),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            wait_for(lambda: listens(port), "Dagster's UI", 120)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(60)


def listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def test_the_asset_graph_draws_each_layer_in_a_place_of_its_own(tmp_path: Path, browser: Browser) -> None:
    project = Project(make_project(tmp_path / "shop"))
    assets = load_platform(project.root / "platform/products").resolve_asset_graph().get_all_asset_keys()
    layers = sorted({key.path[1] for key in assets})
    with dagster_ui(project) as address:
        browser.open(f"{address}/asset-groups", 1600)
        nodes = "svg foreignObject"
        browser.until(lambda: sorted(filter(None, map(str.strip, texts(browser, nodes)))) == layers, "the graph")
        assert "Global asset lineage" in texts(browser, "body")[0]
        drawn = [box for box, text in zip(boxes(browser, nodes), texts(browser, nodes), strict=True) if text.strip()]
        assert len(drawn) == len(layers) > 8
        assert all(right - left > 40 and bottom - top > 8 for left, top, right, bottom in drawn), drawn
        assert overlapping(drawn, slack=5) == []  # a node's box has room for its shadow
        assert colours(browser.picture()) > 20
        assert browser.troubles == []
        assert asked_of_others(browser, address) == []
