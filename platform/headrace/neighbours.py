"""The products of a project beside each other: where each is declared, and the feature tables that one uses of another."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from headrace.core.document import read_document
from headrace.core.errors import DeclarationError
from headrace.core.names import did_you_mean
from headrace.core.positions import position_of
from headrace.declaration import ProductDeclaration
from headrace.features.declaration import Feature
from headrace.features.shared import Home, SharedFeature, shared_feature
from headrace.store.site import Site
from headrace.workspace import attributes_of, declared_files, mentions


def declared_product(document: Any, file: Path) -> ProductDeclaration:
    """Return the product that a document declares; raises DeclarationError with file, line and key."""
    attributes = attributes_of(document)
    if attributes is None:
        raise DeclarationError(f"{file}:1: `attributes:` is missing: what the product is stands below it.")
    try:
        return ProductDeclaration.model_validate(attributes)
    except ValidationError as error:
        first = error.errors()[0]
        path = tuple(str(part) for part in first["loc"])
        raise DeclarationError(
            f"{position_of(file, ('attributes', *path))}: {'.'.join(path)}: {first['msg']}", path
        ) from None


def with_shared(declared: ProductDeclaration, site: Site) -> ProductDeclaration:
    """Return a declaration whose shared feature tables are those of their owners.

    Raises DeclarationError where a product or a table is not there, or cannot be shared.
    """
    if all(isinstance(feature, SharedFeature) or not feature.shared for feature in declared.features.values()):
        return declared
    files = declared_files(site.place.root)
    features = {name: _resolved(name, feature, site, files) for name, feature in declared.features.items()}
    return declared.model_copy(update={"features": features})


def users_of(root: Path, product: str) -> dict[str, list[str]]:
    """Return for each feature table of a product the other products that use it."""
    found: dict[str, list[str]] = {}
    for mention in mentions(root).values():
        for name, owner in mention.uses.items():
            if owner == product:
                found.setdefault(name, []).append(mention.product)
    return found


def _resolved(name: str, feature: Feature, site: Site, files: dict[str, Path]) -> Feature:
    owner = feature.shared
    if owner is None or isinstance(feature, SharedFeature):
        return feature
    path = ("features", name, "shared")
    others = {product: file for product, file in files.items() if product != site.product.product}
    if owner == site.product.product:
        raise DeclarationError(f"'{owner}' is this product itself: `shared` names another one.", path)
    if owner not in others:
        known = ", ".join(others) or "none"
        raise DeclarationError(
            f"no other product '{owner}' in this project; there are {known}.{did_you_mean(owner, others)}", path
        )
    try:
        declared = declared_product(read_document(others[owner]), others[owner])
    except DeclarationError as error:
        raise DeclarationError(f"what '{owner}' shares is not known: {error}", path) from None
    there = Site(declared, others[owner].parent, site.place, site.environment)
    return shared_feature(name, owner, Home(there, declared.graph))
