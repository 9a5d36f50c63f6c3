"""All recipes of a product, inputs before what is made of them."""

from collections.abc import Iterator

from headrace.contracts.learn import with_learned
from headrace.contracts.recipe import validated_recipe
from headrace.core.recipe import Recipe
from headrace.declaration import ProductDeclaration
from headrace.evaluation.declaration import under_load
from headrace.evaluation.judgement import sliced_by
from headrace.evaluation.recipe import evaluation_recipe
from headrace.explain.recipe import card_recipe, explanation_recipe
from headrace.features.graph import Graph, making_order
from headrace.features.recipe import feature_recipe, training_recipe
from headrace.features.shared import own_features
from headrace.features.verify import verify
from headrace.load.recipe import loadtest_recipe
from headrace.models.recipe import candidate_recipe
from headrace.online.recipe import online_recipe
from headrace.sources.recipe import raw_recipe
from headrace.store.site import Site


def graph_of(declared: ProductDeclaration) -> Graph:
    """Return the parts of a declaration that features and labels refer to."""
    return declared.graph


def recipes_of(declared: ProductDeclaration, site: Site) -> Iterator[Recipe]:
    """Yield the recipe of each table and model that is skipped while what it is made of stays the same."""
    graph = graph_of(declared)
    verify(site, graph)
    contracts = {name: with_learned(site, name, contract) for name, contract in declared.contracts.items()}
    for name, source in declared.sources.items():
        yield raw_recipe(site, name, source)
        yield validated_recipe(site, name, source, contracts.get(name))
    own = own_features(declared.features)
    for name in making_order(site, own):
        if not own[name].on_request:
            yield feature_recipe(site, graph, name, declared.features[name])
    if declared.serve.online:
        yield online_recipe(site, declared.features, declared.label, declared.serve.online)
    if declared.label:
        yield training_recipe(site, graph)
    if declared.label and declared.model:
        yield candidate_recipe(site, declared.label, declared.model)
        yield evaluation_recipe(site, declared.label, declared.model, declared.gates)
        if under_load(declared.gates):
            yield loadtest_recipe(site, declared.serve, under_load(declared.gates))
        yield explanation_recipe(site, declared.label, declared.model, sliced_by(declared.model, declared.gates))
        yield card_recipe(site, declared.card)
