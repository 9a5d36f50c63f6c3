"""Texts and patterns of DuckDB in Spark's SQL."""

import re

from sqlglot import exp

from headrace.core.spark_words import CannotSay, Rewrite, need, said, spark, text_literal, whole_number, written


def joined(node: exp.Expression) -> exp.Expression:
    """Return two texts as one; null if either is."""
    return spark(f"({' || '.join(_as_text(part) for part in (node.this, node.expression))})")


def _as_text(node: exp.Expression) -> str:
    kind = need(node, "text", "int", "bool", "date")
    return said(node) if kind == "text" else f"cast({said(node)} as string)"


def concat(node: exp.Expression) -> exp.Expression:
    """Return texts as one; null counts as nothing."""
    return spark(f"concat({', '.join(f'''coalesce({_as_text(part)}, '')''' for part in node.expressions)})")


def concat_ws(node: exp.Expression) -> exp.Expression:
    """Return texts as one with a text between them; nulls are left out."""
    return spark(f"concat_ws({', '.join(_as_text(part) for part in node.expressions)})")


def of_texts(name: str, *arguments: str) -> Rewrite:
    """Return a function of texts alone."""

    def rewrite(node: exp.Expression) -> exp.Expression:
        parts = node.expressions if isinstance(node, exp.Anonymous) else [node.args.get(a) for a in arguments]
        for part in parts:
            need(part, "text")
        return spark(f"{name}({', '.join(map(said, parts))})")

    return rewrite


def place(node: exp.Expression) -> exp.Expression:
    """Return the place of a text in another, from 1 on; 0 where it is not."""
    if node.args.get("position") or node.args.get("occurrence"):
        raise CannotSay("it takes two texts")
    text, sought = node.this, node.args["substr"]
    need(text, "text"), need(sought, "text")
    return spark(f"cast(instr({said(text)}, {said(sought)}) as bigint)")


_NO_CASE = r"\x{2000}-\x{206F}\x{2E80}-\x{9FFF}\x{AC00}-\x{D7A3}\x{1F300}-\x{1FAFF}"
_ALIKE = {
    "lower": r"\x{0}-\x{12F}\x{131}-\x{17F}\x{400}-\x{52F}" + _NO_CASE,
    "upper": r"\x{0}-\x{DE}\x{E0}-\x{148}\x{14A}-\x{17F}\x{400}-\x{52F}" + _NO_CASE,
}
"""Letters that both engines write large and small alike: Latin (but for the sharp s and its like), Cyrillic, and what has no case."""


def in_case(name: str) -> Rewrite:
    """Return a function that writes a text large or small, and stops at letters that the engines may not agree on."""

    def rewrite(node: exp.Expression) -> exp.Expression:
        need(node.this, "text")
        x, unlike = said(node.this), text_literal(f"[^{_ALIKE[name]}]")
        stop = f"cast(raise_error('{name} of a letter that Spark may write differently') as string)"
        return spark(f"(case when {x} rlike {unlike} then {stop} else {name}({x}) end)")

    return rewrite


def length(node: exp.Expression) -> exp.Expression:
    """Return how many characters a text has."""
    need(node.this, "text")
    return spark(f"cast(char_length({said(node.this)}) as bigint)")


def substring(node: exp.Expression) -> exp.Expression:
    """Return a part of a text, from a place from 1 on."""
    need(node.this, "text")
    start = whole_number(node.args.get("start"), "where it starts", 1)
    length = f", {whole_number(node.args['length'], 'how long it is', 0)}" if node.args.get("length") else ""
    return spark(f"substring({said(node.this)}, {start}{length})")


def end(name: str) -> Rewrite:
    """Return a function that takes so many characters from an end of a text."""

    def rewrite(node: exp.Expression) -> exp.Expression:
        need(node.this, "text")
        return spark(f"{name}({said(node.this)}, {whole_number(node.expression, 'how long it is', 0)})")

    return rewrite


def trimmed(node: exp.Expression) -> exp.Expression:
    """Return a text without spaces around it."""
    need(node.this, "text")
    if node.expression or node.args.get("collation"):
        raise CannotSay("only spaces can be trimmed")
    name = {"": "trim", "BOTH": "trim", "LEADING": "ltrim", "TRAILING": "rtrim"}[
        str(node.args.get("position") or "").upper()
    ]
    return spark(f"{name}({said(node.this)})")


def padded(node: exp.Expression) -> exp.Expression:
    """Return a text filled up, or cut, to a width."""
    need(node.this, "text")
    width, fill = (
        whole_number(node.expression, "the width", 0),
        written(node.args.get("fill_pattern"), "what it is filled with"),
    )
    if not fill:
        raise CannotSay("it is filled with nothing")
    name = "lpad" if node.args.get("is_left") else "rpad"
    return spark(f"{name}({said(node.this)}, {width}, {text_literal(fill)})")


def like(node: exp.Expression) -> exp.Expression:
    """Return whether a text matches a written LIKE pattern without escapes."""
    need(node.this, "text")
    pattern = written(node.expression, "the pattern")
    if "\\" in pattern or isinstance(node.parent, exp.Escape):
        raise CannotSay("an escape in a pattern is not the same there")
    no = "not " if node.args.get("negate") else ""
    return spark(f"({said(node.this)} {no}like {text_literal(pattern)})")


_REGEX = re.compile(
    r"\[\^?(?:[A-Za-z0-9 _,:;@#%&=<>!~/\"'.+*?|(){}$-]|\\[.\\/+*?()\[\]{}|$^-]|\\d)+\]"
    r"|\\[.\\/+*?()\[\]{}|$^-]|\\d|[A-Za-z0-9 _,:;@#%&=<>!~/\"'-]|[.^$|()+*?]|\{[0-9]+(?:,[0-9]*)?\}"
)


def pattern_there(pattern: str) -> str:
    """Return a regular expression of RE2 as one of Java that matches the same texts; raises CannotSay."""
    made, at = [], 0
    while at < len(pattern):
        found = _REGEX.match(pattern, at)
        if not found or pattern.startswith("(?", at) or re.match(r"[*+?}][+?]", pattern[at:]):
            raise CannotSay(f"'{pattern[at:]}' in a pattern may match differently")
        token = found[0]
        made.append({".": "[^\n]", "$": "\\z"}.get(token, token))
        at = found.end()
    return "".join(made)


def matches(form: str) -> Rewrite:
    """Return a function that says whether a text matches a written regular expression."""

    def rewrite(node: exp.Expression) -> exp.Expression:
        need(node.this, "text")
        pattern = form.format(pattern_there(written(node.expression, "the pattern")))
        return spark(f"({said(node.this)} rlike {text_literal(pattern)})")

    return rewrite
