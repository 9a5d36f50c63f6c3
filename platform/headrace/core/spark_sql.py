"""SQL in DuckDB's dialect, carried to Spark: what means the same there goes over, all else is refused by name.

A construct or function that stands in none of the tables here is refused: nothing is passed on in the hope that Spark
has something of that name. `spark_functions.py` holds how each function and operator is written there.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache

import pyarrow as pa
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.tokens import TokenType

from headrace.core.errors import NotCarried, SqlError, TypeUnknown
from headrace.core.spark_functions import NAMED, REWRITTEN, UNDERSTOOD
from headrace.core.spark_types import TYPED
from headrace.core.spark_words import CannotSay, Untyped
from headrace.core.sql import DIALECT, Schema, parse

SPARK = "spark"
_SAME: frozenset[type[exp.Expression]] = frozenset(
    {
        *(exp.Select, exp.Subquery, exp.With, exp.CTE, exp.From, exp.Join, exp.Where, exp.Group, exp.Having, exp.Order),
        *(exp.Ordered, exp.Union, exp.Intersect, exp.Except, exp.Alias, exp.TableAlias, exp.Column, exp.Identifier),
        *(exp.Table, exp.Star, exp.Distinct, exp.Paren, exp.Tuple, exp.Values, exp.Literal, exp.Boolean, exp.Null),
        *(exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Is, exp.NullSafeEQ),
        *(
            exp.NullSafeNEQ,
            exp.Between,
            exp.In,
            exp.Exists,
            exp.Case,
            exp.If,
            exp.Coalesce,
            exp.Nullif,
            exp.Add,
            exp.Mul,
        ),
        *(exp.Sub, exp.Neg, exp.Window, exp.WindowSpec, exp.Filter, exp.Qualify, exp.Var, exp.Interval, exp.DataType),
        *(exp.DataTypeParam, exp.Min, exp.Max, exp.Count, exp.CountIf, exp.LogicalAnd, exp.LogicalOr, exp.RowNumber),
        *(exp.Rank, exp.DenseRank, exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue, exp.IgnoreNulls, exp.Ntile),
        *(exp.Greatest, exp.Least),
    }
)
_SAME_TYPE = {
    "int8": "tinyint",
    "int16": "smallint",
    "int32": "int",
    "int64": "bigint",
    "float": "float",
    "double": "double",
    "bool": "boolean",
    "string": "varchar",
    "large_string": "varchar",
    "string_view": "varchar",
    "date32[day]": "date",
}
_ALWAYS = ("this", "expression", "expressions")
_ADVICE = "Write it with what docs/spark.md lists, or make it on the local engine"


def carried(text: str, origin: str, schema: Schema) -> str:
    """Return a SELECT as Spark's SQL, its tables' columns and types being `schema` (in DuckDB's words).

    Raises NotCarried, with file, line and construct, where the meaning could differ.
    """
    return _carried(text, origin, tuple((table, tuple(columns.items())) for table, columns in schema.items()))


def refuse_uncarried(text: str, origin: str) -> None:
    """Raise NotCarried for the first construct of a SELECT that Spark has not with the same meaning, whatever the types."""
    for token in sqlglot.tokenize(text, dialect=DIALECT):
        if token.token_type in (TokenType.RLIKE, TokenType.TILDE):
            raise NotCarried(
                f"{origin}:{token.line}: `engine: spark` does not carry `{token.text}`: write regexp_full_match(text, pattern)."
            )
    for node in parse(text, origin).walk():
        _refuse_unknown(node, origin)


def schema_of(tables: Mapping[str, pa.Schema]) -> dict[str, dict[str, str]]:
    """Return the columns of tables and their types in DuckDB's words."""
    return {name.lower(): {field.name: _duckdb_type(field.type) for field in schema} for name, schema in tables.items()}


@lru_cache(maxsize=256)
def _carried(text: str, origin: str, schema: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]) -> str:
    refuse_uncarried(text, origin)
    known = {table: dict(columns) for table, columns in schema}
    try:
        tree = qualify(parse(text, origin), schema=known, dialect=DIALECT)
        tree = annotate_types(tree, schema=known, expression_metadata=TYPED, dialect=DIALECT)
    except SqlglotError as error:
        raise SqlError(f"{origin}: {error}") from None
    for node in reversed(list(tree.walk(bfs=False))):
        _refuse_unknown(node, origin)
        rewrite = _rewrite_of(node)
        if rewrite is None:
            continue
        try:
            made = rewrite(node)
        except Untyped as error:
            why = f"nobody can tell the type of `{error}`: cast it, or write a contract"
            raise TypeUnknown(str(_refused(node, origin, why))) from None
        except CannotSay as error:
            raise _refused(node, origin, str(error)) from None
        if made is not node:
            made.type = node.type
            if node is tree:
                tree = made
            else:
                node.replace(made)
    return str(tree.sql(dialect=SPARK, comments=False))


def _rewrite_of(node: exp.Expression) -> Callable[[exp.Expression], exp.Expression] | None:
    return NAMED.get(node.name.lower()) if isinstance(node, exp.Anonymous) else REWRITTEN.get(type(node))


def _refuse_unknown(node: exp.Expression, origin: str) -> None:
    kind = type(node)
    if isinstance(node, exp.Anonymous):
        if node.name.lower() not in NAMED:
            raise _refused(node, origin)
        return
    if kind not in _SAME and kind not in REWRITTEN:
        raise _refused(node, origin)
    if kind in REWRITTEN:
        more = [name for name, said in node.args.items() if said and name not in {*_ALWAYS, *UNDERSTOOD.get(kind, ())}]
        if more:
            raise _refused(node, origin, f"{_called(node)} with `{more[0]}` is not carried")
    for is_it, why in _NOT_THESE.get(kind, ()):
        if is_it(node):
            raise _refused(node, origin, why)


def _refused(node: exp.Expression, origin: str, why: str = "") -> NotCarried:
    line = next((n.meta["line"] for n in node.walk() if n.meta.get("line")), None)
    line = line or next((m for m in map(_line, _above(node)) if m), 1)
    what = node.sql(dialect=DIALECT, comments=False)
    shown = what if len(what) <= 60 else f"{what[:57]}..."
    reason = why or f"{_called(node)} has no known equal there"
    return NotCarried(
        f"{origin}:{line}: `engine: spark` does not carry `{shown}`: {reason}. {_ADVICE}: `engine: duckdb`."
    )


def _called(node: exp.Expression) -> str:
    if isinstance(node, exp.Anonymous):
        return f"the function {node.name.lower()}"
    return f"the function {node.sql_name().lower()}" if isinstance(node, exp.Func) else node.key


def _above(node: exp.Expression) -> list[exp.Expression]:
    found = []
    while node.parent:
        node = node.parent
        found.append(node)
    return found


def _line(node: exp.Expression) -> int | None:
    return next((n.meta["line"] for n in node.walk() if n.meta.get("line")), None)


def _duckdb_type(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "timestamptz" if kind.tz else "timestamp"
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision}, {kind.scale})"
    return _SAME_TYPE.get(str(kind), "unknown")


def _has(name: str) -> Callable[[exp.Expression], bool]:
    return lambda node: bool(node.args.get(name))


def _bounded_range(node: exp.Expression) -> bool:
    bounds = {str(node.args.get("start") or "").upper(), str(node.args.get("end") or "").upper()}
    return str(node.args.get("kind") or "").upper() != "ROWS" and not bounds <= {"", "UNBOUNDED", "CURRENT ROW"}


_Refusals = tuple[tuple[Callable[[exp.Expression], bool], str], ...]
_NOT_THESE: Mapping[type[exp.Expression], _Refusals] = {
    exp.Select: (
        (_has("limit"), "which rows a LIMIT leaves is for the engine to choose where some are equal"),
        (_has("offset"), "which rows an OFFSET leaves is for the engine to choose where some are equal"),
        (_has("sample"), "a sample is another one on each engine"),
    ),
    exp.Join: (
        (_has("match_condition"), "an ASOF JOIN is not one there: declare `time` and `ttl`, and let the platform join"),
        (
            lambda node: (node.args.get("method") or "").upper() not in ("",),
            "there is no such join: declare `time` and `ttl`, and let the platform join in time",
        ),
    ),
    exp.Distinct: ((_has("on"), "which row DISTINCT ON keeps is for the engine to choose"),),
    exp.With: ((_has("recursive"), "a recursive query is not carried"),),
    exp.Table: (
        (_has("sample"), "a sample is another one on each engine"),
        (_has("pivots"), "PIVOT and UNPIVOT are not carried"),
        (lambda node: not isinstance(node.this, exp.Identifier), "a function in FROM is not carried"),
    ),
    exp.Subquery: ((_has("pivots"), "PIVOT and UNPIVOT are not carried"),),
    exp.Group: (
        (
            lambda n: any(n.args.get(k) for k in ("grouping_sets", "cube", "rollup")),
            "several groupings are not carried",
        ),
        (_has("all"), "name the columns instead of ALL"),
    ),
    exp.Order: (
        (lambda node: isinstance(node.parent, exp.AggFunc), "an aggregate in an order of its own is not carried"),
    ),
    exp.WindowSpec: (
        (_bounded_range, "a frame of RANGE or GROUPS is not carried: declare `windows`, which are exact"),
        (_has("exclude"), "EXCLUDE in a frame is not carried"),
    ),
    exp.Union: (
        (_has("by_name"), "UNION BY NAME is not carried: name the columns"),
        (_has("limit"), "LIMIT is not carried"),
    ),
    exp.In: ((_has("unnest"), "a list of values in a column is not carried"),),
    exp.Count: ((_has("expressions"), "count one column at a time"),),
}
