"""What the published features are made of."""

from hashlib import sha256

from headrace.core.fingerprint import Parts, code_parts, libraries, sql_version
from headrace.core.recipe import Recipe
from headrace.features.compute import sql_of, table_of
from headrace.features.declaration import Label
from headrace.features.training import Features, label_statement
from headrace.features.usable import stored
from headrace.online.declaration import Online
from headrace.online.publish import publish
from headrace.store.site import Site


def online_recipe(site: Site, features: Features, label: Label | None, online: Online) -> Recipe:
    """Return what the published features are made of: the stored feature tables, and where they are published."""
    return Recipe(
        table=site.product.table("online", "features"),
        parts=online_parts(site, features, label, online),
        inputs=dict.fromkeys(stored_tables(site, features)),
        facts={"online store": _place(site)},
        lost=_lost(site),
    )


def online_parts(site: Site, features: Features, label: Label | None, online: Online) -> Parts:
    """Return the code and declarations behind a publication."""
    statements = {f"{f.on_request}": sql_of(site, f) for f in features.values() if f.on_request}
    if label:
        statements[label.sql] = label_statement(site, label)
    texts = {file: sql_version(statement.text) for file, statement in statements.items()}
    declared = {f"features.{name}": f.model_dump_json(by_alias=True) for name, f in features.items()}
    return code_parts(online, *([label] if label else []), publish) | texts | declared | libraries("polars")


def stored_tables(site: Site, features: Features) -> list[str]:
    """Return the feature tables that are stored, and so published."""
    return [table_of(site, name, feature) for name, feature in stored(features).items()]


def _place(site: Site) -> str:
    """Return a digest of where the features are published, without what may be a password."""
    address = site.place.online_server
    if not address:
        return "embedded"
    scheme, _, rest = address.partition("://")
    return sha256(f"{scheme}://{rest.rpartition('@')[2]}".encode()).hexdigest()[:16]


def _lost(site: Site) -> bool:
    """Return whether the embedded store's file is gone. Redis is asked by the publication itself, which nothing waits for."""
    return not site.place.online_server and not (site.place.online / f"{site.product.product}.sqlite").exists()
