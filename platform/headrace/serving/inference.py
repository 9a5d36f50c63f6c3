"""The Open Inference Protocol (version 2) over HTTP: how clients of KServe and Triton ask."""

import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

import msgspec

from headrace.core.errors import HeadraceError
from headrace.serving.call import Call
from headrace.serving.problem import Problem
from headrace.serving.service import Service
from headrace.serving.tensors import Inference, Output, datatype_of, read_inference, rows_of

PREDICTION, DECISION = "prediction", "decision"
PLATFORM = "headrace"


class Reply(NamedTuple):
    """An answer, and how many of its first bytes are JSON where others follow."""

    body: bytes
    head: int | None = None


def server_facts() -> dict[str, Any]:
    """Return what the server is."""
    return {"name": PLATFORM, "version": version("headrace"), "extensions": ["binary_tensor_data"]}


def model_facts(service: Service) -> dict[str, Any]:
    """Return the tensors of the model that is live, whose version is the number of its release; raises Refused."""
    inputs = [
        {"name": column.name, "datatype": datatype_of(column), "shape": [-1]} for column in service.bound.door.columns
    ]
    outputs = [{"name": name, "datatype": kind, "shape": [-1]} for name, kind in _outputs(service)]
    live = service.watch.lineup.live.release.number
    return {
        "name": service.served.product,
        "versions": [f"{live}"],
        "platform": PLATFORM,
        "inputs": inputs,
        "outputs": outputs,
    }


def example_of(service: Service, row: dict[str, Any]) -> dict[str, Any]:
    """Return a request of one row."""
    kinds = {column.name: datatype_of(column) for column in service.bound.door.columns}
    inputs = [{"name": name, "datatype": kinds[name], "shape": [1], "data": [value]} for name, value in row.items()]
    return {"id": "mine", "inputs": inputs}


def refuse_other(service: Service, product: str, number: str | None = None) -> None:
    """Raise Problem 404 for another model than the one that is served, or another version than the live release."""
    if product != service.served.product:
        raise Problem(404, f"There is no model '{product[:80]}' here, but {service.served.product}.")
    live = service.watch.lineup.live.release.number
    if number is not None and number != f"{live}":
        raise Problem(404, f"Version '{number[:20]}' of {product} does not answer: the release that is live is {live}.")


def infer(service: Service, body: bytes, header: str, asked: tuple[str, str]) -> Reply:
    """Return the answer to a request; raises Problem.

    `header` is its inference-header-content-length, `asked` are its id and the id of its key. It is counted and written
    down as any other request.
    """
    began, received, status = time.perf_counter(), time.time(), 200
    try:
        inference, behind = read_inference(body, header)
        wanted = _wanted(service, inference)
        door = service.bound.door
        rows = door.convert(rows_of(inference, behind, door.columns, service.served.most_rows))
        call = Call(rows, asked[0] or service.new_id(), asked[1], received, began)
        [answer] = service.answer_all([call])
        if isinstance(answer, Problem):
            raise answer
        return _reply(service, inference, wanted, msgspec.json.decode(answer))
    except Problem as problem:
        status = problem.status
        raise
    except HeadraceError as error:
        status = 503
        raise Problem(503, str(error), retry_after=1) from error
    finally:
        service.meter.done(status, time.perf_counter() - began)


def _outputs(service: Service) -> list[tuple[str, str]]:
    decides = service.watch.lineup.live.model.tuned.threshold is not None
    return [(PREDICTION, "FP64"), *([(DECISION, "BOOL")] if decides else [])]


def _wanted(service: Service, inference: Inference) -> dict[str, bool]:
    """Return the outputs that are wanted, and whether each as bytes; raises Problem 400 for one that is none."""
    there = [name for name, _ in _outputs(service)]
    as_bytes = inference.parameters.get("binary_data_output") is True
    wanted = {}
    for output in inference.outputs:
        if output.name not in there:
            raise Problem(400, f"There is no output '{output.name[:80]}', but {', '.join(there)}.")
        wanted[output.name] = output.parameters.get("binary_data", as_bytes) is True
    return wanted or dict.fromkeys(there, as_bytes)


def _reply(service: Service, inference: Inference, wanted: dict[str, bool], told: dict[str, Any]) -> Reply:
    made = [Output(PREDICTION, "FP64", told["predictions"])]
    if "decisions" in told:
        made.append(Output(DECISION, "BOOL", told["decisions"]))
    heads, behind = _packed([output for output in made if output.name in wanted], wanted)
    facts: dict[str, Any] = {"model_name": service.served.product, "model_version": f"{told['release']}"}
    if inference.id:
        facts["id"] = inference.id
    facts["parameters"] = {"model": told["model"], "request": told["request"], "degraded": told.get("degraded", False)}
    head = msgspec.json.encode({**facts, "outputs": heads})
    return Reply(head + behind, len(head) if any(wanted.values()) else None)


def _packed(outputs: Sequence[Output], as_bytes: dict[str, bool]) -> tuple[list[dict[str, Any]], bytes]:
    heads, behind = [], b""
    for output in outputs:
        if as_bytes[output.name]:
            head, data = output.binary()
            behind += data
        else:
            head = output.json()
        heads.append(head)
    return heads, behind
