"""The pictures of a search: how it went, and which parameters mattered."""

from typing import TYPE_CHECKING

import numpy as np

from headrace.core.charts import BLUE, GREY, ORANGE, bars, canvas
from headrace.models.headline import MORE_IS_BETTER
from headrace.models.tuning.search import Found

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def tuning_plots(found: Found) -> "dict[str, Figure]":
    """Return the history of a search, and the importance of its parameters where enough trials tell it."""
    pictures = {"tuning history": history_plot(found)}
    if found.importances:
        pictures["tuning importance"] = bars("Which parameters mattered (share)", dict(found.importances))
    return pictures


def history_plot(found: Found) -> "Figure":
    """Return each trial's value, the best one so far, and what the declared parameters reach; pruned ones by their last mean."""
    from matplotlib.ticker import MaxNLocator

    figure, axes = canvas(f"Tuning: {found.metric} on spans of the training rows", width=6.4, height=2.8)
    judged = [(trial.number, trial.value) for trial in found.trials if trial.value is not None]
    pruned = [(t.number, [v for v in t.folds if v is not None]) for t in found.trials if t.value is None]
    axes.axhline(found.default, color=GREY, linewidth=1, linestyle="--", label="as declared")
    if judged:
        numbers, values = zip(*judged, strict=True)
        best = np.maximum.accumulate(values) if found.metric in MORE_IS_BETTER else np.minimum.accumulate(values)
        axes.scatter(numbers, values, color=BLUE, s=18, label="judged", zorder=3)
        axes.step(numbers, best, where="post", color=BLUE, linewidth=1.2, label="best so far")
    given_up = [(number, sum(values) / len(values)) for number, values in pruned if values]
    if given_up:
        numbers, values = zip(*given_up, strict=True)
        axes.scatter(numbers, values, color=ORANGE, s=22, marker="x", label="pruned", zorder=3)
    axes.set(xlabel="trial", ylabel=found.metric)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
