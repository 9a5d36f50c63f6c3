"""The product's report: one HTML file that needs nothing else."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from headrace.core.charts import svg
from headrace.core.failpoints import failpoint
from headrace.monitoring.charts import report_charts
from headrace.monitoring.facts import ProductFacts, alarming, newest_drift

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PIXELS_AN_INCH = 90
"""One scale for all pictures: a text in one is as large as in the next."""
MOST_ROWS = 12


def write_report(facts: ProductFacts, path: Path) -> Path:
    """Write the page, whole or not at all, and return where it is."""
    return write_page(report_html(facts), path)


def write_page(text: str, path: Path) -> Path:
    """Write a page, whole or not at all, and return where it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_suffix(f".{os.getpid()}")
    staged.write_text(text, encoding="utf-8")
    failpoint("report_staged")
    staged.replace(path)
    return path


def report_html(facts: ProductFacts) -> str:
    """Return the page as text."""
    return template("report.html.j2").render(
        f=facts,
        charts={name: _inline(figure) for name, figure in report_charts(facts).items()},
        drift=newest_drift(facts)[:MOST_ROWS],
        alarms=alarming(facts),
    )


def template(name: str) -> Template:
    """Return a template of a page; what it is given is text and never markup."""
    environment = Environment(
        loader=PackageLoader("headrace.monitoring"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "count": _count}
    return environment.get_template(name)


def _inline(figure: "Figure") -> Markup:
    """Return the figure as an SVG element at the page's scale; matplotlib has escaped its texts."""
    width, height = (round(float(inches) * PIXELS_AN_INCH) for inches in figure.get_size_inches())
    sized = re.sub(
        r'^<svg([^>]*?) width="[^"]*"', rf'<svg\1 width="{width}"', svg(figure).replace("\n", " ", 3), count=1
    )
    sized = re.sub(r'^<svg([^>]*?) height="[^"]*"', rf'<svg\1 height="{height}"', sized, count=1)
    return Markup(sized)  # noqa: S704  drawn by us


def _number(value: float | None, digits: int = 4) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _count(value: int) -> str:
    return f"{value:,}"
