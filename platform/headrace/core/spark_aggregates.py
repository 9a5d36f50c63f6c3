"""Aggregates, values picked over windows, and what meets in a join, of DuckDB in Spark's SQL."""

from sqlglot import exp

from headrace.core.spark_types import kind_of
from headrace.core.spark_words import CannotSay, Rewrite, need, said, spark


def summed(node: exp.Expression) -> exp.Expression:
    """Return a sum; sums of whole numbers are exact on both, those of doubles depend on their order on either."""
    _plain(node.this)
    need(_aggregated(node), "int", "double", "decimal")
    return node


def averaged(node: exp.Expression) -> exp.Expression:
    """Return a mean: of whole numbers the exact sum as a double over their number, as DuckDB has it."""
    _plain(node.this)
    kind, x = need(node.this, "int", "double"), said(node.this)
    if kind == "double":
        return node
    if isinstance(node.parent, exp.Filter | exp.Window):
        raise CannotSay("the mean of whole numbers in a window or with a filter: cast them to double")
    return spark(f"(try_divide(cast(sum(cast({x} as decimal(38, 0))) as double), cast(count({x}) as double)))")


def deviation(name: str) -> Rewrite:
    """Return a function of numbers that rounds in its last digits."""

    def rewrite(node: exp.Expression) -> exp.Expression:
        _plain(node.this)
        need(node.this, "int", "double")
        return exp.Anonymous(this=name, expressions=[node.this])

    return rewrite


def _aggregated(node: exp.Expression) -> exp.Expression:
    made: exp.Expression = node.this.expressions[0] if isinstance(node.this, exp.Distinct) else node.this
    return made


def _plain(node: exp.Expression) -> None:
    if isinstance(node, exp.Order | exp.Distinct):
        raise CannotSay("an aggregate of distinct or ordered values, other than a count, is not carried")


def picked(node: exp.Expression) -> exp.Expression:
    """Return a value that a window picks; outside of one, which it is would be for the engine to choose."""
    if not isinstance(_within_nulls(node), exp.Window):
        raise CannotSay("which value it is depends on an order: use it over a window")
    return node


def _within_nulls(node: exp.Expression) -> exp.Expression | None:
    parent = node.parent
    return parent.parent if isinstance(parent, exp.IgnoreNulls) else parent


def met(node: exp.Expression) -> exp.Expression:
    """Refuse a join by doubles: DuckDB's own tells -0.0 from 0.0, though it calls them equal."""
    if isinstance(node.find_ancestor(exp.Join, exp.Select), exp.Join) and "double" in (
        kind_of(node.this),
        kind_of(node.expression),
    ):
        raise CannotSay("a join by doubles: cast them to what they count")
    return node
