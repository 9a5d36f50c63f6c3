"""What was served one by one, as monitoring counts it: answers that somebody was given, in the product's local days.

A row that the server could not answer, and one that a model scored in the shadow, says nothing here. Values that are written as
keyed hashes are recognized by the hashes of what they may be.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime

import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.days import Days, last_whole_day, local_day
from headrace.core.hashed import PATTERN, hidden
from headrace.core.names import quoted, quoted_text
from headrace.features.declaration import Label
from headrace.features.steps import local_days
from headrace.models.meta import Input, load_meta
from headrace.models.predict import MODEL, SCORE
from headrace.rollout.evidence import INSTANT, KEPT, SERVED
from headrace.store.engine import TableView
from headrace.store.site import Site
from headrace.store.tables import DAY

ANSWERED = f"role in ('live', 'canary') and status < 500 and {SCORE} is not null"
_AT, _WHO, _LABELLED = "_at", "_who", "_labelled_at"
_TIME = quoted(INSTANT)


def served_models(site: Site) -> dict[str, tuple[date, date]]:
    """Return the first and the last day that each model has answered requests about, of those days that are over."""
    if not _is_there(site):
        return {}
    end = _end(site)
    found = _asked(site, f"select {MODEL}, min({_TIME}) as first, max({_TIME}) as last", f"{_before(end)} group by 1")
    zone = site.product.timezone
    return {row[MODEL]: (local_day(row["first"], zone), local_day(row["last"], zone)) for row in found.to_pylist()}


def served_rows(site: Site, days: Days, inputs: Mapping[str, Sequence[Input]]) -> tuple[pa.Table, list[str]] | None:
    """Return what some models have answered about some days, and which of their inputs can be read there; None before any.

    The rows have the inputs under their own names, score, model and day. An input cannot be read if it was never served, or if
    its values are hashes of nothing that the model knows.
    """
    if not _is_there(site):
        return None
    own = {column.name: column for known in inputs.values() for column in known if column.name != SCORE}
    there = site.tables.schema(_table(site))
    read = {n: kept for n, c in own.items() if _can_be_read(c, kept := _kept_as(n), there)}
    columns = [*(f"{quoted(kept)} as {quoted(name)}" for name, kept in read.items()), SCORE, MODEL]
    first, end = days.instants(site.product.timezone)
    models = ", ".join(map(quoted_text, inputs))
    during = f"and {_TIME} >= {_instant(first)} {_before(min(end, _end(site)))} and {MODEL} in ({models or 'null'})"
    rows = _asked(site, f"select {', '.join(columns)}, {_TIME} as {_AT}", during)
    rows = rows.append_column(DAY, local_days(rows[_AT], site.product.timezone)).drop_columns([_AT])
    shown = [name for name in read if not _is_hidden(rows[name])]
    for name in set(read) - set(shown):
        told = _recognized(site, rows[name], own[name].categories)
        if told is not None:
            rows, shown = rows.set_column(rows.column_names.index(name), name, told), [*shown, name]
    return rows, [*shown, SCORE]


def served_days(site: Site) -> Days | None:
    """Return from which to which day somebody was answered about, up to now; None where nobody was."""
    if not _is_there(site):
        return None
    [found] = _asked(site, f"select min({_TIME}) as first, max({_TIME}) as last", "").to_pylist()
    zone = site.product.timezone
    return Days(local_day(found["first"], zone), local_day(found["last"], zone)) if found["first"] else None


def served_truth(site: Site, label: Label, labels: pa.Table, by: Sequence[str] = ()) -> pa.Table:
    """Return the scores that were served of rows whose label is known: entity, time, score, model, day, label.

    With those columns of `by` that were served with them, or that stand beside the label.

    Of several answers about one entity as of one time the last counts. Left out are answers of a model about rows that it was
    trained on, and answers as of a time when the label was known already: they would look better than the model is. Raises
    TableMissing before anything was served.
    """
    own = {name: _kept_as(name) for name in by if _kept_as(name) in site.tables.schema(_table(site)).names}
    beside = [n for n in by if n not in own and n in labels.column_names]
    columns = list(dict.fromkeys([label.entity, label.time, label.column, *beside]))
    last = f'partition by entity, {_TIME} order by received desc, request desc, "row" desc'
    told = f"select entity as {_WHO}, {_TIME} as {_AT}, {SCORE}, {MODEL}" + "".join(
        f", {quoted(kept)} as {quoted(name)}" for name, kept in own.items()
    )
    rows = _asked(site, told, f"and entity is not null qualify row_number() over ({last}) = 1")
    named = {label.time: _LABELLED}
    known = labels.select(columns).rename_columns([named.get(name, name) for name in columns])
    rows = rows.join(_named(site, rows, known, label), _WHO, join_type="inner").drop_columns([_WHO])
    rows = rows.filter(pc.less_equal(rows[_AT], pc.add(rows[_LABELLED], pa.scalar(label.known_after))))
    rows = rows.filter(_unlearned(site, rows)).drop_columns([_LABELLED])
    rows = rows.append_column(DAY, local_days(rows[_AT], site.product.timezone))
    at = rows[_AT].cast(labels.schema.field(label.time).type)
    return rows.drop_columns([_AT]).append_column(label.time, at)


def _named(site: Site, rows: pa.Table, known: pa.Table, label: Label) -> pa.Table:
    """Return labels by how their entity is written where predictions are kept: as text, and as a hash where some are."""
    names = [str(value) for value in known[label.entity].to_pylist()]
    parts = [known.append_column(_WHO, pa.array(names, pa.string()))]
    secret = _secret(site)
    if secret and pc.any(_are_hidden(rows[_WHO])).as_py():
        parts.append(known.append_column(_WHO, pa.array([hidden(name, secret) for name in names], pa.string())))
    return pa.concat_tables(parts)


def _unlearned(site: Site, rows: pa.Table) -> pa.ChunkedArray:
    """Return which rows lie behind all that their model was trained on; of a model that is gone nobody knows, and all count."""
    models = [m for m in pc.unique(rows[MODEL]).to_pylist() if site.models.exists(m)]
    ends = [load_meta(site.models, model).train_to for model in models]
    instants = pa.array(ends, pa.timestamp("us", "UTC"))
    end = instants.take(pc.index_in(rows[MODEL], pa.array(models, pa.string())))
    return pc.or_(pc.is_null(end), pc.fill_null(pc.greater(rows[_LABELLED], end), True))


def _recognized(site: Site, values: pa.ChunkedArray, categories: Iterable[str]) -> pa.ChunkedArray | None:
    """Return values with the categories that hashes stand for; None where no hash is one of them."""
    secret, named = _secret(site), list(categories)
    hashes = pa.array([hidden(name, secret) for name in named] if secret else [], pa.string())
    found = pc.index_in(values, hashes)
    if not len(hashes) or found.null_count == len(found):
        return None
    return pc.coalesce(pa.array(named, pa.string()).take(found.combine_chunks()), values)


def _secret(site: Site) -> bytes | None:
    return site.place.hashing_key.read_bytes() if site.place.hashing_key.exists() else None


def _is_hidden(values: pa.ChunkedArray) -> bool:
    return pa.types.is_string(values.type) and bool(pc.any(_are_hidden(values)).as_py())


def _are_hidden(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.match_substring_regex(values, f"^{PATTERN}$")


def _can_be_read(column: Input, kept: str, there: pa.Schema) -> bool:
    """Return whether a column is there, and holds no texts in the place of numbers, nor do later rows: hashes."""
    if kept not in there.names or column.kind == "categorical":
        return kept in there.names
    return not pa.types.is_string(there.field(kept).type) and f"{kept}_string" not in there.names


def _kept_as(name: str) -> str:
    """Return under which name a column of requests and features stands beside those that every prediction has."""
    return f"{name}_" if name in KEPT else name


def _table(site: Site) -> str:
    return site.product.table("predictions", SERVED)


def _is_there(site: Site) -> bool:
    return site.tables.exists(_table(site))


def _end(site: Site) -> datetime:
    """Return the end of the last day that is over: part of a day is not like days."""
    last = last_whole_day(site.clock.now(), site.product.timezone)
    return Days(last, last).instants(site.product.timezone)[1]


def _before(end: datetime) -> str:
    return f"and {_TIME} < {_instant(end)}"


def _instant(moment: datetime) -> str:
    return f"timestamptz {quoted_text(moment.isoformat())}"


def _asked(site: Site, select: str, more: str) -> pa.Table:
    """Return columns of the rows that somebody was given an answer of; `more` conditions begin with `and`."""
    table = _table(site)
    return site.engine.query(
        f"{select} from served where {ANSWERED} {more}", {"served": TableView(table)}, origin=table
    )
