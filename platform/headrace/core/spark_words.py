"""The words in which Spark is asked: what its SQL is built from, and why it cannot be."""

from collections.abc import Callable

from sqlglot import exp

from headrace.core.spark_types import kind_of

Rewrite = Callable[[exp.Expression], exp.Expression]
"""Gets a node whose parts are carried already, and returns what takes its place."""


class Untyped(Exception):
    """An operand of which the type decides what is meant, and is not known."""


class CannotSay(Exception):
    """A use of a known construct that Spark would understand differently."""


def said(node: exp.Expression | None) -> str:
    """Return what a node says in Spark's SQL, in parentheses."""
    assert node is not None
    return f"({node.sql(dialect='spark', comments=False)})"


def spark(text: str) -> exp.Expression:
    """Return a node that stands for a text in Spark's SQL."""
    return exp.Var(this=text)


def known_kind(node: exp.Expression | None) -> str:
    """Return what a node's values are; raises Untyped where nobody can tell."""
    kind = kind_of(node)
    if kind is None:
        assert node is not None
        raise Untyped(node.sql(dialect="duckdb", comments=False))
    return kind


def need(node: exp.Expression | None, *kinds: str) -> str:
    """Return what a node's values are, if they are of one of these kinds; raises CannotSay, or Untyped."""
    kind = known_kind(node)
    if kind not in (*kinds, "null"):
        raise CannotSay(f"it is not the same for values of type {kind}")
    return kind


def written(node: exp.Expression | None, what: str) -> str:
    """Return the text of a literal; raises CannotSay for anything else."""
    if not isinstance(node, exp.Literal):
        raise CannotSay(f"{what} has to be written out")
    return str(node.this)


def whole_number(node: exp.Expression | None, what: str, least: int) -> int:
    """Return the number of a literal, from a least one on; raises CannotSay for anything else."""
    text = written(node, what)
    if not text.isdigit() or int(text) < least:
        raise CannotSay(f"{what} has to be a whole number from {least} on")
    return int(text)


def text_literal(text: str) -> str:
    """Return a text as a literal of Spark's SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
