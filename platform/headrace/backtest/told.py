"""A back-test for people: as text for a terminal, and as a page with a picture."""

from collections.abc import Sequence

from headrace.backtest.charts import picture_of
from headrace.backtest.result import Backtest, Figures
from headrace.core.charts import svg
from headrace.core.columns import in_columns
from headrace.monitoring.pages import template


def backtest_text(found: Backtest) -> str:
    """Return the table, what is recommended, and what the figures stand on."""
    lines = [f"{found.product}: {found.first} to {found.last}, {found.rows:,} rows, {found.metric} by week", ""]
    lines += [in_columns(_head(found), [_row(found, one) for one in found.policies]), ""]
    lines += [f"Recommended: {found.why}" if found.recommended else found.why, *notes_of(found)]
    return "\n".join(lines)


def backtest_page(found: Backtest) -> str:
    """Return a page with the table, the picture and the trainings of each policy."""
    heads, rows = _head(found), [_row(found, one) for one in found.policies]
    picture = svg(picture_of(found))
    return template("backtest.html.j2", "headrace.backtest").render(
        found=found,
        heads=heads,
        rows=[[str(cell).strip() for cell in row] for row in rows],
        notes=notes_of(found),
        picture=picture,
    )


def notes_of(found: Backtest) -> list[str]:
    """Return what a reader has to know of the figures."""
    notes = [
        f"{found.models} models were trained in {found.seconds:.0f} s; a day's model is trained once for all policies."
    ]
    first = [training.released for training in found.policies[0].trainings].index(True)
    notes += [f"Of the trainings of each policy {first} were refused before a first model was live."] if first else []
    notes += [f"Quick: {found.otherwise}."] if found.otherwise else []
    notes += [f"Gates that were not replayed: {', '.join(found.left_out)}."] if found.left_out else []
    notes += [
        f"`{one.policy}` without {', '.join(one.left_out)}, which no table remembers."
        for one in found.policies
        if one.left_out
    ]
    notes.append("Rows are those of the tables as they are now: late files and corrections are in from the beginning.")
    return notes


def _head(found: Backtest) -> list[str]:
    cost = f"cost {found.currency}" if found.currency else "CPU s"
    return ["policy", "trainings", "released", "mean", "against the best", "worst week", "days beyond", "noticed", cost]


def _row(found: Backtest, one: Figures) -> Sequence[object]:
    mark = "* " if one.policy == found.recommended else "  "
    mean = "-" if one.mean is None else f"{one.mean:.4f}"
    against = "{:+.4f} ({:+.4f} to {:+.4f})".format(*one.difference) if one.difference else ""
    worst = "-" if one.worst is None else f"{one.worst:.4f} of {one.worst_week}"
    beyond = "-" if one.beyond is None else str(one.beyond)
    late = f", after {one.delay_days:.1f} d" if one.delay_days is not None else ""
    noticed = f"{one.detected} of {one.episodes}{late}" if one.episodes else "-"
    cost = f"{one.cost:.4f}" if one.cost is not None else f"{one.cpu_seconds:.0f}"
    return (mark + one.policy, len(one.trainings), one.released, mean, against, worst, beyond, noticed, cost)
