"""How a product stands: the few facts that its report leaves beside its page, for the page of all products."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from headrace.core.declaration import Declaration
from headrace.core.names import Name
from headrace.monitoring.facts import ProductFacts, alarming, newest_drift
from headrace.monitoring.pages import write_page
from headrace.monitoring.shown.numbers import number_groups
from headrace.store.releases import Release

SUFFIX = ".standing.json"
State = Literal["well", "alarm", "unknown"]
MORNING = ("prediction_latency p99", "cost", "cpu_seconds", "cost_per_1000_predictions", "time_to_restore_hours")
"""The numbers of a product's row, where they are known; processor time where there is no price."""


class Mark(Declaration):
    """One thing that is watched: how it is, in a word and in a sentence."""

    name: Literal["live", "drift", "quality", "data", "incidents"]
    state: State
    word: str
    """Such as "within limits"."""
    what: str
    """The value against its limit, or why there is none."""


class Decided(Declaration):
    """A decision about a model."""

    number: int
    outcome: str
    model: str
    at: datetime
    why: str
    who: str


class Told(Declaration):
    """A number to know in the morning, as people read it."""

    name: str
    value: str


class Standing(Declaration):
    """A product as its newest report found it; all it takes to draw its row."""

    product: Name
    owner: str | None
    description: str = Field(max_length=2000)
    as_of: datetime
    """By the product's clock."""
    live: Decided | None
    decision: Decided | None
    """The last one."""
    marks: list[Mark]
    card: bool
    """Whether the live release has a model card beside the report."""
    numbers: list[Told] = Field(default=[])
    """Those of monitoring/numbers that a team looks at first; none before that is made."""

    @property
    def state(self) -> State:
        """An alarm where anything alarms; well only where everything is known to be."""
        states = {mark.state for mark in self.marks}
        return "alarm" if "alarm" in states else "unknown" if "unknown" in states else "well"


class Unread(Declaration):
    """Facts that cannot be read: another version wrote them, or they are damaged."""

    product: str
    why: str


def standing_of(facts: ProductFacts, *, card: bool = False) -> Standing:
    """Return how the product stands."""
    return Standing(
        product=facts.product.product,
        owner=facts.product.owner,
        description=facts.product.description,
        as_of=facts.now,
        live=_decided(facts.live.release) if facts.live else None,
        decision=_decided(facts.decisions[-1]) if facts.decisions else None,
        marks=[_live(facts), _drift(facts), _quality(facts), _data(facts), _incidents(facts)],
        card=card,
        numbers=list(_numbers(facts)),
    )


def write_standing(standing: Standing, folder: Path) -> Path:
    """Leave a product's facts beside its page, whole or not at all, and return where they are."""
    return write_page(standing.model_dump_json(indent=1), folder / f"{standing.product}{SUFFIX}")


def standings(folder: Path) -> Iterator[Standing | Unread]:
    """Yield how each product of a folder of reports stands, by name; one that cannot be read says so in its place."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            yield Standing.model_validate_json(path.read_bytes())
        except ValidationError as error:
            product, first = path.name.removesuffix(SUFFIX), error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the whole"
            yield Unread(
                product=product,
                why=f"{path.name} cannot be read ({where}: {first['msg']}): materialize {product}/reports/product anew",
            )


def _decided(release: Release) -> Decided:
    return Decided(
        number=release.number,
        outcome=release.outcome,
        model=release.model,
        at=release.at,
        why=release.why,
        who=release.who,
    )


def _live(facts: ProductFacts) -> Mark:
    if not facts.live:
        return Mark(name="live", state="unknown", word="nothing", what="no model is live")
    release = facts.live.release
    since = f"since {release.at:%Y-%m-%d %H:%M} UTC, model {release.model[:12]}"
    return Mark(name="live", state="well", word=f"release {release.number}", what=since)


def _drift(facts: ProductFacts) -> Mark:
    rows, alarms = newest_drift(facts), alarming(facts)
    if not rows:
        why = "the live model has not scored a whole window yet" if facts.live else "no model is live yet"
        return Mark(name="drift", state="unknown", word="not measured", what=why)
    ignored = facts.monitors.drift.ignore
    watched = [row for row in rows if row["column"] not in ignored]
    if not watched:
        return Mark(name="drift", state="unknown", word="ignored", what="every column is ignored")
    most = watched[0]
    measure = "PSI" if most["measure"] == "psi" else "rise of missing values"
    what = f"{measure} of {most['column']} is {most['value']:.3f}, limit {most['limit']:.3g}, to {most['day']}"
    if alarms:
        word = f"{len(alarms)} alarm{'s' if len(alarms) > 1 else ''}"
        return Mark(name="drift", state="alarm", word=word, what=what)
    return Mark(name="drift", state="well", word="within limits", what=what)


def _quality(facts: ProductFacts) -> Mark:
    live, policy = facts.live, facts.monitors.quality
    rows = [row for row in facts.quality if (row["metric"], row["by"]) == (policy.metric, "")]
    own = [row for row in rows if live and row["model"] == live.release.model]
    expected = _expected(facts)
    if not own:
        why = "labels of what the live model scored are not known yet" if live else "no model is live yet"
        return Mark(name="quality", state="unknown", word="not known", what=f"{why}{expected}")
    newest = max(own, key=lambda row: row["day"])
    if newest["value"] is None:
        return Mark(name="quality", state="unknown", word="not known", what=f"{newest['note']}{expected}")
    value = f"{newest['metric'].upper()} {newest['value']:.3f}"
    measured = f"on {newest['rows']:,} labels to {newest['day']}{expected}"
    if not policy.has_limit:
        return Mark(name="quality", state="well", word=value, what=f"no limit is declared, {measured}")
    is_good = policy.allows(newest["value"])
    word = value if is_good else f"{value}, beyond its limit"
    return Mark(
        name="quality", state="well" if is_good else "alarm", word=word, what=f"{policy.limits_said}, {measured}"
    )


def _expected(facts: ProductFacts) -> str:
    """Return the newest estimate of the live model in words; nothing where there is none."""
    live = facts.live
    own = [row for row in facts.estimated if live and row["model"] == live.release.model and row["value"] is not None]
    if not own:
        return ""
    newest = max(own, key=lambda row: row["day"])
    return f"; estimated {newest['metric'].upper()} {newest['value']:.3f} to {newest['day']}"


def _numbers(facts: ProductFacts) -> Iterator[Told]:
    known = {figure.name: figure for group in number_groups(facts) for figure in group.figures}
    for name in MORNING:
        if name in known and not (name == "cpu_seconds" and "cost" in known):
            yield Told(name=known[name].label, value=f"{known[name].value} {known[name].unit}".strip())


def _data(facts: ProductFacts) -> Mark:
    limited = [arrived.freshness for arrived in facts.arrived if arrived.freshness]
    late = [found for found in limited if not found.fresh]
    if late:
        more = f", and {len(late) - 1} more" if len(late) > 1 else ""
        return Mark(name="data", state="alarm", word="late", what=f"{late[0].what}{more}")
    if not limited:
        return Mark(name="data", state="unknown", word="no limit", what="no source declares fresh_within")
    return Mark(name="data", state="well", word="fresh", what=limited[0].what)


def _incidents(facts: ProductFacts) -> Mark:
    open_ones = [incident for incident in facts.incidents if incident.is_open]
    if not open_ones:
        return Mark(name="incidents", state="well", word="none", what="no incident is open")
    newest = open_ones[-1]
    what = f"{newest.number}, since {newest.opened.at:%Y-%m-%d %H:%M} UTC: {newest.what}"
    return Mark(name="incidents", state="alarm", word=f"{len(open_ones)} open", what=what)
