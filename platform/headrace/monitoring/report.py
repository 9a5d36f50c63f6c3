"""The product's report: one HTML file that needs nothing else."""

import os
from pathlib import Path

from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup

from headrace.core.charts import svg
from headrace.monitoring.charts import report_charts
from headrace.monitoring.facts import ProductFacts, newest_drift

MOST_ROWS = 12


def write_report(facts: ProductFacts, path: Path) -> Path:
    """Write the page, whole or not at all, and return where it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_suffix(f".{os.getpid()}")
    staged.write_text(report_html(facts))
    staged.replace(path)
    return path


def report_html(facts: ProductFacts) -> str:
    """Return the page as text."""
    environment = Environment(loader=PackageLoader("headrace.monitoring"), autoescape=select_autoescape())
    charts = {name: Markup(svg(figure)) for name, figure in report_charts(facts).items()}  # noqa: S704  drawn by us
    return environment.get_template("report.html.j2").render(
        f=facts, charts=charts, drift=list(newest_drift(facts).values())[:MOST_ROWS], alarms=_alarms(facts)
    )


def _alarms(facts: ProductFacts) -> list[str]:
    ignored = facts.monitors.drift.ignore
    return [c for c, row in newest_drift(facts).items() if row["value"] > row["limit"] and c not in ignored]
