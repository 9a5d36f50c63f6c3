"""What the server says of itself, and that it is true."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from platform_tests.serving.bar import Running
from platform_tests.serving.shopfront import open_shop

SOURCE = Path(__file__).parents[2] / "platform"
ASKED = ["/v1/predict", "/v1/explain"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with open_shop(tmp_path_factory.mktemp("shop"), description="Will it come back? <script>alert(1)</script>") as (
        _,
        server,
    ):
        yield server


@pytest.fixture(scope="module")
def document(server: Running) -> Any:
    return server.ask("/openapi.json").told


def resolved(document: Any, name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": document["components"]})


def test_the_document_is_openapi_3_1_by_a_public_validator(document: Any) -> None:
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()


def test_a_row_is_described_by_its_contract(document: Any) -> None:
    row = document["components"]["schemas"]["Row"]
    columns = row["properties"]
    assert list(columns) == ["order_id", "at", "customer", "price", "country", "land", "gift"]
    assert columns["country"]["enum"] == ["DE", "FR", "PT"]
    assert columns["customer"]["pattern"] == "^(?:c[0-9]{1,3})$"
    assert (columns["price"]["type"], columns["price"]["minimum"], columns["price"]["maximum"]) == (
        ["number", "null"],
        -100,
        100,
    )
    assert columns["gift"]["type"] == "boolean"
    assert columns["at"]["format"] == "date-time"
    assert row["additionalProperties"] is False
    assert row["required"] == ["customer", "country", "gift"]
    assert columns["country"]["description"] == "A text, one of DE, FR, PT."


@pytest.mark.parametrize("path", ASKED)
def test_each_example_is_answered_as_the_document_says(server: Running, document: Any, path: str) -> None:
    operation = document["paths"][path]["post"]
    asked = operation["requestBody"]["content"]["application/json"]["examples"]
    answers = operation["responses"]["200"]["content"]["application/json"]["examples"]
    assert list(asked) == list(answers) == ["one", "some"]
    for name, example in asked.items():
        resolved(document, "Rows").validate(example["value"])
        reply = server.ask(path, example["value"])
        assert reply.status == 200
        assert {**reply.told, "request": ""} == {**answers[name]["value"], "request": ""}
        resolved(
            document, operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].split("/")[-1]
        ).validate(reply.told)


@pytest.mark.parametrize("path", ASKED)
def test_the_example_of_a_problem_is_what_the_server_says_to_an_unknown_column(
    server: Running, document: Any, path: str
) -> None:
    operation = document["paths"][path]["post"]
    shown = operation["responses"]["422"]["content"]["application/problem+json"]["examples"]["unknown column"]["value"]
    row = operation["requestBody"]["content"]["application/json"]["examples"]["one"]["value"]
    reply = server.ask(path, {**row, "no_such_column": 1})
    told = reply.told
    told.pop("instance", None)
    assert (reply.status, told) == (422, shown)
    assert shown["errors"][0]["column"] == "no_such_column"
    resolved(document, "Problem").validate(told)


@pytest.mark.parametrize("path", ASKED)
def test_every_problem_that_a_request_may_meet_is_documented(document: Any, path: str) -> None:
    answers = document["paths"][path]["post"]["responses"]
    assert {"200", "400", "401", "403", "413", "415", "422", "429", "503"} <= set(answers)
    refused = [answer for status, answer in answers.items() if status >= "400"]
    assert all(list(answer["content"]) == ["application/problem+json"] for answer in refused)
    assert document["paths"][path]["post"]["security"] == [{"bearer": []}, {}]
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_looking_at_the_document_predicts_nothing_that_is_written_down(tmp_path: Path) -> None:
    with open_shop(tmp_path) as (site, server):
        assert server.ask("/openapi.json").status == 200
        server.ask("/v1/predict", {"customer": "c1", "country": "DE", "gift": False}, {"x-request-id": "mine"})
        server.stop()
    assert site.tables.read("shop/predictions/online")["request"].to_pylist() == ["mine"]


def test_nothing_of_the_document_lies_elsewhere(server: Running) -> None:
    assert server.ask("/docs").status == 404
    assert server.ask("/redoc").status == 404
    assert "cdn" not in json.dumps(server.ask("/openapi.json").told)


def test_what_a_server_is_made_of_loads_nothing_heavy() -> None:
    heavy = ["polars", "duckdb", "deltalake", "dagster", "mlflow", "lightgbm", "pandas", "sklearn", "matplotlib"]
    code = f"import sys, headrace.serving.server; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=SOURCE, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
