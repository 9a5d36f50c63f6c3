"""A trained model as an asset: the candidate."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import dagster as dg

from headrace.core.assets import asset, is_forced, made, records, spec
from headrace.core.charts import markdown, pngs
from headrace.core.fingerprint import version_of
from headrace.core.recipe import ALL
from headrace.features.declaration import Label
from headrace.models.candidate import MANUAL, Candidate, Tuning, remember, the_candidate, train_candidate
from headrace.models.declaration import Model
from headrace.models.harden import listed
from headrace.models.origin import Trained, measured, record_origin, triggers_of
from headrace.models.plots import importance_plot
from headrace.models.recipe import candidate_parts, candidate_recipe
from headrace.models.resources import mlflow_key
from headrace.models.spread.trainer import cost_of
from headrace.models.story import plots_of, training_story
from headrace.models.trainer import kind_of
from headrace.models.tuning.plots import tuning_plots
from headrace.store.site import Site

REASON_TAG, TRAINING_TAG = "headrace/reason", "headrace/training"


def candidate_asset(site: Site, label: Label, model: Model) -> dg.AssetsDefinition:
    """Return model/candidate."""
    product = site.product

    @asset(
        spec(
            product,
            "model",
            "candidate",
            deps=[product.key("training", "set")],
            kinds={kind_of(model.learner), "mlflow"},
            code_version=version_of(candidate_parts(site, label, model)),
        ),
        needs=[mlflow_key(product.product)],
    )
    def candidate(context: dg.AssetExecutionContext) -> Iterator[Any]:
        """The model trained last. It is nobody's model until it is released."""
        reason = context.run.tags.get(REASON_TAG, MANUAL)
        recipe, rows = candidate_recipe(site, label, model), product.table("training", "set")
        table = recipe.table
        work = site.ledger.work(recipe, forced=is_forced(context))
        metadata: dict[str, Any] = {}
        if work:
            tracking = getattr(context.resources, mlflow_key(product.product))
            tracking.start()
            version = site.tables.version(rows) or 0
            with measured() as cost:
                trained = train_candidate(site, label, model, version, context.log.info)
            digest, meta = trained.digest, trained.meta
            triggers = triggers_of(site, context.run.tags.get(TRAINING_TAG), reason)
            tuning = trained.tuning
            found, searched = (tuning.found.params, tuning.costs()) if tuning else (None, None)
            shared = cost_of(trained.workers) if trained.workers else None
            behind = Trained(
                digest, version, meta.rows, triggers, cost, recipe.parts, found, searched, shared, context.run.run_id
            )
            record_origin(site, label, behind)
            trained_now = Candidate(digest, version, site.clock.now(), reason)
            commit = remember(site, trained_now)
            pictures = pngs(
                {"importance": importance_plot(trained.importance)} | (tuning_plots(tuning.found) if tuning else {})
            )
            story = training_story(site, label, trained_now, trained, tracking.origin)
            registered = tracking.tell(story.model_copy(update={"files": plots_of(pictures)}))
            metadata = {
                "model": digest,
                "reason": reason,
                "rows": meta.rows,
                "trained on": f"{meta.train_from:%Y-%m-%d} to {meta.train_to:%Y-%m-%d}",
                "training set version": version,
                "mlflow version": registered,
                "baselines": records(trained.baselines),
                **_fold_metadata(trained.folds),
                **({"robustness": records(listed(trained.robustness))} if trained.robustness else {}),
                **(_tuning_metadata(tuning) if tuning else {}),
                **({"workers": records(trained.workers)} if trained.workers else {}),
                **(_site_metadata(trained.federated) if trained.federated else {}),
                **{name: dg.MetadataValue.md(markdown(picture)) for name, picture in pictures.items()},
            }
        else:
            commit = remember(site, replace(the_candidate(site), reason=reason))
        site.ledger.record(recipe, work, [commit])
        yield from made(context, table, work, {ALL: the_candidate(site).digest}, metadata)

    return candidate


def _tuning_metadata(tuning: Tuning) -> dict[str, Any]:
    """Return what a search has found, what it took, and its trials as a table."""
    return {
        "tuning": tuning.found.said,
        "tuning cost": dg.MetadataValue.json(tuning.costs()),
        "trials": records(tuning.found.listed()),
    }


def _site_metadata(federated: Mapping[str, Any]) -> dict[str, Any]:
    """Return what each site has sent, what kept the sites apart, and what nobody promises."""
    return {"sites": records(federated["sites"]), **{name: federated[name] for name in ("kept apart", "not promised")}}


def _fold_metadata(folds: Mapping[str, Any]) -> dict[str, Any]:
    """Return the folds as a table, and their mean and spread where there are several."""
    several = folds["spread"] is not None
    said = {f"{what} {folds['metric']} of folds": folds[what] for what in ("mean", "spread")} if several else {}
    return {"folds": records(folds["folds"]), **said}
