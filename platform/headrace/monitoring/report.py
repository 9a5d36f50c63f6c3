"""The product's report: one HTML file that needs nothing else."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from headrace.core.charts import svg
from headrace.monitoring.charts import report_charts
from headrace.monitoring.columns import ColumnShares
from headrace.monitoring.facts import ProductFacts, alarming, newest_drift
from headrace.monitoring.pages import template, write_page
from headrace.monitoring.sections import Material, sections_of
from headrace.monitoring.shown.expected import expected_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PIXELS_AN_INCH = 90
"""One scale for all pictures: a text in one is as large as in the next."""
MOST_ROWS = 12


def write_report(facts: ProductFacts, path: Path, columns: Sequence[ColumnShares] = ()) -> Path:
    """Write the page, whole or not at all, and return where it is."""
    return write_page(report_html(facts, columns), path)


def report_html(facts: ProductFacts, columns: Sequence[ColumnShares] = ()) -> str:
    """Return the page as text; of the columns that are given each one's bins are shown."""
    return template("report.html.j2").render(
        f=facts,
        charts={name: _inline(figure) for name, figure in report_charts(facts).items()},
        drift=newest_drift(facts)[:MOST_ROWS],
        alarms=alarming(facts),
        expected=expected_words(facts),
        sections=sections_of(Material(facts, columns)),
    )


def _inline(figure: "Figure") -> Markup:
    """Return the figure as an SVG element at the page's scale; matplotlib has escaped its texts."""
    width, height = (round(float(inches) * PIXELS_AN_INCH) for inches in figure.get_size_inches())
    sized = re.sub(
        r'^<svg([^>]*?) width="[^"]*"', rf'<svg\1 width="{width}"', svg(figure).replace("\n", " ", 3), count=1
    )
    sized = re.sub(r'^<svg([^>]*?) height="[^"]*"', rf'<svg\1 height="{height}"', sized, count=1)
    return Markup(sized)  # noqa: S704  drawn by us
