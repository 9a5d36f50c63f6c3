"""Moments, zones, parts and spans of time of DuckDB in Spark's SQL."""

import re

from sqlglot import exp

from headrace.core.spark_words import CannotSay, Rewrite, known_kind, need, said, spark, written


def in_zone(zone: exp.Expression, moment: exp.Expression) -> exp.Expression:
    """Return an instant as the clock on a wall shows it in a zone, or the other way round."""
    name, kind, x = written(zone, "the zone"), need(moment, "instant", "stamp"), said(moment)
    if not re.fullmatch(r"[A-Za-z]+(/[A-Za-z_+-]+[0-9]*)*", name):
        raise CannotSay(f"'{name}' is no name of a zone")
    there = f"convert_timezone('UTC', '{name}', cast({{}} as timestamp_ntz))"
    if kind == "instant":
        return spark(there.format(x))
    # Of two instants with one wall-clock time DuckDB takes the later, Java the earlier.
    first = f"cast(convert_timezone('{name}', 'UTC', {x}) as timestamp)"
    later = f"({first} + interval '{{}}' minute)"
    tries = " ".join(
        f"when {there.format(later.format(minutes))} = {x} then {later.format(minutes)}" for minutes in (60, 30)
    )
    return spark(f"(case {tries} else {first} end)")


def timezone(node: exp.Expression) -> exp.Expression:
    """Return what `timezone(zone, moment)` says."""
    if len(node.expressions) != 2:
        raise CannotSay("it takes a zone and a moment")
    return in_zone(*node.expressions)


_PARTS = {
    "year": "year({})",
    "month": "month({})",
    "day": "day({})",
    "hour": "hour({})",
    "minute": "minute({})",
    "second": "cast(floor(extract(second from {})) as int)",
    "quarter": "quarter({})",
    "doy": "dayofyear({})",
    "dayofyear": "dayofyear({})",
    "dow": "(dayofweek({}) - 1)",
    "dayofweek": "(dayofweek({}) - 1)",
    "weekday": "(dayofweek({}) - 1)",
    "isodow": "(weekday({}) + 1)",
    "week": "weekofyear({})",
    "weekofyear": "weekofyear({})",
}


def _part(word: str, moment: exp.Expression) -> exp.Expression:
    if word == "epoch":
        return epoch(moment)
    if word not in _PARTS:
        raise CannotSay(f"the part '{word}' of a moment is not carried; there are {', '.join(_PARTS)}")
    kind = need(moment, "instant", "stamp", "date")
    if kind == "date" and word in ("hour", "minute", "second"):
        return spark(f"(case when {said(moment)} is not null then 0L end)")
    return spark(f"cast({_PARTS[word].format(said(moment))} as bigint)")


def extract(node: exp.Expression) -> exp.Expression:
    """Return what `extract(part from moment)` says."""
    return _part(node.name.lower(), node.expression)


def date_part(node: exp.Expression) -> exp.Expression:
    """Return what `date_part(part, moment)` says."""
    word, moment = node.expressions
    return _part(written(word, "the part").lower(), moment)


def own_part(word: str) -> Rewrite:
    """Return a function that is named as the part of a moment that it returns."""
    return lambda node: _part(word, node.expressions[0] if isinstance(node, exp.Anonymous) else node.this)


def _micros(moment: exp.Expression) -> str:
    kind = need(moment, "instant", "stamp", "date")
    return f"unix_micros({said(moment) if kind == 'instant' else f'cast({said(moment)} as timestamp)'})"


def epoch(moment: exp.Expression) -> exp.Expression:
    """Return seconds since 1970 of a moment, or between two, as a double."""
    inner = moment.unnest()
    if isinstance(inner, exp.Sub) and known_kind(inner.this) in ("instant", "stamp"):
        return spark(f"(({_micros(inner.this)} - {_micros(inner.expression)}) / 1e6D)")
    return spark(f"({_micros(moment)} / 1e6D)")


def epoch_us(node: exp.Expression) -> exp.Expression:
    """Return microseconds since 1970 of a moment."""
    return spark(_micros(node.expressions[0]))


_UNITS = {"DAY", "WEEK", "MONTH", "QUARTER", "YEAR", "HOUR", "MINUTE", "SECOND"}


def truncated(node: exp.Expression) -> exp.Expression:
    """Return the beginning of the day, week, month, ... of a moment."""
    unit, kind, x = str(node.args["unit"].name).upper(), need(node.this, "instant", "stamp", "date"), said(node.this)
    if unit not in _UNITS:
        raise CannotSay(f"the unit {unit.lower()} is not carried")
    made = f"date_trunc('{unit}', cast({x} as timestamp))"
    return spark(made if kind == "instant" else f"cast({made} as timestamp_ntz)")


_LENGTHS = {"HOUR": 3_600_000_000, "MINUTE": 60_000_000, "SECOND": 1_000_000}


def boundaries(node: exp.Expression) -> exp.Expression:
    """Return how many boundaries of a unit lie between two moments."""
    unit, until, since = str(node.args["unit"].name).upper(), node.this, node.expression
    a, b = _micros(since), _micros(until)
    if unit in _LENGTHS:
        return spark(f"({_floor_div(b, _LENGTHS[unit])} - {_floor_div(a, _LENGTHS[unit])})")
    days = [f"cast(cast({said(part)} as timestamp_ntz) as date)" for part in (since, until)]
    if unit == "DAY":
        return spark(f"cast(datediff({days[1]}, {days[0]}) as bigint)")
    if unit in ("MONTH", "YEAR"):
        count = "(year({0}) * 12L + month({0}))" if unit == "MONTH" else "cast(year({0}) as bigint)"
        return spark(f"({count.format(days[1])} - {count.format(days[0])})")
    raise CannotSay(f"boundaries of {unit.lower()}s are not counted alike")


def _floor_div(value: str, by: int) -> str:
    return f"(({value} - pmod({value}, {by}L)) div {by}L)"


_SPANS = {"to_days": 0, "to_hours": 1, "to_minutes": 2, "to_seconds": 3}


def span(name: str) -> Rewrite:
    """Return a function that makes a span of time of a whole number."""

    def rewrite(node: exp.Expression) -> exp.Expression:
        value = node.expressions[0] if isinstance(node, exp.Anonymous) else node.this
        need(value, "int")
        parts = ["0", "0", "0", "0"]
        parts[_SPANS[name]] = f"cast({said(value)} as {'decimal(18, 6)' if name == 'to_seconds' else 'int'})"
        return spark(f"make_dt_interval({', '.join(parts)})")

    return rewrite


_INTERVAL_UNITS = {"DAY", "HOUR", "MINUTE", "SECOND", "WEEK", "MONTH", "YEAR"}


def interval(node: exp.Expression) -> exp.Expression:
    """Return a span of time that is written out."""
    unit = str(node.args["unit"].name if node.args.get("unit") else "").upper().removesuffix("S")
    value = node.this
    if not isinstance(value, exp.Literal) or not re.fullmatch(r"-?[0-9]+", value.this) or unit not in _INTERVAL_UNITS:
        raise CannotSay(
            "write an interval as one whole number and one unit, such as `interval 90 minutes`, or to_minutes(x)"
        )
    number, unit = (int(value.this) * 7, "DAY") if unit == "WEEK" else (int(value.this), unit)
    return spark(f"interval '{number}' {unit.lower()}")
