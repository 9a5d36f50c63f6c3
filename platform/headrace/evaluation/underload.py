"""What a load test has found of a model: kept with it, and read back by the release."""

from collections.abc import Mapping
from datetime import datetime

from pydantic import BaseModel, ValidationError

from headrace.core.errors import Refused
from headrace.evaluation.facts import Fact
from headrace.models.words import UNDER_LOAD
from headrace.store.site import Site


class UnderLoad(BaseModel, frozen=True):
    """How a server of one model did at one rate."""

    model: str
    at: datetime
    """When, by the clock on the wall."""
    rate: float
    """How many requests were due a second."""
    seconds: float
    asked: int
    failed: int
    """How many of them were not answered: refused, failed or late."""
    allowed: float
    """Which share of them may be."""
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    """Milliseconds from the moment at which a request was due to its answer; None where none was answered."""
    late_ms: float
    """By how much the generator itself was late with one in a hundred requests, at least."""
    is_late: bool
    """Whether that is so much that it may not be the server that was slow."""
    machine: Mapping[str, str]
    versions: Mapping[str, str]

    @property
    def told(self) -> str:
        """At which rate it was measured."""
        return f"{self.asked:,} requests at {self.rate:g}/s in {self.seconds:g} s"


def record_load(site: Site, found: UnderLoad) -> None:
    """Keep with a model what a load test has found; the newest counts."""
    site.models.record(found.model, _kind(site), found.model_dump(mode="json"))


def recorded_load(site: Site, digest: str) -> UnderLoad | None:
    """Return what is recorded of a model under load, None where nothing is; raises Refused where it is not as it was written."""
    facts = site.models.recorded(digest, _kind(site))
    if facts is None:
        return None
    try:
        return UnderLoad.model_validate(facts)
    except ValidationError as error:
        again = f"headrace loadtest {site.product.product} --candidate"
        raise Refused(f"The load test of model {digest[:12]} cannot be read. Test it again: {again}") from error


def load_facts(site: Site, digest: str) -> dict[str, Fact]:
    """Return what gates ask of a model under load, by metric; no value, and why, where there is none to pass by."""
    found = recorded_load(site, digest)
    if found is None:
        command = f"materialize model/loadtest, or: headrace loadtest {site.product.product} --candidate"
        return dict.fromkeys(UNDER_LOAD, Fact(None, f"model {digest[:12]} was never load tested: {command}"))
    if not found.asked or found.failed > found.allowed * found.asked:
        why = f"{found.failed:,} of {found.told} were not answered, more than the {found.allowed:.2%} that may be"
        return dict.fromkeys(UNDER_LOAD, Fact(None, why))
    late = (
        f"; the generator itself was late by {found.late_ms:.3g} ms: test on a quieter machine" if found.is_late else ""
    )
    values = (found.p50_ms, found.p95_ms, found.p99_ms)
    return {metric: Fact(value, f"{found.told}{late}") for metric, value in zip(UNDER_LOAD, values, strict=True)}


def _kind(site: Site) -> str:
    return f"loadtest.{site.product.product}"
