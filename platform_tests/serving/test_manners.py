"""How every route answers what it cannot: in one form, by the right status."""

from collections.abc import Iterator
from typing import Any

import pytest

from platform_tests.serving.bar import ROW, Reply, Running
from platform_tests.serving.shopfront import open_shop

PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with open_shop(tmp_path_factory.mktemp("shop")) as (_, server):
        yield server


def assert_problem(reply: Reply, status: int) -> Any:
    assert (reply.status, reply.headers["content-type"]) == (status, PROBLEM)
    told = reply.told
    assert (told["status"], bool(told["title"]), bool(told["detail"])) == (status, True, True)
    return told


@pytest.mark.parametrize(
    "path", ["/nothing", "/v1/predict/", "/v1/", "/docs", "/v1/model/../secret", "/%00", "/favicon.ico"]
)
def test_an_unknown_path_is_a_problem(server: Running, path: str) -> None:
    assert_problem(server.ask(path), 404)


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        ("/v1/predict", "GET", "OPTIONS, POST"),
        ("/v1/predict", "DELETE", "OPTIONS, POST"),
        ("/v1/explain", "PUT", "OPTIONS, POST"),
        ("/v1/model", "POST", "GET, HEAD, OPTIONS"),
        ("/healthz", "PATCH", "GET, HEAD, OPTIONS"),
    ],
)
def test_another_method_is_a_problem_that_names_those_there_are(
    server: Running, path: str, method: str, allowed: str
) -> None:
    reply = server.ask(path, method=method)
    assert_problem(reply, 405)
    assert reply.headers["allow"] == allowed


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/explain", "/v1/model", "/healthz"])
def test_options_says_by_which_methods_a_path_is_asked(server: Running, path: str) -> None:
    reply = server.ask(path, method="OPTIONS")
    assert (reply.status, reply.body) == (204, b"")
    assert ("POST" in reply.headers["allow"]) == ("GET" not in reply.headers["allow"])


@pytest.mark.parametrize("path", ["/v1/model", "/healthz", "/readyz", "/openapi.json"])
def test_head_says_what_get_would_without_the_body(server: Running, path: str) -> None:
    got, head = server.ask(path), server.ask(path, method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(got.body))


def test_head_of_what_is_not_there_is_the_status_alone(server: Running) -> None:
    reply = server.ask("/nothing", method="HEAD")
    assert (reply.status, reply.body, reply.headers["content-type"]) == (404, b"", PROBLEM)


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/explain"])
@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/xml",
        "multipart/form-data; boundary=x",
        "application/json; charset=latin-1",
        "nonsense",
    ],
)
def test_a_body_that_is_said_to_be_no_json_is_a_problem(server: Running, path: str, kind: str) -> None:
    assert "application/json" in assert_problem(server.ask(path, ROW, {"content-type": kind}), 415)["detail"]


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/explain"])
@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "application/json;charset=UTF-8",
        "application/ld+json",
        "application/x-www-form-urlencoded",
        "",
    ],
)
def test_json_without_a_type_or_with_that_of_curl_is_json(server: Running, path: str, kind: str) -> None:
    assert server.ask(path, ROW, {"content-type": kind}).status == 200


def test_a_packed_body_is_a_problem(server: Running) -> None:
    assert "packed" in assert_problem(server.ask("/v1/predict", ROW, {"content-encoding": "gzip"}), 415)["detail"]


def test_an_id_is_kept_and_one_that_is_none_is_not(server: Running) -> None:
    assert server.ask("/v1/predict", ROW, {"x-request-id": "mine-1"}).told["request"] == "mine-1"
    assert server.ask("/v1/predict", ROW, {"x-request-id": "no id"}).told["request"] != "no id"
