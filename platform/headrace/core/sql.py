"""What an SQL text says, without running it: its tables, its columns, where each comes from."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import OptimizeError, ParseError
from sqlglot.lineage import lineage as trace
from sqlglot.optimizer.qualify import qualify

from headrace.core.errors import SqlError
from headrace.core.names import did_you_mean, quoted, quoted_text

DIALECT = "duckdb"
_DAY = "^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
_STAMP = _DAY + "[T ][0-9]{1,2}:[0-9]{2}"
Schema = Mapping[str, Mapping[str, str]]
"""Table → column → type, as far as it is declared."""


@dataclass(frozen=True)
class Statement:
    """One parsed SELECT and the file it stands in."""

    text: str
    origin: str

    @property
    def tables(self) -> list[str]:
        """The tables that it reads, without its own common table expressions."""
        tree = parse(self.text, self.origin)
        own = {cte.alias for cte in tree.find_all(exp.CTE)}
        return sorted({table.name for table in tree.find_all(exp.Table)} - own)

    def columns(self, schema: Schema) -> list[str]:
        """Return the columns that come out; raises SqlError for a column that is nowhere declared."""
        return list(_qualified(self, schema).named_selects)

    def lineage(self, schema: Schema) -> dict[str, set[tuple[str, str]]]:
        """Return, for each column that comes out, the (table, column) pairs that it is made of."""
        columns = self.columns(schema)
        return {column: _sources(column, self.text, schema) for column in columns}


def parse(text: str, origin: str) -> exp.Query:
    """Return the tree of one SELECT; raises SqlError with file, line and column."""
    try:
        trees = [tree for tree in sqlglot.parse(text, dialect=DIALECT) if tree is not None]
    except ParseError as error:
        first = error.errors[0]
        raise SqlError(
            f"{origin}:{first['line']}: this is not SQL: {first['description']} near '{first['highlight']}'"
        ) from None
    if len(trees) != 1 or not isinstance(trees[0], exp.Query):
        raise SqlError(f"{origin}: write exactly one SELECT, found {len(trees)} statements")
    return trees[0]


def normalized(text: str) -> str:
    """Return the SQL in one spelling, without comments."""
    trees = sqlglot.parse(text, dialect=DIALECT)
    return "; ".join(tree.sql(dialect=DIALECT, comments=False, normalize=True) for tree in trees if tree is not None)


def columns_of(expression: str, origin: str) -> set[str]:
    """Return the columns that an SQL expression names."""
    return {column.name for column in parse(f"select {expression}", origin).find_all(exp.Column)}


def made_columns(text: str, origin: str) -> set[str]:
    """Return the columns that a SELECT makes, beside those that its `*` passes on."""
    tree = parse(text, origin)
    return {projection.alias_or_name for projection in tree.selects if not projection.is_star}


def computed_columns(text: str, origin: str) -> set[str]:
    """Return the columns that a SELECT computes in its outermost projection, beside those that it passes on."""
    computed = set()
    for projection in parse(text, origin).selects:
        if projection.is_star:
            computed |= {
                made.alias for star in projection.find_all(exp.Star) for made in star.args.get("replace") or []
            }
        elif not isinstance(projection, exp.Column):
            computed.add(projection.alias_or_name)
    return computed


def instant_sql(column: str, timezone: str) -> str:
    """Return SQL that reads an ISO 8601 text as an instant; a stamp without an offset is local to the zone."""
    text = f"trim(cast({quoted(column)} as varchar))"
    local = f"timezone({quoted_text(timezone)}, try_cast({text} as timestamp))"
    return (
        f"case when regexp_matches({text}, '{_STAMP}.*(Z|[+-][0-9]{{2}}(:?[0-9]{{2}})?)$') then try_cast({text} as timestamptz) "
        f"when regexp_matches({text}, '{_DAY}') then {local} end"
    )


def with_column(text: str, origin: str, column: str) -> str:
    """Return a SELECT with one more column carried along in its outermost projection."""
    tree = parse(text, origin)
    if not isinstance(tree, exp.Select):
        raise SqlError(f"{origin}: write one plain SELECT, without UNION")
    return str(tree.select(column, append=True, dialect=DIALECT).sql(dialect=DIALECT))


def _qualified(statement: Statement, schema: Schema) -> exp.Query:
    declared = {table: schema[table] for table in statement.tables if table in schema}
    unknown = [table for table in statement.tables if table not in schema]
    if unknown:
        known = ", ".join(sorted(schema))
        raise SqlError(
            f"{statement.origin}: no table '{unknown[0]}'; there are {known}.{did_you_mean(unknown[0], schema)}"
        )
    try:
        tree = qualify(
            parse(statement.text, statement.origin), schema={t: dict(c) for t, c in declared.items()}, dialect=DIALECT
        )
    except OptimizeError as error:
        raise SqlError(_explained(statement, declared, str(error))) from None
    assert isinstance(tree, exp.Query)
    return tree


def _explained(statement: Statement, schema: Schema, text: str) -> str:
    known = {column for columns in schema.values() for column in columns}
    for column in parse(statement.text, statement.origin).find_all(exp.Column):
        if f"'{column.name}'" in text and column.name not in known:
            line = column.this.meta.get("line", 1)
            listed = ", ".join(sorted(known))
            return f"{statement.origin}:{line}: no column '{column.name}'; there are {listed}.{did_you_mean(column.name, known)}"
    return f"{statement.origin}: {text}"


def _sources(column: str, text: str, schema: Schema) -> set[tuple[str, str]]:
    leaves = _traced(column, text, tuple((t, tuple(c.items())) for t, c in schema.items()))
    return {(table, name) for table, name in leaves}


@lru_cache(maxsize=4096)
def _traced(
    column: str, text: str, schema: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
) -> tuple[tuple[str, str], ...]:
    root = trace(column, text, schema={t: dict(c) for t, c in schema}, dialect=DIALECT)
    leaves = [node for node in root.walk() if not node.downstream and isinstance(node.source, exp.Table)]
    return tuple((node.source.name, node.name.rpartition(".")[2].strip('"')) for node in leaves)
