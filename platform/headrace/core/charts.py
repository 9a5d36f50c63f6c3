"""Pictures: a few plain charts in one style, as PNG for the UI and as SVG for pages."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKED = 20
"""Curves of no more points than that show each."""
BLUE, ORANGE, GREY, RED = "#2f6db5", "#d9822b", "#8a94a0", "#c23b3b"
STYLE: Any = {
    "font.size": 9,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#b8c0c8",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e8ecf0",
    "xtick.color": "#55606b",
    "ytick.color": "#55606b",
    "svg.fonttype": "none",
    "svg.hashsalt": "headrace",
}


def canvas(title: str, width: float = 6.4, height: float = 2.8) -> "tuple[Figure, Axes]":
    """Return an empty figure in the house's style."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(title)
    return figure, axes


def panels(titles: Sequence[str], width: float = 6.4, height: float = 2.4) -> "tuple[Figure, Sequence[Axes]]":
    """Return an empty figure of several panels, one below the other, that share what lies along their feet."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height * len(titles)), layout="constrained")
        axes = [column[0] for column in figure.subplots(len(titles), sharex=True, squeeze=False)]
        for one, title in zip(axes, titles, strict=True):
            one.set_title(title)
    return figure, axes


def bars(title: str, values: dict[str, float], limit: float | None = None, most: int = 15) -> "Figure":
    """Return horizontal bars, the first on top; those above the limit stand out."""
    shown = dict(list(values.items())[:most])
    figure, axes = canvas(title, width=4.8, height=0.9 + 0.19 * max(len(shown), 1))
    colours = [RED if limit is not None and value > limit else BLUE for value in shown.values()]
    axes.barh(list(shown), list(shown.values()), color=colours, height=0.7)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    if limit is not None:
        axes.axvline(limit, color=RED, linewidth=1, linestyle="--")
        # At the foot, beside the shortest bars.
        place: Any = {"xycoords": ("data", "axes fraction"), "xytext": (3, 2), "textcoords": "offset points"}
        axes.annotate(f"limit {limit:g}", (limit, 0), color=RED, fontsize=8, **place)
    return figure


def diagonal(
    title: str,
    points: Sequence[tuple[float, float]],
    labels: tuple[str, str],
    *,
    band: Sequence[tuple[float, float, float]] = (),
    against: tuple[float, float] = (0, 1),
) -> "Figure":
    """Return a curve in the unit square with its band (place, low, high), against a line from left to right.

    Few points are marked each.
    """
    figure, axes = canvas(title, width=3.6, height=3.3)
    axes.plot([0, 1], against, color=GREY, linewidth=1, linestyle=":")
    if band:
        places, low, high = zip(*band, strict=True)
        axes.fill_between(places, low, high, color=BLUE, alpha=0.18, linewidth=0)
    marker = "o" if len(points) <= MARKED else None
    axes.plot([x for x, _ in points], [y for _, y in points], color=BLUE, linewidth=1.8, marker=marker)
    axes.set(xlabel=labels[0], ylabel=labels[1], xlim=(0, 1), ylim=(0, 1))
    return figure


def straight(
    title: str,
    points: Sequence[tuple[float, float]],
    labels: tuple[str, str],
    *,
    band: Sequence[tuple[float, float, float]] = (),
) -> "Figure":
    """Return numbers against numbers of the same unit, with their band, beside the line on which both are equal."""
    values = [value for point in [*points, *band] for value in point]
    low, high = min(values, default=0.0), max(values, default=1.0)
    figure = diagonal(title, points, labels, band=band)
    margin = 0.03 * ((high - low) or 1.0)
    axes = figure.axes[0]
    axes.lines[0].set_data([low, high], [low, high])
    axes.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin))
    return figure


def columns(title: str, points: Sequence[tuple[float, float]], label: str) -> "Figure":
    """Return how many rows have which value: the middle of each bin and its rows."""
    figure, axes = canvas(title, width=4.8, height=2.6)
    width = points[1][0] - points[0][0] if len(points) > 1 else 1.0
    axes.bar([x for x, _ in points], [y for _, y in points], width=width, color=BLUE)
    axes.axvline(0, color=GREY, linewidth=1, linestyle=":")
    axes.set(xlabel=label, ylabel="rows")
    return figure


def histogram(title: str, values: Sequence[float], label: str) -> "Figure":
    """Return how values between 0 and 1 are spread."""
    figure, axes = canvas(title, width=4.8, height=2.2)
    axes.hist(list(values), bins=40, range=(0, 1), color=BLUE)
    axes.set(xlabel=label, ylabel="rows", xlim=(0, 1))
    return figure


def png(figure: "Figure") -> bytes:
    """Return the figure as PNG."""
    import matplotlib as mpl

    data = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(data, format="png", dpi=110)
    return data.getvalue()


def pngs(figures: "Mapping[str, Figure]") -> dict[str, bytes]:
    """Return each figure as PNG: drawing takes long, and both MLflow and the UI show them."""
    return {name: png(figure) for name, figure in figures.items()}


def svg(figure: "Figure") -> str:
    """Return the figure as an SVG element that can stand in a page."""
    import matplotlib as mpl

    data = io.StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(data, format="svg", metadata={"Date": None})
    text = data.getvalue()
    return text[text.index("<svg") :]


def markdown(picture: bytes) -> str:
    """Return a PNG as a Markdown image that carries its own bytes, for the UI."""
    return f"![plot](data:image/png;base64,{base64.b64encode(picture).decode()})"
