"""The command that shows features as they are served online."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headrace.saying import in_words

if TYPE_CHECKING:
    from headrace.online.lookup import Instant


@click.command("get")
@click.argument("product")
@click.argument("entities", nargs=-1, required=True, metavar="COLUMN=VALUE...")
@click.option(
    "--at", "at", help="As of which instant, such as 2013-07-01T12:00 (UTC, unless it says an offset); default: now."
)
@click.option("--json", "as_json", is_flag=True, help="For programs: a list of objects, one a table.")
@in_words
def get(product: str, entities: tuple[str, ...], at: str | None, *, as_json: bool) -> None:
    """Show what is served of an entity of PRODUCT: every table whose columns are given, as of an instant."""
    import json

    from headrace.online.lookup import OnlineFeatures
    from headrace.project import Project
    from headrace.store.online import open_online

    _, site = Project.around(Path.cwd()).load(product)
    moment = _instant(at) if at else site.clock.now()
    store = open_online(site.place, product)
    try:
        online = OnlineFeatures(store, product)
        told = online.tables_of(online.request(dict(_pair(entity) for entity in entities)), moment)
    finally:
        store.close()
    if as_json:
        click.echo(json.dumps([_facts(table) for table in told], indent=1, default=str))
        return
    for table in told:
        since = (
            f"{table.since:%Y-%m-%dT%H:%M:%S.%fZ}"
            if table.since
            else "always"
            if not table.table.timed
            else "nothing holds"
        )
        for name, value in table.values.items():
            click.echo(f"{name:<40} {value!s:<24} {table.table.name}@{table.table.version}  {since}")


@click.command()
@click.argument("product")
@click.option(
    "--last", default=10_000, show_default=True, type=click.IntRange(1), help="How many of the newest requests."
)
@click.option("--json", "as_json", is_flag=True, help="For programs: one object.")
@in_words
def skewcheck(product: str, last: int, *, as_json: bool) -> None:
    """Compute PRODUCT's logged requests anew, as training does, and compare what was served; exit code 1 where it differs."""
    import json

    from headrace.online.skew import check_skew
    from headrace.project import Project

    declared, site = Project.around(Path.cwd()).load(product)
    if declared.label is None:
        raise click.ClickException(f"{product} has no label: there is no training to hold requests against.")
    checked = check_skew(site, declared.features, declared.label, last)
    if as_json:
        facts = {**vars(checked), "skews": [vars(skew) for skew in checked.skews]}
        click.echo(json.dumps(facts, indent=1, default=str))
    else:
        click.echo("\n".join([f"{checked}", *(f"{skew}" for skew in checked.skews)]))
    if checked.skews:
        sys.exit(1)


def _facts(told: "Instant") -> dict[str, Any]:
    return {
        "table": told.table.table,
        "version": told.table.version,
        "since": told.since.isoformat() if told.since else None,
        "values": told.values,
    }


def _instant(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"'{text}' is no instant: write it as 2013-07-01T12:00", param_hint="--at") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _pair(text: str) -> tuple[str, str]:
    column, mark, value = text.partition("=")
    if not (mark and column):
        raise click.BadParameter(
            f"'{text}' names nothing: write COLUMN=VALUE, such as origin=EWR", param_hint="COLUMN=VALUE"
        )
    return column, value
