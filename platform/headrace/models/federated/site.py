"""What runs at a site: it opens that site's own rows, and answers with counts and with trees.

Flower carries this file, and the few that it imports, to each site and runs it there, in a process of its own a message.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from headrace.models.trainers.xgboost import Share, more_trees

app = ClientApp()


@app.query()  # type: ignore[untyped-decorator]  # Flower stands in an environment of its own
def count(message: Message, context: Context) -> Message:
    """Answer with how many rows there are, what they weigh, and their weighted sum of answers."""
    share = _share(context)
    sums = {"weight": float(share.weights.sum()), "answers": float((share.weights * share.answers).sum())}
    return _reply(message, context, sums | {"num-examples": len(share.answers)})


@app.train()  # type: ignore[untyped-decorator]  # see above
def learn(message: Message, context: Context) -> Message:
    """Answer with the trees that the site's rows add to those of all sites."""
    config = message.content["config"]
    share = _share(context, float(config["weight"]))
    site, round_ = int(context.node_config["site"]), int(config["server-round"])
    params: dict[str, Any] = json.loads(config["params"])
    # Each round is a process of its own, which would draw the same rows and columns again.
    params["seed"] = int(params["seed"]) + round_ * 1000 + site
    trees = more_trees(message.content["arrays"]["0"].numpy().tobytes(), share, params, config["steps"][round_ - 1])
    found = ArrayRecord([np.frombuffer(trees, dtype=np.uint8)])
    return _reply(message, context, {"num-examples": len(share.answers)}, found)


def _share(context: Context, weight: float = 1.0) -> Share:
    """Return the rows of the site, the only ones that this process opens; `weight` is that of all sites' rows."""
    with Path(str(context.node_config["rows"])).open("rb") as file:
        rows = pa.ipc.open_file(file).read_all()
    kinds = json.loads(rows.schema.metadata[b"kinds"])
    answers, weights = (rows[name].to_numpy() for name in ("answer", "weight"))
    return Share(rows.drop_columns(["answer", "weight"]), kinds, answers, weights, float(weights.sum()) / weight)


def _reply(message: Message, context: Context, numbers: dict[str, Any], arrays: ArrayRecord | None = None) -> Message:
    told = RecordDict({"metrics": MetricRecord({"site": int(context.node_config["site"]), **numbers})})
    if arrays is not None:
        told["arrays"] = arrays
    return Message(told, reply_to=message)
