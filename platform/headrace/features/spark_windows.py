"""Windows on Spark: the same step function as `steps.py` makes, as one statement in Spark's SQL.

Totals are running sums of what starts and ends at each instant, in whole numbers of 1e-9 (DECIMAL(38, 0)), so that no
order of addition is seen. A distinct value counts once from where those before it have ended. The least, greatest, last
and first have no inverse: the places over which an event counts are cut into blocks of a power of two (the nodes of a
segment tree), each block keeps its best, and an instant asks the blocks that it lies in: joins by equality alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from headrace.core.errors import DataError, NotCarried
from headrace.core.names import quoted
from headrace.features.declaration import Windows
from headrace.features.windows import EVENTS, Output, instant, known_when, no_condition, outputs
from headrace.sources.declaration import Source
from headrace.store.spark import spark_name, spark_text
from headrace.store.tables import DAY

_MICROSECOND = timedelta(microseconds=1)
_NUMBERS = (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean, pa.types.is_decimal)
_SUMMED, _BOUNDED, PICKED = {"sum", "mean", "share", "std"}, {"min", "max"}, {"last", "first"}


def seen_sql(windows: Windows, source: Source, span: tuple[datetime, datetime] | None) -> str:
    """Return SQL in DuckDB's dialect: entities, `_happened` and `_known` in microseconds, and a `_value` for each of `of`."""
    moments = [quoted(moment) for moment in known_when(windows, source)]
    conditions = [f"{column} is not null" for column in [*moments, *map(quoted, windows.entities)]]
    conditions += [f"({windows.where})"] if windows.where else []
    if span:
        conditions.append(f"{quoted(windows.time)} >= {instant(_before(span[0], max(windows.over)))}")
        conditions.append(f"{quoted(windows.time)} < {instant(span[1])}")
    values = "".join(f", ({sql}) as _value{i}" for i, sql in enumerate(windows.of.values()))
    known = f"greatest({', '.join(moments)})" if len(moments) > 1 else moments[0]
    return (
        f"select {', '.join(map(quoted, windows.entities))}, epoch_us(cast({quoted(windows.time)} as timestamptz)) as _happened, "
        f"epoch_us(cast({known} as timestamptz)) as _known{values} from {EVENTS} where {' and '.join(conditions)}"
    )


def _before(start: datetime, back: timedelta) -> datetime:
    """Return the instant that lies so far before another by the clock of the world, not of the wall."""
    return start.astimezone(UTC) - back


@dataclass(frozen=True)
class Emission:
    """What a statement is made from."""

    name: str
    windows: Windows
    carried: str
    """What `seen_sql` says, in Spark's SQL."""
    seen: pa.Schema
    """Its columns, as DuckDB has them."""
    timezone: str
    span: tuple[datetime, datetime] | None

    @property
    def keys(self) -> str:
        """The entity columns."""
        return ", ".join(map(spark_name, self.windows.entities))

    @property
    def overs(self) -> Sequence[timedelta]:
        """How far the windows reach back."""
        return self.windows.over

    @property
    def outputs(self) -> list[Output]:
        """The columns to make."""
        return list(outputs(self.name, self.windows))

    def values(self, *aggs: str) -> list[int]:
        """Return the numbers of the values; none if none of the aggregations is asked for."""
        return list(range(len(self.windows.of))) if set(aggs) & set(self.windows.agg) else []

    def has(self, *aggs: str) -> bool:
        """Return whether any of the aggregations is asked for."""
        return bool(set(aggs) & set(self.windows.agg))


def windows_sql(emission: Emission) -> str:
    """Return Spark's SQL for the changes within the span: entities, `time`, the outputs, the day; by time and entities."""
    keys = emission.keys
    parts = [
        f"read as ({emission.carried})",
        f"seen as (select {keys}, _happened, _known{_needed(emission)} from read)",
        f"seen_apart as (select *{_apart(emission)} from seen)",
        f"alive as (select *, _known as _starts, _happened + _over as _ends from seen_apart "
        f"cross join (values {_overs(emission)}) as overs(_window, _over) where _known < _happened + _over)",
        *_deltas(emission),
        f"steps as (select {keys}, _at, {_summed(emission)} from deltas group by {keys}, _at)",
        f"running as (select {keys}, _at, row_number() over o - 1 as _place, {_running(emission)} from steps "
        f"window o as (partition by {keys} order by _at rows between unbounded preceding and current row))",
        *_bests(emission),
    ]
    joined = f"left join best using ({keys}, _place)" if _picks(emission) else ""
    made = ", ".join(f"{_output(emission, output)} as {spark_name(output.stored)}" for output in emission.outputs)
    day = f"cast(convert_timezone('UTC', {spark_text(emission.timezone)}, cast(timestamp_micros(_at) as timestamp_ntz)) as date)"
    return (
        f"with {', '.join(parts)} select {keys}, timestamp_micros(_at) as `time`, {made}, {day} as {DAY} "
        f"from running {joined}{_within(emission)} order by `time`, {keys}"
    )


def exact_sql(value: str, kind: pa.DataType, origin: str) -> str:
    """Return Spark's SQL for a value in whole numbers of 1e-9, rounded as `windows.exact_sql` has it rounded."""
    if pa.types.is_decimal(kind):
        return f"cast(cast({value} as decimal(38, 9)) * 1000000000 as decimal(38, 0))"
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return f"cast(cast({value} as decimal(20, 0)) * 1000000000 as decimal(38, 0))"
    if not pa.types.is_floating(kind):
        raise NotCarried(f"{origin}: `engine: spark` does not sum values of type {kind}: let the contract type them.")
    whole = f"rint({value})"
    rest = f"({value} - {whole}) * 1e9D"
    high = f"cast({whole} / 281474976710656D as bigint)"
    low = f"cast({whole} - {high} * 281474976710656D as bigint)"
    whole_exact = f"(cast({high} as decimal(20, 0)) * 281474976710656 + {low})"
    nudged = f"cast(rint({rest} + signum({rest}) * 1e-9D) as bigint)"
    return f"cast(cast({whole_exact} * 1000000000 as decimal(38, 0)) + {nudged} as decimal(38, 0))"


def _needed(emission: Emission) -> str:
    origin, made = f"features.{emission.name}", []
    for i in range(len(emission.windows.of)):
        kind = emission.seen.field(f"_value{i}").type
        value = f"(_value{i} + 0D)" if pa.types.is_floating(kind) else f"_value{i}"
        if emission.has("share") and not pa.types.is_boolean(kind):
            raise DataError(f"{origin}: {no_condition(list(emission.windows.of)[i])}.")
        if emission.has(*_SUMMED):
            made.append(f"{exact_sql(f'_value{i}', kind, origin)} as _exact{i}")
        if emission.has(*_BOUNDED):
            if not any(holds(kind) for holds in _NUMBERS):
                raise NotCarried(
                    f"{origin}: `engine: spark` has no `min` and `max` of type {kind}: let the contract type it."
                )
            made.append(f"cast({value} as double) + 0D as _number{i}")
        made.append(f"{value} as _value{i}")
    return "".join(f", {column}" for column in made)


def _apart(emission: Emission) -> str:
    """Return the distances from an entity's least value: what `std` is made of."""
    return "".join(
        f", cast(_exact{i} - min(_exact{i}) over (partition by {emission.keys}) as decimal(38, 0)) as _apart{i}"
        for i in emission.values("std")
    )


def _overs(emission: Emission) -> str:
    return ", ".join(f"({n}, {over // _MICROSECOND}L)" for n, over in enumerate(emission.overs))


def _measures(emission: Emission) -> Iterator[tuple[str, str, str]]:
    """Yield what is added at a start and taken away at an end: name, SQL, the SQL of nothing."""
    yield "n", "1L", "0L"
    none = "cast(0 as decimal(38, 0))"
    for i in emission.values(*_SUMMED):
        yield f"c{i}", f"case when _value{i} is not null then 1L else 0L end", "0L"
    for i in emission.values("sum", "mean", "share"):
        yield f"s{i}", f"coalesce(_exact{i}, 0)", none
    for i in emission.values("std"):
        yield f"a{i}", f"coalesce(_apart{i}, 0)", none
        yield f"q{i}", f"cast(coalesce(_apart{i} * _apart{i}, 0) as decimal(38, 0))", none


def _deltas(emission: Emission) -> Iterator[str]:
    keys, plain = emission.keys, list(_measures(emission))
    distinct = emission.values("distinct")
    parts = []
    for at, sign in (("_starts", ""), ("_ends", "0 - ")):
        # `-x` of Spark rounds a decimal to 34 digits, `0 - x` to none.
        added = ", ".join(f"cast({sign}({sql}) as {_type(name)}) as {name}" for name, sql, _ in plain)
        none = "".join(f", 0L as d{i}" for i in distinct)
        parts.append(f"select {keys}, _window, {at} as _at, {added}{none} from alive")
    for i in distinct:
        yield (
            f"own{i} as (select {keys}, _window, greatest(_starts, max(_ends) over (partition by {keys}, _window, _value{i} "
            f"order by _starts, _ends rows between unbounded preceding and 1 preceding)) as _starts, _ends "
            f"from alive where _value{i} is not null)"
        )
        for at, sign in (("_starts", ""), ("_ends", "-")):
            zeros = ", ".join(f"cast({zero} as {_type(name)}) as {name}" for name, _, zero in plain)
            ones = "".join(f", {sign if j == i else ''}{1 if j == i else 0}L as d{j}" for j in distinct)
            parts.append(f"select {keys}, _window, {at} as _at, {zeros}{ones} from own{i} where _starts < _ends")
    yield f"deltas as ({' union all '.join(parts)})"


def _type(measure: str) -> str:
    return "bigint" if measure[0] in "ncd" else "decimal(38, 0)"


def _columns(emission: Emission) -> Iterator[tuple[str, int]]:
    names = [name for name, _, _ in _measures(emission)] + [f"d{i}" for i in emission.values("distinct")]
    for window in range(len(emission.overs)):
        yield from ((name, window) for name in names)


def _summed(emission: Emission) -> str:
    return ", ".join(
        f"cast(sum(case when _window = {window} then {name} else 0 end) as {_type(name)}) as {name}_{window}"
        for name, window in _columns(emission)
    )


def _running(emission: Emission) -> str:
    return ", ".join(
        f"cast(sum({name}_{window}) over o as {_type(name)}) as {name}_{window}" for name, window in _columns(emission)
    )


def _picks(emission: Emission) -> list[tuple[str, str, str]]:
    """Return what blocks keep: name, the SQL of one event, and which is the best."""
    made = [("newest", "_happened", "max")] if emission.has("since") else []
    for agg, best in (("min", "min"), ("max", "max")):
        made += [(f"{agg}{i}", f"_number{i}", best) for i in emission.values(agg)]
    for agg, best in (("last", "max"), ("first", "min")):
        one = "case when _value{0} is not null then struct(_happened as h, _value{0} as v) end"
        made += [(f"{agg}{i}", one.format(i), best) for i in emission.values(agg)]
    return made


def _bests(emission: Emission) -> Iterator[str]:
    picks, keys = _picks(emission), emission.keys
    if not picks:
        return
    mine = " and ".join(f"alive.{key} = {{0}}.{key}" for key in map(spark_name, emission.windows.entities))
    yield (
        "covered as (select alive.*, s._place as _from, e._place as _until from alive "
        f"join running as s on {mine.format('s')} and alive._starts = s._at "
        f"join running as e on {mine.format('e')} and alive._ends = e._at)"
    )
    first, last = "shiftright(_from + shiftleft(1L, l) - 1L, l)", "shiftright(_until, l)"
    blocks = (
        "flatten(transform(sequence(0, cast(log2(_until - _from) as int) + 1), l -> concat("
        f"if({first} < {last} and {first} % 2 = 1, array(struct(l as level, {first} as block)), array()), "
        f"if({first} < {last} and {last} % 2 = 1, array(struct(l as level, {last} - 1L as block)), array()))))"
    )
    kept = ", ".join(f"{best}({sql}) as {name}" for name, sql, best in picks)
    yield f"cut as (select *, explode({blocks}) as _node from covered)"
    yield (
        f"nodes as (select {keys}, _window, _node.level as _level, _node.block as _block, {kept} "
        f"from cut group by {keys}, _window, _node.level, _node.block)"
    )
    yield f"deepest as (select {keys}, max(_level) as _deepest from nodes group by {keys})"
    yield (
        f"asked as (select {keys}, _place, _level, shiftright(_place, _level) as _block from (select {keys}, _place, "
        f"explode(sequence(0, _deepest)) as _level from running join deepest using ({keys}){_within(emission)}))"
    )
    found = ", ".join(
        f"{best}(case when _window = {window} then {name} end) as {name}_{window}"
        for window in range(len(emission.overs))
        for name, _, best in picks
    )
    yield f"best as (select {keys}, _place, {found} from asked join nodes using ({keys}, _level, _block) group by {keys}, _place)"


def _within(emission: Emission) -> str:
    if emission.span is None:
        return ""
    start, end = (_microseconds(moment) for moment in emission.span)
    return f" where _at >= {start}L and _at < {end}L"


def _microseconds(moment: datetime) -> int:
    return (moment - datetime.fromisoformat("1970-01-01T00:00:00Z")) // _MICROSECOND


def _output(emission: Emission, output: Output) -> str:
    w, i = list(emission.overs).index(output.over), output.value
    total = f"cast(s{i}_{w} as double) / 1e9D"
    mean = f"case when c{i}_{w} > 0 then {total} / cast(c{i}_{w} as double) end"
    made = {
        "count": f"n_{w}",
        "since": f"timestamp_micros(newest_{w})",
        "sum": total,
        "mean": mean,
        "share": mean,
        "std": _deviation(f"c{i}_{w}", f"a{i}_{w}", f"q{i}_{w}"),
        "distinct": f"d{i}_{w}",
        "last": f"last{i}_{w}.v",
        "first": f"first{i}_{w}.v",
    }
    return made.get(output.agg, f"{output.agg}{i}_{w}")


def _deviation(n: str, first: str, second: str) -> str:
    """Return the sample's standard deviation: the same whole numbers, and the same last steps, as `totals.std`."""
    rest = f"cast({first} % {n} as decimal(38, 0))"
    whole = f"cast(({first} - {rest}) div {n} as decimal(20, 0))"
    squares = f"cast({second} - {whole} * ({first} + {rest}) as double)"
    apart = f"({squares} - cast({rest} as double) * cast({rest} as double) / cast({n} as double))"
    return f"case when {n} > 1 then sqrt({apart} / cast({n} - 1 as double)) / 1e9D end"
