"""Erasure of a person from the online store: at once, in all versions."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from headrace.online.keys import MANIFEST, parted
from headrace.online.manifest import Manifest
from headrace.online.packed import groups_of
from headrace.store.online import OnlineStore, open_online
from headrace.store.person import Person
from headrace.store.site import Site


def entities_of(site: Site, person: Person) -> int:
    """Return how many served entities are of a person, or hold the value in their features, each once for all tables that share its key."""
    with _opened(site) as (store, manifest):
        return store.count(_holding(manifest, person)) if manifest else 0


def erase_entities(site: Site, person: Person) -> int:
    """Remove them; the next publication writes anew what is left of those that only held the value. Return how many."""
    with _opened(site) as (store, manifest):
        return store.remove(_holding(manifest, person)) if manifest else 0


@contextmanager
def _opened(site: Site) -> Iterator[tuple[OnlineStore, Manifest | None]]:
    store = open_online(site.place, site.product.product)
    try:
        [data] = store.read([MANIFEST]).payloads
        yield store, Manifest.model_validate_json(data) if data else None
    finally:
        store.close()


def _holding(manifest: Manifest, person: Person) -> Callable[[bytes, bytes], bool]:
    entities = {group.prefix: group.entities for group in groups_of(manifest.tables)}

    def holds(key: bytes, payload: bytes) -> bool:
        columns, end, rest = key.partition(b"\0")
        named, text = entities.get(columns + end, []), rest.decode()
        parts = dict(zip(named, parted(text, len(named)), strict=True)) if named else {}
        mine = [part for entity, part in parts.items() if person.is_column(entity)]
        told = any(part == person.value for part in mine) or (not mine and person.is_in(text))
        return told or person.is_in(payload)

    return holds
