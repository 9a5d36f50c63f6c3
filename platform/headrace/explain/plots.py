"""Pictures of what a model looks at."""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace.core.charts import BLUE, GREY, canvas
from headrace.explain.contributions import Contributions, matrix_of
from headrace.explain.explanation import Explanation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 15


def explanation_plots(explanation: Explanation, told: Contributions, encoded: pa.Table) -> "dict[str, Figure]":
    """Return what the model looks at, how its largest inputs do it (with `headrace[explain]`), and what the champion does."""
    made = {"shap": _influences(explanation)}
    if find_spec("shap"):
        made["shap_rows"] = _beeswarm(told, encoded)
    if explanation.shifts:
        made["shap_against_champion"] = _shifts(explanation)
    return made


def _influences(explanation: Explanation) -> "Figure":
    shown = explanation.inputs[:MOST]
    figure, axes = canvas(f"Mean absolute SHAP, {explanation.rows:,} test rows", 6.4, _height(len(shown)))
    axes.barh([i.name for i in shown], [i.mean_abs for i in shown], color=BLUE, height=0.7)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    return figure


def _shifts(explanation: Explanation) -> "Figure":
    shown = explanation.shifts[:MOST]
    figure, axes = canvas("Share of SHAP: candidate and champion", 6.4, _height(len(shown)))
    for place, shift in enumerate(shown):
        axes.plot([shift.champion, shift.share], [place, place], color=GREY, linewidth=1)
    axes.scatter(
        [s.champion for s in shown], range(len(shown)), color="white", edgecolors=GREY, s=30, label="champion", zorder=3
    )
    axes.scatter([s.share for s in shown], range(len(shown)), color=BLUE, s=30, label="candidate", zorder=3)
    axes.set_yticks(range(len(shown)), [s.name for s in shown])
    axes.invert_yaxis()
    axes.legend(frameon=False, loc="lower right")
    return figure


def _beeswarm(told: Contributions, encoded: pa.Table) -> "Figure":
    """Return each row's contributions, coloured by the value behind them, as the library `shap` draws them."""
    import shap

    values = matrix_of(encoded)
    figure, axes = canvas("SHAP of each row", 6.4, _height(min(MOST, len(told.names))))
    explained: Any = shap.Explanation(told.values, base_values=told.base, data=values, feature_names=told.names)
    shap.plots.beeswarm(explained, max_display=MOST, ax=axes, show=False, plot_size=None, s=5, axis_color="#55606b")
    axes.tick_params(labelsize=9)
    axes.set_xlabel("contribution to the raw score", fontsize=9)
    for scale in figure.axes[1:]:
        scale.tick_params(labelsize=8)
        scale.set_ylabel("value of the input", fontsize=8)
    return figure


def _height(rows: int) -> float:
    return 0.9 + 0.22 * max(rows, 1)
