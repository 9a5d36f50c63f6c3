"""What type a value has in DuckDB, where that decides how Spark has to be asked: sqlglot's own table, and what it lacks."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB

_KINDS = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INT", "BIGINT", "INT128"), "int"),
    **dict.fromkeys(("DOUBLE", "FLOAT"), "double"),
    **dict.fromkeys(("VARCHAR", "TEXT", "CHAR"), "text"),
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMPNTZ"), "stamp"),
    **dict.fromkeys(("TIMESTAMPTZ", "TIMESTAMPLTZ"), "instant"),
    "DECIMAL": "decimal",
    "BOOLEAN": "bool",
    "DATE": "date",
    "INTERVAL": "interval",
    "NULL": "null",
}


def kind_of(node: exp.Expression | None) -> str | None:
    """Return what a node's values are: int, double, decimal, text, bool, date, stamp, instant, interval, null; None if unknown."""
    if node is None:
        return None
    if isinstance(node, exp.Paren):
        return kind_of(node.this)
    if isinstance(node, exp.Null):
        return "null"
    return _KINDS.get(node.type.this.value) if node.type else None


def _always(name: str) -> Mapping[str, Any]:
    return {"annotator": lambda annotator, node: annotator._set_type(node, exp.DataType.build(name))}


def _by(rule: Callable[[exp.Expression], str | None]) -> Mapping[str, Any]:
    """Return an annotator that says "unknown" where the rule says nothing."""
    return {
        "annotator": lambda annotator, node: annotator._set_type(node, exp.DataType.build(rule(node) or "unknown")),
    }


def _sum_of(node: exp.Expression) -> str | None:
    kinds = (kind_of(node.this), kind_of(node.expression))
    match kinds:
        case ("date", "int") | ("int", "date"):
            return "date"
        case ("date", "date"):
            return "bigint"
        case ("date" | "stamp", "interval"):
            return "timestamp"
        case ("instant", "interval"):
            return "timestamptz"
        case ("stamp", "stamp") | ("instant", "instant") | ("stamp", "instant") | ("instant", "stamp"):
            return "interval"
    return _number(kinds)


def _number(kinds: tuple[str | None, ...]) -> str | None:
    if not set(kinds) <= {"int", "double", "decimal", "null"}:
        return None
    return next((name for kind, name in _NUMBERS if kind in kinds), None)


_NUMBERS = (("double", "double"), ("decimal", "decimal"), ("int", "bigint"))


def _other_zone(node: exp.Expression | None) -> str | None:
    return {"instant": "timestamp", "stamp": "timestamptz"}.get(kind_of(node) or "")


def _named(node: exp.Expression) -> str | None:
    name = node.name.lower()
    if name == "timezone" and len(node.expressions) == 2:
        return _other_zone(node.expressions[1])
    if name in ("to_hours", "to_minutes", "to_seconds"):
        return "interval"
    if name in ("date_part", "datepart"):
        return "double" if node.expressions[0].name.lower() == "epoch" else "bigint"
    return {"epoch_us": "bigint", "prefix": "boolean", "suffix": "boolean"}.get(name)


def _written(node: exp.Expression) -> str:
    if node.is_string:
        return "varchar"
    digits = str(node.this).lower()
    return "double" if "e" in digits else "decimal" if "." in digits else "bigint"


def _like_operand(node: exp.Expression) -> str | None:
    return {"int": "bigint", "double": "double", "decimal": "decimal"}.get(kind_of(node.this) or "")


def _truncated(node: exp.Expression) -> str | None:
    return {"instant": "timestamptz", "stamp": "timestamp", "date": "timestamp"}.get(kind_of(node.this) or "")


def _total(node: exp.Expression) -> str | None:
    inner = node.this.expressions[0] if isinstance(node.this, exp.Distinct) else node.this
    return {"int": "int128", "double": "double", "decimal": "decimal", "bool": "int128"}.get(kind_of(inner) or "")


TYPED: Mapping[type[exp.Expression], Mapping[str, Any]] = {
    **DuckDB.EXPRESSION_METADATA,
    **{kind: _by(_sum_of) for kind in (exp.Add, exp.Sub)},
    **{kind: _by(_like_operand) for kind in (exp.Ceil, exp.Floor, exp.Round, exp.Abs, exp.Neg)},
    **{
        kind: _always("double")
        for kind in (exp.Div, exp.Sqrt, exp.Ln, exp.Exp, exp.Sin, exp.Cos, exp.Avg, exp.TimeToUnix)
    },
    **{
        kind: _always("bigint")
        for kind in (exp.IntDiv, exp.Mod, exp.Length, exp.StrPosition, exp.DateDiff, exp.CountIf)
    },
    **{
        kind: _always("varchar")
        for kind in (exp.Concat, exp.ConcatWs, exp.DPipe, exp.Pad, exp.Trim, exp.Left, exp.Right)
    },
    **{kind: _always("varchar") for kind in (exp.Substring, exp.Replace, exp.MD5, exp.Lower, exp.Upper)},
    exp.TimestampTrunc: _by(_truncated),
    exp.Mul: _by(lambda node: _number((kind_of(node.this), kind_of(node.expression)))),
    exp.Extract: _by(lambda node: "double" if node.name.lower() == "epoch" else "bigint"),
    exp.AtTimeZone: _by(lambda node: _other_zone(node.this)),
    exp.Anonymous: _by(_named),
    exp.Literal: _by(_written),
    exp.ToDays: _always("interval"),
    exp.Interval: _always("interval"),
    exp.Sum: _by(_total),
}
"""How each node gets its type. DuckDB divides into doubles, whatever it divides."""
