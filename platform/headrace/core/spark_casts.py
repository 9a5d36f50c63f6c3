"""Casts and typed literals of DuckDB in Spark's SQL."""

import re

from sqlglot import exp

from headrace.core.spark_words import CannotSay, known_kind, said, spark


def cast(node: exp.Expression) -> exp.Expression:
    """Return a cast: doubles and decimals become whole numbers by rounding, which Spark's own cut off."""
    if isinstance(node.this, exp.Literal) and node.this.is_string:
        return _typed_literal(node)
    there, to = known_kind(node.this), known_kind(node)
    x, name = said(node.this), node.args["to"].sql(dialect="spark")
    if there in (to, "null"):
        return spark(f"cast({x} as {name})")
    if to == "int" and there == "double":
        return spark(f"cast(rint({x}) as {name})")
    if to == "int" and there == "decimal":
        return spark(f"cast(round({x}, 0) as {name})")
    same = {
        ("int", "double"), ("int", "bool"), ("bool", "int"), ("bool", "double"), ("int", "decimal"), ("decimal", "decimal"),
        ("decimal", "double"), ("double", "bool"), ("int", "text"), ("bool", "text"), ("date", "text"), ("date", "stamp"),
        ("date", "instant"), ("stamp", "date"), ("instant", "date"), ("stamp", "instant"), ("instant", "stamp"),
    }  # fmt: skip
    if (there, to) not in same:
        raise CannotSay(f"a cast from {there} to {to} is not the same there: let the contract give the column its type")
    return spark(f"cast({x} as {name})")


_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?)?(Z|[+-][0-9]{2}(:[0-9]{2})?)?"
)


def _typed_literal(node: exp.Expression) -> exp.Expression:
    kind, text = known_kind(node), node.this.this
    if kind == "text":
        return node
    if kind not in ("date", "stamp", "instant") or not _MOMENT.fullmatch(text):
        raise CannotSay("write the value out in its own type")
    if kind != "instant" and re.search(r"(Z|[+-][0-9]{2}(:[0-9]{2})?)$", text[10:]):
        raise CannotSay("a moment without a zone has no offset")
    padded = re.sub(r"([+-][0-9]{2})$", r"\1:00", text) if len(text) > 10 else text
    name = {"date": "date", "stamp": "timestamp_ntz", "instant": "timestamp"}[kind]
    return spark(f"cast('{padded}' as {name})")
