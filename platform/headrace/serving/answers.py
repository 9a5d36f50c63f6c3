"""What the server answers, as JSON schemas for its OpenAPI document."""

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]


def an_object(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """Return the schema of an object; more than it names may come with a later version."""
    return {"type": "object", "required": list(required), "properties": {**required, **(optional or {})}}


def a_list(of: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": of}


def ref(name: str) -> Schema:
    """Return what stands for a component."""
    return {"$ref": f"#/components/schemas/{name}"}


def _said(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number"}
_WHOLE: Schema = {"type": "integer"}
_BOOLEAN: Schema = {"type": "boolean"}
_MAYBE_TEXT: Schema = {"type": ["string", "null"]}
_MOMENT: Schema = {"type": "string", "format": "date-time"}
_ANYTHING: Schema = {}
_PREDICTION = _said(_NUMBER, "The model's score: for a yes or no the chance of yes.")
_DECISION = _said(_BOOLEAN, "Whether the score reaches the model's threshold; only where it has one.")
_BY = {
    "release": _said(_WHOLE, "The number of the release that answered."),
    "model": _said(_TEXT, "The first characters of the digest of its model."),
    "features": _said(_WHOLE, "The published version of the features that were looked up."),
    "request": _said(_TEXT, "The id by which the request is known: that of `x-request-id`, or one made here."),
}
_DEGRADED = {"degraded": _said(_BOOLEAN, "True where the online store was away, and features stand in as declared.")}
_REASON = an_object({"input": _TEXT, "value": _ANYTHING, "contribution": _NUMBER})
_EXPLANATION = an_object({"prediction": _PREDICTION, "base": _NUMBER, "reasons": a_list(_REASON)})
_WRONG = an_object(
    {
        "row": _said({"type": ["integer", "null"]}, "The place of the row in the list, from 0."),
        "column": _said(_MAYBE_TEXT, "The column; null where the row as a whole is wrong."),
        "expected": _TEXT,
        "got": _TEXT,
    }
)
_PARAMETERS: Schema = {"type": "object"}
_SHAPE = a_list(_WHOLE)
_TENSOR = an_object(
    {"name": _TEXT, "datatype": _TEXT, "shape": _SHAPE}, {"parameters": _PARAMETERS, "data": a_list(_ANYTHING)}
)
_GIVEN = an_object(
    {
        "name": _said(_TEXT, "A column of the contract."),
        "datatype": _said(_TEXT, "BYTES for texts, dates and instants; BOOL; any INT, UINT or FP for numbers."),
        "shape": _said(_SHAPE, "[rows] or [rows, 1]."),
    },
    {
        "data": _said(a_list(_ANYTHING), "The values; null or NaN is a missing one."),
        "parameters": _said(_PARAMETERS, "`binary_data_size`, where the values follow as bytes."),
    },
)

COMPONENTS: Mapping[str, Schema] = {
    "Prediction": an_object({"prediction": _PREDICTION, **_BY}, {"decision": _DECISION, **_DEGRADED}),
    "Predictions": an_object(
        {"predictions": a_list(_PREDICTION), **_BY}, {"decisions": a_list(_DECISION), **_DEGRADED}
    ),
    "Answer": {"oneOf": [ref("Prediction"), ref("Predictions")]},
    "Explanations": an_object(
        {"explanations": a_list(_EXPLANATION), **_BY},
    ),
    "Model": an_object(
        {
            "product": _TEXT,
            "release": _BY["release"],
            "model": _said(_TEXT, "The digest of the model: SHA-256 of its files."),
            "since": _said(_MOMENT, "Since when it is live."),
            "who": _said(_TEXT, "Who released it."),
            "why": _TEXT,
            "task": _TEXT,
            "trainer": _TEXT,
            "trained": an_object({"rows": _WHOLE, "from": _MOMENT, "to": _MOMENT}),
            "inputs": a_list(_TEXT),
            "threshold": {"type": ["number", "null"]},
            "features": _BY["features"],
            "refused": _said(_MAYBE_TEXT, "Why another release does not answer, if one does not."),
            "card": _said(_MAYBE_TEXT, "Where its model card is, if one is written."),
        }
    ),
    "InferenceServer": an_object({"name": _TEXT, "version": _TEXT, "extensions": a_list(_TEXT)}),
    "InferenceHealth": an_object({}, {"name": _TEXT, "live": _BOOLEAN, "ready": _BOOLEAN}),
    "InferenceModel": an_object(
        {
            "name": _TEXT,
            "versions": a_list(_said(_TEXT, "The number of the live release.")),
            "platform": _TEXT,
            "inputs": a_list(_TENSOR),
            "outputs": a_list(_TENSOR),
        }
    ),
    "InferenceRequest": an_object(
        {"inputs": a_list(_GIVEN)},
        {
            "id": _said(_TEXT, "Comes back with the answer."),
            "outputs": a_list(an_object({"name": _TEXT}, {"parameters": _PARAMETERS})),
            "parameters": _PARAMETERS,
        },
    ),
    "InferenceResponse": an_object(
        {"model_name": _TEXT, "model_version": _TEXT, "outputs": a_list(_TENSOR)},
        {"id": _TEXT, "parameters": _PARAMETERS},
    ),
    "InferenceError": an_object({"error": _said(_TEXT, "What is wrong, and what to do.")}),
    "Health": an_object({"status": _TEXT}),
    "Problem": an_object(
        {"type": _TEXT, "title": _TEXT, "status": _WHOLE, "detail": _said(_TEXT, "What is wrong, and what to do.")},
        {"instance": _said(_TEXT, "The request's id."), "errors": a_list(_WRONG)},
    ),
}
