"""Metrics: what all workers of a server have counted, and what is true now, as Prometheus reads it."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import accumulate, groupby
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric

from headrace.core.errors import HeadraceError, StoreError
from headrace.serving.cells import Series
from headrace.serving.meter import BUCKETS, LOOKUP_BUCKETS, LOOKUPS, SCORE_BUCKETS, SCORES, SECONDS, Meter
from headrace.serving.service import SHORT, Service
from headrace.store.measured import MeasuredDrift

PREFIX = "headrace_"
DRIFT_SECONDS = 60.0
"""How often what monitoring found is read again."""
CPU, SUPERVISOR = "cpu_seconds", "supervisor"
_HOUR = 3600.0
log = logging.getLogger("headrace.serving")


class _Counted(NamedTuple):
    """A family that is counted, as it is shown."""

    help: str
    labels: tuple[str, ...] = ()


_Numbers = tuple[tuple[str, ...], Sequence[float]]
"""The labels of a series, and its numbers."""
BY_STATUS = ("route", "status")
COUNTERS: Mapping[str, _Counted] = {
    "refused": _Counted("Requests that were sent away before a route saw them.", ("status",)),
    "features_missing": _Counted("Rows whose model had no known value of an input.", ("feature",)),
    "degraded": _Counted("Rows that were answered while the online store was away."),
    "journal_dropped": _Counted("Predictions that were answered, and not kept for want of room in the buffer."),
    CPU: _Counted("Processor time of the server's processes.", ("process",)),
}
GAUGES: Mapping[str, _Counted] = {
    "workers": _Counted("Worker processes that are alive."),
    "journal_waiting": _Counted("Predictions that wait to be written."),
    "model_refused": _Counted("Worker processes that a newer release could not take over."),
}
HISTOGRAMS: Mapping[str, _Counted] = {
    SECONDS: _Counted("Seconds from the first byte of a request to its answer.", ("route",)),
    LOOKUPS: _Counted("Seconds that a lookup of features took."),
    SCORES: _Counted("Scores, by the release that gave them.", ("release",)),
}


class Exposition:
    """What one worker shows of its server."""

    def __init__(self, service: Service, drift: Callable[[], MeasuredDrift | None]) -> None:
        """Show a service; `drift` reads what monitoring measured last."""
        self._service = service
        self._drift = _Remembered(drift)

    def shown(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics, and their type: Prometheus' text format, or OpenMetrics where that is asked for."""
        beat(self._service)
        encode, kind = choose_encoder(accept)
        return encode(self), kind

    def collect(self) -> Iterator[Metric]:
        """Yield all families."""
        totals = self._service.meter.totals()
        yield from _counted(self._service.served.product, totals)
        yield from self._costs(totals)
        yield from self._model()
        yield from self._features()
        yield from self._sla()
        yield from self._moved()

    def _costs(self, totals: Mapping[Series, Sequence[float]]) -> Iterator[Metric]:
        served = self._service.served
        if served.price:
            spent = sum(numbers[0] for series, numbers in totals.items() if series.family == CPU)
            cost = CounterMetricFamily(f"{PREFIX}cost", "Price of that processor time.", labels=("product", "currency"))
            cost.add_metric((served.product, served.price.currency), spent / _HOUR * served.price.cpu_hour)
            yield cost

    def _model(self) -> Iterator[Metric]:
        release, model = self._service.watch.lineup.live
        info = InfoMetricFamily(f"{PREFIX}model", "The model that answers.", labels=("product",))
        facts = {"release": str(release.number), "model": model.digest[:SHORT], "trainer": model.meta.trainer}
        info.add_metric((self._service.served.product,), facts)
        yield info
        yield self._age("model", "the live model was released", release.at)
        yield self._age("model_data", "the newest row that the live model has learned from", model.meta.train_to)

    def _features(self) -> Iterator[Metric]:
        try:
            view = self._service.bound.view
        except HeadraceError:
            # Nothing is published, or the store does not answer: /readyz says which, and there is no version to show.
            return
        yield self._gauge("features_version", "The published version of the features.", float(view.version))
        yield self._age("features", "the features were published", view.manifest.instant)

    def _sla(self) -> Iterator[Metric]:
        sla = self._service.served.sla
        age = sla.features_age.total_seconds()
        yield self._gauge("sla_p99_seconds", "How long 99 of 100 requests may take.", sla.p99 / 1000)
        yield self._gauge("sla_error_ratio", "Which share of the requests may fail.", sla.errors)
        yield self._gauge("sla_features_age_seconds", "How long ago features may have been published.", age)

    def _moved(self) -> Iterator[Metric]:
        """Yield what monitoring measured last, if that was of the model that answers."""
        drift, product = self._drift(), self._service.served.product
        if drift is None or drift.model != self._service.watch.lineup.live.model.digest:
            return
        labels = ("product", "feature", "measure")
        score = GaugeMetricFamily(f"{PREFIX}drift_score", "How far a column has moved from training.", labels=labels)
        limit = GaugeMetricFamily(f"{PREFIX}drift_limit", "How far that column may move.", labels=labels)
        for moved in drift.columns:
            score.add_metric((product, moved.column, moved.measure), moved.value)
            limit.add_metric((product, moved.column, moved.measure), moved.limit)
        yield from (score, limit)

    def _age(self, of: str, since: str, moment: datetime) -> Metric:
        seconds = (self._service.now() - moment).total_seconds()
        return self._gauge(f"{of}_age_seconds", f"Seconds since {since}.", seconds)

    def _gauge(self, name: str, words: str, value: float) -> Metric:
        gauge = GaugeMetricFamily(PREFIX + name, words, labels=("product",))
        gauge.add_metric((self._service.served.product,), value)
        return gauge


class Refusals:
    """Brings over what the protocol of a worker has refused: it counts by itself, before there is a request."""

    def __init__(self, meter: Meter, refused: Mapping[int, int]) -> None:
        """Follow a count by status."""
        self._meter, self._refused, self._told = meter, refused, Counter[int]()

    def __call__(self) -> None:
        """Count what was refused since the last time."""
        for status, count in list(self._refused.items()):
            self._meter.refused(status, count - self._told[status])
            self._told[status] = count


def beat(service: Service) -> None:
    """Say what only this worker knows of itself: how it is now, and what it has used."""
    meter, journal = service.meter, service.journal
    meter.say("workers", 1.0)
    meter.say("model_refused", float(bool(service.watch.lineup.refused)))
    meter.say("journal_waiting", float(journal.waiting if journal else 0))
    meter.say("journal_dropped", float(journal.lost if journal else 0))
    meter.say(CPU, time.process_time(), "worker")


def _counted(product: str, totals: Mapping[Series, Sequence[float]]) -> Iterator[Metric]:
    """Yield the families that workers count, each with all its series."""
    of: dict[str, list[_Numbers]] = {}
    for (family, labels), numbers in sorted(totals.items()):
        of.setdefault(family, []).append((labels, numbers))
    for name, told in COUNTERS.items():
        counter = CounterMetricFamily(PREFIX + name, told.help, labels=("product", *told.labels))
        for labels, numbers in of.get(name, ()):
            counter.add_metric((product, *labels), numbers[0])
        yield counter
    for name, told in GAUGES.items():
        gauge = GaugeMetricFamily(PREFIX + name, told.help, labels=("product", *told.labels))
        for labels, numbers in of.get(name, ()):
            gauge.add_metric((product, *labels), numbers[0])
        yield gauge
    yield from _histograms(product, of)


def _histograms(product: str, of: Mapping[str, Sequence[_Numbers]]) -> Iterator[Metric]:
    requests = CounterMetricFamily(f"{PREFIX}requests", "Requests by their answer.", labels=("product", *BY_STATUS))
    for labels, numbers in of.get(SECONDS, ()):
        requests.add_metric((product, *labels), sum(numbers[:-1]))
    yield requests
    for name, told in HISTOGRAMS.items():
        histogram = HistogramMetricFamily(PREFIX + name, told.help, labels=("product", *told.labels))
        for labels, numbers in _merged(of.get(name, ()), len(told.labels)):
            histogram.add_metric((product, *labels), _buckets(_edges(name, numbers), numbers), sum_value=numbers[-1])
        yield histogram
    rows = CounterMetricFamily(f"{PREFIX}rows", "Rows that were scored.", labels=("product",))
    rows.add_metric((product,), sum(sum(numbers[:-1]) for _, numbers in of.get(SCORES, ())))
    yield rows


def _merged(series: Iterable[_Numbers], labels: int) -> Iterator[_Numbers]:
    """Yield the sums of the series that are the same by their first labels."""
    for shown, alike in groupby(series, lambda one: one[0][:labels]):
        yield shown, [sum(column) for column in zip(*(numbers for _, numbers in alike), strict=True)]


def _edges(family: str, numbers: Sequence[float]) -> tuple[float, ...]:
    """Return the upper ends of the buckets: of scores as many as they were counted in."""
    if family == SCORES:
        return next(edges for edges in SCORE_BUCKETS.values() if len(edges) + 2 == len(numbers))
    return LOOKUP_BUCKETS if family == LOOKUPS else BUCKETS


def _buckets(edges: Sequence[float], numbers: Sequence[float]) -> list[tuple[str, float]]:
    """Return the buckets as Prometheus counts them: each holds all below its upper end."""
    names = [*(repr(edge) for edge in edges), "+Inf"]
    return list(zip(names, accumulate(numbers[:-1]), strict=True))


class _Remembered:
    """What is read once a minute."""

    def __init__(self, read: Callable[[], MeasuredDrift | None]) -> None:
        self._read, self._until = read, 0.0
        self._told: MeasuredDrift | None = None

    def __call__(self) -> MeasuredDrift | None:
        if time.monotonic() >= self._until:
            self._until = time.monotonic() + DRIFT_SECONDS
            try:
                self._told = self._read()
            except StoreError as error:
                log.error("%s", error)
        return self._told
