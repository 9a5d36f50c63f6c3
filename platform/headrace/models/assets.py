"""A model's way as assets: candidate, evaluation, champion."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from headrace.core.assets import asset, is_forced, made, mended, records, said_before, spec, verdict
from headrace.core.charts import markdown, png
from headrace.core.errors import StoreError
from headrace.core.fingerprint import code_version, version_of
from headrace.core.recipe import ALL, Recipe
from headrace.features.declaration import Label
from headrace.models.behaviour import Behaviour, faults_of
from headrace.models.candidate import MANUAL, Candidate, remember, the_candidate, train_candidate
from headrace.models.declaration import Gate, Model
from headrace.models.freshness import champion_age
from headrace.models.gate import Verdict, refuse_other_task
from headrace.models.guard import anchor, guard_home
from headrace.models.judgement import Judgement, judge_candidate
from headrace.models.origin import Trained, measured, record_cost, record_origin, triggers_of
from headrace.models.plots import evaluation_plots, importance_plot
from headrace.models.predict import stored_file
from headrace.models.recipe import candidate_parts, candidate_recipe, evaluation_parts, evaluation_recipe
from headrace.models.release import Request, release_model
from headrace.models.sensors import GUARDED, guarded
from headrace.models.trainer import kind_of
from headrace.resources import mlflow_key
from headrace.store import runs
from headrace.store.releases import Release
from headrace.store.site import Site

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GATES, BEHAVES, RELEASED, MIRRORED, FRESHNESS = "gates", "behaviour", "released", "mirrored", "freshness"
REASON_TAG, TRAINING_TAG = "headrace/reason", "headrace/training"


def model_assets(
    site: Site, label: Label, model: Model, gates: Sequence[Gate], freshness: timedelta | None
) -> list[dg.AssetsDefinition]:
    """Return model/candidate, model/evaluation and model/champion, and a freshness check that can be run alone."""
    refuse_other_task(gates, model.task)
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
            kinds={kind_of(model.trainer), "mlflow"},
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
            getattr(context.resources, mlflow_key(product.product)).start()
            version = site.tables.version(rows) or 0
            with measured() as cost:
                trained = train_candidate(site, label, model, version, context.log.info)
            digest, meta = trained.digest, trained.meta
            triggers = triggers_of(site, context.run.tags.get(TRAINING_TAG), reason)
            record_origin(site, label, Trained(digest, version, meta.rows, triggers, cost, recipe.parts))
            commit = remember(site, Candidate(digest, version, site.clock.now(), reason))
            said = model.model_dump(include={"trainer", "task", "trees", "seed"})
            facts = {**model.params, **said, "rows": meta.rows}
            registered = runs.log_model(
                product.product, digest, stored_file(site.models, digest), [i.name for i in meta.inputs], facts
            )
            runs.keep_files(site.models.files(digest))
            picture = importance_plot(trained.importance)
            tags = {"reason": reason, "training_set": f"{rows}@{version}"}
            runs.log_evaluation({}, {"importance.png": png(picture)}, tags)
            metadata = {
                "model": digest,
                "reason": reason,
                "rows": meta.rows,
                "trained on": f"{meta.train_from:%Y-%m-%d} to {meta.train_to:%Y-%m-%d}",
                "training set version": version,
                "mlflow version": registered,
                "baselines": records(trained.baselines),
                **_fold_metadata(trained.folds),
                "importance": dg.MetadataValue.md(markdown(picture)),
            }
        else:
            commit = remember(site, replace(the_candidate(site), reason=reason))
        site.ledger.record(recipe, work, [commit])
        yield from made(context, table, work, {ALL: the_candidate(site).digest}, metadata)

    return candidate


def _fold_metadata(folds: Mapping[str, Any]) -> dict[str, Any]:
    """Return the folds as a table, and their mean and spread where there are several."""
    several = folds["spread"] is not None
    said = {f"{what} {folds['metric']} of folds": folds[what] for what in ("mean", "spread")} if several else {}
    return {"folds": records(folds["folds"]), **said}


def _evaluation(site: Site, label: Label, model: Model, gates: Sequence[Gate]) -> dg.AssetsDefinition:
    product = site.product

    @asset(
        spec(
            product,
            "model",
            "evaluation",
            deps=[product.key("model", "candidate"), product.key("training", "set")],
            kinds={"python"},
            code_version=version_of(evaluation_parts(label, model, gates)),
        ),
        checks={
            GATES: "The candidate meets every gate of the declaration.",
            BEHAVES: "The candidate passes every hard test that is made from its inputs.",
        },
        needs=[mlflow_key(product.product)],
    )
    def evaluation(context: dg.AssetExecutionContext) -> Iterator[Any]:
        """How the candidate does on the newest rows, and against the live model on the same rows."""
        recipe, table = evaluation_recipe(site, label, model, gates), product.table("model", "evaluation")
        said = [said_before(context, table, check) for check in (GATES, BEHAVES)]
        work = site.ledger.work(recipe, forced=is_forced(context) or None in said)
        if not work:
            yield from said
            yield from made(context, table, work, site.ledger.contents(table), {})
            return
        tracking = getattr(context.resources, mlflow_key(product.product))
        tracking.start()
        with measured() as cost:
            judgement = judge_candidate(site, label, model, the_candidate(site), gates)
        record_cost(site, judgement.model, "evaluation", cost, judgement.evaluation.overall.rows)
        pictures = evaluation_plots(judgement.evaluation)
        files = {f"{name}.png": png(picture) for name, picture in pictures.items()}
        runs.log_evaluation(judgement.evaluation.measured(), files, {"model": judgement.model})
        # Nothing more is logged. Left to the end of the run, it would stay RUNNING if a later step is killed.
        tracking.finish(failed=False)
        yield _gates_check(judgement.verdicts(gates))
        yield _behaves(judgement.behaviours)
        contents = {ALL: code_version(judgement)}
        site.ledger.note(recipe, work, contents)
        yield from made(context, table, work, contents, _evaluation_metadata(judgement, pictures))

    return evaluation


def _gates_check(verdicts: Sequence[Verdict]) -> dg.AssetCheckResult:
    failed = [gate for gate in verdicts if not gate.passed]
    what = "; ".join(f"{gate.gate}: {gate.why}" for gate in failed) or f"All {len(verdicts)} gates passed."
    return verdict(GATES, not failed, what, gates=records([vars(gate) for gate in verdicts]))


def _behaves(found: Sequence[Behaviour]) -> dg.AssetCheckResult:
    faults = faults_of(found)
    what = "; ".join(faults) or f"All {len(found)} tests were passed, or only tell."
    return verdict(BEHAVES, not faults, what, tests=records([b.model_dump() for b in found]))


def _evaluation_metadata(judgement: Judgement, pictures: "Mapping[str, Figure]") -> dict[str, Any]:
    return {
        **judgement.facts(),
        **{name: records(rows) for name, rows in judgement.tables().items()},
        **{name: dg.MetadataValue.md(markdown(picture)) for name, picture in pictures.items()},
    }


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
        checks={
            RELEASED: "The last candidate was released.",
            MIRRORED: "MLflow's alias `champion` stands at the model that is live.",
            GUARDED: "Release log, files of the live model and MLflow's alias are as they were released.",
        },
    )
    def champion(context: dg.AssetExecutionContext) -> Iterator[Any]:
        """The model that is live: the newest whose own evaluation passed every gate."""
        found = guard_home(site)
        candidate = the_candidate(site)
        who = context.run.tags.get("dagster/sensor_name", "a person")
        decision = release_model(site, Request(candidate.digest, who, candidate.reason), gates)
        anchor(site, decision)
        live = site.releases.live(product.product)
        yield verdict(
            RELEASED, decision == live, f"{'' if decision == live else f'{decision.outcome}: '}{decision.why}"
        )
        if live is None:
            yield guarded(found)
            yield verdict(MIRRORED, True, "Nothing is live, and no alias is set.")
            raise dg.Failure(f"Nothing is live: {decision.why}", allow_retries=False)
        yield _mirror(context, site, live)
        yield guarded(found)
        yield dg.MaterializeResult(
            data_version=dg.DataVersion(live.model),
            metadata={
                "decision": decision.outcome,
                "why": decision.why,
                "live model": live.model,
                "release": live.number,
                "live since": f"{live.at:%Y-%m-%d %H:%M} UTC",
            },
        )

    return champion


def _mirror(context: dg.AssetExecutionContext, site: Site, live: Release) -> dg.AssetCheckResult:
    """Let MLflow's alias follow the release log, once for each release: the guard looks whether it stays there."""
    recipe = Recipe(site.product.table("model", "champion"), parts={}, facts={"release": str(live.number)})
    work = site.ledger.work(recipe, forced=is_forced(context))
    if not work:
        return verdict(MIRRORED, True, f"MLflow's alias `champion` was set for release {live.number}.")
    head = site.releases.log(site.product.product).head()
    try:
        version = runs.mirror_champion(site.place.mlflow_uri, site.product.product, live.model, head)
    except StoreError as error:
        return _lags(context, live, str(error))
    if version is None:
        return _lags(context, live, f"No version in its registry has the digest {live.model[:12]}. Train again.")
    site.ledger.note(recipe, work, {ALL: live.model})
    return verdict(MIRRORED, True, f"MLflow's alias `champion` stands at version {version}, release {live.number}.")


def _lags(context: dg.AssetExecutionContext, live: Release, why: str) -> dg.AssetCheckResult:
    what = f"Release {live.number} is live. MLflow's alias does not say so yet: {why} The next run of model/champion looks again."
    context.log.warning(what)
    return verdict(MIRRORED, False, what)


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
