"""The service: what a request asks becomes an answer, whatever brought it here.

A row's own columns come with the request, the rest is looked up as of its own instant; both make what the model sees, as in
training. One row is answered where it stands; rows whose features are computed by SQL or lie on a server go together.
"""

import itertools
import math
import os
import random
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from headrace.core.attempt import Attempt
from headrace.core.clock import Clock
from headrace.core.errors import DataError, HeadraceError, Refused
from headrace.serving import served
from headrace.serving.breaker import Guarded
from headrace.serving.call import NOTHING_KEPT, Bound, By, Call, Records, Row
from headrace.serving.choice import Score, scored
from headrace.serving.journal import Entry
from headrace.serving.lookups import Lookups
from headrace.serving.meter import Meter
from headrace.serving.problem import Problem
from headrace.serving.traces import Moments, Trace
from headrace.serving.watch import Ready, Watch

OK, FAILED, UNAVAILABLE = 200, 500, 503
SHORT = 12
"""How many characters of a model's digest an answer shows."""
_encode = msgspec.json.Encoder().encode


class Service:
    """Answers for one product. Any number of threads may ask it."""

    def __init__(
        self,
        served: served.Served,
        store: Guarded,
        watch: Watch,
        clock: Clock,
        records: Records = NOTHING_KEPT,
    ) -> None:
        self.served, self.watch, self.meter = served, watch, Meter()
        self.journal, self._sample = records
        self._store, self._clock = store, clock
        self.lookups = Lookups(store, served, records.sample)
        self._chance = random.Random()  # noqa: S311  a sample, no secret
        self._ids, self._prefix = itertools.count(1), f"{secrets.token_hex(4)}{os.getpid():x}-"
        self._fits: set[tuple[str, int]] = set()

    @property
    def bound(self) -> Bound:
        """How requests are read now; raises Refused where nothing is published."""
        return self.lookups.bound

    def verify(self) -> None:
        """Raise Refused where nothing is published, or features are not those of the live model's training."""
        if self.watch.lineup.over:
            raise Refused(self.watch.lineup.over)
        self._fit(self.watch.lineup.live)

    def why_not_ready(self) -> str:
        """Return why requests cannot be answered now; nothing where they can."""
        if self._store.is_open:
            return "The online store does not answer."
        try:
            self.verify()
        except HeadraceError as error:
            return str(error)
        return ""

    def seen(self, call: Call) -> tuple[list[dict[str, Any]], int]:
        """Return what a model may see of a request's rows, and the version of their features."""
        rows = [Row(number, self._instant(row), row) for number, row in enumerate(call.asked.rows)]
        return self.lookups.aside(rows)

    def now(self) -> datetime:
        """Return the present moment, by the product's clock."""
        return self._clock.now()

    def tried(self, body: bytes) -> bytes:
        """Return the answer to a request that is neither counted nor written down; raises Problem and HeadraceError."""
        call = self.call(body)
        values, version = self.seen(call)
        ready = self.watch.lineup.live
        scores = [Score(ready, "live", score) for score in ready.model.many(values).tolist()]
        return _encode(self._told(call, scores, By(version)))

    def close(self) -> None:
        """Write what waits to be written, and look for releases no more."""
        self.watch.stop()
        if self.journal:
            self.journal.close()
        if self._sample:
            self._sample.close()
        self._store.close()

    def new_id(self) -> str:
        """Return an id for a request that brings none."""
        return f"{self._prefix}{next(self._ids):x}"

    def call(self, body: bytes, request: str = "", key: str = "", trace: Trace | None = None) -> Call:
        """Return what bytes ask; raises Problem where they break the contract."""
        began, received = time.perf_counter(), time.time()
        return Call(self.bound.door.read(body), request or self.new_id(), key, received, began, trace)

    def answer(self, call: Call) -> bytes:
        """Return the answer to one row; raises Problem."""
        [answer] = self.answer_each([call])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def answer_each(self, calls: Sequence[Call]) -> list[bytes | Exception]:
        """Return the answers to requests of one row each, which are looked up by one read, or a Problem, or what failed."""
        rows = [Row(0, self._instant(row), row) for row in (call.asked.rows[0] for call in calls)]
        looked = time.perf_counter()
        try:
            found = self.lookups.each(rows)
        except HeadraceError as error:
            if len(calls) == 1:
                return [self._failed(calls, rows, error)]
            return [self.answer_each([call])[0] for call in calls]
        moments = Moments(looked, time.perf_counter(), 0.0)
        if self.bound.nothing is None:
            self.meter.looked_up(moments.found - looked)
        degraded = self._store.was_degraded()
        answers: list[bytes | Exception] = []
        for call, row, features in zip(calls, rows, found, strict=True):
            with Attempt() as attempt:
                seen = Row(0, row.at, {**row.values, **features.values})
                answers.append(self._answer(call, seen, By(features.version, degraded), moments))
            if (failed := attempt.error) is not None:
                answers.append(self._failed([call], [row], failed) if isinstance(failed, HeadraceError) else failed)
        return answers

    def _answer(self, call: Call, row: Row, by: By, moments: Moments) -> bytes:
        score = self._scored(call, row, by)
        if call.trace is not None:
            call.trace.answered(score.ready.release, by.version, 1, moments._replace(scored=time.perf_counter()))
        return _encode(self._told(call, [score], by))

    def answer_all(self, calls: Sequence[Call]) -> list[bytes | Problem]:
        """Return the answers to some requests, whose rows are looked up together."""
        try:
            return list(self._answered(calls))
        except Problem as problem:
            if len(calls) == 1:
                return [problem]
        return [self.answer_all([call])[0] for call in calls]

    def _answered(self, calls: Sequence[Call]) -> Iterator[bytes]:
        asked = [(call, number, row) for call in calls for number, row in enumerate(call.asked.rows)]
        rows = [Row(number, self._instant(row), row) for _, number, row in asked]
        try:
            looked = time.perf_counter()
            values, version = self.lookups.all(rows)
            found = time.perf_counter()
            self.meter.looked_up(found - looked)
            by = By(version, self._store.was_degraded())
            scores = self._scored_all([call for call, _, _ in asked], rows, values, by)
        except HeadraceError as error:
            raise self._failed(calls, rows, error) from error
        start, moments = 0, Moments(looked, found, time.perf_counter())
        for call in calls:
            end = start + len(call.asked.rows)
            if call.trace is not None:
                call.trace.answered(scores[start].ready.release, by.version, end - start, moments)
            yield _encode(self._told(call, scores[start:end], by))
            start = end

    def _scored_all(
        self, calls: Sequence[Call], rows: Sequence[Row], values: Sequence[Mapping[str, Any]], by: By
    ) -> list[Score]:
        """Return the score of each row; while no release takes over, all at once."""
        line, seen = self.watch.lineup, [row._replace(values=value) for row, value in zip(rows, values, strict=True)]
        if line.rollout:
            return [self._scored(call, row, by) for call, row in zip(calls, seen, strict=True)]
        if line.over:
            raise Refused(line.over)
        self._fit(line.live)
        encoded = line.live.model.matrix(values)
        found = line.live.model.scores(encoded)
        told = found.tolist()
        if not all(map(math.isfinite, told)):
            raise Refused(f"Model {line.live.model.digest[:12]} gives no number for one of these rows.")
        self.meter.answered_all(line.live, encoded, found, degraded=by.degraded)
        scores = [Score(line.live, "live", score) for score in told]
        for call, row, score in zip(calls, seen, scores, strict=True):
            self._note(call, row, by, score)
        return scores

    def _scored(self, call: Call, row: Row, by: By) -> Score:
        """Return the score that a row is answered; what else was asked is written down, too."""
        told, beside = scored(self.watch.lineup, row.values, self._who(call, row), self._fit)
        if told.seen is not None and told.value is not None:
            self.meter.answered(told.ready, told.seen, told.value, degraded=by.degraded)
        self._note(call, row, by, told)
        if beside:
            self._note(call, row, by, beside, OK if beside.value is not None else FAILED)
        return told

    def _who(self, call: Call, row: Row) -> str:
        """Return who a row is about; where it does not say, that request."""
        who = row.values.get(self.served.sticky)
        return call.request if who is None else str(who)

    def _instant(self, row: dict[str, Any]) -> datetime:
        """Return as of when a row is asked about: its own time, or now."""
        said: datetime | None = row.get(self.served.time)
        if said is None:
            row.pop(self.served.time, None)
            return self._clock.now()
        return said

    def _fit(self, ready: Ready) -> None:
        """Raise Refused where the published features are not those that a model was trained on."""
        fits = (ready.model.digest, self.bound.view.version)
        if fits not in self._fits:
            ready.model.accepts(self.bound.types)
            self._fits = {fits, *list(self._fits)[-1:]}

    def _told(self, call: Call, scores: Sequence[Score], by: By) -> dict[str, Any]:
        first, single = scores[0].ready, call.asked.single
        values = [score.value for score in scores]
        facts: dict[str, Any] = {"prediction": values[0]} if single else {"predictions": values}
        if first.model.tuned.threshold is not None:
            decisions = [score.ready.model.decides(score.value) for score in scores]
            facts |= {"decision": decisions[0]} if single else {"decisions": decisions}
        facts["release"] = first.release.number
        facts["model"] = first.model.digest[:SHORT]
        if not single and any(score.ready is not first for score in scores):
            facts["releases"] = [score.ready.release.number for score in scores]
        facts["features"] = by.version
        facts["request"] = call.request
        if by.degraded:
            facts["degraded"] = True
        return facts

    def _note(self, call: Call, row: Row, by: By, score: Score, status: int = OK) -> None:
        journal = self.journal
        if journal is None or (self.served.logged < 1 and self._chance.random() >= self.served.logged):
            return
        release = score.ready.release
        journal.take(
            Entry(
                call.request, row.number, row.at, call.received, row.values.get(self.served.entity), release.number, release.model,
                score.role, by.version, status, by.degraded, score.value, (time.perf_counter() - call.began) * 1000, call.key,
                row.values, self.bound.types,
            )
        )  # fmt: skip

    def _failed(self, calls: Sequence[Call], rows: Sequence[Row], error: HeadraceError) -> Problem:
        """Return what a failure is to who asked, and write down that the server is to blame, if it is.

        Of several requests nothing is written down: each is asked again by itself.
        """
        self._store.was_degraded()
        if isinstance(error, DataError):
            return Problem(422, str(error))
        for row in rows if len(calls) == 1 else ():
            self._note(calls[0], row, By(0), Score(self.watch.lineup.live, "live", None), UNAVAILABLE)
        return Problem(UNAVAILABLE, str(error), retry_after=1)
