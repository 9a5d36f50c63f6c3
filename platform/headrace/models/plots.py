"""The picture of a model: what it looks at."""

from typing import TYPE_CHECKING

from headrace.core.charts import bars

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def importance_plot(importance: dict[str, float]) -> "Figure":
    """Return the inputs that the model gains most from."""
    return bars("What the model looks at (share of gain)", importance)
