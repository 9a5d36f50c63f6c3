"""What a load test of a candidate is made of."""

from collections.abc import Sequence

from headrace.core.fingerprint import Parts, code_parts, installed
from headrace.core.recipe import Recipe
from headrace.evaluation.declaration import Gate
from headrace.evaluation.recipe import NO_MODEL, latest_candidate
from headrace.evaluation.underload import recorded_load
from headrace.load.run import ask_open_loop
from headrace.load.search import search
from headrace.load.step import step_of
from headrace.serving.declaration import Serve
from headrace.store.site import Site

LIBRARIES = ("uvicorn", "httptools", "msgspec", "uvloop")


def loadtest_recipe(site: Site, serve: Serve, gates: Sequence[Gate]) -> Recipe:
    """Return what the load test is made of: the candidate, by its bytes alone, the promise, and how it is asked."""
    candidate = latest_candidate(site)
    return Recipe(
        table=site.product.table("model", "loadtest"),
        parts=loadtest_parts(serve, gates),
        facts={"candidate": candidate.digest if candidate else NO_MODEL},
        lost=candidate is not None and recorded_load(site, candidate.digest) is None,
    )


def loadtest_parts(serve: Serve, gates: Sequence[Gate]) -> Parts:
    """Return the code and declarations behind a load test."""
    promised = [serve.promised] if serve.promised else []
    return code_parts(*promised, serve.limits, ask_open_loop, step_of, search, *gates) | installed(LIBRARIES)
