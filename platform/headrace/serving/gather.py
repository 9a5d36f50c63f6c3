"""Gathering: predictions go from their segments into the table predictions/online, each exactly once."""

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
                rows_new = [_named(found, path.stem) for path, found in held.items() if path.stem in new]
                added = site.tables.widen(table, pa.concat_tables(rows_new, promote_options="permissive"))
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
