"""Rows of a dlt resource: whatever dlt can pull, from the state on that the last commit holds. The one door to dlt."""

import json
import sys
from collections.abc import Iterator, Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pyarrow as pa

from headrace.core.errors import DataError, DeclarationError, StoreError
from headrace.core.names import did_you_mean
from headrace.sources.arrived import Arrived
from headrace.sources.declaration import Source
from headrace.sources.fit import fitting
from headrace.sources.ingested import Ingested
from headrace.sources.jsonlines import read_jsonlines
from headrace.sources.known import WINDOW, Known
from headrace.sources.parsed import Parsed
from headrace.sources.read import DIGEST, FILE, MALFORMED, ROW, FileText, placed
from headrace.sources.windows import other_keys
from headrace.store.digest import rows_digest
from headrace.store.site import Site


def pulled_rows(site: Site, name: str, source: Source, known: Known) -> Arrived:
    """Return what a dlt resource yields from its last state on, and the state that it has then, for the same commit.

    `write_disposition` says what goes out: nothing (append), the rows with the same primary key (merge), or all (replace).
    """
    resource, dlt_json = _resource(site, name, source)
    last = _last(name, known)
    state = dlt_json.typed_loads(last["state"]) if last["state"] else {}
    items = list(_items(resource, state))
    if not items:
        return Arrived([], [])
    keys = _keys(name, resource)
    data = b"\n".join(dlt_json.dumpb(item) for item in items)
    parsed = read_jsonlines(name, data, Source(files=name))
    if parsed.aside.lines:
        raise DataError(
            f"Source '{name}': {source.dlt} yields what cannot be kept: {next(iter(parsed.aside.lines.values()))}"
        )
    rows, seen = _last_of_each(site.erasures.without(parsed.rows), keys), Ingested()
    window = f"{source.place}#{last['number'] + 1:06d}"
    numbered = placed(Parsed(rows, pa.array(range(1, rows.num_rows + 1), pa.int64())), window, rows_digest(rows))
    texts = list(fitting([FileText(window, "window", numbered, "jsonl")], known.columns, seen))
    notes, changes = tuple(seen.notes), tuple(seen.changes)
    if not texts:
        return Arrived([], [], refused=seen.refused, notes=notes, changes=changes)
    record = {"number": last["number"] + 1, "state": dlt_json.typed_dumps(state), "rows": rows.num_rows}
    new = texts[0].rows.drop_columns([FILE, DIGEST, ROW, MALFORMED])
    kept = other_keys(site, name, known, keys, new) if keys else []
    replaced = list(known.files) if resource.write_disposition == "replace" else [other.name for other in kept]
    return Arrived([*texts, *kept], replaced, facts={WINDOW: json.dumps(record)}, notes=notes, changes=changes)


def _last(name: str, known: Known) -> Mapping[str, Any]:
    """Return the record of the last window; raises StoreError where rows are there and their record is not."""
    if known.window:
        record: Mapping[str, Any] = json.loads(known.window)
        return record
    if known.files:
        raise StoreError(
            f"The raw table of '{name}' holds rows, and no record of the dlt state that they were pulled with: pulling again "
            "would double them. Move the table away and materialize it anew."
        )
    return {"number": 0, "state": ""}


def _items(resource: Any, state: dict[str, Any]) -> Iterator[Any]:
    """Yield the rows of a resource one by one; `state` goes in, and is the new one afterwards."""
    from dlt.common.configuration.container import Container
    from dlt.common.pipeline import StateInjectableContext

    with Container().injectable_context(StateInjectableContext(state=state)):
        for item in resource:
            if isinstance(item, pa.Table | pa.RecordBatch):
                yield from item.to_pylist()
            else:
                yield item


def _resource(site: Site, name: str, source: Source) -> tuple[Any, Any]:
    """Return the one resource that the user's function makes, and dlt's own JSON."""
    try:
        from dlt.common import json as dlt_json
        from dlt.extract import DltResource, DltSource
    except ImportError:
        raise DeclarationError(f"Source '{name}' is pulled by dlt: pip install 'headrace[dlt]'") from None
    made = _function(site, source.dlt or "")()
    if isinstance(made, DltSource):
        there = list(made.selected_resources)
        if len(there) != 1:
            raise DeclarationError(
                f"{source.dlt} makes {len(there)} resources ({', '.join(there)}): write a function that returns the one this "
                "source is, such as `return shop().resources['orders']`."
            )
        made = made.resources[there[0]]
    if not isinstance(made, DltResource):
        raise DeclarationError(
            f"{source.dlt} returns {type(made).__name__}: it should return a dlt resource or source."
        )
    return made, dlt_json


def _function(site: Site, place: str) -> Any:
    """Return the user's function; its module is named for product and file, as dlt keeps state by that name."""
    file, _, function = place.partition(":")
    site.text(file)
    path = site.folder / file
    spec = spec_from_file_location(f"{site.product.product}_{Path(file).stem}", path)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # dlt looks functions up there
    spec.loader.exec_module(module)
    if not callable(getattr(module, function, None)):
        raise DeclarationError(f"{path} has no function '{function}'.{did_you_mean(function, vars(module))}")
    return getattr(module, function)


def _keys(name: str, resource: Any) -> list[str]:
    if resource.write_disposition != "merge":
        return []
    columns = resource.compute_table_schema().get("columns", {})
    keys = [column for column, hints in columns.items() if hints.get("primary_key") or hints.get("merge_key")]
    if not keys:
        raise DeclarationError(
            f"The dlt resource of source '{name}' merges: it needs a `primary_key` to tell rows apart."
        )
    return keys


def _last_of_each(rows: pa.Table, keys: list[str]) -> pa.Table:
    """Return the rows, of those with the same key the last one that was yielded."""
    if not keys:
        return rows
    places = rows.select(keys).append_column("_at", pa.array(range(rows.num_rows), pa.int64()))
    return rows.take(places.group_by(keys).aggregate([("_at", "max")])["_at_max"].combine_chunks().sort())
