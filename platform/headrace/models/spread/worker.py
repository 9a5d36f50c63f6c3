"""One worker: it learns from its own rows, and sums with the others before each split what they know of theirs.

LightGBM joins the workers itself, over sockets of its own (`tree_learner: data`); without `machines` each would learn alone
from its part of the rows, and not say so: see `proof.py`.
"""

import re
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.core.errors import StoreError
from headrace.models.spread.lesson import as_share
from headrace.models.trainers.lightgbm import dataset_of, params_of, refused
from headrace.store.lessons import share_of

if TYPE_CHECKING:
    from headrace.models.meta import Meta

SILENT_MINUTES = 5
"""How long a worker waits for another one that says nothing."""
NETWORK = re.compile(r"socket|\bport\b|machine", re.IGNORECASE)
"""What LightGBM's errors about the other workers have in common: those about parameters have none of these words."""
OF_ONE_WORKER = {"local_listen_port": "12400", "num_threads": "0"}
"""Parameters in LightGBM's text that are another one's on each worker and in each training, and what stands for them."""


@dataclass(frozen=True)
class Work:
    """What a worker is to do."""

    number: int
    """Its own, from 0 on."""
    machines: Sequence[str]
    """The addresses of all workers, in their order."""
    lesson: Path
    meta: "Meta"
    processors: int


@dataclass(frozen=True)
class Learned:
    """What a worker has learned, and what that took."""

    text: str
    """The model, as LightGBM writes it, without what is another one's on each worker."""
    rows: int
    """How many rows it learned from: its own."""
    seconds: float
    """From opening its partition on."""
    cpu_seconds: float
    """Of its process in that time, all its threads together."""
    peak_mib: float
    """The most memory that its process has held."""


def learn(work: Work) -> Learned:
    """Return what a worker has learned together with the others, in a process of its own.

    Raises StoreError where it loses them or its port is taken, DeclarationError for parameters that LightGBM refuses.
    """
    import lightgbm as lgb

    began, cpu, meta = time.perf_counter(), time.process_time(), work.meta
    share = as_share(share_of(work.lesson, work.number))
    params = {**params_of(meta), "num_threads": work.processors, **network_of(work)}
    try:
        booster = lgb.train(params, dataset_of(share, meta, params), num_boost_round=meta.trees)
    except lgb.basic.LightGBMError as error:
        raise _explained(error, work) from error
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    text = plain_text(booster.model_to_string())
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    return Learned(text, share.rows.num_rows, seconds, cpu_seconds, round(peak, 1))


def network_of(work: Work) -> dict[str, Any]:
    """Return the parameters by which LightGBM joins the workers; its rank is said, as a node may have many addresses."""
    if not work.machines:
        return {}
    return {
        "tree_learner": "data",
        "pre_partition": True,
        "num_machines": len(work.machines),
        "machines": ",".join([f"rank={work.number}", *work.machines]),
        "local_listen_port": int(work.machines[work.number].rpartition(":")[2]),
        "time_out": SILENT_MINUTES,
    }


def plain_text(text: str) -> str:
    """Return a model's text without what is another one's on each worker, and in each training."""
    for name, value in OF_ONE_WORKER.items():
        text = re.sub(rf"^\[{name}: .*\]$", f"[{name}: {value}]", text, flags=re.MULTILINE)
    return text


def _explained(error: Exception, work: Work) -> Exception:
    if not NETWORK.search(str(error)):
        return refused(work.meta, error)
    return StoreError(
        f"Worker {work.number + 1} of {len(work.machines)}, {work.machines[work.number]}, lost the others: {str(error).strip()}. "
        "Nothing was stored: run this again. Nodes must reach each other on every port above 1024."
    )
