"""What gates ask beside how well a model scores: its size and speed, and what the checks of its data found last."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import pyarrow as pa

from headrace.evaluation.behaviour import Behaviour, faults_of
from headrace.evaluation.declaration import Gate
from headrace.models.candidate import Candidate
from headrace.models.predict import Predictor, load_predictor, score_rows
from headrace.models.words import BEHAVIOUR, CONTRACTS, LABELS, LATENCY, LEAKAGE, SIZE, SKEW
from headrace.online.skew import skewed_features
from headrace.store.site import Site

ROUNDS = 200
CONTRACT = "contract"
"""What the check of a source's contract is called among the findings."""


@dataclass(frozen=True)
class Fact:
    """What is known of a model beside its scores; no value where `why` says so."""

    value: float | None
    why: str = ""


@dataclass(frozen=True)
class Asked:
    """Of which model, on which rows."""

    site: Site
    candidate: Candidate
    rows: pa.Table
    behaviours: Sequence[Behaviour] = ()


def facts_of(asked: Asked, gates: Sequence[Gate]) -> dict[str, Fact]:
    """Return what the gates ask of a model beside its scores, by metric."""
    wanted = {gate.metric for gate in gates}
    return {metric: fact(asked) for metric, fact in FACTS.items() if metric in wanted}


def broken_contracts(site: Site) -> dict[str, int | None]:
    """Return of each source with validated rows whether it breaks its contract, 0 or 1; None where nobody looked since."""
    prefix = site.product.table("validated", "")
    names = [name.removeprefix(prefix) for name in site.tables.names() if name.startswith(prefix)]
    return {name: site.findings.found(f"{CONTRACT}_{name}") for name in names}


def _skew(asked: Asked) -> Fact:
    return Fact(float(skewed_features(asked.site)))


def _size(asked: Asked) -> Fact:
    return Fact(float(asked.site.models.size(asked.candidate.digest)))


def _latency(asked: Asked) -> Fact:
    """Return the median milliseconds in which one row is scored, on this machine, in this process."""
    predictor = load_predictor(asked.site.models, asked.candidate.digest)
    rows = asked.rows.combine_chunks()
    return Fact(median(_took_ms(predictor, rows.slice(n % rows.num_rows, 1)) for n in range(ROUNDS)))


def _took_ms(predictor: Predictor, row: pa.Table) -> float:
    started = time.perf_counter()
    score_rows(row, predictor)
    return (time.perf_counter() - started) * 1000


def _leakage(asked: Asked) -> Fact:
    return _of_the_training_set(asked, LEAKAGE)


def _labels(asked: Asked) -> Fact:
    return _of_the_training_set(asked, LABELS)


def _of_the_training_set(asked: Asked, check: str) -> Fact:
    version = asked.candidate.version
    found = asked.site.findings.found(check, version)
    if found is not None:
        return Fact(float(found))
    again = f"the check `{check}` never saw version {version} of the training set"
    return Fact(None, f"{again}: materialize training/set and model/candidate")


def _contracts(asked: Asked) -> Fact:
    known = broken_contracts(asked.site)
    unknown = sorted(name for name, found in known.items() if found is None)
    if not known:
        return Fact(None, "no source has validated rows")
    if unknown:
        return Fact(None, f"the contract of '{unknown[0]}' was not looked at: materialize validated/{unknown[0]}")
    broken = sorted(name for name, found in known.items() if found)
    return Fact(float(len(broken)), ", ".join(broken))


def _behaviour(asked: Asked) -> Fact:
    faults = faults_of(asked.behaviours)
    return Fact(float(len(faults)), "; ".join(faults))


FACTS: Mapping[str, Callable[[Asked], Fact]] = {
    SKEW: _skew,
    SIZE: _size,
    LATENCY: _latency,
    LEAKAGE: _leakage,
    LABELS: _labels,
    CONTRACTS: _contracts,
    BEHAVIOUR: _behaviour,
}
