"""The model that is live, as an asset; and the way to it."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg

from headrace.core.assets import asset, is_forced, mended, spec, verdict
from headrace.core.errors import StoreError
from headrace.core.fingerprint import code_version
from headrace.core.recipe import ALL, Recipe
from headrace.evaluation.assets import evaluation_asset
from headrace.evaluation.declaration import Gate, under_load
from headrace.evaluation.gate import refuse_other_task
from headrace.features.declaration import Label
from headrace.models.assets import candidate_asset
from headrace.models.candidate import the_candidate
from headrace.models.declaration import Model
from headrace.releases.freshness import champion_age
from headrace.releases.guard import guard_home
from headrace.releases.release import Request, release_model
from headrace.releases.sensors import GUARDED, guarded
from headrace.store import runs
from headrace.store.releases import Release
from headrace.store.site import Site
from headrace.store.tell import tell_waiting, telling

RELEASED, MIRRORED, FRESHNESS = "released", "mirrored", "freshness"


def model_assets(
    site: Site, label: Label, model: Model, gates: Sequence[Gate], freshness: timedelta | None
) -> list[dg.AssetsDefinition]:
    """Return model/candidate, model/evaluation and model/champion, and a freshness check that can be run alone."""
    refuse_other_task(gates, model.task)
    assets = [candidate_asset(site, label, model), evaluation_asset(site, label, model, gates), _champion(site, gates)]
    return [*assets, _freshness_check(site, freshness)] if freshness else assets


def _champion(site: Site, gates: Sequence[Gate]) -> dg.AssetsDefinition:
    product = site.product

    @asset(
        spec(
            product,
            "model",
            "champion",
            deps=[product.key("model", name) for name in ("evaluation", "candidate", *_loadtest(gates))],
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
        site.releases.anchor(site.models, product.product, decision)
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
                **({"takes over in steps": ", ".join(live.stages)} if live.stages else {}),
            },
        )

    return champion


def _loadtest(gates: Sequence[Gate]) -> list[str]:
    return ["loadtest"] if under_load(gates) else []


def _mirror(context: dg.AssetExecutionContext, site: Site, live: Release) -> dg.AssetCheckResult:
    """Let MLflow's alias follow the release log, once for each release: the guard looks whether it stays there."""
    recipe = Recipe(site.product.table("model", "champion"), parts={}, facts={"release": str(live.number)})
    work = site.ledger.work(recipe, forced=is_forced(context))
    if not work:
        return verdict(MIRRORED, True, f"MLflow's alias `champion` was set for release {live.number}.")
    try:
        tell_waiting(site)
        with telling(site):
            live = site.releases.live(site.product.product) or live
            head = site.releases.log(site.product.product).head()
            version = runs.mirror_champion(site.place.mlflow_uri, site.product.product, live.model, head, live.number)
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
