"""Small lines over time, drawn by hand: light enough for hundreds of them on a page, and each said in words in its title."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from markupsafe import Markup

WIDE, SMALL = (600, 120), (200, 40)
"""Width and height of a line with its limits, and of one beside a number."""
EDGE = 8
MOST_POINTS = 120
"""How many of the newest points a line has."""


Size = tuple[int, int]


@dataclass(frozen=True)
class Point:
    """A value on a day."""

    day: date
    value: float


def limited_line(name: str, rows: Sequence[Mapping[str, Any]], each: str = "windows") -> Markup:
    """Return values over time with their limits, from 0 up; `rows` have day, value and limit, oldest first, `each` names them."""
    highest = max(max(row["value"], row["limit"]) for row in rows) * 1.1 or 1.0
    at = _places([row["day"] for row in rows], WIDE)
    values = _heights([row["value"] for row in rows], (0.0, highest), WIDE)
    limits = _heights([row["limit"] for row in rows], (0.0, highest), WIDE)
    marks = [
        f'<circle class="{"beyond" if row["value"] > row["limit"] else "within"}" cx="{x:.0f}" cy="{y:.0f}" r="4"/>'
        for row, x, y in zip(rows, at, values, strict=True)
        if row["value"] > row["limit"] or len(rows) == 1
    ]
    beyond = sum(row["value"] > row["limit"] for row in rows)
    title = (
        f"{name} over {len(rows)} {each}, from {rows[0]['value']:.3f} to {rows[-1]['value']:.3f}; "
        f"greatest {max(row['value'] for row in rows):.3f}; beyond its limit in {beyond} of them"
    )
    limit = Markup('<polyline class="limit" points="{}"/>').format(_points(at, limits))
    return _drawn(title, limit + _line(at, values) + Markup("".join(marks)), WIDE)  # noqa: S704  numbers alone


def trend(name: str, points: Sequence[Point]) -> Markup:
    """Return values over time between their least and their greatest, oldest first; the newest has a dot."""
    known = [point.value for point in points]
    reach = (min(known), max(known))
    at, values = _places([point.day for point in points], SMALL), _heights(known, reach, SMALL)
    title = (
        f"{name} on {len(points)} days, from {known[0]:.4g} to {known[-1]:.4g}; "
        f"least {reach[0]:.4g}, greatest {reach[1]:.4g}"
    )
    dot = Markup('<circle class="within" cx="{:.0f}" cy="{:.0f}" r="3"/>').format(at[-1], values[-1])
    return _drawn(title, _line(at, values) + dot, SMALL)


def _drawn(title: str, inside: Markup, size: Size) -> Markup:
    return Markup('<svg class="line" viewBox="0 0 {} {}" role="img"><title>{}</title>{}</svg>').format(
        *size, title, inside
    )


def _line(at: Sequence[float], heights: Sequence[float]) -> Markup:
    return Markup('<polyline class="value" points="{}"/>').format(_points(at, heights))


def _places(days: Sequence[date], size: Size) -> list[float]:
    span = max((days[-1] - days[0]).days, 1)
    return [EDGE + (size[0] - 2 * EDGE) * (day - days[0]).days / span for day in days]


def _heights(values: Sequence[float], reach: tuple[float, float], size: Size) -> list[float]:
    """Return how far below the upper edge each value lies; where all are one, in the middle."""
    low, high = reach
    inside = size[1] - 2 * EDGE
    shares = [(max(value, low) - low) / (high - low) if high > low else 0.5 for value in values]
    return [size[1] - EDGE - inside * share for share in shares]


def _points(xs: Sequence[float], ys: Sequence[float]) -> str:
    return " ".join(f"{x:.0f},{y:.0f}" for x, y in zip(xs, ys, strict=True))
