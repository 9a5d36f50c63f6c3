"""Who may ask for what: every route and method of the server has a rule, and what has none is for nobody."""

from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from headrace.access.admission import Admission
from headrace.serving.entry import BELOW, RULES, guard
from headrace.serving.opened import open_service
from headrace.serving.server import app_of
from headrace.store.site import Site
from platform_tests.serving.bar import bar, released, served


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = bar(tmp_path_factory.mktemp("entry"))
    released(site)
    return site


def routes(site: Site) -> list[tuple[str, str]]:
    """Return every method and path that the server answers."""
    service = open_service(served(site), site.place, print)
    try:
        watched = app_of(service, site.place)._others
        assert isinstance(watched._others, FastAPI)
        found = watched._others.routes
        return sorted(
            (method, route.path) for route in found if isinstance(route, APIRoute) for method in route.methods
        )
    finally:
        service.close()


def test_every_route_and_method_has_a_rule(site: Site) -> None:
    found = routes(site)
    assert ("POST", "/v1/predict") in found
    assert ("POST", "/v2/models/{product}/infer") in found
    assert [path for _, path in found if path not in RULES and not path.startswith(tuple(BELOW))] == []
    assert sorted(RULES) == sorted({path for _, path in found if path in RULES})


def test_what_is_for_everybody_changes_nothing_and_tells_no_prediction(site: Site) -> None:
    free = {path for path, scope in RULES.items() if scope is None}
    assert {method for method, path in routes(site) if path in free} <= {"GET", "HEAD"}
    assert free == {"/", "/openapi.json", "/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"}


def test_without_a_key_no_route_but_those_is_let_in(site: Site, tmp_path: Path) -> None:
    admit = guard(served(site), site.place, with_keys=True).admit
    assert isinstance(admit, Admission)
    for _, path in routes(site):
        asked = path.replace("{product}", "shop").replace("{number}", "1")
        answer = admit(asked, [], "127.0.0.1")
        assert (answer is None) == (RULES.get(path, "predict") is None), path
    assert admit("/v3/anything", [], "127.0.0.1") is not None
