"""Lambda's handler answers events of both versions as the server answers requests, and rows as they are."""

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.core.errors import DigestMismatch
from headrace.packages.events import Handler
from platform_tests.packages.shop import packaged, shop
from platform_tests.serving.bar import ROW


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("events")
    return packaged(shop(made / "shop"), made / "package").folder


@pytest.fixture(scope="module")
def handler(folder: Path) -> Iterator[Handler]:
    made = Handler(folder, {})
    yield made
    made.close()


def second(path: str, body: Any = None, method: str = "POST", **more: Any) -> dict[str, Any]:
    """Return an event of an HTTP API, version 2.0."""
    about = {"http": {"method": method}, "stage": more.pop("stage", "$default")}
    text = body if body is None or isinstance(body, str) else json.dumps(body)
    event = {"version": "2.0", "rawPath": path, "rawQueryString": "", "headers": {}, "requestContext": about}
    return event | ({} if text is None else {"body": text, "isBase64Encoded": False}) | more


def first(path: str, body: Any = None, method: str = "POST", **more: Any) -> dict[str, Any]:
    """Return an event of a REST API, version 1.0."""
    event = {
        "path": path,
        "httpMethod": method,
        "headers": None,
        "queryStringParameters": None,
        "isBase64Encoded": False,
    }
    return event | {"body": None if body is None else json.dumps(body), "requestContext": {"stage": "prod"}} | more


@pytest.mark.parametrize("event", [first, second])
def test_both_versions_of_events_are_answered(handler: Handler, event: Any) -> None:
    reply = handler(event("/v1/predict", ROW), None)
    assert (reply["statusCode"], reply["isBase64Encoded"]) == (200, False)
    assert (reply["headers"]["content-type"], reply["headers"]["headrace-release"]) == ("application/json", "1")
    assert json.loads(reply["body"])["prediction"] == handler(ROW, None)["prediction"]


@pytest.mark.parametrize("event", [first, second])
def test_a_body_in_base64_is_the_same_body(handler: Handler, event: Any) -> None:
    text = base64.b64encode(json.dumps([ROW, ROW]).encode()).decode()
    reply = handler(event("/v1/predict") | {"body": text, "isBase64Encoded": True}, None)
    assert len(json.loads(reply["body"])["predictions"]) == 2


@pytest.mark.parametrize("event", [first, second])
def test_a_body_that_is_no_base64_is_a_problem(handler: Handler, event: Any) -> None:
    reply = handler(event("/v1/predict") | {"body": "?", "isBase64Encoded": True}, None)
    assert (reply["statusCode"], reply["headers"]["content-type"]) == (400, "application/problem+json")
    assert "says that its body is base64, and it is not" in json.loads(reply["body"])["detail"]


@pytest.mark.parametrize("event", [first, second])
@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({**ROW, "country": "XX"}, 422, "expected a text, one of DE, FR, PT"),
        ({}, 422, "expected"),
        ([], 400, "empty"),
        (None, 400, "no JSON"),
    ],
)
def test_an_error_is_a_problem_with_its_status(handler: Handler, event: Any, body: Any, status: int, said: str) -> None:
    reply = handler(event("/v1/predict", body), None)
    problem = json.loads(reply["body"])
    assert (reply["statusCode"], problem["status"]) == (status, status)
    assert reply["headers"]["content-type"] == "application/problem+json"
    assert said in problem["detail"]


def test_any_other_event_is_a_row_or_a_list_of_rows(handler: Handler) -> None:
    one, two = handler(ROW), handler([ROW, ROW])
    assert two["predictions"] == [one["prediction"]] * 2
    assert handler({**ROW, "price": 1000})["status"] == 422


@pytest.mark.parametrize("event", [first, second])
def test_what_else_the_server_answers_is_answered_too(handler: Handler, event: Any) -> None:
    assert json.loads(handler(event("/readyz", method="GET"))["body"]) == {"status": "ready"}
    assert json.loads(handler(event("/v1/model", method="GET"))["body"])["release"] == 1
    assert len(json.loads(handler(event("/v1/explain", [ROW]))["body"])["explanations"]) == 1
    assert handler(event("/nothing", method="GET"))["statusCode"] == 404


def test_the_stage_in_front_of_a_path_is_none_of_the_path(handler: Handler) -> None:
    assert handler(second("/prod/v1/predict", ROW, stage="prod"))["statusCode"] == 200
    assert handler(second("/v1/predict", ROW, stage="v1"))["statusCode"] == 404
    assert handler(second("/%76%31/predict", ROW))["statusCode"] == 200


def test_an_answer_bears_lambdas_own_id_unless_the_request_brings_one(handler: Handler) -> None:
    context = SimpleNamespace(aws_request_id="0f8fad5b-d9cb")
    assert handler(ROW, context)["request"] == "0f8fad5b-d9cb"
    named = handler(second("/v1/predict", ROW, headers={"x-request-id": "mine"}), context)
    assert json.loads(named["body"])["request"] == "mine"
    several = {"X-Request-Id": ["mine"]}
    assert (
        json.loads(handler(first("/v1/predict", ROW, multiValueHeaders=several), context)["body"])["request"] == "mine"
    )


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Say what was asked, as bytes that are no text."""
    message = await receive()
    ended = await receive()
    headers = [(b"content-type", b"application/octet-stream")]
    await send({"type": "http.response.start", "status": 207, "headers": headers})
    for part in (scope["query_string"], message["body"], ended["type"].encode(), b"\xff"):
        await send({"type": "http.response.body", "body": part, "more_body": part != b"\xff"})


def test_queries_reach_the_application_and_bytes_come_back_as_base64(
    handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handler, "_app", echo)
    for event in (
        second("/x", "b", rawQueryString="a=1&a=2"),
        first("/x", multiValueQueryStringParameters={"a": ["1", "2"]}) | {"body": "b"},
    ):
        reply = handler(event)
        assert (reply["statusCode"], reply["isBase64Encoded"]) == (207, True)
        assert base64.b64decode(reply["body"]) == b"a=1&a=2bhttp.disconnect\xff"
    plain = handler(first("/x", queryStringParameters={"a": "ä b"}) | {"body": None})
    assert base64.b64decode(plain["body"]) == b"a=%C3%A4+bhttp.disconnect\xff"


def test_an_edited_package_is_not_opened(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "product/served.json").write_text("{}")
    with pytest.raises(DigestMismatch, match=r"served\.json is not the file that was packaged"):
        Handler(copy, {})
