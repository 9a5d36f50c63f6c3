"""What the newest model looks at, as an asset."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from headrace.core.assets import asset, is_forced, made, records, said_before, spec, verdict
from headrace.core.charts import markdown, pngs
from headrace.core.errors import Refused, StoreError
from headrace.core.fingerprint import code_version, version_of
from headrace.core.recipe import ALL
from headrace.explain.card import told_of
from headrace.explain.declaration import Card
from headrace.explain.explanation import Explanation, explain_candidate, rows_to_explain
from headrace.explain.page import Written, write_card
from headrace.explain.plots import explanation_plots
from headrace.explain.recipe import card_parts, card_recipe, explanation_parts, explanation_recipe
from headrace.features.declaration import Label
from headrace.features.graph import Graph
from headrace.models.candidate import the_candidate
from headrace.models.declaration import Model
from headrace.models.encode import encode
from headrace.models.meta import load_meta
from headrace.models.resources import mlflow_key
from headrace.models.story import plots_of
from headrace.store import runs
from headrace.store.releases import Release
from headrace.store.site import Site
from headrace.store.story import Story

SHOWN = 20
ATTACHED = "attached"


def explanation_assets(
    site: Site, graph: Graph, model: Model, slices: Sequence[str], card: Card
) -> list[dg.AssetsDefinition]:
    """Return model/explanation and model/card."""
    assert graph.label
    return [_explanation(site, graph.label, model, slices), _card(site, card, graph, model)]


def _explanation(site: Site, label: Label, model: Model, slices: Sequence[str]) -> dg.AssetsDefinition:
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
        try:
            told, shown = explain_candidate(site, candidate.digest, rows, slices)
        except Refused as error:
            # A model without explanation is released all the same, and its card says so.
            context.log.warning(str(error))
            site.ledger.note(recipe, work, {ALL: candidate.digest})
            yield from made(context, table, work, {ALL: candidate.digest}, {"not explained": str(error)})
            return
        pictures = pngs(explanation_plots(told, shown, encode(rows, load_meta(site.models, candidate.digest).inputs)))
        tracking = getattr(context.resources, mlflow_key(product.product))
        story = Story(
            origin=tracking.origin, part="explanation", files=plots_of(pictures), model=told.model, end="FINISHED"
        )
        tracking.tell(story)
        contents = {ALL: code_version(told)}
        site.ledger.note(recipe, work, contents)
        plots = {name: dg.MetadataValue.md(markdown(picture)) for name, picture in pictures.items()}
        yield from made(context, table, work, contents, {**_facts(told), **plots})

    return explanation


def _card(site: Site, card: Card, graph: Graph, model: Model) -> dg.AssetsDefinition:
    product = site.product

    @asset(
        spec(
            product,
            "model",
            "card",
            deps=[product.key("model", name) for name in ("champion", "evaluation", "explanation")],
            kinds={"html", "mlflow"},
            code_version=version_of(card_parts(card)),
        ),
        checks={ATTACHED: "The card is kept with the model in MLflow, too."},
    )
    def model_card(context: dg.AssetExecutionContext) -> Iterator[Any]:
        """The card of the live release: what it is for, what it was made of, how well it does, who let it through."""
        recipe, table = card_recipe(site, card), product.table("model", "card")
        said = said_before(context, table, ATTACHED)
        work = site.ledger.work(recipe, forced=is_forced(context) or said is None)
        if said and not work:
            yield said
            yield from made(context, table, work, site.ledger.contents(table), {})
            return
        live = site.releases.live(product.product)
        if live is None:
            raise Refused("Nothing is live: there is no release to write a card of.")
        written = write_card(site, told_of(site, card, graph, model, live))
        attached = _attached(site, live, written)
        yield attached
        contents = {ALL: code_version(written.markdown)}
        if attached.passed:
            site.ledger.note(recipe, work, contents)
        facts = {
            "release": live.number,
            "card": dg.MetadataValue.md(written.markdown),
            "page": dg.MetadataValue.url(written.page.as_uri()),
        }
        yield from made(context, table, work, contents, facts)

    return model_card


def _attached(site: Site, live: Release, written: Written) -> dg.AssetCheckResult:
    texts = {"model_card.md": written.markdown, "model_card.html": written.html}
    try:
        version = runs.attach_card(site.place.mlflow_uri, site.product.product, live.model, texts, written.markdown)
    except StoreError as error:
        return verdict(ATTACHED, False, f"{error} The next run of model/card tries again.")
    if version is None:
        return verdict(ATTACHED, False, f"No version in MLflow's registry has the digest {live.model[:12]}.")
    return verdict(ATTACHED, True, f"The card stands with version {version} in MLflow.")


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
