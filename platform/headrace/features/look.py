"""A look at a row of the training set: each product's sources at hand, to be cut off at the row's own moment."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from headrace.features.declaration import Feature, Label
from headrace.features.graph import making_order, sources_behind, tables_behind, upstream_of
from headrace.features.shared import Home, SharedFeature, own_features
from headrace.sources.declaration import Source
from headrace.store.engine import Session, TableView
from headrace.store.site import Site
from headrace.store.tables import DAY


@dataclass(frozen=True)
class Declared:
    """What the check needs to know of a product."""

    sources: Mapping[str, Source]
    features: Mapping[str, Feature]
    label: Label


@dataclass(frozen=True)
class Look:
    """One row of the training set, and a session in which the sources of one product end at its prediction time."""

    site: Site
    declared: Declared
    columns: Mapping[str, list[str]]
    """The columns that each feature table in SQL or Python adds to a row."""
    tables: Sequence[str]
    """The feature tables whose cells are looked at."""
    read: Sequence[str]
    """The feature tables that others read, each after those that it reads."""
    session: Session
    row: dict[str, Any]

    @property
    def moment(self) -> datetime:
        """When the prediction was made."""
        at: datetime = self.row[self.declared.label.time]
        return at


@contextmanager
def looking(site: Site, declared: Declared) -> Iterator[list[Look]]:
    """Yield looks at no row yet, with all sources in memory: at the product, and at each that shares tables with it.

    Each has a session of its own: the same name may stand for other rows in another product.
    """
    own = own_features(declared.features)
    tables = [name for name, feature in own.items() if not feature.on_request]
    with ExitStack() as opened:
        looks = [_look(opened, site, replace(declared, features=own), tables)]
        for home, names in _elsewhere(declared.features):
            looks.append(_look(opened, home.site, _declared_there(home, names, declared.label), names))
        yield looks


def _look(opened: ExitStack, site: Site, declared: Declared, tables: Sequence[str]) -> Look:
    columns = {
        name: _sql_columns(site, name, feature) for name, feature in declared.features.items() if feature.written
    }
    session = opened.enter_context(site.engine.session(_tables_used(site, declared)))
    return Look(site, declared, columns, tables, _read_by_others(site, declared.features), session, {})


def _elsewhere(features: Mapping[str, Feature]) -> list[tuple[Home, list[str]]]:
    """Return each product that shares tables, and their names."""
    shared = {name: feature.home for name, feature in features.items() if isinstance(feature, SharedFeature)}
    products = dict.fromkeys(home.site.product.product for home in shared.values())
    named = [[n for n, home in shared.items() if home.site.product.product == product] for product in products]
    return [(shared[names[0]], names) for names in named]


def _declared_there(home: Home, names: Sequence[str], label: Label) -> Declared:
    """Return what is declared of some tables, and of what they are made of; predictions are those of `label`."""
    site, graph = home.site, home.graph
    features = {name: graph.features[name] for name in tables_behind(site, graph.features, names)}
    sources = {source for name in names for source in sources_behind(site, graph.features, name)}
    return Declared({name: graph.sources[name] for name in sorted(sources)}, features, label)


def _read_by_others(site: Site, features: Mapping[str, Feature]) -> list[str]:
    read = {name for feature in features.values() for name in upstream_of(site, features, feature)}
    return [name for name in making_order(site, features) if name in read]


def everything(source: str) -> str:
    """Return what a source is called in a session while its own name stands for what was known of it."""
    return f"_all_{source}"


def _sql_columns(site: Site, name: str, feature: Feature) -> list[str]:
    stored = site.tables.schema(site.product.table("features", name)).names
    return [column for column in stored if column not in {*feature.entities, "time", DAY}]


def _tables_used(site: Site, declared: Declared) -> dict[str, TableView]:
    return {everything(name): TableView(site.product.table("validated", name)) for name in declared.sources}
