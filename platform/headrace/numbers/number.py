"""Numbers: their names, what each means, and their rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

TABLE = pa.schema(
    {
        "day": pa.date32(),
        "at": pa.timestamp("us", "UTC"),
        "name": pa.string(),
        "of": pa.string(),
        "value": pa.float64(),
        "unit": pa.string(),
        "count": pa.int64(),
    }
)
"""Rows of monitoring/numbers: one a day, name and `of`; `count` says from how many events the value is."""

MEANING: Mapping[str, str] = {
    "prediction_latency": "Milliseconds within which that share of the served requests was answered.",
    "realized_quality": "How the live model's scores came true, on the newest window with labels.",
    "estimated_quality": "How good the live model probably is on its newest window, without the labels of that.",
    "drift_score": "The population stability index of that column, on the newest scored day.",
    "freshness": "Hours since the newest row of that source.",
    "cpu_seconds": "Processor time of the steps that made that asset.",
    "bytes": "Bytes that the steps that made that asset have read and written.",
    "cost": "What making that asset has cost, by the declared price.",
    "cost_per_model": "What one training has cost: its set, model, evaluation and release.",
    "cost_per_1000_predictions": "What a thousand new scores of predictions/batch have cost.",
    "deployment_failure_rate": "The share of releases that were taken back (DORA: change fail rate).",
    "deployment_recovery_hours": "Mean hours from a release that was taken back to the moment at which it was (DORA: failed deployment recovery time).",
    "deployment_frequency": "Releases in 30 days (DORA: deployment frequency).",
    "retraining_frequency": "Trainings that were launched in 30 days.",
    "lead_time_hours": "Mean hours from the landing of the newest data of a release to the release (after DORA: change lead time).",
    "time_to_detect_hours": "Mean hours from the first bad data to the alarm.",
    "time_to_restore_hours": "Mean hours from the alarm until it was well again.",
    "open_incidents": "Incidents that are open.",
}


@dataclass(frozen=True)
class Number:
    """One value: of what, in which unit, from how many events."""

    name: str
    value: float
    unit: str
    of: str = ""
    count: int = 1


def rows_of(numbers: Sequence[Number], at: datetime, zone_day: object) -> pa.Table:
    """Return numbers as rows of a day."""
    return pa.Table.from_pylist([{"day": zone_day, "at": at, **vars(number)} for number in numbers], schema=TABLE)
