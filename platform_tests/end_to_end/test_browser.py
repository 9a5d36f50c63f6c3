"""The report opens in a real browser, from a file, without a network."""

import shutil
import subprocess
from pathlib import Path

import pytest

from headrace.monitoring.facts import product_facts
from headrace.monitoring.report import write_report
from headrace.project import Project
from platform_tests.end_to_end.shop import land_days, make_project

pytestmark = pytest.mark.slow
CHROMIUM = shutil.which("chromium")
QUIET = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"]


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: nobody looks at the report")
def test_the_report_of_a_new_product_renders_and_asks_the_network_for_nothing(tmp_path: Path) -> None:
    project = Project(make_project(tmp_path / "shop"))
    land_days(project.root, 0, 2)
    declared, site = project.load("shop")
    assert declared.label
    page = write_report(
        product_facts(site, declared.sources, declared.label, declared.monitors), tmp_path / "shop.html"
    )
    headless = [
        str(CHROMIUM),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        *QUIET,
        f"--user-data-dir={tmp_path / 'me'}",
    ]
    dom = subprocess.run([*headless, "--dump-dom", page.as_uri()], capture_output=True, text=True, check=True).stdout
    subprocess.run([*headless, f"--screenshot={tmp_path / 'shot.png'}", page.as_uri()], capture_output=True, check=True)

    assert "shop" in dom
    assert "released" in dom
    assert (tmp_path / "shot.png").stat().st_size > 10_000
    text = page.read_text()
    assert not [word for word in ("<script", 'src="http', 'href="http', "@import", "url(http") if word in text]
