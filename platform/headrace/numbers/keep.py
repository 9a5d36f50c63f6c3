"""Keep: the numbers of each day in a table, and the newest for Prometheus, in a file for node_exporter's textfile collector."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.days import local_day
from headrace.numbers.number import MEANING, Number, rows_of
from headrace.store.publish import publish
from headrace.store.site import Site


def with_numbers(site: Site, numbers: Sequence[Number], now: datetime) -> pa.Table:
    """Return the rows of monitoring/numbers: those of today, behind those of all days before."""
    table, today = numbers_table(site), local_day(now, site.product.timezone)
    rows = rows_of(numbers, now, today)
    if not site.tables.exists(table):
        return rows
    before = site.tables.read(table)
    kept = before.filter(pc.not_equal(before["day"], pa.scalar(today)))
    return pa.concat_tables([kept.cast(rows.schema), rows]).sort_by([("day", "ascending")])


def numbers_table(site: Site) -> str:
    """Return the name of the table of numbers."""
    return site.product.table("monitoring", "numbers")


def numbers_over_time(site: Site) -> pa.Table | None:
    """Return all numbers of all days, for pages that draw them; None where nothing was measured yet."""
    table = numbers_table(site)
    return site.tables.read(table) if site.tables.exists(table) else None


def textfile(site: Site) -> Path:
    """Return where Prometheus' node_exporter finds the newest numbers: `--collector.textfile.directory` is its folder."""
    return site.place.home / "metrics" / f"{site.product.product}.prom"


def write_textfile(site: Site, numbers: Sequence[Number], now: datetime) -> Path:
    """Write the numbers in Prometheus' text format, whole or not at all, and return the file."""
    told = Number("numbers_at", now.timestamp(), "seconds")
    text = "\n".join(exposition(site.product.product, [*numbers, told])) + "\n"
    publish(textfile(site), text.encode(), "Prometheus goes on seeing the numbers before")
    return textfile(site)


def exposition(product: str, numbers: Sequence[Number]) -> Iterator[str]:
    """Yield numbers as lines of Prometheus' text exposition format 0.0.4: a gauge a name, labelled with product, of and unit."""
    by_name = sorted(numbers, key=lambda number: number.name)
    for name, alike in groupby(by_name, key=lambda number: number.name):
        metric = f"headrace_product_{name}"
        yield f"# HELP {metric} {_escaped(MEANING.get(name, 'When the numbers were taken, in seconds since 1970.'))}"
        yield f"# TYPE {metric} gauge"
        for number in alike:
            labels = {"product": product, "of": number.of, "unit": number.unit}
            said = ",".join(f'{label}="{_escaped(value, quote=True)}"' for label, value in labels.items() if value)
            yield f"{metric}{{{said}}} {number.value!r}"


def _escaped(text: str, *, quote: bool = False) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quote else text
