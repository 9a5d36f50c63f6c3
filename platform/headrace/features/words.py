"""A feature's definition in words that people understand, and where it stands."""

import inspect
from collections.abc import Sequence
from datetime import timedelta

from headrace.core.names import duration_text
from headrace.core.positions import position_of
from headrace.core.user_code import load_function
from headrace.features.declaration import Aggregation, Feature, Windows
from headrace.features.windows import Output, known_when, outputs
from headrace.sources.declaration import Source
from headrace.store.site import Site

_UNITS = {"d": "days", "h": "h", "m": "min", "s": "s"}
_OF_EVENTS: dict[Aggregation, str] = {
    "count": "number of {events} in the {over} before",
    "since": "minutes since the newest of {events} in the {over} before",
}
_OF_VALUES: dict[Aggregation, str] = {
    "sum": "sum",
    "mean": "mean",
    "share": "share of true",
    "std": "standard deviation",
    "min": "least value",
    "max": "greatest value",
    "last": "last value",
    "first": "first value",
    "distinct": "number of different values",
}


def declared_at(site: Site, name: str) -> str:
    """Return file, from the project's root on, and line of a feature table's declaration."""
    return position_of(site.folder / "defs.yaml", ("attributes", "features", name)).removeprefix(f"{site.place.root}/")


def defined(feature: Feature, source: Source | None) -> str:
    """Return what a feature table is, in words; `source` is that of its windows."""
    if feature.windows:
        assert source
        return _windows_in_words(feature.windows, source)
    if feature.on_request:
        return f"computed from each request alone by the SQL in {feature.on_request}"
    whose = f"what {feature.sql or feature.python} says of {_of_one(feature.entities)}"
    if not feature.time:
        return f"{whose}, for all time"
    ttl = f", for {_span(feature.ttl)} at most" if feature.ttl else ", until the next one"
    age = "; and how old it was then, in minutes" if feature.age else ""
    return f"{whose}: each row holds from its `{feature.time}` on{ttl}{age}"


def column_defined(name: str, feature: Feature, column: str) -> str:
    """Return what one column of a feature table is, in words."""
    if feature.windows:
        found = {output.column: output for output in outputs(name, feature.windows)}
        return _output_in_words(feature.windows, found[column])
    if feature.age and column == f"{name}_age_minutes":
        return f"minutes from `{feature.time}` of the newest row of {_of_one(feature.entities)} to the prediction"
    own = column.removeprefix(f"{name}_")
    if feature.on_request:
        return f"`{own}`, computed from the request alone"
    return f"`{own}` of the row of {_of_one(feature.entities)} that holds at the prediction"


def text_of(site: Site, feature: Feature) -> str:
    """Return the SQL of a feature table, or the words that its function says of itself; nothing for windows."""
    if feature.python:
        return inspect.getdoc(load_function(site.folder, site.product.product, feature.python)) or ""
    file = feature.sql or feature.on_request
    return site.text(file).strip() if file else ""


def _windows_in_words(windows: Windows, source: Source) -> str:
    spans = _and([_span(over) for over in windows.over])
    known = _and([f"`{moment}`" for moment in known_when(windows, source) if moment != windows.time])
    late = f", and counts once {known} has passed" if known else ""
    return (
        f"{_and(windows.agg)} of {_and([f'`{sql}`' for sql in windows.of.values()])} of {_events(windows)} "
        f"in the {spans} before each prediction; an event happens at its `{windows.time}`{late}"
    )


def _output_in_words(windows: Windows, output: Output) -> str:
    events, over = _events(windows), _span(output.over)
    if output.value is None:
        return f"{_OF_EVENTS[output.agg].format(events=events, over=over)}, as of each prediction"
    value = list(windows.of.values())[output.value]
    return f"{_OF_VALUES[output.agg]} of `{value}` of {events} in the {over} before, as of each prediction"


def _events(windows: Windows) -> str:
    where = f" where `{windows.where}`" if windows.where else ""
    return f"the {windows.source} of {_of_one(windows.entities)}{where}"


def _of_one(entities: Sequence[str]) -> str:
    return f"one {_and(entities)}"


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _span(over: timedelta | None) -> str:
    text = duration_text(over or timedelta())
    return f"{text[:-1]} {_UNITS[text[-1]]}"
