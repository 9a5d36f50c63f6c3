"""PyTorch: a small net for tables, with an embedding for each text, stored as safetensors.

Source: C. Guo and F. Berkhahn, Entity Embeddings of Categorical Variables (2016).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from headrace.core.errors import DataError, DeclarationError
from headrace.models.device import device_of

if TYPE_CHECKING:
    from headrace.models.meta import Meta
    from headrace.models.trainer import Lesson

PARAMS: dict[str, float] = {
    "width": 64,
    "layers": 2,
    "epochs": 20,
    "batch": 512,
    "learning_rate": 0.002,
    "weight_decay": 0.0001,
}
"""What may be said of the net and its training, and what holds otherwise."""
WIDEST = 16
"""The most numbers that a text is embedded in."""
SCORED_AT_ONCE = 65_536


@dataclass(frozen=True)
class Net:
    """Tensors by name, and how rows go through them."""

    tensors: Mapping[str, Any]
    meta: "Meta"

    def predict(self, encoded: pa.Table) -> Any:
        """Return one float64 a row."""
        torch = _installed()
        numbers, codes = _inputs(encoded, self.meta)
        with torch.inference_mode():
            parts = [
                _forward(self.tensors, numbers[at : at + SCORED_AT_ONCE], codes[at : at + SCORED_AT_ONCE])
                for at in range(0, len(numbers), SCORED_AT_ONCE)
            ]
            found = torch.cat(parts).double()
            if self.meta.task == "classification":
                return torch.sigmoid(found).numpy()
            return (found * self.tensors["answer_scale"] + self.tensors["answer_middle"]).numpy()

    def to_bytes(self) -> bytes:
        """Return the tensors as safetensors."""
        from safetensors.torch import save

        data: bytes = save(dict(self.tensors))
        return data

    def importance(self) -> None:
        """Return nothing: a net does not say how much an input matters."""


class Torch:
    """A net of a few layers over standardized numbers, flags of what is missing, and embedded texts."""

    form = "model.safetensors"
    libraries = ("torch", "safetensors")

    def fit(self, lesson: "Lesson") -> Net:
        """Return a trained net; raises DeclarationError for a task or parameters that it does not know, DataError where it fails to learn."""
        torch = _installed()
        meta, params = lesson.meta, _params(lesson.meta)
        device = device_of(meta.device, supported=torch.cuda.is_available())
        threads = torch.get_num_threads()
        # Sums of several threads' parts differ in the last digit, and so would the bytes.
        torch.set_num_threads(1)
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(meta.seed)
                tensors = _trained(lesson, params, device)
        finally:
            torch.set_num_threads(threads)
        if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
            raise DataError("The net's numbers grew beyond all bounds: make `learning_rate` in `params` smaller.")
        return Net(tensors, meta)

    def from_bytes(self, data: bytes, meta: "Meta") -> Net:
        """Return the net whose tensors they are."""
        _installed()
        from safetensors.torch import load

        return Net(load(data), meta)


def _installed() -> Any:
    try:
        import safetensors
        import torch
    except ImportError as error:
        raise DeclarationError(
            "`trainer: torch` needs PyTorch: pip install 'headrace[torch]'", ("model", "trainer")
        ) from error
    assert safetensors
    return torch


def _params(meta: "Meta") -> dict[str, float]:
    if meta.task == "ranking":
        raise DeclarationError(
            "`trainer: torch` ranks nothing: for `task: ranking` say trainer: lightgbm.", ("model", "trainer")
        )
    return {**PARAMS, **meta.params}


def _trained(lesson: "Lesson", params: Mapping[str, float], device: str) -> dict[str, Any]:
    torch = _installed()
    numbers, codes = (part.to(device) for part in _inputs(lesson.rows, lesson.meta))
    made = {name: tensor.to(device) for name, tensor in _begun(numbers, lesson, params).items()}
    fixed = {name for name in made if name.startswith(("number_", "answer_"))}
    learned = [made[name].requires_grad_() for name in made if name not in fixed]
    adam = torch.optim.AdamW(learned, lr=params["learning_rate"], weight_decay=params["weight_decay"])
    answers = ((torch.tensor(lesson.answers, device=device) - made["answer_middle"]) / made["answer_scale"]).float()
    weights = (
        torch.ones_like(answers) if lesson.weights is None else torch.tensor(lesson.weights, device=device).float()
    )
    weights = weights / weights.mean()
    for epoch in range(int(params["epochs"])):
        order = torch.randperm(len(answers)).to(device)
        for rows in order.split(int(params["batch"])):
            adam.zero_grad()
            losses = _losses(_forward(made, numbers[rows], codes[rows]), answers[rows], lesson.meta)
            (losses * weights[rows]).mean().backward()
            adam.step()
        lesson.say(f"{epoch + 1} of {int(params['epochs'])} epochs")
    return {name: tensor.detach().cpu().contiguous() for name, tensor in made.items()}


def _begun(numbers: Any, lesson: "Lesson", params: Mapping[str, float]) -> dict[str, Any]:
    """Return the tensors before the first step."""
    torch = _installed()
    present = ~torch.isnan(numbers)
    count = present.sum(0).clamp(min=1)
    middle = torch.nan_to_num(numbers).sum(0) / count
    scale = ((torch.nan_to_num(numbers - middle) ** 2).sum(0) / count).sqrt()
    is_class = lesson.meta.task == "classification"
    answer = (0.0, 1.0) if is_class else (float(lesson.answers.mean()), float(lesson.answers.std()))
    made = {
        "number_middle": middle,
        "number_scale": torch.where(scale > 0, scale, torch.ones_like(scale)),
        "answer_middle": torch.tensor(answer[0], dtype=torch.float64),
        "answer_scale": torch.tensor(answer[1], dtype=torch.float64),
    }
    size = 2 * numbers.shape[1]
    texts = [column for column in lesson.meta.inputs if column.kind == "categorical"]
    for place, column in enumerate(texts):
        seen = len(column.categories) + 1
        wide = min(WIDEST, (seen + 1) // 2)
        made[f"text_{place:04}"] = torch.randn(seen, wide) * 0.1
        size += wide
    sizes = [size, *[int(params["width"])] * int(params["layers"]), 1]
    for layer, (before, after) in enumerate(pairwise(sizes)):
        made[f"weight_{layer:02}"] = torch.randn(after, before) * (2 / max(before, 1)) ** 0.5
        made[f"bias_{layer:02}"] = torch.zeros(after)
    return made


def _forward(tensors: Mapping[str, Any], numbers: Any, codes: Any) -> Any:
    """Return one number a row: a logit, or an answer in standard units."""
    torch = _installed()
    scaled = torch.nan_to_num((numbers - tensors["number_middle"]) / tensors["number_scale"])
    texts = sorted(name for name in tensors if name.startswith("text_"))
    embedded = [tensors[name][codes[:, place]] for place, name in enumerate(texts)]
    flowing = torch.cat([scaled, torch.isnan(numbers).float(), *embedded], dim=1)
    layers = sorted(name for name in tensors if name.startswith("weight_"))
    for name in layers:
        flowing = torch.nn.functional.linear(flowing, tensors[name], tensors[name.replace("weight", "bias")])
        flowing = flowing if name == layers[-1] else torch.relu(flowing)
    return flowing[:, 0]


def _losses(found: Any, answers: Any, meta: "Meta") -> Any:
    torch = _installed()
    if meta.task == "classification":
        return torch.nn.functional.binary_cross_entropy_with_logits(found, answers, reduction="none")
    errors = answers - found
    if meta.quantile is None:
        return errors**2
    return torch.maximum(meta.quantile * errors, (meta.quantile - 1) * errors)


def _inputs(encoded: pa.Table, meta: "Meta") -> tuple[Any, Any]:
    """Return numbers (float32, NaN for what is missing) and codes (int64, 0 for what is missing), a row a row."""
    torch = _installed()
    kinds: dict[str, Sequence[str]] = {
        kind: [i.name for i in meta.inputs if i.kind == kind] for kind in ("numeric", "categorical")
    }
    numbers = _columns([encoded[name].to_numpy() for name in kinds["numeric"]], encoded.num_rows, np.float32)
    texts = [np.nan_to_num(encoded[name].to_numpy() + 1) for name in kinds["categorical"]]
    return torch.from_numpy(numbers), torch.from_numpy(_columns(texts, encoded.num_rows, np.int64))


def _columns(columns: Sequence[Any], rows: int, kind: Any) -> Any:
    return np.column_stack(columns).astype(kind) if columns else np.zeros((rows, 0), dtype=kind)
