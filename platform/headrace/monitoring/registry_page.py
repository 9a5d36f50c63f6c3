"""The page of a product's features: one HTML file beside its report that needs nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from headrace.features.graph import Graph
from headrace.features.statistics import Statistics
from headrace.monitoring.card import card_of, figure
from headrace.monitoring.listing import share_text
from headrace.monitoring.pages import template, write_page
from headrace.monitoring.registry import FeatureFacts, Registry
from headrace.store.site import Site

WIDTH, HEIGHT, TEXT_BARS = 132, 30, 6


@dataclass(frozen=True)
class Row:
    """A feature as the page shows it."""

    facts: FeatureFacts
    table: str
    definition: str
    picture: Markup
    words: str
    """What it is found by, in lower case."""


def page_name(product: str) -> str:
    """Return the name of the page beside the report; no product's report is called like it."""
    return f"{product}.features.html"


def write_registry(site: Site, graph: Graph, registry: Registry) -> Path:
    """Write the page, whole or not at all, and return where it is."""
    return write_page(registry_html(site, graph, registry), site.place.reports / page_name(site.product.product))


def registry_html(site: Site, graph: Graph, registry: Registry) -> str:
    """Return the page as text."""
    cards = [card_of(site, graph, registry, table.name) for table in registry.tables]
    rows = [_row(card, facts) for card, table in zip(cards, registry.tables, strict=True) for facts in table.features]
    most = max((row.facts.live.share for row in rows if row.facts.live), default=0.0)
    return template("features.html.j2").render(
        r=registry,
        rows=rows,
        cards=cards,
        most=most,
        share=share_text,
        figure=figure,
        coded=coded,
        root=f"{site.place.root}/",
    )


def coded(text: str) -> Markup:
    """Return a text with what stands between backticks as code."""
    pieces = enumerate(text.split("`"))
    return Markup("").join(Markup("<code>{}</code>").format(piece) if i % 2 else piece for i, piece in pieces)


def histogram_svg(statistics: Statistics) -> Markup:
    """Return a picture of a few pixels: how values are spread, or how often the texts come that come most; empty without any."""
    counts = statistics.histogram.counts if statistics.histogram else [rows for _, rows in statistics.top[:TEXT_BARS]]
    highest = max(counts, default=0)
    if not highest:
        return Markup("")
    step = min(WIDTH / len(counts), WIDTH / 4)
    bars = [_bar(place * step, step, HEIGHT * count / highest) for place, count in enumerate(counts)]
    return Markup(
        '<svg class="spread" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"><title>{title}</title>'
        "{bars}</svg>"
    ).format(width=WIDTH, height=HEIGHT, title=_spread(statistics), bars=Markup("").join(bars))


def _bar(left: float, step: float, height: float) -> Markup:
    gap = 1 if step > 2 else 0
    shape = '<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
    return Markup(shape.format(x=left, y=HEIGHT - height, width=step - gap, height=height))  # noqa: S704  numbers alone


def _spread(statistics: Statistics) -> str:
    spread = statistics.histogram
    if statistics.kind == "boolean" and spread:
        return f"false {spread.counts[0]:,}, true {spread.counts[1]:,}"
    if spread:
        return f"from {figure(spread.low)} to {figure(spread.high)}: all but the least and the greatest 1 %"
    return ", ".join(f"{value} {rows:,}" for value, rows in statistics.top[:TEXT_BARS])


def _row(card: dict[str, Any], facts: FeatureFacts) -> Row:
    definition = next(of["definition"] for of in card["features"] if of["feature"] == facts.name)
    picture = histogram_svg(facts.statistics) if facts.statistics else Markup("")
    words: Sequence[str] = [facts.name, definition, card["made_by"], card["owner"] or "", card["description"]]
    return Row(facts, card["table"], definition, picture, " ".join([*words, *card["made_of"]]).lower())
