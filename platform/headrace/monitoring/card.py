"""One feature or feature table: all that is known of it, as facts for programs and in words for people."""

from collections.abc import Iterator, Mapping, Sequence
from textwrap import indent, wrap
from typing import Any

from headrace.core.errors import DeclarationError
from headrace.core.names import did_you_mean
from headrace.features.columns import origins_of
from headrace.features.graph import Graph, sources_behind
from headrace.features.shared import Home, home_of
from headrace.features.statistics import POINTS
from headrace.features.words import column_defined, declared_at, defined, text_of
from headrace.monitoring.drift import PSI
from headrace.monitoring.listing import WIDTH, freshness_text, kind_text, moment_text, share_text, users_of
from headrace.monitoring.registry import FeatureFacts, Registry, TableFacts
from headrace.store.site import Site

LABEL = 14
"""How wide the words are that stand before facts."""


def card_of(site: Site, graph: Graph, registry: Registry, what: str) -> dict[str, Any]:
    """Return what is known of a feature table, or else of a feature, by name; raises DeclarationError for another name."""
    for table in registry.tables:
        if table.name == what:
            return _table_card(site, graph, registry, table)
    for table, feature in registry.features:
        if feature.name == what:
            return _feature_card(site, graph, registry, table, feature)
    raise _unknown(registry, what)


def card_text(card: Mapping[str, Any]) -> str:
    """Return a card in words, for a terminal of 120 columns."""
    kind = "a feature" if "feature" in card else "a feature table"
    lines = [f"{card.get('feature', card['table'])}, {kind} of {card['product']}", ""]
    lines += [*_wrapped("  ", card["definition"]), ""]
    lines += [line for label, text in _said(card) if text for line in _wrapped(f"  {label:<{LABEL}}", text)]
    if "feature" in card:
        lines += ["", *_statistics(card), "", *_drift(card), "", *_importance(card)]
    else:
        lines += ["", "  features", *_features(card)]
    if card["text"]:
        lines += ["", f"  {card['file']}", indent(card["text"], "    ")]
    return "\n".join(lines)


def figure(value: float) -> str:
    """Return a number with as many digits as people read."""
    if value == int(value) and abs(value) < 1e15:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"


def _unknown(registry: Registry, what: str) -> DeclarationError:
    tables, features = [table.name for table in registry.tables], [f.name for _, f in registry.features]
    if not tables:
        return DeclarationError(f"{registry.product.product} declares no features.")
    near = did_you_mean(what, [*features, *tables])
    untold = [table.name for table in registry.tables if not table.features]
    more = f" The features of {', '.join(untold)} are known once it is made." if untold else ""
    return DeclarationError(
        f"no feature or feature table '{what}' in {registry.product.product}; its tables are {', '.join(tables)}.{near}{more} "
        f"List them: headrace features list {registry.product.product}"
    )


def _table_card(site: Site, graph: Graph, registry: Registry, table: TableFacts) -> dict[str, Any]:
    origins = (origins_of(site, graph, table.name, feature.name) for feature in table.features)
    return _common(home_of(site, graph, table.name), registry, table) | {
        "definition": _of_table(home_of(site, graph, table.name).graph, table),
        "made_of": sorted({origin for of in origins for origin in of}) or _sources(site, graph, table),
        "features": [
            {
                "feature": feature.name,
                "definition": column_defined(table.name, table.feature, feature.name),
                "type": feature.kind,
                "missing": feature.statistics.missing_share if feature.statistics else None,
                "rank": feature.live.rank if feature.live else None,
            }
            for feature in table.features
        ],
    }


def _feature_card(
    site: Site, graph: Graph, registry: Registry, table: TableFacts, feature: FeatureFacts
) -> dict[str, Any]:
    return _common(home_of(site, graph, table.name), registry, table) | {
        "feature": feature.name,
        "type": feature.kind,
        "definition": column_defined(table.name, table.feature, feature.name),
        "made_of": origins_of(site, graph, table.name, feature.name) or _sources(site, graph, table),
        "statistics": feature.statistics.model_dump(mode="json") if feature.statistics else None,
        "statistics_of": registry.of,
        "drift": [{**row, "day": str(row["day"])} for row in feature.drift],
        "importance": [vars(weight) for weight in feature.weights],
        "releases": [weight.release for weight in feature.weights],
    }


def _common(home: Home, registry: Registry, table: TableFacts) -> dict[str, Any]:
    feature, site = table.feature, home.site
    code = feature.sql or feature.python or feature.on_request
    return {
        "product": registry.product.product,
        "table": table.name,
        "kind": feature.form,
        "owner_product": site.product.product,
        "entity": feature.entities,
        "made_by": kind_text(table),
        "declared_at": declared_at(site, table.name),
        "owner": feature.owner or site.product.owner,
        "description": feature.description,
        "product_description": registry.product.description,
        "file": str(site.folder / code) if code else None,
        "text": text_of(site, home.graph.features[table.name]),
        "freshness": freshness_text(table, registry.now),
        "newest": table.newest.isoformat() if table.newest else None,
        "committed": moment_text(table.committed) if table.committed else None,
        "version": table.version,
        "rows": table.rows,
        "live_release": registry.live.number if registry.live else None,
        "used_by": users_of(registry, table),
    }


def _of_table(graph: Graph, table: TableFacts) -> str:
    windows = table.feature.windows
    return defined(table.feature, graph.sources[windows.source] if windows else None)


def _sources(site: Site, graph: Graph, table: TableFacts) -> list[str]:
    """Return the sources that a table is made of, where nobody can tell their columns."""
    home, owner = home_of(site, graph, table.name), table.feature.shared
    found = [] if table.feature.on_request else sources_behind(home.site, home.graph.features, table.name)
    return [f"{owner}.{source}" if owner else source for source in found]


def _said(card: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "table", f"{card['table']}: {card['made_by']}"
    yield "type", card.get("type") or ""
    yield "declared", card["declared_at"]
    yield "owner", card["owner"] or ""
    yield "description", card["description"]
    yield "product", card["product_description"]
    yield "made of", ", ".join(card["made_of"])
    written = (
        f"; written {card['committed']}, version {card['version']}, {card['rows']:,} rows" if card["committed"] else ""
    )
    yield "freshness", card["freshness"] + written
    yield "used by", ", ".join([*card["used_by"], *_releases(card)]) or "nobody yet"


def _releases(card: Mapping[str, Any]) -> Iterator[str]:
    releases = [str(number) for number in card.get("releases", [])]
    if releases:
        yield f"release{'s' * (len(releases) > 1)} {', '.join(releases)}"


def _statistics(card: Mapping[str, Any]) -> Iterator[str]:
    found = card["statistics"]
    yield from _wrapped("  ", f"statistics of {card['statistics_of']}")
    if found is None:
        return
    distinct = f", {found['distinct']:,} different values" if found["distinct"] is not None else ""
    missing = share_text(found["missing"] / found["rows"] if found["rows"] else 0.0)
    yield f"    {found['rows']:,} rows, {missing} missing{distinct}"
    if found["mean"] is not None:
        name = "share of true" if found["kind"] == "boolean" else "mean"
        yield f"    {name} {figure(found['mean'])}" + (f", sd {figure(found['sd'])}" if found["sd"] is not None else "")
    if found["quantiles"]:
        points = {"min": found["least"]} | {p: found["quantiles"][p] for p in POINTS} | {"max": found["greatest"]}
        texts = [figure(value) for value in points.values()]
        widths = [max(len(name), len(text)) for name, text in zip(points, texts, strict=True)]
        for cells in (list(points), texts):
            yield "    " + "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
    elif found["least"] is not None:
        yield f"    from {found['least']} to {found['greatest']}"
    for value, rows in found["top"]:
        yield f"    {share_text(rows / found['rows']):>6}  {value}"


def _drift(card: Mapping[str, Any]) -> Iterator[str]:
    if card["live_release"] is None:
        yield "  drift: no model is live"
    elif not card["drift"]:
        yield f"  drift: not measured for release {card['live_release']} yet"
    else:
        first = card["drift"][0]
        yield f"  drift from what release {card['live_release']} was trained on, {first['rows']:,} rows to {first['day']}"
    for row in card["drift"]:
        name = "PSI" if row["measure"] == PSI else "rise of missing values"
        beyond = ", beyond it" if row["value"] > row["limit"] else ""
        yield f"    {name} {row['value']:.3f}, limit {row['limit']:.3g}{beyond}"


def _importance(card: Mapping[str, Any]) -> Iterator[str]:
    if not card["importance"]:
        yield "  importance: no released model has it as an input"
        return
    yield "  importance in released models"
    for weight in reversed(card["importance"]):
        name = f"release {weight['release']}{', live' if weight['live'] else ''}"
        place = f"rank {weight['rank']} of {weight['inputs']}"
        yield f"    {name:<18}{place:<16}{share_text(weight['share']):>6} of the gain"


def _features(card: Mapping[str, Any]) -> Iterator[str]:
    if not card["features"]:
        yield "    known once the table is made"
    for feature in card["features"]:
        facts = [feature["type"] or ""]
        facts += [f"{share_text(feature['missing'])} missing"] if feature["missing"] is not None else []
        facts += [f"rank {feature['rank']}"] if feature["rank"] else []
        yield f"    {feature['feature']}" + (f"  ({', '.join(filter(None, facts))})" if any(facts) else "")
        yield from _wrapped("        ", feature["definition"])


def _wrapped(first: str, text: str) -> Sequence[str]:
    after = " " * len(first)
    return wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=after, break_on_hyphens=False, break_long_words=False
    )
