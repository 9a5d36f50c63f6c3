"""Lineage: which version of each table the rows of a training set are made of, be there newer ones or not."""

from collections.abc import Mapping

from headrace.store.site import Site

LAYERS = ("raw", "validated", "features", "training")
"""The order in which tables are made of each other."""


def versions_behind(site: Site, version: int) -> dict[str, int]:
    """Return the product's own tables, and those of others that its training set reads, at what a version of it is made of.

    A table that is read on several ways counts as it is read nearest to the training set. Of one whose reader has not
    written down what it read, it is the newest version of the moment at which the training set was written.
    """
    training_set = site.product.table("training", "set")
    newest = site.tables.newest(site.tables.names())
    found = {training_set: version}
    nearest = {training_set: version}
    while nearest:
        read: dict[str, int] = {}
        for table, number in nearest.items():
            for name, used in inputs_at(site, table, number).items():
                read[name] = max(used, read.get(name, 0))
        nearest = {name: used for name, used in read.items() if name not in found and used <= (newest.get(name, -1))}
        found |= nearest
    at = site.tables.versions(training_set)[version].at
    for name in (name for name in newest if _is_own(site, name) and name not in found):
        there = [one.number for one in site.tables.versions(name) if one.at <= at]
        found |= {name: there[-1]} if there else {}
    return dict(sorted(found.items()))


def inputs_at(site: Site, table: str, version: int) -> Mapping[str, int]:
    """Return the version of each table that a version of one of the product's tables is made of, as far as its writers said."""
    if not _is_own(site, table):
        return {}
    said = (one.inputs for one in reversed(site.tables.versions(table)[: version + 1]) if one.inputs)
    return next(said, {})


def _is_own(site: Site, table: str) -> bool:
    product, layer, *_ = table.split("/")
    return product == site.product.product and layer in LAYERS
