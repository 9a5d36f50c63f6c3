"""What asking the engine finds: keys of earlier days, values that another source lacks, rules of the row in SQL."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

import polars as pl
import pyarrow as pa
from polars.selectors import by_name

from headrace.contracts.cast import casts_sql
from headrace.contracts.declaration import Contract
from headrace.contracts.judge import SHOWN, Found, found_where, said_twice
from headrace.contracts.landed import landed_before
from headrace.contracts.rules import Rule, condition_sql, own_rule, row_rule, rule_of
from headrace.core.days import Days
from headrace.core.names import quoted
from headrace.core.sql import columns_of
from headrace.store.engine import TableView
from headrace.store.site import Site


def find_broken_rules(site: Site, typed: pa.Table, contract: Contract) -> Iterator[Found]:
    """Yield the rows for which a declared condition is false, with the values that it looks at."""
    if not contract.rules:
        return
    conditions = ", ".join(f"not {condition_sql(rule.sql)} as {quoted(name)}" for name, rule in contract.rules.items())
    masks = site.engine.query(f"select {conditions} from landed", {"landed": typed}, origin="contracts: rules")
    for name, declared in contract.rules.items():
        rows = pl.Series(masks[name]).cast(pl.Boolean).fill_null(value=False).arg_true()
        used = [column for column in typed.column_names if column in columns_of(declared.sql, name)]
        reasons = _unlike(pl.DataFrame(typed.select(used))[rows], f"{name}: {declared.sql} is false")
        yield Found(row_rule(contract, name), rows, reasons)


def find_repeats_of_earlier_days(
    site: Site, name: str, typed: pa.Table, contract: Contract, days: Days | None
) -> Iterator[Found]:
    """Yield the rows whose unique values stand in days before those at hand."""
    start = site.product.start
    if not (days and start and start < days.first and typed.num_rows):
        return
    before = Days(start, days.first - timedelta(days=1))
    for rule, columns in unique_keys(contract):
        known = _known_keys(site, name, typed.select(columns), contract, before)
        frame = pl.DataFrame(typed.select(columns)).with_row_index("row of the key")
        again = frame.join(pl.DataFrame(known), on=columns, how="semi", maintain_order="left")
        yield Found(rule, again["row of the key"], said_twice(again.drop("row of the key")))


def find_strangers(site: Site, typed: pa.Table, contract: Contract) -> Iterator[Found]:
    """Yield the rows whose value is not in the validated column that it references."""
    for name, column in contract.columns.items():
        if column.references:
            source, _, key = column.references.partition(".")
            known = TableView(site.product.table("validated", source))
            sql = f"select distinct {quoted(name)} as v from landed anti join known on landed.{quoted(name)} = known.{quoted(key)}"
            views: dict[str, TableView | pa.Table] = {"landed": typed.select([name]), "known": known}
            strangers = pl.Series(site.engine.query(sql, views, origin="contracts: references")["v"]).drop_nulls()
            values = pl.Series(typed[name])
            stands = values.is_in(strangers.cast(values.dtype).implode()).fill_null(value=False)
            rule = rule_of(contract, name, "references")
            yield found_where(stands, rule, values, f"{name}: ", f" is not in {column.references}")


def unique_keys(contract: Contract) -> Iterator[tuple[Rule, list[str]]]:
    """Yield each rule that values come once, with the columns whose values they are."""
    for name, column in contract.columns.items():
        if column.unique:
            yield rule_of(contract, name, "unique"), [name]
    yield from ((own_rule(contract, "unique"), names) for names in contract.unique)


def _known_keys(site: Site, name: str, keys: pa.Table, contract: Contract, before: Days) -> pa.Table:
    """Return those of the keys that stand in earlier days; the engine goes through these, whatever they weigh."""
    columns = {column: contract.columns[column] for column in keys.column_names}
    earlier, views = landed_before(site, name, before)
    casts = casts_sql(site, site.tables.schema(site.product.table("raw", name)), columns)
    same = " and ".join(f"keys.{quoted(c)} = earlier.{quoted(c)}" for c in columns)
    sql = f"select distinct keys.* from keys semi join (select {casts} from ({earlier})) as earlier on {same}"
    return site.engine.query(sql, {**views, "keys": keys}, origin="contracts: unique").cast(keys.schema)


def _unlike(values: pl.DataFrame, sentence: str) -> pl.Series:
    """Return the sentence with each row's values behind it."""
    shown: Sequence[pl.Expr] = [
        pl.concat_str(
            [pl.lit(f"{column} = "), by_name(column).as_expr().cast(pl.String).str.slice(0, SHOWN).fill_null("nothing")]
        )
        for column in values.columns
    ]
    told = [pl.lit(sentence), pl.lit(" ("), pl.concat_str(shown, separator=", "), pl.lit(")")]
    return values.select(pl.concat_str(told).alias("reason")).to_series()
