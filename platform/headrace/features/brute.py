"""Windows by brute force: one prediction time, one entity, and every event looked at. What the leakage check holds against."""

from datetime import datetime

from headrace.core.names import quoted
from headrace.features.declaration import Windows
from headrace.features.windows import Output, exact_sql, instant, known_when, outputs
from headrace.sources.declaration import Source


def brute_force_sql(name: str, windows: Windows, source: Source, moment: datetime, mine: str) -> str:
    """Return SQL over the source for one row: the features, as the training set names them, at a moment.

    `mine` is the condition on the entity; its parameters are the query's.
    """
    known = " and ".join(f"{quoted(m)} <= {instant(moment)}" for m in known_when(windows, source))
    where = f" and ({windows.where})" if windows.where else ""
    values = "".join(f", ({sql}) as _v{i}" for i, sql in enumerate(windows.of.values()))
    made = ", ".join(f"{_honest(output, moment)} as {quoted(output.column)}" for output in outputs(name, windows))
    return f"""
with seen as (select cast({quoted(windows.time)} as timestamptz) as _happened{values}
  from {quoted(windows.source)} where {known}{where} and {mine})
select {made} from seen"""


def _honest(output: Output, moment: datetime) -> str:
    inside, value = f"_happened > {instant(moment - output.over)}", f"_v{output.value}"
    if output.value is None:
        newest = f"epoch_us(max(_happened) filter ({inside}))"
        return f"count(*) filter ({inside})" if output.agg == "count" else f"{_minutes(moment, newest)}"
    present, exact = f"filter ({inside} and {value} is not null)", exact_sql(value)
    least = f"(select min({exact}) {present} from seen)"
    mean = f"cast(sum({exact}) {present} as double) / count({value}) {present}"
    return {
        "sum": f"cast(coalesce(sum({exact}) {present}, 0) as double)",
        "mean": mean,
        "share": mean,
        "std": f"stddev_samp(cast({exact} - {least} as double)) {present}",
        "min": f"min(cast({value} as double)) {present}",
        "max": f"max(cast({value} as double)) {present}",
        "last": f"last({value} order by _happened, {value}) {present}",
        "first": f"first({value} order by _happened, {value}) {present}",
        "distinct": f"count(distinct {value}) {present}",
    }[output.agg]


def _minutes(moment: datetime, newest: str) -> str:
    return f"(epoch_us({instant(moment)}) - {newest}) / 60e6"
