"""The MLflow resource of a product: dagster-mlflow's own, prepared lazily and ended with the truth."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster import DagsterEventType

from headrace.store import runs
from headrace.store.site import Site


def mlflow_key(product: str) -> str:
    """Return the resource key of a product's MLflow run: each product has its own experiment."""
    return f"mlflow__{product}"


def mlflow_resources(site: Site) -> dict[str, dg.ResourceDefinition]:
    """Return the resource through which a product's trainings reach MLflow."""
    product = site.product.product

    @dg.resource(description=f"MLflow experiment '{product}', one MLflow run a Dagster run.")
    def mlflow(context: dg.InitResourceContext) -> Iterator[Any]:
        runs.prepare(site.place.mlflow_uri, product, site.place.home / "mlflow" / product)
        from dagster_mlflow import mlflow_tracking

        config = {"experiment_name": product, "mlflow_tracking_uri": site.place.mlflow_uri, "env": {}, "extra_tags": {}}
        delegate = mlflow_tracking.resource_fn(context.replace_config(config))
        yield next(delegate)
        runs.finish(failed=_has_failed(context))

    return {mlflow_key(product): mlflow}


def _has_failed(context: dg.InitResourceContext) -> bool:
    if context.instance is None or context.run is None:
        return False
    return bool(context.instance.all_logs(context.run.run_id, of_type=DagsterEventType.STEP_FAILURE))
