"""The Product component: one declaration becomes a graph of assets."""

import os
from functools import partial
from pathlib import Path
from typing import Self

import dagster as dg
from pydantic import BaseModel

from headrace.alerts.sensors import alert_automation
from headrace.automation.lateness.assets import with_freshness
from headrace.automation.loop import Loop
from headrace.automation.sensors import data_automation, model_automation
from headrace.automation.verify import verify_triggers
from headrace.contracts.assets import contract_assets
from headrace.core.errors import DeclarationError
from headrace.core.place import Place
from headrace.core.positions import position_of
from headrace.declaration import ProductDeclaration
from headrace.evaluation.judgement import sliced_by
from headrace.explain.assets import explanation_assets
from headrace.features.assets import feature_assets
from headrace.features.readers import readers_of
from headrace.incidents.sensors import incident_automation
from headrace.load.assets import loadtest_assets
from headrace.load.verify import verify_load
from headrace.models.resources import mlflow_resources
from headrace.monitoring.assets import monitoring_assets, with_served
from headrace.neighbours import users_of, with_shared
from headrace.numbers.assets import numbers_assets
from headrace.numbers.measure import Declared
from headrace.online.assets import online_assets
from headrace.recipes import graph_of, recipes_of
from headrace.releases.assets import model_assets
from headrace.releases.sensors import guard_automation
from headrace.rollout.evidence import Plan
from headrace.rollout.sensors import rollout_automation
from headrace.rollout.verify import verify_canary
from headrace.serving.assets import served_assets, serving_assets
from headrace.sources.assets import source_assets
from headrace.store.sensors import store_automation
from headrace.store.site import Site


class Product(dg.Component):
    """An ML product, from landed files to a monitored model, in one declaration."""

    def __init__(self, declaration: ProductDeclaration) -> None:
        self.declaration = declaration

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Return what `attributes:` may hold."""
        return ProductDeclaration

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Return the component, with templates such as `{{ env.NAME }}` filled in."""
        if attributes is None:
            raise dg.DagsterInvalidDefinitionError(f"{context.path}: a headrace.Product needs `attributes:`")
        filled = context.resolution_context.resolve_value(attributes.model_dump(by_alias=True, exclude_unset=True))
        return cls(ProductDeclaration.model_validate(filled))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the assets, checks, jobs, sensors and schedules of the product."""
        place = Place.of_environment(context.project_root.parent, os.environ)
        try:
            return build(self.declaration, Site(self.declaration, context.path, place, os.environ))
        except DeclarationError as error:
            where = position_of(Path(context.path) / "defs.yaml", ("attributes", *error.path))
            raise dg.DagsterInvalidDefinitionError(f"{where}: {'.'.join(error.path)}: {error}") from None


def build(declared: ProductDeclaration, site: Site) -> dg.Definitions:
    """Return the definitions of a product at a site."""
    verify_triggers(declared.retrain, declared.monitors, declared.serve)
    verify_canary(declared.serve.canary, is_online=bool(declared.serve.online), has_model=bool(declared.model))
    verify_load(declared.serve, declared.gates, has_model=bool(declared.model))
    declared = with_shared(declared, site)
    graph, users = graph_of(declared), users_of(site.place.root, site.product.product)
    online = declared.serve.online
    loop = loop_of(declared, site)
    modelled = _modelled(declared, site, loop)
    data = dg.Definitions(
        assets=[
            *source_assets(site, declared.sources, partial(readers_of, site, graph, users)),
            *contract_assets(site, declared.sources, declared.contracts),
            *feature_assets(site, graph),
            *(online_assets(site, declared.features, declared.label, online) if online else ()),
        ],
        sensors=[
            *incident_automation(site, declared.incidents),
            *alert_automation(site, declared.alerts),
        ],
    )
    parts = data, data_automation(loop), modelled, store_automation(site, declared.keep)
    return with_freshness(dg.Definitions.merge(*parts), loop)


def loop_of(declared: ProductDeclaration, site: Site) -> Loop:
    """Return a product as its sensors and schedules see it."""
    return Loop(
        site,
        declared.sources,
        declared.features,
        declared.retrain,
        declared.serve,
        declared.monitors,
        partial(recipes_of, declared, site),
        declared.label,
        declared.model,
        declared.gates,
    )


def _modelled(declared: ProductDeclaration, site: Site, loop: Loop) -> dg.Definitions:
    """Return what a product with a model has beside its data."""
    if not declared.model:
        return dg.Definitions()
    if not declared.label:
        raise DeclarationError(
            "a model needs `label:`, the rows to predict and what came true: say it, or take `model:` out", ("model",)
        )
    label, monitors = declared.label, declared.monitors
    monitored = monitoring_assets(
        site, graph_of(declared), declared.model, monitors, users_of(site.place.root, site.product.product)
    )
    assets = [
        *model_assets(site, label, declared.model, declared.gates, monitors.freshness),
        *explanation_assets(
            site, graph_of(declared), declared.model, sliced_by(declared.model, declared.gates), declared.card
        ),
        *loadtest_assets(site, graph_of(declared), declared.model, declared.serve, declared.gates),
        *serving_assets(site, declared.features, label),
        *served_assets(site, declared.serve),
        *(with_served(site, monitored) if declared.serve.keeps_predictions else monitored),
    ]
    is_estimated = bool(monitors.quality.estimated_metric)
    assets += numbers_assets(site, Declared(declared.numbers, declared.sources, declared.serve.price, is_estimated))
    canary = declared.serve.canary
    rollouts = rollout_automation(site, Plan(canary, label, declared.model)) if canary else []
    sensors = [*guard_automation(site), *rollouts]
    released = dg.Definitions(assets=assets, sensors=sensors, resources=mlflow_resources(site))
    return dg.Definitions.merge(released, model_automation(loop))
