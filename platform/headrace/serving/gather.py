"""Gathering: predictions go from their segments into the table predictions/online, each exactly once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.failpoints import failpoint
from headrace.serving.journal import journal_folder, rows_of, segments
from headrace.store.addition import Addition
from headrace.store.checksum import bytes_digest
from headrace.store.site import Site

MOST_BYTES = 256 * 2**20
"""How much is taken in by one commit at most."""


@dataclass(frozen=True)
class Gathered:
    """What has come into the table."""

    rows: int
    dropped: int
    """Predictions that full buffers did not take."""


def predictions_table(site: Site) -> str:
    """Return the name of the table of predictions that were served."""
    return site.product.table("predictions", "online")


def gather_predictions(site: Site) -> Gathered:
    """Take in all segments that nobody writes to any more; killed at any moment, the next call goes on."""
    table, rows, dropped = predictions_table(site), 0, 0
    with site.tables.alone(table):
        while paths := _some(journal_folder(site.place, site.product.product)):
            held = {path: found for path in paths if (found := rows_of(path)) is not None}
            digests = {path.stem: bytes_digest(path.read_bytes()) for path in held}
            # Of those that are there already the removal was cut short.
            new = {name: digests[name] for name in digests.keys() - site.tables.added(table, digests)}
            if new:
                kept = [_named(found, path.stem) for path, found in held.items() if path.stem in new]
                added = site.tables.widen(table, _together(kept, _types(site, table)))
                site.tables.add_files(table, Addition(added, new), after=site.tables.version(table))
                rows += added.num_rows
                dropped += pc.sum(added["dropped"]).as_py() or 0
            failpoint("predictions_gathered")
            for path in paths:
                path.unlink()
    return Gathered(rows, dropped)


def _some(folder: Path) -> list[Path]:
    """Return the oldest segments, as many as one commit takes in."""
    chosen: list[Path] = []
    size = 0
    for path in segments(folder):
        size += path.stat().st_size
        if chosen and size > MOST_BYTES:
            break
        chosen.append(path)
    return chosen


def _named(rows: pa.Table, segment: str) -> pa.Table:
    return rows.append_column("segment", pa.array([segment] * rows.num_rows, pa.string()))


def _types(site: Site, table: str) -> dict[str, pa.DataType]:
    if not site.tables.exists(table):
        return {}
    return {column.name: column.type for column in site.tables.schema(table)}


def _together(kept: Sequence[pa.Table], types: dict[str, pa.DataType]) -> pa.Table:
    """Return the rows of segments, whose columns have the types of the table, or the first that came.

    What has another type, and is no number of one that holds it, is a column of its own beside it: `price_string`, since prices
    are kept as hashes, say.
    """
    fitting = []
    for rows in kept:
        columns: dict[str, pa.ChunkedArray] = {}
        for name, values in zip(rows.column_names, rows.columns, strict=True):
            while (fitted := _fitted(values, types.setdefault(name, values.type))) is None:
                name = f"{name}_{str(values.type).partition('[')[0]}"  # noqa: PLW2901  until one is free
            columns[name] = fitted
        fitting.append(pa.table(columns))
    return pa.concat_tables(fitting, promote_options="default")


def _fitted(values: pa.ChunkedArray, to: pa.DataType) -> pa.ChunkedArray | None:
    """Return values in a type; None where they are no numbers, or not the same ones in it."""
    if values.type == to or pa.types.is_null(values.type):
        return values.cast(to)
    if not all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in (values.type, to)):
        return None
    try:
        return values.cast(to)
    except pa.ArrowInvalid:
        return None
