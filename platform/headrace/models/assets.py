"""A model's way as assets: candidate, evaluation, champion."""

from collections.abc import Sequence
from datetime import timedelta

import dagster as dg

from headrace.core.assets import asset, mended, records, spec, verdict
from headrace.core.charts import markdown, png
from headrace.core.fingerprint import code_version
from headrace.features.declaration import Label
from headrace.models.candidate import MANUAL, Candidate, remember, the_candidate, train_candidate
from headrace.models.declaration import Gate, Model
from headrace.models.freshness import champion_age
from headrace.models.judgement import judge_candidate
from headrace.models.plots import evaluation_plots, importance_plot
from headrace.models.release import Request, release_model
from headrace.resources import mlflow_key
from headrace.store import runs
from headrace.store.site import Site

GATES, RELEASED, FRESHNESS = "gates", "released", "freshness"
REASON_TAG = "headrace/reason"


def model_assets(
    site: Site, label: Label, model: Model, gates: Sequence[Gate], freshness: timedelta | None
) -> list[dg.AssetsDefinition]:
    """Return model/candidate, model/evaluation and model/champion, and a freshness check that can be run alone."""
    assets = [_candidate(site, label, model), _evaluation(site, label, model, gates), _champion(site, gates)]
    return [*assets, _freshness_check(site, freshness)] if freshness else assets


def _candidate(site: Site, label: Label, model: Model) -> dg.AssetsDefinition:
    product = site.product

    @asset(
        spec(
            product,
            "model",
            "candidate",
            deps=[product.key("training", "set")],
            kinds={"lightgbm", "mlflow"},
            code_version=code_version(model, label, train_candidate),
        ),
        needs=[mlflow_key(product.product)],
    )
    def candidate(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        """The model trained last. It is nobody's model until it is released."""
        reason = context.run.tags.get(REASON_TAG, MANUAL)
        table = product.table("training", "set")
        version = site.tables.version(table) or 0
        digest, meta, shares = train_candidate(site, label, model, version, context.log.info)
        remember(site, Candidate(digest, version, site.clock.now(), reason))
        facts = {**model.params, "trees": model.trees, "seed": model.seed, "rows": meta.rows}
        registered = runs.log_model(
            product.product, digest, site.models.get(digest, "model.txt"), [i.name for i in meta.inputs], facts
        )
        picture = importance_plot(shares)
        runs.log_evaluation(
            {}, {"importance.png": png(picture)}, {"reason": reason, "training_set": f"{table}@{version}"}
        )
        return dg.MaterializeResult(
            data_version=dg.DataVersion(digest),
            metadata={
                "model": digest,
                "reason": reason,
                "rows": meta.rows,
                "trained on": f"{meta.train_from:%Y-%m-%d} to {meta.train_to:%Y-%m-%d}",
                "training set version": version,
                "mlflow version": registered,
                "importance": dg.MetadataValue.md(markdown(picture)),
            },
        )

    return candidate


def _evaluation(site: Site, label: Label, model: Model, gates: Sequence[Gate]) -> dg.AssetsDefinition:
    product = site.product

    @asset(
        spec(
            product,
            "model",
            "evaluation",
            deps=[product.key("model", "candidate"), product.key("training", "set")],
            kinds={"python"},
            code_version=code_version(model.split, label, judge_candidate, *gates),
        ),
        checks={GATES: "The candidate meets every gate of the declaration."},
        needs=[mlflow_key(product.product)],
    )
    def evaluation(_context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        """How the candidate does on the newest rows, and against the live model on the same rows."""
        candidate = the_candidate(site)
        judgement = judge_candidate(site, label, model, candidate, gates)
        verdicts = judgement.verdicts(gates)
        measured = judgement.evaluation.overall
        pictures = evaluation_plots(judgement.evaluation)
        metrics = {name: value for name, value in measured.metrics.items() if value is not None}
        runs.log_evaluation(metrics, {f"{n}.png": png(p) for n, p in pictures.items()}, {"model": candidate.digest})
        failed = [gate for gate in verdicts if not gate.passed]
        return dg.MaterializeResult(
            data_version=dg.DataVersion(code_version(judgement)),
            metadata={
                **metrics,
                "rows": measured.rows,
                "positives": measured.positives,
                "slices": records(judgement.evaluation.listed()),
                "compared with": judgement.champion or "no model is live yet",
                **{name: dg.MetadataValue.md(markdown(picture)) for name, picture in pictures.items()},
            },
            check_results=[
                verdict(
                    GATES,
                    not failed,
                    "; ".join(f"{v.gate}: {v.why}" for v in failed) or f"All {len(verdicts)} gates passed.",
                    gates=records([vars(gate) for gate in verdicts]),
                )
            ],
        )

    return evaluation


def _champion(site: Site, gates: Sequence[Gate]) -> dg.AssetsDefinition:
    product = site.product

    @asset(
        spec(
            product,
            "model",
            "champion",
            deps=[product.key("model", "evaluation"), product.key("model", "candidate")],
            kinds={"mlflow"},
            code_version=code_version(release_model, *gates),
        ),
        checks={RELEASED: "The last candidate was released."},
    )
    def champion(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        """The model that is live: the newest whose own evaluation passed every gate."""
        candidate = the_candidate(site)
        who = context.run.tags.get("dagster/sensor_name", "a person")
        decision = release_model(site, Request(candidate.digest, who, candidate.reason), gates)
        live = site.releases.live(product.product)
        if live is None:
            raise dg.Failure(f"Nothing is live: {decision.why}", allow_retries=False)
        mirrored = runs.mirror_champion(site.place.mlflow_uri, product.product, live.model)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(live.model),
            metadata={
                "decision": decision.outcome,
                "why": decision.why,
                "live model": live.model,
                "release": live.number,
                "live since": f"{live.at:%Y-%m-%d %H:%M} UTC",
                "mlflow version": mirrored or "not registered",
            },
            check_results=[verdict(RELEASED, decision.outcome == "released", decision.why)],
        )

    return champion


def _freshness_check(site: Site, limit: timedelta) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=dg.AssetKey(site.product.key("model", "champion")),
        name=FRESHNESS,
        description="The labels that the live model was judged on are young enough, by the product's clock.",
    )
    @mended
    def is_fresh() -> dg.AssetCheckResult:
        age = champion_age(site, limit)
        return verdict(None, age.fresh, age.what, value=age.days, limit=limit / timedelta(days=1))

    return is_fresh
