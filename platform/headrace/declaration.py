"""What a user may say: one product, all of it."""

from typing import Any

from pydantic import Field, model_validator

from headrace.alerts.declaration import Alert
from headrace.automation.declaration import Retrain
from headrace.contracts.declaration import Contract
from headrace.core.declaration import Identity
from headrace.core.names import Name
from headrace.evaluation.declaration import GateText
from headrace.explain.declaration import Card
from headrace.features.declaration import Feature, Label
from headrace.features.graph import Graph
from headrace.incidents.declaration import Incidents
from headrace.models.declaration import Model
from headrace.models.words import MEASURED
from headrace.monitoring.declaration import Monitors
from headrace.numbers.declaration import Numbers
from headrace.serving.declaration import Serve
from headrace.sources.declaration import Source
from headrace.store.declaration import Keep, KeepRule


class ProductDeclaration(Identity):
    """An ML product, from landed files to a monitored model, in one declaration."""

    sources: dict[Name, Source] = Field(min_length=1)
    """What lands, by name."""
    contracts: dict[Name, Contract] = Field(default={})
    """What rows must be, by source."""
    features: dict[Name, Feature] = Field(default={})
    """Feature tables, by name."""
    label: Label | None = None
    """The rows to predict and what came true; without it the product ends at its features."""
    model: Model | None = None
    """What is trained."""
    gates: list[GateText] = Field(default=[])
    """What a candidate must meet to be released."""
    card: Card = Card()
    """What only people know of its models: it stands on the card of each release."""
    monitors: Monitors = Monitors()
    """What is watched."""
    retrain: Retrain = Retrain()
    """When to train again."""
    serve: Serve = Serve()
    """How scores are made."""
    incidents: Incidents = Incidents()
    """When what went wrong is over."""
    alerts: list[Alert] = Field(default=[])
    """Who is told of incidents."""
    numbers: Numbers = Numbers()
    """Over what time its numbers are taken."""
    keep: KeepRule = Keep()
    """How long versions stay that no kept model was trained on: `30d`, or `{versions: 30d, models: 10}`."""

    @model_validator(mode="before")
    @classmethod
    def _watches_what_its_task_measures(cls, given: Any) -> Any:
        """Let `monitors.quality.metric` be the task's first one where nothing is said."""
        model, monitors = (given.get(key) for key in ("model", "monitors")) if isinstance(given, dict) else (None, None)
        quality = (monitors or {}).get("quality") if isinstance(monitors or {}, dict) else None
        task = str(model.get("task")) if isinstance(model, dict) else ""
        if task not in MEASURED or not isinstance(quality or {}, dict) or "metric" in (quality or {}):
            return given
        watched = {**(monitors or {}), "quality": {**(quality or {}), "metric": MEASURED[task][0]}}
        return {**given, "monitors": watched}

    @model_validator(mode="after")
    def _measures_what_its_task_has(self) -> "ProductDeclaration":
        metric = self.monitors.quality.metric
        if self.model and metric not in MEASURED[self.model.task]:
            known = ", ".join(MEASURED[self.model.task])
            raise ValueError(f"monitors.quality: `{metric}` is not measured of `task: {self.model.task}`; {known} are")
        return self

    @property
    def stages(self) -> tuple[str, ...]:
        """The steps by which a release takes over from the one before it; none: at once."""
        return tuple(self.serve.canary.steps) if self.serve.canary else ()

    @property
    def graph(self) -> Graph:
        """The parts that features and labels refer to."""
        return Graph(self.sources, self.contracts, self.features, self.label, self.monitors.suspect)

    def key_of(self, layer: str, name: str) -> list[str]:
        """Return the columns whose values name one row each of a table; none where rows have no name."""
        if layer in ("raw", "quarantine"):
            return ["_file", "_row"]
        if layer == "validated":
            columns = self.contracts[name].columns if name in self.contracts else {}
            return [column for column, rules in columns.items() if rules.unique][:1]
        if layer == "features" and name in self.features:
            feature = self.features[name]
            return [*feature.entities, "time"] if feature.timed else list(feature.entities)
        is_labelled = (layer, name) in {("training", "set"), ("predictions", "batch")}
        return [self.label.entity] if is_labelled and self.label else []
