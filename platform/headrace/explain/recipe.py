"""What an explanation is made of."""

import json
from collections.abc import Sequence

from headrace.core.fingerprint import Parts, code_parts, code_version, installed, libraries
from headrace.core.recipe import Recipe
from headrace.evaluation.recipe import NO_MODEL, candidate_facts, latest_candidate
from headrace.explain.card import told_of
from headrace.explain.declaration import Card
from headrace.explain.explanation import RECORD, explain_candidate, rows_to_explain
from headrace.explain.page import write_card
from headrace.features.declaration import Label
from headrace.models.declaration import Model
from headrace.store.evaluations import recorded
from headrace.store.site import Site


def explanation_recipe(site: Site, label: Label, model: Model, slices: Sequence[str]) -> Recipe:
    """Return what the explanation is made of: the candidate, the rows that it was split from, and the live model."""
    candidate = latest_candidate(site)
    known = (site.models.recorded(candidate.digest, RECORD) if candidate else None) or {}
    return Recipe(
        table=site.product.table("model", "explanation"),
        parts=explanation_parts(label, model, slices),
        facts=candidate_facts(site, candidate, known),
    )


def card_recipe(site: Site, card: Card) -> Recipe:
    """Return what a card is made of: the release, and what is recorded of its model."""
    live = site.releases.live(site.product.product)
    records = (
        {RECORD: site.models.recorded(live.model, RECORD), "evaluation": recorded(site, live.model)} if live else {}
    )
    return Recipe(
        table=site.product.table("model", "card"),
        parts=card_parts(card),
        facts={"release": f"{live.number}" if live else NO_MODEL}
        | {kind: code_version(json.dumps(facts, sort_keys=True)) for kind, facts in records.items()},
    )


def card_parts(card: Card) -> Parts:
    """Return the code and declarations behind a card."""
    return code_parts(card, told_of, write_card) | libraries("jinja2", "markdown-it-py")


def explanation_parts(label: Label, model: Model, slices: Sequence[str]) -> Parts:
    """Return the code and declarations behind an explanation."""
    return code_parts(model.split, label, rows_to_explain, explain_candidate, *slices) | installed(("lightgbm", "shap"))
