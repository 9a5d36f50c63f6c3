"""What MLflow is told of an evaluation: what was measured, on which rows, and what the gates say."""

from collections.abc import Sequence

import pyarrow as pa

from headrace.evaluation.gate import Verdict
from headrace.evaluation.judgement import Judgement
from headrace.models.story import dataset_of
from headrace.store.site import Site
from headrace.store.story import Origin, Story


def evaluation_story(
    site: Site, rows: pa.Table, judgement: Judgement, verdicts: Sequence[Verdict], origin: Origin
) -> Story:
    """Return what MLflow is told of an evaluation on `rows`, but for its pictures."""
    return Story(
        origin=origin,
        part="evaluation",
        metrics=judgement.evaluation.measured(),
        datasets=[dataset_of(site, judgement.version, rows, "testing")],
        model=judgement.model,
        version_tags={"headrace.gates": _gates(verdicts)},
        end="FINISHED",
    )


def _gates(verdicts: Sequence[Verdict]) -> str:
    """Return in one line whether the gates were passed, and which refused."""
    refused = [f"{verdict.gate}: {verdict.why}" for verdict in verdicts if not verdict.passed]
    return f"refused by {'; '.join(refused)}" if refused else f"all {len(verdicts)} passed"
