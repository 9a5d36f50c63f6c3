"""What is thought of a candidate, as an asset."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from headrace.core.assets import asset, is_forced, made, records, said_before, spec, verdict
from headrace.core.charts import markdown, pngs
from headrace.core.fingerprint import code_version, version_of
from headrace.core.recipe import ALL
from headrace.evaluation.behaviour import Behaviour, faults_of
from headrace.evaluation.declaration import Gate, before_load
from headrace.evaluation.gate import Verdict
from headrace.evaluation.judgement import Judgement, judge_candidate
from headrace.evaluation.plots import evaluation_plots
from headrace.evaluation.recipe import evaluation_parts, evaluation_recipe
from headrace.evaluation.story import evaluation_story
from headrace.features.declaration import Label
from headrace.models.candidate import split_version, the_candidate
from headrace.models.declaration import Model
from headrace.models.origin import measured, record_cost
from headrace.models.resources import mlflow_key
from headrace.models.story import plots_of
from headrace.store.site import Site

GATES, BEHAVES = "gates", "behaviour"


def evaluation_asset(site: Site, label: Label, model: Model, gates: Sequence[Gate]) -> dg.AssetsDefinition:
    """Return model/evaluation, whose check says whether the gates are met."""
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
            GATES: "The candidate meets every gate of the declaration that needs no server.",
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
        with measured() as cost:
            judgement = judge_candidate(site, label, model, the_candidate(site), gates)
        record_cost(site, judgement.model, "evaluation", cost, judgement.evaluation.overall.rows)
        pictures = pngs(evaluation_plots(judgement.evaluation))
        verdicts = judgement.verdicts(before_load(gates))
        rows = split_version(site, label, model, judgement.version).test
        story = evaluation_story(site, rows, judgement, verdicts, tracking.origin)
        # Nothing more is told. Left to the end of the run, it would stay RUNNING if a later step is killed.
        tracking.tell(story.model_copy(update={"files": plots_of(pictures)}))
        yield _gates_check(verdicts)
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


def _evaluation_metadata(judgement: Judgement, pictures: Mapping[str, bytes]) -> dict[str, Any]:
    return {
        **judgement.facts(),
        **{name: records(rows) for name, rows in judgement.tables().items()},
        **{name: dg.MetadataValue.md(markdown(picture)) for name, picture in pictures.items()},
    }
