"""Likely causes of skew, each by evidence: what is served is computed anew as it would be if the cause were true."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from itertools import permutations
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.fingerprint import sql_version
from headrace.features.compute import sql_of
from headrace.features.declaration import Feature
from headrace.features.join import join_features
from headrace.features.training import with_requests
from headrace.online.replay import Cells, Replay, cells, steps_beside, value_of

QUARTER = timedelta(minutes=15)
UNKNOWN = "unknown: no single cause gives what was served"


@dataclass(frozen=True)
class Guess:
    """What would have been served if something were wrong, and that in words."""

    words: str
    computed: Cells
    table: str | None = None
    """The table that it is about; None for all."""


@dataclass(frozen=True)
class Evidence:
    """Requests, what they were served, and what training computes of them."""

    replay: Replay
    computed: Cells
    schema: pa.Schema
    """The features of training, in its types."""

    @cached_property
    def types(self) -> Mapping[str, str]:
        """The type of each feature in training."""
        return {column.name: str(column.type) for column in self.schema}

    def differing(self, feature: str) -> list[int]:
        """Return the requests that were served another value of a feature, another type of it, or none of it."""
        mine, kind = self.computed[feature], self.types[feature]
        return [
            n
            for n, (served, types) in enumerate(zip(self.replay.served, self.replay.types, strict=True))
            if types.get(feature) != kind or served.get(feature) != mine[n]
        ]

    def table_of(self, feature: str) -> str:
        """Return the feature table that a feature is of."""
        names = [name for name in self.replay.features if feature.startswith(f"{name}_")]
        return max(names, key=len)

    @cached_property
    def guesses(self) -> Sequence[Guess]:
        """What could be wrong with instants, tables and keys, the likeliest first."""
        return [*_instants(self), *_stale(self), *_follows(self), *_ttl(self), *_keys(self), *_neighbours(self)]


def cause_of(evidence: Evidence, feature: str) -> str:
    """Return what is likely wrong with a feature, in words."""
    rows = evidence.differing(feature)
    table = evidence.table_of(feature)
    served = [evidence.replay.served[n].get(feature) for n in rows]
    kinds = {evidence.replay.types[n].get(feature) for n in rows}
    if kinds == {None}:
        return "it is not served: the published version does not have it. Materialize online/features"
    said = _of_values(served, [evidence.computed[feature][n] for n in rows], kinds, evidence.types[feature])
    if said.startswith(("width", "type")):
        return said
    for guess in evidence.guesses:
        mine = guess.computed.get(feature) if guess.table in (None, table) else None
        if mine is not None and [mine[n] for n in rows] == served:
            return guess.words
    return said or _of_request(evidence, table, rows) or UNKNOWN


def _instants(evidence: Evidence) -> Iterator[Guess]:
    """Guess that a request was looked up as of another instant than its own."""
    replay = evidence.replay
    own, used = replay.requests[replay.label.time], replay.instants
    offsets = {span for span in pc.subtract(used, own).to_pylist() if span}
    if offsets:
        [first, *others] = sorted(offsets)
        zone = not others and first % QUARTER == timedelta()
        said = (
            f"time zone: the instant was read as one of another zone, {_told(first)}"
            if zone
            else "instant: looked up as of another one than the request's own"
        )
        yield Guess(said, cells(replay.again(times=used)))
    offset = own[0].as_py().astimezone(ZoneInfo(replay.site.product.timezone)).utcoffset()
    for shift in (offset, -offset) if offset and not offsets else ():
        times = pc.add(own, pa.scalar(shift, pa.duration("us")))
        yield Guess(
            f"time zone: the instant was read as one of another zone, {_told(shift)}", cells(replay.again(times=times))
        )


def _stale(evidence: Evidence) -> Iterator[Guess]:
    """Guess that the tables have changed since they were published."""
    replay, columns = evidence.replay, {name: list(values) for name, values in evidence.computed.items()}
    changed: dict[str, str] = {}
    for versions, numbers in replay.by_versions():
        there = {t: v for t, v in versions.items() if _can_be_read(replay, t, v)}
        changed |= {t: f"{t}@{v}" for t, v in there.items() if v != replay.site.tables.version(t)}
        for name, values in cells(replay.only(numbers).again(versions=there)).items():
            for number, value in zip(numbers, values, strict=True):
                columns[name][number] = value
    for name, feature in replay.features.items():
        table = replay.site.product.table("features", name)
        told = ", ".join(sorted(changed.values())) if feature.on_request else changed.get(table)
        if told:
            yield Guess(f"stale store or late data: {told} as published gives it, newer rows do not", columns, name)


def _can_be_read(replay: Replay, table: str, version: int) -> bool:
    tables = replay.site.tables
    return (
        tables.exists(table)
        and version <= (tables.version(table) or 0)
        and version not in tables.removed(table).versions
    )


def _follows(evidence: Evidence) -> Iterator[Guess]:
    """Guess that SQL on the request was right, and was given features that were not."""
    replay, asked = evidence.replay, evidence.replay.requests
    joined, wrong = asked, []
    for column in evidence.schema:
        if not replay.features[evidence.table_of(column.name)].on_request:
            values = [value_of(served.get(column.name), column.type) for served in replay.served]
            joined = joined.append_column(column.name, pa.array(values, column.type))
            wrong += [column.name] if evidence.differing(column.name) else []
    if wrong:
        computed = cells(
            with_requests(replay.site, replay.features, replay.label, joined).drop_columns(asked.column_names)
        )
        for name in [name for name, feature in replay.features.items() if feature.on_request]:
            yield Guess(f"it follows from other features that differ: {', '.join(wrong[:3])}", computed, name)


def _ttl(evidence: Evidence) -> Iterator[Guess]:
    """Guess that rows were served that are older than their table's ttl."""
    features = evidence.replay.features
    for name, feature in features.items():
        if feature.ttl:
            without: dict[str, Feature] = {**features, name: feature.model_copy(update={"ttl": None})}
            yield Guess(
                "ttl: a row was served that is older than its table's ttl",
                cells(evidence.replay.again(features=without)),
                name,
            )


def _keys(evidence: Evidence) -> Iterator[Guess]:
    """Guess that the columns of an entity were taken in another order."""
    replay = evidence.replay
    for name, feature in replay.features.items():
        types = {replay.requests.schema.field(entity).type for entity in feature.entities}
        for order in permutations(feature.entities) if len(feature.entities) > 1 and len(types) == 1 else ():
            if list(order) != feature.entities:
                asked = replay.requests
                for mine, theirs in zip(feature.entities, order, strict=True):
                    asked = asked.set_column(asked.column_names.index(mine), mine, replay.requests[theirs])
                words = f"entity: looked up by {', '.join(order)} in the places of {', '.join(feature.entities)}"
                yield Guess(words, cells(replay.again(requests=asked)), name)


def _neighbours(evidence: Evidence) -> Iterator[Guess]:
    """Guess that the step before or after the one that held was served."""
    replay, time = evidence.replay, evidence.replay.label.time
    for table in replay.tables_now():
        if table.time:
            for times, word in zip(steps_beside(table, replay.requests, time), ("before", "after"), strict=True):
                asked = replay.requests.set_column(replay.requests.column_names.index(time), time, times)
                computed = cells(join_features(asked, time, [table]).drop_columns(asked.column_names))
                yield Guess(f"window edge: the step {word} the one that held was served", computed, table.name)


def _of_values(served: Sequence[Any], computed: Sequence[Any], kinds: set[str | None], kind: str) -> str:
    """Return what the values alone say; nothing where they say nothing."""
    pairs = list(zip(served, computed, strict=True))
    narrow = _all(pairs, lambda one, other: isinstance(other, float) and one == float(np.float32(other)))
    texts = all(isinstance(one, str) and isinstance(other, str) for one, other in pairs)
    nulls = all(other is None for _, other in pairs) and len({str(one) for one, _ in pairs}) == 1
    spelled = texts and _all(pairs, lambda one, other: one.strip().casefold() == other.strip().casefold())
    told = {
        "width: served as float32, trained on as float64": narrow and kinds in ({kind}, {"float"}),
        f"type: served as {', '.join(sorted(map(str, kinds)))}, trained on as {kind}": kinds != {kind},
        f"default: null is served as {served[0]!r}": nulls,
        "letter case: the texts differ in case or blanks alone": spelled,
        f"categories: they are mixed up, {computed[0]!r} is served as {served[0]!r}": texts and _is_one_to_one(pairs),
        "missing: nothing is served where training has a value. Was the entity published?": _all_missing(served),
    }
    return next((words for words, holds in told.items() if holds), "")


def _all_missing(served: Sequence[Any]) -> bool:
    return all(one is None for one in served)


def _of_request(evidence: Evidence, table: str, rows: Sequence[int]) -> str:
    """Return what the declaration says that has changed since a feature of the request was served."""
    replay, feature = evidence.replay, evidence.replay.features[table]
    if not feature.on_request:
        return ""
    statement = sql_of(replay.site, feature)
    words = set(re.findall(r"\w+", statement.text))
    mine = {column.name: str(column.type) for column in replay.requests.schema if column.name in words}
    since = "The label's SQL has changed since it was published"
    for kinds in (replay.kinds[n] for n in rows):
        for name, kind in mine.items():
            if name not in kinds:
                return f"request column: requests have no '{name}'. {since}"
            if kinds[name] != kind:
                return f"request column: '{name}' is {kinds[name]} in requests, {kind} in training. {since}"
    if {replay.sql[n].get(table) for n in rows} != {sql_version(statement.text)}:
        return f"SQL: {feature.on_request} was edited since it was published. Materialize online/features"
    return ""


def _all(pairs: Sequence[tuple[Any, Any]], holds: Callable[[Any, Any], bool]) -> bool:
    return all(holds(one, other) for one, other in pairs if one is not None or other is not None)


def _is_one_to_one(pairs: Sequence[tuple[Any, Any]]) -> bool:
    there, back = dict(pairs), {other: one for one, other in pairs}
    return (
        len(there) > 1
        and len(there) == len(back)
        and all(back[o] == s and there[s] == o for s, o in pairs)
        and set(there) & set(back) != set()
    )


def _told(span: timedelta) -> str:
    hours = abs(span) / timedelta(hours=1)
    return f"{hours:g} h {'later' if span > timedelta() else 'earlier'}"
