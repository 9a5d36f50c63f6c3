"""From landed files to a released model without any orchestration: the room functions, called in order."""

import resource
import sys
import time
from pathlib import Path

from benchmarks.project import FIRST, LAST
from headrace.contracts.validate import validate
from headrace.core.days import Days
from headrace.evaluation.judgement import judge_candidate
from headrace.features.compute import feature_rows
from headrace.features.leakage import find_leaks
from headrace.features.look import Declared
from headrace.features.training import training_rows
from headrace.models.candidate import Candidate, remember, train_candidate
from headrace.project import Project
from headrace.releases.release import Request, release_model
from headrace.sources.ingest import ingest


def run(project: Project) -> dict[str, float]:
    """Return the seconds of each step."""
    declared, site = project.load("flight_delays")
    assert declared.label
    assert declared.model
    days, took = Days(FIRST, LAST), dict[str, float]()
    product = site.product

    def done(name: str, since: float) -> float:
        took[name] = time.perf_counter() - since
        return time.perf_counter()

    at = time.perf_counter()
    for name, source in declared.sources.items():
        ingest(site, name, source)
    at = done("ingest", at)
    for name, source in declared.sources.items():
        span = days if source.partition else None
        found = validate(site, name, source, declared.contracts.get(name), span)
        site.tables.replace(product.table("quarantine", name), found.quarantined, days=span)
        site.tables.replace(product.table("validated", name), found.valid, days=span)
    at = done("validate", at)
    for name, feature in declared.features.items():
        if not feature.on_request:
            span = days if feature.timed else None
            rows = feature_rows(site, name, feature, declared.sources, span)
            site.tables.replace(product.table("features", name), rows, days=span)
    at = done("features", at)
    rows = training_rows(site, declared.features, declared.label)
    version = site.tables.replace(product.table("training", "set"), rows).version
    assert not find_leaks(site, Declared(declared.sources, declared.features, declared.label), rows)
    at = done("training set, leakage", at)
    digest = train_candidate(site, declared.label, declared.model, version, lambda _: None).digest
    candidate = Candidate(digest, version, site.clock.now(), "benchmark")
    remember(site, candidate)
    at = done("train", at)
    judge_candidate(site, declared.label, declared.model, candidate, declared.gates)
    assert release_model(site, Request(digest, "benchmark", "benchmark"), declared.gates).outcome == "released"
    done("judge, release", at)
    return took


if __name__ == "__main__":
    started = time.perf_counter()
    for step, seconds in run(Project(Path(sys.argv[1]))).items():
        print(f"    {step:<24}{seconds:6.1f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"    {'peak memory':<24}{peak:6.2f} GiB")
