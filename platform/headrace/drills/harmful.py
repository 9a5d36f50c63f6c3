"""A release that does harm: it says too much, no gate holds it up, and a real server of the copy's answers with it in steps."""

from collections.abc import Iterator
from http import HTTPStatus

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import HeadraceError
from headrace.drills.resources import Stage, require
from headrace.drills.worse import judge_model_of
from headrace.load.requests import requests_of
from headrace.load.run import arrivals, ask_open_loop
from headrace.load.server import for_a_test, own_server
from headrace.rollout.declaration import SHADOW, Canary
from headrace.serving.gather import gather_predictions
from headrace.serving.prepare import served_of

REASON = "drill: a model of raised labels, which no gate holds up"
ROUNDS, RATE, ROUND_S, CONNECTIONS = 4, 100.0, 5.0, 8
"""How often a server is asked, how many requests a second, for how long, and over how many connections."""


def harmful_release(stage: Stage) -> Iterator[str]:
    """Release a model of raised labels into the shadow, ask a server until the release goes back, and yield what was done."""
    canary, model = stage.declared.serve.canary, stage.declared.model
    if not (canary and model and stage.declared.label):
        return
    _let_through(stage, canary)
    learned = judge_model_of(stage, raised, REASON)
    decision = stage.site.releases.all(stage.sandbox.product)[-1]
    if not (decision.goes_live and decision.why.startswith(REASON)):
        yield f"a model of raised labels was not released, also without gates; the last decision: {decision.why}"
        return
    yield f"a model of {learned:,} rows with raised labels went live in the shadow: in this copy no gate holds it up"
    try:
        asked = _ask(stage)
    except HeadraceError as error:
        yield f"it could not be served: {error}"
        return
    yield f"a server answered {asked:,} requests, rows of the training set, by it and by the model before it"


def raised(labels: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return labels of which every second is the greatest there is: yes, or the greatest number."""
    second = pa.array(np.arange(len(labels)) % 2 == 0)
    return pc.if_else(second, pc.max(labels), labels)


def _let_through(stage: Stage, canary: Canary) -> None:
    """Take gates and approval away, and let a release begin in the shadow, where few requests show much."""
    steps = [SHADOW, *(step for step in canary.steps if step != SHADOW)]
    serve = stage.declared.serve.model_copy(update={"canary": canary.model_copy(update={"steps": steps})})
    stage.change(gates=[], approval="none", serve=serve)


def _ask(stage: Stage) -> int:
    """Ask a server of the copy, round by round, until the release has gone back; return how many requests it answered."""
    site, declared = stage.site, stage.declared
    require(stage.make([site.product.key("online", "features")]), "Publishing the features")
    served = served_of(site, declared.graph, declared.model, declared.serve)
    remembers = for_a_test(served).model_copy(update={"logged": 1.0})
    bodies, harmful, answered = requests_of(site, served), site.releases.live(served.product), 0
    stage.ask("rollout")
    for seed in range(ROUNDS):
        with own_server(remembers, site.place) as target:
            seen = ask_open_loop(target, bodies, arrivals(RATE, ROUND_S, seed), CONNECTIONS)
        answered += int((seen.status == HTTPStatus.OK).sum())
        gather_predictions(site)
        stage.ask("rollout")
        if site.releases.live(served.product) != harmful:
            break
    stage.look("incidents")
    return answered
