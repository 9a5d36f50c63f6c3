"""What a candidate is made of."""

from headrace.core.fingerprint import Parts, code_parts, installed
from headrace.core.recipe import Recipe
from headrace.core.user_code import load_function
from headrace.features.declaration import Label
from headrace.models.candidate import the_candidate, train_candidate
from headrace.models.declaration import Evaluating, Model
from headrace.models.federated.carried import parts_of
from headrace.models.trainer import trainer_for
from headrace.store.site import Site

NO_MODEL = "none"


def candidate_recipe(site: Site, label: Label, model: Model) -> Recipe:
    """Return what the candidate is made of: the training set and how to learn from it."""
    return Recipe(
        table=site.product.table("model", "candidate"),
        parts=candidate_parts(site, label, model),
        inputs={site.product.table("training", "set"): None},
        lost=_lost(site),
    )


def _lost(site: Site) -> bool:
    """Return whether the candidate's files are gone: a model that was removed is trained again."""
    there = site.tables.exists(site.product.table("model", "candidate"))
    return there and not site.models.exists(the_candidate(site).digest)


def candidate_parts(site: Site, label: Label, model: Model) -> Parts:
    """Return the code and declarations behind a candidate."""
    trainer = trainer_for(model)
    written = [load_function(site.folder, site.product.product, place) for place in model.functions]
    learned = model.model_copy(update={"evaluation": Evaluating()})
    parts = code_parts(learned, label, train_candidate, type(trainer), *written) | installed(
        [*trainer.libraries, *(["optuna"] if model.tune else [])]
    )
    return parts | (parts_of(site.place.flower_python) if model.federated else {})
