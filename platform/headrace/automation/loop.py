"""What the control loop knows: which assets a product has, which days to make, and the log of its trainings."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise

import pyarrow.compute as pc

from headrace.automation.decide import Decision
from headrace.automation.declaration import Retrain
from headrace.automation.plan import stale
from headrace.core.days import DAY, Days, last_whole_day, whole_days
from headrace.core.recipe import Recipe, Work
from headrace.evaluation.declaration import Gate, under_load
from headrace.features.compute import table_of
from headrace.features.declaration import Feature, Label
from headrace.features.graph import sources_behind
from headrace.features.shared import SharedFeature, own_features
from headrace.features.training import label_statement
from headrace.features.usable import stored
from headrace.models.declaration import Model
from headrace.monitoring.declaration import Monitors
from headrace.serving.declaration import Serve
from headrace.sources.declaration import Source
from headrace.store.site import Site
from headrace.store.tables import DAY as TABLE_DAY

MOST_RANGES = 4
"""How many runs one look may ask for: a run costs more than some days that were not touched."""


@dataclass(frozen=True)
class Loop:
    """One product, as its sensors and schedules see it."""

    site: Site
    sources: Mapping[str, Source]
    features: Mapping[str, Feature]
    retrain: Retrain
    serve: Serve
    monitors: Monitors
    recipes: Callable[[], Iterable[Recipe]]
    """What the tables are made of, as they are at the moment of asking."""
    label: Label | None = None
    model: Model | None = None
    gates: Sequence[Gate] = ()

    def data_keys(self, sources: Collection[str]) -> list[list[str]]:
        """Return the assets from some sources to the features that read them, and what publishes these."""
        product = self.site.product
        tables = [name for name in self.features if self._reads(name, sources)]
        keys = [product.key(layer, s) for s in sources for layer in ("raw", "validated", "quarantine")]
        keys += [product.key("features", name) for name in tables]
        return [*keys, product.key("online", "features")] if tables and self._can_publish(tables) else keys

    def _can_publish(self, made: Collection[str]) -> bool:
        """Return whether features are served, and every table of them is there once some are made."""
        there = (
            name in made or self.site.tables.exists(table_of(self.site, name, feature))
            for name, feature in stored(self.features).items()
        )
        return self.serve.online is not None and all(there)

    def _reads(self, name: str, sources: Collection[str]) -> bool:
        if self.features[name].on_request or self.features[name].shared:
            return False
        return not set(sources_behind(self.site, self.features, name)).isdisjoint(sources)

    def sources_watched(self) -> Iterator[tuple[Site, str, Source]]:
        """Yield what must be fresh for a training, each with its site: the product's sources, and those behind shared tables."""
        yield from ((self.site, name, source) for name, source in self.sources.items())
        shared = {name: feature.home for name, feature in self.features.items() if isinstance(feature, SharedFeature)}
        behind = {
            (home.site.product.product, source): (home.site, source, home.graph.sources[source])
            for name, home in shared.items()
            for source in sources_behind(home.site, home.graph.features, name)
        }
        yield from behind.values()

    @property
    def model_keys(self) -> list[list[str]]:
        """The assets of a training, from its rows to its release."""
        product = self.site.product
        tested = ["loadtest"] if under_load(self.gates) else []
        names = ["candidate", "evaluation", "explanation", *tested, "champion", "card"]
        return [product.key("training", "set"), *(product.key("model", name) for name in names)]

    @property
    def live_keys(self) -> list[list[str]]:
        """The assets that a live model has: scores, monitors, the report; and what was served one by one, if that is kept."""
        product, online = self.site.product, self.serve.online
        served = [product.key("serving", "requests")] if online and online.log else []
        served += [product.key("predictions", "online")] if self.serve.keeps_predictions else []
        return [
            *served,
            product.key("predictions", "batch"),
            product.key("monitoring", "profiles"),
            product.key("monitoring", "measures"),
            product.key("monitoring", "drift"),
            product.key("monitoring", "quality"),
            *(
                [product.key("monitoring", "estimated")]
                if self.model and self.monitors.quality.estimated_metric
                else []
            ),
            product.key("monitoring", "inputs"),
            *([product.key("monitoring", "shifts")] if self.model and self.monitors.drift.shift_checks else []),
            product.key("monitoring", "numbers"),
            product.key("reports", "product"),
        ]

    def days_to_make(self, touched: Days | None, sources: Collection[str] | None = None) -> Days:
        """Return the days to make anew when rows of some sources (default: all) came: as far as windows over them reach.

        One day before and one after that, too: an event may happen on another day than it was planned for.
        """
        newest = self.newest_day()
        if touched is None:
            return Days(newest, newest)
        reach = max((whole_days(f.reach or timedelta()) for f in self._windows_over(sources)), default=0)
        last = min(touched.last + DAY * (reach + 1), max(newest, touched.last))
        return Days(max(touched.first - DAY, self._start()), last)

    def _windows_over(self, sources: Collection[str] | None) -> list[Feature]:
        windows = {name: feature for name, feature in own_features(self.features).items() if feature.windows}
        return [feature for name, feature in windows.items() if sources is None or self._reads(name, sources)]

    def ranges_to_make(self, touched: Collection[date], sources: Collection[str] | None = None) -> list[Days]:
        """Return the ranges of days to make anew when rows of `touched` days of some sources came; days between them are left alone."""
        if not touched:
            return [self.days_to_make(None)]
        ranges = [self.days_to_make(Days(day, day), sources) for day in sorted(touched)]
        joined = _joined(ranges, gap=1)
        while len(joined) > MOST_RANGES:
            joined = _joined(joined, min((b.first - a.last).days for a, b in pairwise(joined)))
        return joined

    @property
    def tables(self) -> list[str]:
        """The tables from landed rows to features."""
        return ["/".join(key) for key in self.data_keys(self.sources)]

    def stale(self) -> dict[str, Work]:
        """Return what there is to make of the tables, from landed rows to features, whatever has landed since."""
        recipes = (recipe for recipe in self.recipes() if recipe.table in self.tables)
        return stale(self.site, self.sources, recipes)

    def newest_day(self) -> date:
        """Return the last day that is over: the one that a daily batch scores."""
        product = self.site.product
        newest = last_whole_day(self.site.clock.now(), product.timezone)
        return min(newest, product.end - DAY) if product.end else newest

    def live_since(self) -> datetime | None:
        """Return since when a model is live, if one is."""
        live = self.site.releases.live(self.site.product.product)
        return live.at if live else None

    def trainings(self) -> tuple[datetime, ...]:
        """Return when trainings were launched, oldest first."""
        return tuple(datetime.fromisoformat(entry["at"]) for entry in self.site.trainings.entries())

    def record_training(self, decision: Decision) -> str:
        """Write down why a training is launched, before it is, and return its number as text."""
        number = len(self.site.trainings.entries())
        triggers = [asdict(fired) for fired in decision.fired]
        facts = {"at": self.site.clock.now().isoformat(), "reasons": list(decision.reasons), "triggers": triggers}
        return str(self.site.trainings.append(facts, after=number)["number"])

    def lacks(self) -> str:
        """Return in words what is lacking for a training; empty where every source has rows, of days enough."""
        product, tables = self.site.product, self.site.tables
        missing = [name for name in self.sources if not tables.exists(product.table("validated", name))]
        if missing or not (self.label and self.model):
            return "no data yet"
        elsewhere = [table_of(self.site, name, f) for name, f in self.features.items() if f.shared]
        for table in (table for table in elsewhere if not tables.exists(table)):
            return f"'{table}' of another product is not made yet"
        known = Days(self._start(), self.newest_day()) if self.newest_day() >= self._start() else None
        for name in label_statement(self.site, self.label).tables:
            table = product.table("validated", name)
            if not (self.sources[name].partition and known):
                continue
            bounds = pc.min_max(tables.read(table, days=known, columns=[TABLE_DAY])[TABLE_DAY]).as_py()
            days = (bounds["max"] - bounds["min"]).days + 1 if bounds["min"] else 0
            least = whole_days(self.model.split.history + self.label.known_after)
            if days <= least:
                return f"'{name}' has rows of {days} days; the test and the wait for labels take {least}"
        return ""

    def _start(self) -> date:
        return self.site.product.start or date.min + timedelta(days=1)


def _joined(ranges: Sequence[Days], gap: int) -> list[Days]:
    """Return ranges, in order, without those that lie at most `gap` days behind the one before: they are part of it."""
    joined = [ranges[0]]
    for days in ranges[1:]:
        last = joined[-1]
        if (days.first - last.last).days <= gap:
            joined[-1] = Days(last.first, max(last.last, days.last))
        else:
            joined.append(days)
    return joined
