"""The OpenAPI 3.1 document: made of the contract that requests are held against, with examples that were really asked."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response

from headrace.core.errors import HeadraceError
from headrace.serving.about import explanation
from headrace.serving.answers import COMPONENTS, a_list, ref
from headrace.serving.call import Bound
from headrace.serving.inference import example_of
from headrace.serving.problem import CONTENT_TYPE, Problem
from headrace.serving.sample import Sample, sample_row
from headrace.serving.schema import row_schema
from headrace.serving.service import Service

JSON, PROBLEM = "application/json", CONTENT_TYPE.decode()
ASKING = (400, 401, 403, 413, 415, 422, 429, 503)
"""What may be wrong with a request that brings rows."""
ROWS = "Rows"
_BEARER = {"type": "http", "scheme": "bearer", "description": "An API key, where the server asks for one."}
_SAID: Mapping[int, str] = {
    400: "The body cannot be read.",
    401: "There is no valid key.",
    403: "The key may not do this.",
    404: "Nothing is here.",
    413: "The body or its list of rows is too large.",
    415: "The body is said to be something else than JSON. None, or curl's form type, is taken as JSON.",
    422: "A row breaks the contract: which row and column, what was expected, and what came.",
    429: "Too many requests: try again after so many seconds as `retry-after` says.",
    501: "This model cannot do that.",
    503: "Nothing can be answered now: try again after so many seconds as `retry-after` says.",
}
_AGAIN = {"retry-after": {"schema": {"type": "integer"}, "description": "Seconds."}}


def told(schema: str, *problems: int, kind: str = JSON, body: str = "", is_open: bool = False) -> dict[str, Any]:
    """Return what a route says of itself: the component that it answers with, and by which statuses it refuses.

    `body` is the component that it takes; an open route needs no key.
    """
    extra: dict[str, Any] = {"security": [] if is_open else [{"bearer": []}, {}]}
    if body:
        extra["requestBody"] = {"required": True, "content": {JSON: {"schema": ref(body)}}}
    fine = {"description": "The answer.", "content": {kind: {"schema": ref(schema) if schema else {"type": "string"}}}}
    responses = {200: fine} | {status: refusal(status) for status in problems}
    return {"responses": responses, "openapi_extra": extra, "response_class": Response}


def refusal(status: int, content: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what the document says of a status that is no answer."""
    shown = content or {PROBLEM: {"schema": ref("Problem")}}
    headers = {"headers": _AGAIN} if status in (429, 503) else {}
    return {"description": _SAID[status], "content": dict(shown), **headers}


class Document:
    """The document of one server, made anew when what it says has changed."""

    def __init__(self, service: Service, api: FastAPI) -> None:
        self._service, self._api = service, api
        self._made: tuple[Bound, int] | None = None
        self._text = b""

    def text(self) -> bytes:
        """Return the document as JSON; raises Refused where nothing is published."""
        now = self._service.bound, self._service.watch.lineup.live.release.number
        if self._made != now:
            self._text, self._made = msgspec.json.encode(self._document()), now
        return self._text

    def _document(self) -> dict[str, Any]:
        service, api = self._service, self._api
        bound, sample = service.bound, sample_of(service)
        made = get_openapi(
            title=api.title, version=api.version, summary=f"Predictions of {service.served.product}.",
            description=service.served.description, routes=api.routes,
        )  # fmt: skip
        row = row_schema(bound.door.columns, bound.view.manifest.requests, _notes(service) | sample.notes)
        rows = a_list(ref("Row")) | {"minItems": 1, "maxItems": service.served.most_rows}
        own = {"Row": row, ROWS: {"oneOf": [ref("Row"), rows]}, **COMPONENTS}
        components = made.setdefault("components", {})
        components["schemas"] = {**components.get("schemas", {}), **own}
        components.setdefault("securitySchemes", {})["bearer"] = _BEARER
        for path, answer in (("/v1/predict", service.tried), ("/v1/explain", lambda body: explanation(service, body))):
            _illustrate(made["paths"][path]["post"], service, sample, answer)
        for path, operations in made["paths"].items():
            if path.startswith("/v2/models/"):
                _narrow(operations, service, sample)
        return made


def sample_of(service: Service) -> Sample:
    """Return a row that the service answers, without what may be a person's."""
    served, inputs = service.served, service.watch.lineup.live.model.inputs
    free, hidden = (served.entity, served.time), {served.entity, *served.hashed}
    known = {i.name: i.categories for i in inputs if i.kind == "categorical" and i.name not in hidden}
    return sample_row(service.bound.door, free, known, service.now())


def _notes(service: Service) -> dict[str, str]:
    return {
        service.served.entity: "Names the row where predictions are kept; may be left out.",
        service.served.time: "As of when the row is asked about: now, where it is left out.",
    }


def _illustrate(operation: dict[str, Any], service: Service, sample: Sample, answer: Callable[[bytes], bytes]) -> None:
    """Put requests and what really comes of them into an operation, and of a row that breaks the contract, too."""
    if sample.row is None:
        operation["description"] += "\n\nThere is no example: from this contract none can be made up."
        return
    asked, answers = operation["requestBody"]["content"][JSON], operation["responses"]
    asked["examples"] = {"one": {"value": sample.row}, "some": {"value": [sample.row, sample.row]}}
    broken = _answered(service.tried, {**sample.row, "no_such_column": 1})
    answers["422"]["content"][PROBLEM]["examples"] = {"unknown column": {"value": broken}}
    try:
        given = {name: {"value": _answered(answer, shown["value"])} for name, shown in asked["examples"].items()}
    except HeadraceError:
        # While the server cannot answer, its document stands without answers.
        return
    answers["200"]["content"][JSON]["examples"] = given


def _narrow(operations: Mapping[str, Any], service: Service, sample: Sample) -> None:
    """Say in operations of the Open Inference Protocol which model there is, and how it is asked."""
    live = service.watch.lineup.live.release.number
    there = {"product": {"enum": [service.served.product]}, "number": {"enum": [f"{live}"]}}
    for operation in operations.values():
        for parameter in operation.get("parameters", []):
            parameter["schema"] = {"type": "string", **there[parameter["name"]]}
    if "post" in operations and sample.row is not None:
        example = {"one": {"value": example_of(service, sample.row)}}
        operations["post"]["requestBody"]["content"][JSON]["examples"] = example


def _answered(answer: Callable[[bytes], bytes], body: Any) -> Any:
    """Return what comes of a body; raises HeadraceError."""
    try:
        return msgspec.json.decode(answer(msgspec.json.encode(body)))
    except Problem as problem:
        return msgspec.json.decode(problem.body())
