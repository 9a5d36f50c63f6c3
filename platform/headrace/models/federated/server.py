"""What runs at the server: it asks each site for its counts once and for trees each round, and puts the trees together.

It sees counts, sums and trees, and no row. Sites stand in the order of their numbers whichever answers first, so that the
same rows give the same bytes. Source of the strategy: Flower's FedXgbBagging, which keeps one tree of each answer, and has
the sites' steps add up; here all of them are kept, and make the mean of the sites' steps, weighted by their rows: see
`more_trees`, and docs/decisions/0024-federated.md for what that is worth.
"""

import json
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedXgbBagging

from headrace.models.trainers.xgboost import appended

app = ServerApp()
EVERY_S = 0.2


@app.main()  # type: ignore[untyped-decorator]  # Flower stands in an environment of its own
def main(grid: Grid, context: Context) -> None:
    """Train, and leave the model, or why there is none, where the platform waits for it."""
    lesson, left = json.loads(str(context.run_config["lesson"])), Path(str(context.run_config["left"]))
    with _Telling(left):
        sites = _counted(grid, lesson)
        weight = sum(site["weight"] for site in sites)
        start = sum(site["answers"] for site in sites) / weight
        config = ConfigRecord(
            {
                "params": json.dumps({**lesson["params"], "base_score": start}),
                "steps": list(lesson["steps"]),
                "weight": weight,
            }
        )
        strategy = InOrder(len(sites), left)
        nothing = ArrayRecord([np.zeros(0, dtype=np.uint8)])
        strategy.start(grid, nothing, len(lesson["steps"]), timeout=lesson["wait_s"], train_config=config)
        strategy.leave({"sites": sites, "sent": strategy.sent})


class Lost(RuntimeError):
    """A site did not answer as it should."""


class InOrder(FedXgbBagging):  # type: ignore[misc]  # see above
    """All new trees of all sites, site by site; a round without one of them is no round."""

    def __init__(self, sites: int, left: Path) -> None:
        super().__init__(fraction_evaluate=0.0, min_train_nodes=sites, min_evaluate_nodes=0, min_available_nodes=sites)
        self.sites, self.left, self.sent = sites, left, [0] * sites
        self.current_bst: bytes | None = None

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Return the model with each site's new trees, and nothing of numbers."""
        for number, content in enumerate(_answers(replies, self.sites)):
            sent = content["arrays"]["0"].numpy().tobytes()
            self.sent[number] += len(sent)
            self.current_bst = appended(self.current_bst or b"", sent)
        self.leave({}, f"round {server_round}")
        return ArrayRecord([np.frombuffer(self.current_bst or b"", dtype=np.uint8)]), None

    def leave(self, facts: dict[str, Any], name: str = "facts") -> None:
        """Leave facts for the platform, and with the last of them the model."""
        if name == "facts":
            (self.left / "model.json").write_bytes(self.current_bst or b"")
        _leave(self.left, name, facts)


class _Telling:
    """Leaves why there is no model."""

    def __init__(self, left: Path) -> None:
        self._left = left

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the error, and let it pass."""
        if error is not None:
            _leave(self._left, "error", {"said": str(error), "kind": type(error).__name__})


def _leave(folder: Path, name: str, facts: dict[str, Any]) -> None:
    """Write facts so that whoever finds them finds them whole."""
    (folder / f".{name}").write_text(json.dumps(facts))
    (folder / f".{name}").rename(folder / name)


def _counted(grid: Grid, lesson: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each site's counts, as soon as all are there."""
    deadline = time.monotonic() + lesson["wait_s"]
    while len(nodes := list(grid.get_node_ids())) < lesson["sites"]:
        if time.monotonic() > deadline:
            raise Lost(f"{len(nodes)} of {lesson['sites']} sites came up")
        time.sleep(EVERY_S)
    asked = [Message(RecordDict(), message_type=MessageType.QUERY, dst_node_id=node) for node in nodes]
    replies = grid.send_and_receive(asked, timeout=lesson["wait_s"])
    return [dict(content["metrics"]) for content in _answers(replies, lesson["sites"])]


def _answers(replies: Iterable[Message], sites: int) -> list[RecordDict]:
    """Return what the sites have answered, by their numbers; raises Lost where one has not."""
    replies = list(replies)
    failed = [reply.error.reason for reply in replies if reply.has_error()]
    if failed:
        raise Lost(f"a site failed: {failed[0]}")
    found = sorted((reply.content for reply in replies), key=lambda content: content["metrics"]["site"])
    there = [content["metrics"]["site"] for content in found]
    if there != list(range(sites)):
        raise Lost(f"of {sites} sites those with numbers {there} have answered in time")
    return found
