"""LightGBM on a cluster: the same text as LightGBM here writes, learned by workers together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from headrace.core.errors import StoreError
from headrace.models.cluster import connected
from headrace.models.spread.gang import Here, gathered
from headrace.models.spread.lesson import as_rows, dealt
from headrace.models.spread.proof import proven
from headrace.models.spread.worker import Learned, Work
from headrace.models.trainers.lightgbm import Boosted, LightGBM, refuse_high_relevance
from headrace.store.lessons import lying

if TYPE_CHECKING:
    from headrace.models.trainer import Lesson

ON = ("model", "trainer", "lightgbm", "on")


@dataclass(frozen=True)
class BoostedTogether(Boosted):
    """A booster that workers have learned together."""

    there: Sequence[Here] = ()
    learned: Sequence[Learned] = ()

    def listed(self) -> list[dict[str, Any]]:
        """Return a row for each worker: where it was, and what it took."""
        return [
            {
                "worker": number,
                "node": here.node,
                "rows": one.rows,
                "seconds": round(one.seconds, 3),
                "cpu seconds": round(one.cpu_seconds, 3),
                "peak MiB": one.peak_mib,
            }
            for number, (here, one) in enumerate(zip(self.there, self.learned, strict=True), 1)
        ]


class SpreadLightGBM(LightGBM):
    """LightGBM, by workers of a cluster together."""

    def fit(self, lesson: "Lesson") -> BoostedTogether:
        """Return a booster that workers have learned from all rows, as is proven each time.

        Raises DeclarationError where nobody says where the cluster is, or for parameters that LightGBM refuses, Refused
        where the cluster is too small, StoreError where it is away, loses a worker, or workers learned apart, DataError for
        fewer rows than workers.
        """
        import lightgbm as lgb

        workers = lesson.workers
        assert workers
        refuse_high_relevance(lesson)
        shares = dealt(lesson, workers.workers)
        with (
            connected(lesson.beside.ray_address, ON),
            gathered(workers) as gang,
            lying(lesson.beside.lessons, as_rows(lesson), shares) as rows,
        ):
            there = gang.introduce(rows)
            _refuse_other_versions(there)
            nodes = len({here.node for here in there})
            lesson.say(f"{len(there)} workers on {nodes} nodes learn from {lesson.rows.num_rows} rows")
            machines = [here.machine for here in there]
            learned = gang.learn(
                [Work(number, machines, rows, lesson.meta, workers.processors) for number in range(len(there))]
            )
        text = proven(learned, lesson.rows.num_rows, lesson.meta.params)
        lesson.say(f"learned: {sum(one.cpu_seconds for one in learned):.1f} s of the workers' processors")
        return BoostedTogether(lgb.Booster(model_str=text), there=there, learned=learned)


def cost_of(listed: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what workers took, all together: see `BoostedTogether.listed`."""
    return {
        "seconds": max(one["seconds"] for one in listed),
        "cpu_seconds": round(sum(one["cpu seconds"] for one in listed), 3),
        "peak_mib": max(one["peak MiB"] for one in listed),
        "rows": sum(one["rows"] for one in listed),
    }


def _refuse_other_versions(there: Sequence[Here]) -> None:
    mine = version("lightgbm")
    for here in there:
        if here.lightgbm != mine:
            raise StoreError(
                f"Node {here.ip} has LightGBM {here.lightgbm}, and this process {mine}: the model would be of another version "
                "than is written down. Install the same on all nodes."
            )
