"""How the rows of requests are looked up: by the version of the features that is published now, several by one read."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from headrace.core.arrow import python_rows
from headrace.core.errors import DataError
from headrace.online.log import RequestLog
from headrace.online.lookup import OnlineFeatures, Served
from headrace.online.view import View
from headrace.serving import served
from headrace.serving.breaker import Guarded
from headrace.serving.call import Bound, Row
from headrace.serving.contract import columns_of
from headrace.serving.door import Door


class Lookups:
    """The lookups of one product. Any number of threads may ask."""

    def __init__(self, store: Guarded, product: served.Served, sample: RequestLog | None) -> None:
        """Look up in a store; `sample` takes some requests with what they were served."""
        self._store, self._served = store, product
        self._online = OnlineFeatures(store, product.product, sample)
        self._beside = OnlineFeatures(store, product.product)
        self._bound: Bound | None = None

    @property
    def bound(self) -> Bound:
        """How requests are read now; raises Refused where nothing is published."""
        view = self._online.view
        if self._bound is None or self._bound.view is not view:
            self._bound = self._bind(view)
        return self._bound

    @property
    def is_plain(self) -> bool:
        """Whether one row is answered where it stands."""
        return self._bound is not None and self._bound.is_plain

    def follow(self) -> None:
        """Take over features that were published meanwhile."""
        self._online.follow()
        self._beside.follow()

    def each(self, rows: Sequence[Row]) -> list[Served]:
        """Return the features of each row, all of one version, as they stand in tables; raises what any of them raises."""
        nothing = self.bound.nothing
        return [nothing] * len(rows) if nothing else self._online.each([(row.values, row.at) for row in rows])

    def all(self, rows: Sequence[Row]) -> tuple[list[dict[str, Any]], int]:
        """Return what a model may see of rows, and the version of their features."""
        return self._valued(rows, self._online)

    def aside(self, rows: Sequence[Row]) -> tuple[list[dict[str, Any]], int]:
        """Return the same, of rows that are written down nowhere."""
        told = self._valued(rows, self._beside)
        self._store.was_degraded()
        return told

    def _valued(self, rows: Sequence[Row], online: OnlineFeatures) -> tuple[list[dict[str, Any]], int]:
        asked, time = self.bound.view.manifest.requests, self._served.time
        try:
            columns = [
                pa.array([row.at if c.name == time else row.values.get(c.name) for row in rows], c.type) for c in asked
            ]
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            raise DataError(f"A value is not what it is in training: {error}") from None
        found, view = online.features(pa.Table.from_arrays(columns, schema=asked))
        told = zip(rows, python_rows(found), strict=True)
        return [{**row.values, **features} for row, features in told], view.version

    def _bind(self, view: View) -> Bound:
        requests: pa.Schema = view.manifest.requests
        columns = columns_of(requests, self._served.rules, (self._served.entity, self._served.time))
        door = Door(columns, requests, self._served.most_rows)
        features, _ = self._beside.features(requests.empty_table())
        types = pa.schema([*requests, *features.schema])
        plain = not view.computed and self._store.kind == "sqlite"
        return Bound(view, door, types, plain, None if view.shelves else Served({}, view.version))
