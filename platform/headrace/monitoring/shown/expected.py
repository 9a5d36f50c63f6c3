"""Estimated quality as the report tells it: the newest estimate, and how near earlier ones came to what came true."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from headrace.core.names import duration_text
from headrace.monitoring.facts import ProductFacts

NOTHING = "The live model has scored no window yet whose quality could be estimated."
UNKNOWN = "No labels of these windows are known yet: nobody knows how far off the estimate is."
NEVER = "What {task} will come true is not estimated without labels: only classification and regression are."
AGREES = (
    "What came true of the newest of them lies within its band: nothing says that rows come true otherwise than on "
    "the test set."
)
DIFFERS = (
    "What came true of the newest of them lies outside its band: rows come true otherwise than on the test set, "
    "which no estimate without labels can see. Believe the labels."
)


def expected_words(facts: ProductFacts) -> list[str]:
    """Return sentences on the newest estimate of the live model, and on those, of any model, whose labels came since."""
    policy = facts.monitors.quality
    if not policy.estimated_metric:
        return [NEVER.format(task=f"a {policy.task}")]
    own = [row for row in facts.estimated if facts.live and row["model"] == facts.live.release.model]
    known = [row for row in facts.estimated if row["value"] is not None and row["realized"] is not None]
    if not own:
        return [NOTHING, *(_against(known) if known else [])]
    return [_newest(own[-1], facts), *(_against(known) if known else [UNKNOWN])]


def _newest(row: dict[str, Any], facts: ProductFacts) -> str:
    policy = facts.monitors.quality
    if row["value"] is None:
        return f"Nothing is estimated to {row['day']}: {row['note']}."
    limits = (
        policy.estimated.limits_said if policy.estimated.has_limit else "alarm: three deviations worse than its test"
    )
    tested = f"; {row['tested']:.3f} on its test set" if row["tested"] is not None else ""
    return (
        f"To {row['day']} the live model's {row['metric'].upper()} is estimated at {row['value']:.3f} "
        f"({row['low']:.3f} to {row['high']:.3f}) from {row['rows']:,} scores of {duration_text(policy.window)}, without "
        f"their labels{tested}; {limits}."
    )


def _against(known: Sequence[dict[str, Any]]) -> list[str]:
    within = [row for row in known if row["low"] <= row["realized"] <= row["high"]]
    off = fmean(row["difference"] for row in known)
    counted = (
        f"Of {len(known)} window{'s' if len(known) > 1 else ''} whose labels came since, {len(within)} came true within the band; the estimates were "
        f"{abs(off):.3f} too {'high' if off > 0 else 'low'} on average. Windows share days: they are no separate trials."
    )
    return [counted, AGREES if known[-1] in within else DIFFERS]
