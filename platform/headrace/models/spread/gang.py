"""Workers on a Ray cluster: all of them at once or none, and all of them gone as soon as one is lost."""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from headrace.core.errors import Refused, StoreError
from headrace.models.spread.declaration import Workers
from headrace.models.spread.worker import Learned, Work, learn
from headrace.store.lessons import refuse_unseen

FREE_WITHIN_S = 120.0
"""How long processors that the cluster has may be at other work."""


@dataclass(frozen=True)
class Here:
    """Where a worker is, and what it has."""

    node: str
    """The node's name in its cluster."""
    ip: str
    port: int
    """A free port of the node, kept for the worker until it learns."""
    lightgbm: str
    """The version of LightGBM there."""

    @property
    def machine(self) -> str:
        """The worker's address, as LightGBM takes it."""
        return f"{self.ip}:{self.port}"


class Gang:
    """The workers of one training."""

    def __init__(self, actors: Sequence[Any]) -> None:
        self._actors = actors

    def introduce(self, lesson: Path) -> list[Here]:
        """Return where each worker is; raises StoreError where one does not see the rows, or is lost."""
        return self._each(lambda actor, _: actor.introduce.remote(lesson))

    def learn(self, works: Sequence[Work]) -> list[Learned]:
        """Return what each worker has learned, all at the same time; raises what `learn` does, StoreError for a lost one."""
        return self._each(lambda actor, number: actor.learn.remote(works[number]))

    def _each(self, ask: Callable[[Any, int], Any]) -> list[Any]:
        """Return the answers of all workers; raises what went wrong with the first that fails, without a wait for the rest."""
        import ray

        asked = [ask(actor, number) for number, actor in enumerate(self._actors)]
        waiting = list(asked)
        while waiting:
            [ready], waiting = ray.wait(waiting, num_returns=1)
            try:
                ray.get(ready)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error
            except ray.exceptions.RayError as error:
                raise StoreError(
                    f"Worker {asked.index(ready) + 1} of {len(asked)} was lost on the Ray cluster: {str(error).splitlines()[0]} "
                    "Its process was killed, ran out of memory, or its node is gone. Nothing was stored: run this again."
                ) from error
        answers: list[Any] = ray.get(asked)
        return answers


@contextmanager
def gathered(workers: Workers, free_within_s: float = FREE_WITHIN_S) -> Iterator[Gang]:
    """Yield workers on the cluster that this process is connected to, on as many nodes as there are; they end in any case.

    Raises Refused where the cluster has too few processors, StoreError where they are not free in time.
    """
    import ray
    from ray.util.placement_group import placement_group, remove_placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    _refuse_too_few(workers, [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]])
    group = placement_group([{"CPU": workers.processors}] * workers.workers, strategy="SPREAD")
    actors: list[Any] = []
    try:
        if not group.wait(free_within_s):
            raise StoreError(
                f"The Ray cluster has had no {_needed(workers)} free for {free_within_s:.0f} s: other work holds them. Run this "
                "again when that is done."
            )
        for place in range(workers.workers):
            strategy = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=place)
            kind = ray.remote(num_cpus=workers.processors, scheduling_strategy=strategy)(_Worker)
            actors.append(kind.remote())
        yield Gang(actors)
    finally:
        for actor in actors:
            ray.kill(actor)
        remove_placement_group(group)


class _Worker:
    """A process of the cluster that learns."""

    def __init__(self) -> None:
        self._kept = socket.socket()

    def introduce(self, lesson: Path) -> Here:
        """Return where it is, and keep a port; raises StoreError where it does not see the rows."""
        import ray

        refuse_unseen(lesson)
        self._kept.bind(("", 0))
        node, ip = str(ray.get_runtime_context().get_node_id()), ray.util.get_node_ip_address()
        return Here(node, ip, self._kept.getsockname()[1], version("lightgbm"))

    def learn(self, work: Work) -> Learned:
        """Let go of the port, and learn."""
        self._kept.close()
        return learn(work)


def _refuse_too_few(workers: Workers, processors: Sequence[float]) -> None:
    """Raise where workers would wait for ever: a worker's processors are all on one node."""
    fit = sum(int(count) // workers.processors for count in processors)
    if fit < workers.workers:
        raise Refused(
            f"The Ray cluster has {sum(map(int, processors))} processors on {len(processors)} nodes, on which {fit} workers fit, "
            f"and {_needed(workers)} are needed. Add nodes, or declare fewer workers or processors."
        )


def _needed(workers: Workers) -> str:
    return f"{workers.workers} x {workers.processors} processors"
