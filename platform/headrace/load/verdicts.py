"""The verdicts of the gates that are held against a load test alone, for who has just made one."""

from collections.abc import Sequence

from headrace.evaluation.declaration import Gate, under_load
from headrace.evaluation.gate import Verdict
from headrace.evaluation.judgement import recorded_judgement
from headrace.evaluation.underload import load_facts
from headrace.store.site import Site


def load_verdicts(site: Site, digest: str, gates: Sequence[Gate]) -> list[Verdict]:
    """Return what the gates under load say of a model, as its release will; raises Refused where it was never evaluated."""
    asked = under_load(gates)
    return recorded_judgement(site, digest).verdicts(asked, load_facts(site, digest)) if asked else []
