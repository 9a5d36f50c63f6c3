"""What is asked: rows of the training set that keep the contract, or what a file says."""

import json
from pathlib import Path

from headrace.core.errors import DataError, Refused
from headrace.online.lookup import OnlineFeatures
from headrace.serving.contract import columns_of
from headrace.serving.door import Door
from headrace.serving.problem import Problem
from headrace.serving.served import Served
from headrace.store.online import open_online
from headrace.store.site import Site

MOST = 1000


def requests_of(site: Site, served: Served) -> list[bytes]:
    """Return bodies of requests, a row each: the newest rows of the training set, by the columns that a request has.

    Their entities are those that features are published of. They leave their time out, so that they are about now. Raises
    Refused where nothing is published, or no row keeps the contract.
    """
    import msgspec

    door = _door(site, served)
    names = [column.name for column in door.columns if column.name != served.time]
    rows = site.tables.read(site.product.table("training", "set"), columns=names)
    newest = rows.slice(max(rows.num_rows - MOST, 0)).to_pylist()
    bodies = [body for row in newest if _keeps(door, body := msgspec.json.encode(row))]
    if not bodies:
        raise Refused(
            f"No row of the training set of {served.product} is a request that keeps its contract: bring requests of your "
            "own, --requests file.jsonl"
        )
    return bodies


def requests_in(path: Path) -> list[bytes]:
    """Return the bodies in a file, one JSON object or list a line; raises DataError where it has none, or a line is no JSON."""
    lines = [(number, line) for number, line in enumerate(path.read_bytes().splitlines(), 1) if line.strip()]
    for number, line in lines:
        try:
            told = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}:{number}: this is no JSON ({error}): write one request a line.") from None
        if not isinstance(told, dict | list):
            raise DataError(f"{path}:{number}: write an object, or a list of objects, a line.")
    if not lines:
        raise DataError(f"{path} holds no request: write one JSON object a line.")
    return [line for _, line in lines]


def _door(site: Site, served: Served) -> Door:
    store = open_online(site.place, served.product)
    try:
        requests = OnlineFeatures(store, served.product).view.manifest.requests
    finally:
        store.close()
    return Door(columns_of(requests, served.rules, (served.entity, served.time)), requests, served.most_rows)


def _keeps(door: Door, body: bytes) -> bool:
    try:
        door.read(body)
    except Problem:
        return False
    return True
