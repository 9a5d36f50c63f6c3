"""Gathering: logged requests go from their segments into the table serving/requests, each exactly once."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.days import local_day
from headrace.core.failpoints import failpoint
from headrace.online.log import segments
from headrace.store.addition import Addition
from headrace.store.checksum import bytes_digest
from headrace.store.site import Site

REQUESTS = pa.schema(
    [
        ("_day", pa.date32()),
        ("segment", pa.string()),
        ("line", pa.int64()),
        ("instant", pa.timestamp("us", "UTC")),
        *((name, pa.string()) for name in ("request", "kinds", "features", "types", "tables", "sql")),
        ("version", pa.int64()),
        ("dropped", pa.int64()),
    ]
)
"""What is kept of a request: what it said and was served, as JSON texts, so that a product may change its columns."""


@dataclass(frozen=True)
class Gathered:
    """What has come into the table."""

    rows: int
    dropped: int
    """Requests that full buffers did not take, and lines that died with their process."""


def log_folder(site: Site) -> Path:
    """Return where the processes that serve a product write their requests."""
    return site.place.online / "requests" / site.product.product


def requests_table(site: Site) -> str:
    """Return the name of the table of logged requests."""
    return site.product.table("serving", "requests")


def gather(site: Site) -> Gathered:
    """Take in all segments that nobody writes to any more; killed at any moment, the next call goes on."""
    table, rows, dropped = requests_table(site), 0, 0
    with site.tables.alone(table):
        known = _known(site, table)
        for path in segments(log_folder(site)):
            data = path.read_bytes()
            lines = [_row(site, path.stem, number, text) for number, text in enumerate(data.splitlines())]
            if path.stem not in known and lines:
                added = pa.Table.from_pylist(lines, schema=REQUESTS)
                marks = {path.stem: bytes_digest(data)}
                site.tables.add_files(table, Addition(added, marks), after=site.tables.version(table))
                dropped += pc.sum(added["dropped"]).as_py() or 0
                rows += added.num_rows - added["request"].null_count
            failpoint("requests_gathered")
            path.unlink()
    return Gathered(rows, dropped)


def _known(site: Site, table: str) -> set[str]:
    if not site.tables.exists(table):
        return set()
    return set(pc.unique(site.tables.read(table, columns=["segment"])["segment"]).to_pylist())


def _row(site: Site, segment: str, number: int, text: bytes) -> dict[str, Any]:
    """Return a line as a row; of one that is torn, as its process was killed, that one request was lost."""
    began = datetime.fromtimestamp(int(segment.partition("-")[2]) / 1e9, UTC)
    row: dict[str, Any] = {"segment": segment, "line": number, "_day": local_day(began, site.product.timezone)}
    try:
        facts = json.loads(text)
    except ValueError:
        return row | {"dropped": 1}
    if "dropped" in facts:
        return row | {"dropped": facts["dropped"]}
    instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=facts["instant"])
    texts = {name: json.dumps(facts[name]) for name in ("request", "kinds", "features", "types", "tables", "sql")}
    return row | texts | {"instant": instant, "version": facts["version"]}
