"""What the newest model looks at, as an asset."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from headrace.core.assets import asset, is_forced, made, records, spec
from headrace.core.charts import markdown, png
from headrace.core.fingerprint import code_version, version_of
from headrace.core.recipe import ALL
from headrace.explain.explanation import Explanation, explain_candidate, rows_to_explain
from headrace.explain.plots import explanation_plots
from headrace.explain.recipe import explanation_parts, explanation_recipe
from headrace.features.declaration import Label
from headrace.models.candidate import the_candidate
from headrace.models.declaration import Model
from headrace.models.predict import load_predictor
from headrace.resources import mlflow_key
from headrace.store import runs
from headrace.store.site import Site

SHOWN = 20


def explanation_assets(site: Site, label: Label, model: Model, slices: Sequence[str]) -> list[dg.AssetsDefinition]:
    """Return model/explanation."""
    product = site.product

    @asset(
        spec(
            product,
            "model",
            "explanation",
            deps=[product.key("model", "candidate"), product.key("training", "set")],
            code_version=version_of(explanation_parts(label, model, slices)),
        ),
        needs=[mlflow_key(product.product)],
    )
    def explanation(context: dg.AssetExecutionContext) -> Iterator[Any]:
        """What the candidate looks at: SHAP over its test rows, by slice, and against the live model on the same rows."""
        recipe, table = explanation_recipe(site, label, model, slices), product.table("model", "explanation")
        work = site.ledger.work(recipe, forced=is_forced(context))
        if not work:
            yield from made(context, table, work, site.ledger.contents(table), {})
            return
        candidate = the_candidate(site)
        rows = rows_to_explain(site, label, model, candidate)
        told = explain_candidate(site, candidate.digest, rows, slices)
        pictures = explanation_plots(told, rows, load_predictor(site.models, candidate.digest))
        tracking = getattr(context.resources, mlflow_key(product.product))
        tracking.start()
        runs.log_evaluation(
            {}, {f"{name}.png": png(picture) for name, picture in pictures.items()}, {"model": told.model}
        )
        tracking.finish(failed=False)
        contents = {ALL: code_version(told)}
        site.ledger.note(recipe, work, contents)
        shown = {name: dg.MetadataValue.md(markdown(picture)) for name, picture in pictures.items()}
        yield from made(context, table, work, contents, {**_facts(told), **shown})

    return [explanation]


def _facts(told: Explanation) -> dict[str, Any]:
    return {
        "model": told.model,
        "rows explained": told.rows,
        "raw score without any input": told.base,
        "inputs": records([influence.model_dump() for influence in told.inputs[:SHOWN]]),
        "against": told.champion or "no model is live yet",
        "looked at more or less": records([shift.model_dump() for shift in told.shifts[:SHOWN]]),
        "note": told.note or "-",
    }
