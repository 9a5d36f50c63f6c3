"""Feature tables of other products of the project, used by name: made once, where they are declared."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import Field, InstanceOf

from headrace.core.errors import DeclarationError
from headrace.core.names import did_you_mean
from headrace.features.declaration import Feature
from headrace.features.graph import Graph
from headrace.store.site import Site


@dataclass(frozen=True)
class Home:
    """Where a feature table is made: the site of its product, and the declared parts of that."""

    site: Site
    graph: Graph


class SharedFeature(Feature):
    """A feature table of another product, as its owner declares it, and where it is made."""

    home: InstanceOf[Home] = Field(exclude=True, repr=False)


def home_of(site: Site, graph: Graph, name: str) -> Home:
    """Return where a feature table is made: at its owner's if it is shared, else here."""
    feature = graph.features[name]
    return feature.home if isinstance(feature, SharedFeature) else Home(site, graph)


def shared_feature(name: str, owner: str, home: Home) -> SharedFeature:
    """Return another product's feature table as one of one's own; raises DeclarationError where it cannot be shared."""
    declared, path = home.graph.features, ("features", name, "shared")
    if name not in declared:
        known = ", ".join(declared) or "none"
        raise DeclarationError(
            f"product '{owner}' has no feature table '{name}'; it has {known}.{did_you_mean(name, declared)} "
            "A shared table has the name that its owner gave it.",
            path,
        )
    feature = declared[name]
    if feature.on_request:
        raise DeclarationError(
            f"'{name}' of '{owner}' is computed from each request and is no table: nothing can be shared. "
            f"Declare `on_request` here, too.",
            path,
        )
    if feature.shared:
        raise DeclarationError(
            f"'{owner}' shares '{name}' from '{feature.shared}' itself: say `shared: {feature.shared}`.", path
        )
    values = {field.alias or key: getattr(feature, key) for key, field in Feature.model_fields.items()}
    return SharedFeature.model_construct(**values | {"shared": owner, "home": home})


def own_features(features: Mapping[str, Feature]) -> dict[str, Feature]:
    """Return the feature tables that are made here."""
    return {name: feature for name, feature in features.items() if not feature.shared}
