"""What an explanation is made of."""

from collections.abc import Sequence

from headrace.core.fingerprint import Parts, code_parts, libraries
from headrace.core.recipe import Recipe
from headrace.explain.explanation import RECORD, explain_candidate, rows_to_explain
from headrace.features.declaration import Label
from headrace.models.candidate import the_candidate
from headrace.models.declaration import Model
from headrace.models.recipe import NO_MODEL, opponent_of
from headrace.store.site import Site


def explanation_recipe(site: Site, label: Label, model: Model, slices: Sequence[str]) -> Recipe:
    """Return what the explanation is made of: the candidate, the rows that it was split from, and the live model."""
    there = site.tables.exists(site.product.table("model", "candidate"))
    candidate = the_candidate(site) if there else None
    return Recipe(
        table=site.product.table("model", "explanation"),
        parts=explanation_parts(label, model, slices),
        facts={
            "candidate": f"{candidate.digest} of version {candidate.version}" if candidate else NO_MODEL,
            "live model": opponent_of(site, candidate.digest if candidate else NO_MODEL, RECORD),
        },
    )


def explanation_parts(label: Label, model: Model, slices: Sequence[str]) -> Parts:
    """Return the code and declarations behind an explanation."""
    return code_parts(model.split, label, rows_to_explain, explain_candidate, *slices) | libraries("lightgbm")
