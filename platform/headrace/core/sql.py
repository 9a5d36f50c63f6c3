"""What an SQL text says, without running it: its tables, its columns, where each comes from.

Names are compared as DuckDB does, whatever their case, and come back in the spelling that DuckDB gives its result: that
of the declaration, or of the alias that renames it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.lineage import lineage as trace
from sqlglot.optimizer.normalize_identifiers import normalize_identifiers
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope

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
        """The tables that it reads, in lower case; a common table expression hides a table only where it is in scope."""
        tree = normalize_identifiers(parse(self.text, self.origin), dialect=DIALECT)
        try:
            sources = [source for scope in traverse_scope(tree) for source in scope.sources.values()]
        except SqlglotError as error:
            raise SqlError(f"{self.origin}: {error}") from None
        return sorted({source.name for source in sources if isinstance(source, exp.Table) and source.name})

    @property
    def named_columns(self) -> set[str]:
        """The columns that it names anywhere, in lower case."""
        return {column.name.lower() for column in parse(self.text, self.origin).find_all(exp.Column)}

    def columns(self, schema: Schema) -> list[str]:
        """Return the columns that come out; raises SqlError for a column that is nowhere declared."""
        made = list(_qualified(self, schema).named_selects)
        if "*" in made:
            raise SqlError(f"{self.origin}: nobody can tell which columns `*` brings here: name them")
        tree = parse(self.text, self.origin)
        declared = [column for table in self.tables for column in schema[table]]
        return [spelled(column, [*(alias.alias for alias in tree.find_all(exp.Alias)), *declared]) for column in made]

    def lineage(self, schema: Schema) -> dict[str, set[tuple[str, str]]]:
        """Return, for each column that comes out, the (table, column) pairs that it is made of."""
        columns = self.columns(schema)
        return {column: _sources(column, self.text, schema) for column in columns}


def spelled(name: str, known: Iterable[str]) -> str:
    """Return a name as it is spelled among those known, whatever its case; a name that is not among them as it is."""
    return next((word for word in known if word.lower() == name.lower()), name)


def parse(text: str, origin: str) -> exp.Query:
    """Return the tree of one SELECT; raises SqlError with file, line and column."""
    trees = _statements(text, origin)
    if len(trees) != 1 or not isinstance(trees[0], exp.Query):
        raise SqlError(f"{origin}: write exactly one SELECT, found {len(trees)} statements")
    return trees[0]


def _statements(text: str, origin: str) -> list[exp.Expression]:
    try:
        trees = [tree for tree in sqlglot.parse(text, dialect=DIALECT) if tree is not None]
    except ParseError as error:
        first = error.errors[0]
        raise SqlError(
            f"{origin}:{first['line']}: this is not SQL: {first['description']} near '{first['highlight']}'"
        ) from None
    except SqlglotError as error:
        raise SqlError(f"{origin}: this is not SQL: {error}. Is a quote or a comment left open?") from None
    return trees


def normalized(text: str, origin: str = "an SQL file") -> str:
    """Return the SQL in one spelling, without comments; raises SqlError where it is none."""
    trees = _statements(text, origin)
    return "; ".join(tree.sql(dialect=DIALECT, comments=False, normalize=True) for tree in trees)


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


def passed_on(text: str, origin: str) -> set[str]:
    """Return the columns that a plain SELECT passes on, as they are, from the tables that it names; none of any other query."""
    tree = parse(text, origin)
    if not isinstance(tree, exp.Select) or tree.find(exp.With, exp.Subquery, exp.SetOperation):
        return set()
    return {projection.alias_or_name for projection in tree.selects if isinstance(projection.unalias(), exp.Column)}


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
    except SqlglotError as error:
        raise SqlError(_explained(statement, declared, str(error))) from None
    assert isinstance(tree, exp.Query)
    return tree


def _explained(statement: Statement, schema: Schema, text: str) -> str:
    known = {column for columns in schema.values() for column in columns}
    for column in parse(statement.text, statement.origin).find_all(exp.Column):
        if f"'{column.name.lower()}'" in text.lower() and spelled(column.name, known) not in known:
            line = column.this.meta.get("line", 1)
            listed = ", ".join(sorted(known))
            return f"{statement.origin}:{line}: no column '{column.name}'; there are {listed}.{did_you_mean(column.name, known)}"
    return f"{statement.origin}: {text}"


def _sources(column: str, text: str, schema: Schema) -> set[tuple[str, str]]:
    leaves = _traced(column, text, tuple((t, tuple(c.items())) for t, c in schema.items()))
    return {(table, spelled(name, schema[table])) for table, name in leaves}


@lru_cache(maxsize=4096)
def _traced(
    column: str, text: str, schema: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
) -> tuple[tuple[str, str], ...]:
    root = trace(column, text, schema={t: dict(c) for t, c in schema}, dialect=DIALECT)
    found = [node for node in root.walk() if not node.downstream and isinstance(node.source, exp.Table)]
    leaves = [node for node in found if node.source.name]
    return tuple((node.source.name, node.name.rpartition(".")[2].strip('"')) for node in leaves)
