"""About the model that answers: what is known of it, and why rows have their scores."""

from typing import Any

import msgspec

from headrace.serving.problem import Problem
from headrace.serving.service import SHORT, Service


def model_facts(service: Service) -> dict[str, Any]:
    """Return which model answers, since when and why, and why another does not."""
    line = service.watch.lineup
    release, model = line.live
    trained = model.meta
    return {
        "product": service.served.product,
        "release": release.number,
        "model": model.digest,
        "since": release.at.isoformat(),
        "who": release.who,
        "why": release.why,
        "task": trained.task,
        "trainer": trained.trainer,
        "trained": {"rows": trained.rows, "from": trained.train_from.isoformat(), "to": trained.train_to.isoformat()},
        "inputs": [column.name for column in model.inputs],
        "threshold": model.tuned.threshold,
        "features": service.bound.view.version,
        "taking over": line.rollout.candidate.number if line.rollout else None,
        "refused": line.refused or None,
    }


def explanation(service: Service, body: bytes) -> bytes:
    """Return what each input adds to the raw score of each row of a body, the greatest first.

    The raw score is log-odds where the score is a probability; base and contributions sum up to it. Raises Problem 501 for a
    model that does not tell.
    """
    call = service.call(body)
    values, version = service.seen(call)
    ready = service.watch.lineup.live
    model = ready.model
    told = model.contributions(values)
    if told is None:
        raise Problem(
            501, f"A model of {model.meta.trainer} does not say here what its inputs add: headrace explain does."
        )
    names = [column.name for column in model.inputs]
    explained = []
    for score, added, seen in zip(model.many(values).tolist(), told.tolist(), values, strict=True):
        ranked = sorted(zip(names, added, strict=False), key=lambda told: -abs(told[1]))
        reasons = [{"input": name, "value": seen[name], "contribution": share} for name, share in ranked]
        explained.append({"prediction": score, "base": added[-1], "reasons": reasons})
    facts = {"release": ready.release.number, "model": model.digest[:SHORT], "features": version}
    return msgspec.json.encode({"explanations": explained, **facts, "request": call.request})
