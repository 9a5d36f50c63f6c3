"""From a declaration to what a server must know of it."""

from collections.abc import Mapping

from headrace.core.errors import DeclarationError, SqlError
from headrace.core.sql import passed_on
from headrace.features.declaration import Label
from headrace.features.graph import Graph
from headrace.features.lineage import label_lineage
from headrace.features.training import label_statement
from headrace.models.declaration import Model
from headrace.serving.contract import Rule
from headrace.serving.declaration import Serve
from headrace.serving.served import Served
from headrace.store.site import Site


def served_of(site: Site, graph: Graph, model: Model | None, serve: Serve) -> Served:
    """Return a product as it is served; raises DeclarationError where it says nothing of requests one by one."""
    product, label = site.product, graph.label
    if label is None or model is None:
        raise DeclarationError(
            f"{product.product} has no `label:` and `model:`: there is nothing to predict.", ("model",)
        )
    if serve.online is None:
        raise DeclarationError(
            f"{product.product} does not declare to be served: say `serve: {{online: {{}}}}` and materialize "
            f"{product.product}/online/features.",
            ("serve",),
        )
    return Served(
        product=product.product,
        description=product.description,
        owner=product.owner,
        task=model.task,
        label=label.column,
        entity=label.entity,
        time=label.time,
        clock=product.clock,
        rules=rules_of(site, graph, label),
        when_down=serve.online.when_down,
        most_rows=serve.online.most_rows,
        limits=serve.limits,
        sticky=(serve.canary.by if serve.canary else None) or label.entity,
        logged=serve.predictions.share,
        sampled=serve.online.log > 0,
        hashed=list(serve.predictions.hash),
        sla=serve.sla,
        price=serve.price,
    )


def rules_of(site: Site, graph: Graph, label: Label) -> Mapping[str, Rule]:
    """Return what the contracts say of the columns that the label's SQL passes on as they are; a column it makes has no rule."""
    statement = label_statement(site, label)
    try:
        passed = passed_on(statement.text, statement.origin)
        lineage = label_lineage(site, graph)
    except SqlError:
        return {}
    rules = {}
    for column in passed:
        origins = lineage.get(column, set())
        if len(origins) == 1:
            [(_, source, name)] = origins
            declared = graph.contracts[source].columns[name]
            rules[column] = Rule(
                nullable=declared.may_miss,
                one_of=declared.one_of,
                min=declared.min,
                max=declared.max,
                matches=declared.matches,
            )
    return rules
