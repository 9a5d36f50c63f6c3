"""What a user may say about gates."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer

from headrace.core.declaration import Declaration
from headrace.core.names import did_you_mean
from headrace.models.words import COUNTS, METRICS, SKEW, UNDER_LOAD, UNITS


class Gate(Declaration):
    """One condition that a candidate must meet.

    `auc >= 0.70`, `auc >= champion - 0.005`, `auc by origin >= 0.65`, `auc gap by origin <= 0.05`, `latency <= 5ms`,
    `latency.p99 <= 20ms`, `size <= 20MB`, `skew == 0`, `leakage == 0`, `labels == 0`, `contracts == 0`, `behaviour == 0`.
    """

    metric: str
    by: str | None = None
    gap: bool = False
    """Whether it is about the distance between the best and the worst value of the column."""
    comparison: Literal[">=", "<=", "=="]
    champion: bool = False
    """Whether the limit is relative to the live model on the same rows."""
    limit: float = Field(allow_inf_nan=False)
    """The limit, or the distance to the champion; milliseconds for latency, bytes for size."""

    @property
    def is_under_load(self) -> bool:
        """Whether its evidence is a load test of the server, which comes after the evaluation."""
        return self.metric in UNDER_LOAD

    def __str__(self) -> str:
        by = f"{' gap' if self.gap else ''} by {self.by}" if self.by else ""
        if not self.champion:
            return f"{self.metric}{by} {self.comparison} {self.told(self.limit)}"
        distance = f" {'-' if self.limit < 0 else '+'} {abs(self.limit):g}" if self.limit else ""
        return f"{self.metric}{by} {self.comparison} champion{distance}"

    def told(self, value: float) -> str:
        """Return a value of the metric with its unit, as a gate says it."""
        if self.metric not in UNITS:
            return f"{value:g}"
        unit = next(
            (u for u, size in reversed(UNITS[self.metric].items()) if value >= size), next(iter(UNITS[self.metric]))
        )
        return f"{value / UNITS[self.metric][unit]:g}{unit}"


_GATE = re.compile(
    r"(?P<metric>\w+(?:\.\w+)?)(?P<gap>\s+gap)?(?:\s+by\s+(?P<by>\w+))?\s*(?P<comparison>>=|<=|==)\s*"
    r"(?:(?P<champion>champion)(?:\s*(?P<sign>[+-])\s*(?P<distance>\d+(?:\.\d+)?))?|(?P<number>-?\d+(?:\.\d+)?)\s*(?P<unit>[a-zA-Z]+)?)"
)


def parse_gate(text: Any) -> Any:
    """Return the gate that a text such as "auc >= champion - 0.005" says."""
    if not isinstance(text, str):
        return text
    found = _GATE.fullmatch(text.strip())
    if not found:
        raise ValueError(f"'{text}' is not a gate: write <metric> [by <column>] >= <number>, or >= champion - <number>")
    metric = found["metric"]
    if metric not in METRICS:
        raise ValueError(f"no metric '{metric}'; there are {', '.join(METRICS)}.{did_you_mean(metric, METRICS)}")
    wrong = _wrong(found)
    if wrong:
        raise ValueError(f"'{text}' is not a gate: {wrong}")
    distance = float(found["distance"] or 0) * (-1 if found["sign"] == "-" else 1)
    return {
        "metric": metric,
        "by": found["by"],
        "gap": bool(found["gap"]),
        "comparison": found["comparison"],
        "champion": bool(found["champion"]),
        "limit": distance
        if found["champion"]
        else float(found["number"]) * UNITS.get(metric, {}).get(found["unit"], 1),
    }


def _wrong(found: re.Match[str]) -> str:
    """Return what is wrong with the words of a gate; nothing where they go together."""
    metric, compared = found["metric"], found["by"] or found["gap"] or found["champion"]
    if (metric in COUNTS) != (found["comparison"] == "==") or (metric in COUNTS and (compared or found["unit"])):
        counted = metric if metric in COUNTS else SKEW
        return f"`{counted}` is counted, so write {counted} == 0; metrics are held against >= or <="
    if metric in UNITS and (compared or found["comparison"] != "<=" or found["unit"] not in UNITS[metric]):
        units = " or ".join(UNITS[metric])
        return f"`{metric}` is of the model as a whole, so write {metric} <= <number> with {units} behind it"
    if metric not in UNITS and found["unit"]:
        return f"`{metric}` has no unit '{found['unit']}'"
    if found["gap"] and (not found["by"] or found["champion"] or found["comparison"] != "<="):
        return f"a gap is between values of a column, so write {metric} gap by <column> <= <number>"
    return ""


def before_load(gates: Sequence[Gate]) -> list[Gate]:
    """Return the gates that are not held against a load test."""
    return [gate for gate in gates if not gate.is_under_load]


def under_load(gates: Sequence[Gate]) -> list[Gate]:
    """Return the gates that are held against a load test."""
    return [gate for gate in gates if gate.is_under_load]


GateText = Annotated[Gate, BeforeValidator(parse_gate, json_schema_input_type=str), PlainSerializer(str)]
"""A gate, written as a sentence."""
