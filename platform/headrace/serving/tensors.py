"""Tensors of the Open Inference Protocol (version 2) become rows of the contract: one tensor a column, its values as JSON or as bytes.

Source: https://github.com/kserve/open-inference-protocol, and Triton's extension for binary tensor data.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np

from headrace.serving.contract import Column
from headrace.serving.problem import Problem

_NUMPY = {
    "BOOL": "?", "INT8": "<i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8", "UINT8": "<u1", "UINT16": "<u2", "UINT32": "<u4",
    "UINT64": "<u8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
"""Datatype → what its bytes are."""
TEXT = "BYTES"
_WHOLE = tuple(name for name in _NUMPY if "INT" in name)
_POINTED = ("FP16", "FP32", "FP64")
_LENGTH = 4
_NAMED = {
    "bool": "BOOL", "double": "FP64", "float": "FP32", "halffloat": "FP16", "int8": "INT8", "int16": "INT16", "int32": "INT32",
    "int64": "INT64", "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64",
}  # fmt: skip
"""Arrow's name of a column's type → its datatype; all others are texts."""


class Tensor(msgspec.Struct, frozen=True):
    """An input, as a request has it."""

    name: str
    shape: list[int]
    datatype: Literal[
        "BOOL",
        "INT8",
        "INT16",
        "INT32",
        "INT64",
        "UINT8",
        "UINT16",
        "UINT32",
        "UINT64",
        "FP16",
        "FP32",
        "FP64",
        "BYTES",
    ]
    parameters: dict[str, Any] = {}
    data: list[Any] | None = None


class Wanted(msgspec.Struct, frozen=True):
    """An output, as a request wants it."""

    name: str
    parameters: dict[str, Any] = {}


class Inference(msgspec.Struct, frozen=True):
    """A request."""

    inputs: list[Tensor]
    id: str = ""
    outputs: list[Wanted] = []
    parameters: dict[str, Any] = {}


class Output(NamedTuple):
    """An answer's tensor of one dimension."""

    name: str
    datatype: str
    values: Sequence[Any]

    def json(self) -> dict[str, Any]:
        """Return the tensor with its values."""
        return {**self._head(), "data": self.values}

    def binary(self) -> tuple[dict[str, Any], bytes]:
        """Return the tensor without its values, and them as bytes."""
        data = np.array(self.values, _NUMPY[self.datatype]).tobytes()
        return {**self._head(), "parameters": {"binary_data_size": len(data)}}, data

    def _head(self) -> dict[str, Any]:
        return {"name": self.name, "datatype": self.datatype, "shape": [len(self.values)]}


_read = msgspec.json.Decoder(Inference).decode


def datatype_of(column: Column) -> str:
    """Return the datatype of a column's tensor."""
    return _NAMED.get(column.type, TEXT)


def read_inference(body: bytes, header: str) -> tuple[Inference, bytes]:
    """Return a request and the bytes behind its JSON, whose length the header says; raises Problem 400."""
    if header and not (header.isascii() and header.isdigit() and int(header) <= len(body)):
        raise Problem(400, f"inference-header-content-length is '{header[:40]}', and the body has {len(body)} bytes.")
    end = int(header) if header else len(body)
    try:
        return _read(body[:end]), body[end:]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, f"The request is none of the Open Inference Protocol: {error}.") from None


def rows_of(inference: Inference, behind: bytes, columns: Sequence[Column], most: int) -> list[dict[str, Any]]:
    """Return the rows that the inputs make; raises Problem 400, 413 or 422.

    Missing are null, NaN, an empty text where the column may miss, and whatever a tensor that is left out would have said.
    """
    known, count = {column.name: column for column in columns}, _count(inference, most)
    rows: list[dict[str, Any]] = [{} for _ in range(count)]
    for tensor in inference.inputs:
        size = tensor.parameters.get("binary_data_size")
        if size is None:
            values = _of_json(tensor, count)
        else:
            if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(behind):
                raise Problem(
                    400, f"Input '{tensor.name}': binary_data_size is {size}, and {len(behind)} bytes are left."
                )
            values, behind = _of_bytes(tensor, behind[:size], count), behind[size:]
        column = known.get(tensor.name)
        if column:
            _refuse_other_kind(tensor, column)
            values = _settled(values, column)
        for row, value in zip(rows, values, strict=True):
            row[tensor.name] = value
    if behind:
        raise Problem(400, f"{len(behind)} bytes are behind the last input: no `binary_data_size` says whose they are.")
    return rows


def _count(inference: Inference, most: int) -> int:
    """Return how many rows there are."""
    if not inference.inputs:
        raise Problem(400, "There are no inputs: send one tensor for each column.")
    names = [tensor.name for tensor in inference.inputs]
    for tensor in inference.inputs:
        if names.count(tensor.name) > 1:
            raise Problem(400, f"Input '{tensor.name}' comes twice.")
        if len(tensor.shape) not in (1, 2) or tensor.shape[1:] not in ([], [1]) or tensor.shape[0] < 1:
            raise Problem(400, f"Input '{tensor.name}' has the shape {tensor.shape}: a column is [rows] or [rows, 1].")
        if tensor.shape[0] != inference.inputs[0].shape[0]:
            raise Problem(
                400,
                f"Input '{tensor.name}' has {tensor.shape[0]} rows, and '{names[0]}' has {inference.inputs[0].shape[0]}.",
            )
    count = inference.inputs[0].shape[0]
    if count > most:
        raise Problem(413, f"{count:,} rows are more than the {most:,} that one request may have.")
    return count


def _of_json(tensor: Tensor, count: int) -> list[Any]:
    values = tensor.data
    if values is None:
        raise Problem(400, f"Input '{tensor.name}' has neither `data` nor `binary_data_size`.")
    if tensor.shape[1:] == [1] and all(isinstance(value, list) and len(value) == 1 for value in values):
        values = [value for [value] in values]
    if len(values) != count:
        raise Problem(400, f"Input '{tensor.name}' has {len(values)} values for {count} rows.")
    return values


def _of_bytes(tensor: Tensor, data: bytes, count: int) -> list[Any]:
    if tensor.data is not None:
        raise Problem(400, f"Input '{tensor.name}' has both `data` and `binary_data_size`.")
    if tensor.datatype == TEXT:
        values = _texts(tensor.name, data)
    else:
        kind = np.dtype(_NUMPY[tensor.datatype])
        values = np.frombuffer(data, kind).tolist() if len(data) % kind.itemsize == 0 else []
    if len(values) != count:
        raise Problem(
            400, f"Input '{tensor.name}' has {len(data)} bytes, which are not {count} values of {tensor.datatype}."
        )
    return values


def _texts(name: str, data: bytes) -> list[str]:
    """Return the texts of bytes: before each stands its length, in 4 bytes."""
    texts, at = [], 0
    while at + _LENGTH <= len(data):
        end = at + _LENGTH + int.from_bytes(data[at : at + _LENGTH], "little")
        try:
            texts.append(data[at + _LENGTH : end].decode())
        except UnicodeDecodeError:
            raise Problem(400, f"Input '{name}': its text of row {len(texts)} is not UTF-8.") from None
        at = end
    return texts if at == len(data) else []


def _refuse_other_kind(tensor: Tensor, column: Column) -> None:
    own = datatype_of(column)
    fitting: Mapping[str, Sequence[str]] = {"BOOL": ("BOOL",), TEXT: (TEXT,)}
    if tensor.datatype not in fitting.get(own, (*_WHOLE, *_POINTED)):
        raise Problem(
            422, f"Input '{tensor.name}' is {tensor.datatype}: the column is {column.expected}, sent as {own}."
        )


def _settled(values: Sequence[Any], column: Column) -> list[Any]:
    """Return values as JSON would bring them: what is missing as null, and whole numbers without a point."""
    own = datatype_of(column)
    if own == TEXT:
        return [None if value == "" and column.rule.nullable else value for value in values]
    settled: list[Any] = []
    for number, value in enumerate(values):
        if isinstance(value, float) and math.isinf(value):
            raise Problem(
                422, f"Row {number}, column '{column.name}': expected {column.expected}, got an infinite number."
            )
        if isinstance(value, float) and math.isnan(value):
            settled.append(None)
        elif isinstance(value, float) and own in _WHOLE and value.is_integer():
            settled.append(int(value))
        else:
            settled.append(value)
    return settled
