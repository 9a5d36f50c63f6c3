"""The published features and the requests that were served as assets."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from headrace.core.assets import asset, is_forced, made, records, spec, verdict
from headrace.core.errors import DeclarationError
from headrace.core.fingerprint import code_version, version_of
from headrace.core.recipe import ALL
from headrace.features.declaration import Label
from headrace.features.training import Features, label_statement
from headrace.online.declaration import Online
from headrace.online.keys import MANIFEST
from headrace.online.publish import publish
from headrace.online.recipe import online_parts, online_recipe, stored_tables
from headrace.online.skew import check_skew
from headrace.store.online import open_online
from headrace.store.site import Site

SKEW = "skew"


def online_assets(site: Site, features: Features, label: Label | None, online: Online) -> list[dg.AssetsDefinition]:
    """Return online/features, and serving/requests where requests are logged."""
    if online.log and not label:
        raise DeclarationError(
            "`log` needs `label:`: what is served is held against the training set's rows", ("serve", "online", "log")
        )
    logged = [_requests(site, features, label)] if online.log and label else []
    return [_published(site, features, label, online), *logged]


def _published(site: Site, features: Features, label: Label | None, online: Online) -> dg.AssetsDefinition:
    product, table = site.product, site.product.table("online", "features")
    # The columns of requests are told by the label's sources, which need not be behind any of the tables: these may be shared.
    sources = [product.table("validated", name) for name in label_statement(site, label).tables] if label else []

    @asset(
        spec(
            product,
            "online",
            "features",
            deps=[dg.AssetKey(name.split("/")) for name in [*stored_tables(site, features), *sources]],
            kinds={"redis" if site.place.online_server else "sqlite"},
            code_version=version_of(online_parts(site, features, label, online)),
        )
    )
    def published(context: dg.AssetExecutionContext) -> Iterator[Any]:
        """The newest values of every entity, and those that are to come as events leave their windows, for requests one by one."""
        store = open_online(site.place, product.product)
        try:
            recipe = online_recipe(site, features, label, online)
            nothing = store.read([MANIFEST]).version == 0
            work = site.ledger.work(recipe, forced=is_forced(context) or nothing)
            metadata: dict[str, Any] = {}
            contents = {ALL: version_of({"code": recipe.code, **work.wanted[ALL].inputs})}
            if work:
                done = publish(site, features, label, online, store)
                metadata = {
                    "store": store.kind,
                    "published version": done.version,
                    "entities written": done.written,
                    "entities removed": done.removed,
                    "written as a whole": ", ".join(sorted(done.whole)) or "none",
                    "tables": records([{"table": name, "version": v} for name, v in done.versions.items()]),
                    "seconds": done.seconds,
                    "lag seconds": done.lag_seconds,
                }
                site.ledger.note(recipe, work, contents)
        finally:
            store.close()
        yield from made(context, table, work, site.ledger.contents(table), metadata)

    return published


def _requests(site: Site, features: Features, label: Label) -> dg.AssetsDefinition:
    product = site.product

    @asset(
        spec(
            product,
            "serving",
            "requests",
            deps=[product.key("online", "features"), *(name.split("/") for name in stored_tables(site, features))],
            kinds={"deltalake"},
            code_version=code_version(check_skew),
        ),
        checks={SKEW: "What was served is what training computes of the same requests, cell by cell."},
    )
    def requests(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        """A sample of the requests that were served, each with the features that it got."""
        checked = check_skew(site, features, label)
        context.log.info(f"{checked}")
        found = [{name: f"{value}" for name, value in vars(skew).items()} for skew in checked.skews]
        return dg.MaterializeResult(
            metadata={"requests": checked.requests, "cells": checked.cells, "dropped": checked.dropped},
            check_results=[verdict(SKEW, not checked.skews, f"{checked}", severe=True, skew=records(found))],
        )

    return requests
