"""What monitoring has measured last, in a small file: for servers, which do not open tables."""

from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from headrace.core.errors import StoreError
from headrace.core.place import Place
from headrace.store.publish import publish


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MovedColumn(_Closed):
    """How far a column lies from what the model was trained on, by one measure."""

    column: str
    measure: str
    value: float
    limit: float


class MeasuredDrift(_Closed):
    """The drift of one model's inputs and scores over the window that ends with a day."""

    model: str
    day: date
    columns: list[MovedColumn]


def write_drift(place: Place, product: str, drift: MeasuredDrift) -> None:
    """Keep what was measured last, whole or not at all."""
    publish(_path(place, product), drift.model_dump_json().encode(), "servers go on showing the drift before")


def read_drift(place: Place, product: str) -> MeasuredDrift | None:
    """Return what was measured last; None where nothing was. Raises StoreError for a file that is not ours."""
    path = _path(place, product)
    try:
        return MeasuredDrift.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise StoreError(
            f"{path} cannot be read: it was edited, or written by another version of Headrace. Materialize "
            f"{product}/monitoring/drift again."
        ) from error


def _path(place: Place, product: str) -> Path:
    return place.logs / product / "drift.json"
