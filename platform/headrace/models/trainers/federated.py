"""Boosted trees of several sites, whose rows stay with a process of their own: Flower, XGBoost, and XGBoost's own form."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.core.errors import DeclarationError
from headrace.models.federated.programs import Answer, Federation, answer_of
from headrace.models.federated.sites import Standing, write_rows
from headrace.models.trainers.xgboost import Boosted, XGBoost, params_of

if TYPE_CHECKING:
    from headrace.models.meta import Meta
    from headrace.models.trainer import Lesson

RECORD = "federated"
NOT_PROMISED = (
    "No secure aggregation and no differential privacy: the server sees each site's trees, whose thresholds are values of "
    "single rows and whose leaves tell how its rows were answered. The training set was made in one place before it was "
    "parted, and tests, baselines and folds look at it there."
)
KEPT_APART = "Each site's rows were readable by its own processes alone: the kernel refused them to the server and to other sites."
NOT_KEPT_APART = "Each site's processes were told of its own rows alone, but nothing kept them from others: this kernel has no Landlock."


@dataclass(frozen=True)
class FromSites(Boosted):
    """A booster, and what the sites have told beside their trees."""

    told: Mapping[str, Any] = field(default_factory=dict)


class Federated:
    """Boosted trees over several sites: each has its rows in processes of its own, and trees and counts are all that leave them."""

    form = XGBoost.form
    libraries = XGBoost().libraries

    def fit(self, lesson: "Lesson") -> FromSites:
        """Return what the sites have learned; the same rows give the same bytes.

        Raises DeclarationError where nobody says where Flower is, DataError for a site that can learn nothing, StoreError
        where one of its programs ends, does not come up or takes too long.
        """
        standing, meta = lesson.standing, lesson.meta
        assert standing, "the declaration says where rows stand"
        python = lesson.beside.flower_python
        if python is None:
            raise DeclarationError(
                "`trainer: federated` needs Flower in an environment of its own: set HEADRACE_FLOWER_PYTHON to its interpreter, "
                "such as .venv-flower/bin/python, which `make flower` makes.",
                ("model", "trainer"),
            )
        with tempfile.TemporaryDirectory(prefix="headrace-sites-") as scratch:
            folder = Path(scratch)
            rows = {
                name: write_rows(lesson, standing, number, folder / f"site-{number}")
                for number, name in enumerate(standing.names)
            }
            wait_s = standing.declared.wait.total_seconds()
            what = {"params": params_of(meta), "steps": _steps(meta.trees, standing.declared.rounds)}
            answer = answer_of(Federation(python, folder, rows, wait_s), what, lesson.say)
        booster = XGBoost().from_bytes(answer.model, meta).booster
        return FromSites(booster, meta.inputs, _told(standing, answer))

    def from_bytes(self, data: bytes, meta: "Meta") -> Boosted:
        """Return the booster that bytes are."""
        return XGBoost().from_bytes(data, meta)


def _steps(trees: int, rounds: int) -> list[int]:
    """Return how many steps of boosting each round has: as many as the others, but for one."""
    return [trees * (number + 1) // rounds - trees * number // rounds for number in range(rounds)]


def _told(standing: Standing, answer: Answer) -> dict[str, Any]:
    sites: Sequence[Mapping[str, Any]] = answer.facts["sites"]
    return {
        "by": standing.declared.by,
        "rounds": standing.declared.rounds,
        "sites": [
            {
                "site": name,
                "rows": int(site["num-examples"]),
                "mean answer": site["answers"] / site["weight"],
                "bytes sent": sent,
            }
            for name, site, sent in zip(standing.names, sites, answer.facts["sent"], strict=True)
        ],
        "kept apart": KEPT_APART if answer.is_confined else NOT_KEPT_APART,
        "not promised": NOT_PROMISED,
    }
