"""Arithmetic, as DuckDB understands it, in Spark's SQL."""

from sqlglot import exp

from headrace.core.spark_words import CannotSay, Rewrite, known_kind, need, said, spark, whole_number


def divided(node: exp.Expression) -> exp.Expression:
    """Return a quotient: always a double; by zero it is infinite, or NaN."""
    for part in (node.this, node.expression):
        need(part, "int", "double", "decimal")
    a, b = f"cast({said(node.this)} as double)", f"cast({said(node.expression)} as double)"
    zero = f"case when {a} = 0 or isnan({a}) then double('NaN') else signum({a}) * (case when {_minus_zero(b)} then -1 else 1 end) * double('Infinity') end"
    return spark(
        f"(case when {a} is null or {b} is null then null when {b} = 0 then {zero} else try_divide({a}, {b}) end)"
    )


def _minus_zero(value: str) -> str:
    return f"cast({value} as string) = '-0.0'"


def whole_divided(node: exp.Expression) -> exp.Expression:
    """Return the whole part of a quotient of whole numbers; null by zero."""
    a, b = node.this, node.expression
    need(a, "int"), need(b, "int")
    return spark(f"(case when {said(b)} = 0 then null else {said(a)} div {said(b)} end)")


def rest(node: exp.Expression) -> exp.Expression:
    """Return the rest of a division of whole numbers; null by zero."""
    a, b = node.this, node.expression
    need(a, "int"), need(b, "int")
    return spark(f"(case when {said(b)} = 0 then null else {said(a)} % {said(b)} end)")


def plus_or_minus(node: exp.Expression) -> exp.Expression:
    """Return a sum or difference of numbers, of a moment and a span, or of days."""
    a, b = node.this, node.expression
    kinds, sign = (known_kind(a), known_kind(b)), "-" if isinstance(node, exp.Sub) else "+"
    if "interval" in kinds:
        if kinds[0] == "date":
            return spark(f"(cast({said(a)} as timestamp_ntz) {sign} {said(b)})")
        if kinds[0] not in ("stamp", "instant"):
            raise CannotSay("an interval can be added to a moment, and nothing else")
        return node
    if kinds == ("date", "date") and sign == "-":
        return spark(f"cast(datediff({said(a)}, {said(b)}) as bigint)")
    if kinds[0] in ("stamp", "instant", "date"):
        if kinds == ("date", "int"):
            return spark(f"(date_add({said(a)}, {'-' if sign == '-' else ''}cast({said(b)} as int)))")
        if kinds[0] == kinds[1] and sign == "-" and isinstance(_within(node), exp.TimeToUnix):
            return node
        raise CannotSay("the time between two moments is `epoch(a - b)`, or `date_diff`")
    for part in (a, b):
        need(part, "int", "double", "decimal")
    return node


def _within(node: exp.Expression) -> exp.Expression | None:
    parent = node.parent
    while isinstance(parent, exp.Paren):
        parent = parent.parent
    return parent


def times(node: exp.Expression) -> exp.Expression:
    """Return a product of numbers."""
    for part in (node.this, node.expression):
        need(part, "int", "double", "decimal")
    return node


def negative(node: exp.Expression) -> exp.Expression:
    """Return the negative of a number that is no decimal: Spark rounds those to 34 digits."""
    if not isinstance(node.this, exp.Literal):
        need(node.this, "int", "double")
    return node


def whole(name: str) -> Rewrite:
    """Return a function from numbers to whole ones that keeps doubles: Spark's own makes bigints."""

    def rewrite(node: exp.Expression) -> exp.Expression:
        kind, x = need(node.this, "int", "double"), said(node.this)
        if node.args.get("decimals") or node.args.get("to"):
            raise CannotSay("it takes one value")
        if kind == "int":
            return spark(x)
        return spark(f"(case when abs({x}) < 4503599627370496 then cast({name}({x}) as double) else {x} end)")

    return rewrite


def rounded(node: exp.Expression) -> exp.Expression:
    """Return a number rounded to digits, halves away from zero, in binary as DuckDB does and not in decimals."""
    kind, x = need(node.this, "int", "double"), said(node.this)
    digits = whole_number(node.args["decimals"], "how many digits", 0) if node.args.get("decimals") else 0
    if kind == "int":
        return spark(x)
    scale = f"1e{digits}D"
    scaled = f"({x} * {scale})"
    whole = f"floor(abs({scaled}))"
    up = f"case when abs({scaled}) - {whole} >= 0.5D then 1 else 0 end"
    return spark(
        f"(case when abs({scaled}) < 4503599627370496 then signum({scaled}) * ({whole} + {up}) / {scale} else {x} end)"
    )


def guarded(name: str, wrong: str) -> Rewrite:
    """Return a function that stops where DuckDB does."""

    def rewrite(node: exp.Expression) -> exp.Expression:
        need(node.this, "int", "double")
        x = f"cast({said(node.this)} as double)"
        error = f"cast(raise_error('{name} of a number {wrong}') as double)"
        return spark(f"(case when {x} {wrong} then {error} else {name}({x}) end)")

    return rewrite


def of_double(name: str) -> Rewrite:
    """Return a function of doubles."""

    def rewrite(node: exp.Expression) -> exp.Expression:
        need(node.this, "int", "double")
        return spark(f"{name}(cast({said(node.this)} as double))")

    return rewrite


def is_nan(node: exp.Expression) -> exp.Expression:
    """Return whether a double is NaN; null for null, where Spark's own says false."""
    need(node.this, "double")
    return spark(f"({said(node.this)} = double('NaN'))")


def absolute(node: exp.Expression) -> exp.Expression:
    """Return a number without its sign."""
    need(node.this, "int", "double")
    return spark(f"abs({said(node.this)})")
