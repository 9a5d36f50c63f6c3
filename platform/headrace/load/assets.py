"""How the candidate does under load, as an asset; where a gate asks for it."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from headrace.core.assets import asset, is_forced, made, records, said_before, spec, verdict
from headrace.core.charts import markdown, png
from headrace.core.fingerprint import code_version, version_of
from headrace.core.recipe import ALL
from headrace.evaluation.declaration import Gate, under_load
from headrace.features.graph import Graph
from headrace.load.declaration import Plan
from headrace.load.plots import load_plot
from headrace.load.recipe import loadtest_parts, loadtest_recipe
from headrace.load.report import Report
from headrace.load.verdicts import load_verdicts
from headrace.models.candidate import the_candidate
from headrace.models.declaration import Model
from headrace.models.origin import measured, record_cost
from headrace.serving.declaration import Serve
from headrace.store.site import Site

BORNE = "borne"


def loadtest_assets(
    site: Site, graph: Graph, model: Model, serve: Serve, gates: Sequence[Gate]
) -> list[dg.AssetsDefinition]:
    """Return model/loadtest, if a gate asks for it."""
    asked = under_load(gates)
    return [_loadtest(site, graph, model, serve, asked)] if asked else []


def _loadtest(site: Site, graph: Graph, model: Model, serve: Serve, gates: Sequence[Gate]) -> dg.AssetsDefinition:
    product = site.product

    @asset(
        spec(
            product,
            "model",
            "loadtest",
            deps=[
                product.key("model", "evaluation"),
                product.key("model", "candidate"),
                product.key("online", "features"),
            ],
            kinds={"python"},
            code_version=version_of(loadtest_parts(serve, gates)),
        ),
        checks={
            BORNE: "The candidate meets the gates that are held against a load test, and what is promised of the server."
        },
    )
    def loadtest(context: dg.AssetExecutionContext) -> Iterator[Any]:
        """How long requests wait for the candidate while a server of it is asked as much as it is to bear, and more."""
        from headrace.load.trial import Asked, try_candidate
        from headrace.serving.prepare import served_of

        recipe, table = loadtest_recipe(site, serve, gates), product.table("model", "loadtest")
        said = said_before(context, table, BORNE)
        work = site.ledger.work(recipe, forced=is_forced(context) or said is None)
        if said and not work:
            yield said
            yield from made(context, table, work, site.ledger.contents(table), {})
            return
        digest, asked = the_candidate(site).digest, Asked(product.product, plan_of(serve), serve.promised)
        with measured() as cost:
            report = try_candidate(site, served_of(site, graph, model, serve), asked, digest)
        record_cost(site, digest, "load test", cost, sum(step.asked for step in report.steps))
        yield _borne(report, load_verdicts(site, digest, gates))
        contents = {ALL: code_version(report)}
        site.ledger.note(recipe, work, contents)
        yield from made(context, table, work, contents, _metadata(digest, report))

    return loadtest


def plan_of(serve: Serve) -> Plan:
    """Return at which rates a candidate is tested: about the promised one and beyond; without one what finds the capacity."""
    rate = serve.sla.rate
    if rate is None:
        return Plan()
    return Plan(rates=[max(rate / 2, 1.0), rate, 2 * rate, 4 * rate])


def _borne(report: Report, verdicts: Sequence[Any]) -> dg.AssetCheckResult:
    failed = [f"{gate.gate}: {gate.why}" for gate in verdicts if not gate.passed]
    missed = [f"{held.promise}: {held.why}" for held in report.held if not held.kept]
    what = "; ".join([*failed, *missed]) or "All gates were passed, and what is promised was kept."
    return verdict(BORNE, not (failed or missed), what, gates=records([vars(gate) for gate in verdicts]))


def _metadata(digest: str, report: Report) -> dict[str, Any]:
    return {
        "model": digest,
        "capacity": report.capacity if report.capacity is not None else "no rate was borne",
        "said": report.told,
        "rates": records([step.model_dump() for step in report.steps]),
        "promises": records([held.model_dump() for held in report.held]),
        "curve": dg.MetadataValue.md(markdown(png(load_plot(report)))),
        **({"note": report.note} if report.note else {}),
    }
