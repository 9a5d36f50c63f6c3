"""The `headrace` command: a few words beside Dagster's own."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any

import click

from headrace.core.errors import HeadraceError


def in_words(command: Callable[..., Any]) -> Callable[..., Any]:
    """Show what a user caused as a sentence, not as a traceback."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except HeadraceError as error:
            raise click.ClickException(str(error)) from None

    return run


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="headrace")
def main() -> None:
    """Declare an ML product in one file; get data, models and monitors as Dagster assets."""


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@in_words
def init(folder: Path) -> None:
    """Start a new project in FOLDER, with one small product that runs."""
    from headrace.starter.start import start_project

    written = start_project(folder)
    click.echo(f"Wrote {len(written)} files to {folder}. Next:\n\n  cd {folder}\n  dagster dev\n")
    click.echo("Its sensors ingest, train, gate and release; look at http://127.0.0.1:3000")


@main.command()
@click.argument("product")
@click.option("--at", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="A past moment, in UTC.")
@in_words
def live(product: str, at: datetime | None) -> None:
    """Say which model of PRODUCT is live, since when and why."""
    from headrace.project import Project

    _, site = Project.around(Path.cwd()).load(product)
    release = site.releases.live(product, at.replace(tzinfo=UTC) if at else None)
    if release is None:
        click.echo(f"No model of {product} {'was' if at else 'is'} live.")
        return
    click.echo(f"release {release.number} of {product}: model {release.model[:12]}")
    click.echo(f"live since {release.at:%Y-%m-%d %H:%M} UTC, by {release.who}\nwhy: {release.why}")


@main.command()
@click.argument("product")
@in_words
def summary(product: str) -> None:
    """Show rows, scores, releases and drift of PRODUCT in plain text."""
    from headrace.monitoring.facts import product_facts
    from headrace.monitoring.summary import summary_text
    from headrace.project import Project

    declared, site = Project.around(Path.cwd()).load(product)
    if declared.label is None:
        raise click.ClickException(f"{product} has no label: there is no model to sum up.")
    click.echo(summary_text(product_facts(site, declared.sources, declared.label, declared.monitors)))


@main.command()
@click.argument("product")
@click.option("--json", "as_json", is_flag=True, help="For programs: a list of objects.")
@in_words
def plan(product: str, as_json: bool) -> None:
    """Say what of PRODUCT would be made again, which days, and why."""
    import json

    from headrace.automation.plan import plan as plan_of
    from headrace.project import Project
    from headrace.recipes import recipes_of

    declared, site = Project.around(Path.cwd()).load(product)
    planned = plan_of(site, declared.sources, list(recipes_of(declared, site)))
    if as_json:
        facts = [{"asset": p.table, "days": p.days, "why": p.why, "certain": p.certain} for p in planned]
        click.echo(json.dumps(facts, indent=1))
        return
    if not planned:
        click.echo(f"Nothing of {product} has to be made again.")
    width = max((len(p.table) for p in planned), default=0)
    for p in planned:
        click.echo(f"{p.table:<{width}}  {p.span:<32}  {'; '.join(p.why)}")


@main.command()
@click.argument("query")
@in_words
def sql(query: str) -> None:
    """Run QUERY over the project's tables: "select count(*) from flight_delays_raw_flights"."""
    from headrace.project import Project
    from headrace.store.engine import Engine, TableView
    from headrace.store.tables import Tables

    place = Project.around(Path.cwd()).place
    tables = Tables(place.tables)
    views = {name.replace("/", "_"): TableView(name) for name in tables.names()}
    click.echo(Engine(tables, spill=place.spill).text(query, views))


@main.command()
@click.argument("table")
@in_words
def history(table: str) -> None:
    """Show the versions of TABLE (an asset key with slashes): when, by which run, rows, days, why."""
    from headrace.project import Project
    from headrace.store.history import history_text
    from headrace.store.tables import Tables

    tables = Tables(Project.around(Path.cwd()).place.tables)
    click.echo(history_text(tables.versions(table), tables.removed(table).versions))


@main.command()
@click.argument("table")
@click.argument("before", type=int)
@click.argument("after", type=int)
@in_words
def diff(table: str, before: int, after: int) -> None:
    """Show which rows of TABLE were added, removed and changed from version BEFORE to version AFTER."""
    from headrace.project import Project
    from headrace.store.diff import diff_versions
    from headrace.store.engine import Engine
    from headrace.store.tables import Tables

    project = Project.around(Path.cwd())
    tables = Tables(project.place.tables)
    engine = Engine(tables, spill=project.place.spill)
    click.echo(str(diff_versions(tables, engine, table, (before, after), project.key_of(table))))


@main.command()
@click.argument("product", required=False)
@click.option("--dry-run", is_flag=True, help="Only say what would go, and why the rest stays.")
@in_words
def gc(product: str | None, dry_run: bool) -> None:
    """Remove old versions, files and models that no kept model needs (of PRODUCT, or of all)."""
    from headrace.project import Project
    from headrace.store.retention import collect

    project = Project.around(Path.cwd())
    for name in [product] if product else project.products():
        declared, site = project.load(name)
        collected = collect(site, declared.keep, datetime.now(UTC), remove=not dry_run)
        click.echo(f"{name}:\n{collected.text(done=not dry_run)}")


@main.command()
@click.option("--mend", is_flag=True, help="Mend what can be mended safely.")
@in_words
def doctor(mend: bool) -> None:
    """Look for what is damaged and for what killed runs have left, and say what to do; exit code 1 if anything is wrong."""
    from headrace.project import Project
    from headrace.resources import instance_findings
    from headrace.store.doctor import diagnose

    project = Project.around(Path.cwd())
    project.instance_home()
    with instance_findings() as lost_runs:
        findings = [*lost_runs, *diagnose(project.place, datetime.now(UTC))]
        for found in findings:
            click.echo(f"{found.where}\n  is wrong: {found.why}\n  do:       {found.advice}")
            if mend and found.mend:
                found.mend()
                click.echo("  mended")
    left = [found for found in findings if not (mend and found.mend)]
    click.echo(f"{len(findings)} found, {len(findings) - len(left)} mended" if findings else "Nothing is wrong.")
    if left:
        sys.exit(1)


@main.group()
def contract() -> None:
    """Suggest a first contract, or learn limits once."""


@contract.command()
@click.argument("source", metavar="PRODUCT.SOURCE")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A file to write instead of printing.")
@in_words
def suggest(source: str, output: Path | None) -> None:
    """Write a first contract from the rows that have landed: types, keys, sets and ranges. All of them keep it."""
    from headrace.contracts.suggest import contract_text, suggest_contract
    from headrace.project import Project

    _, site, name = Project.around(Path.cwd()).source(source)
    text = contract_text(name, suggest_contract(site, name))
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text)
        click.echo(f"Wrote {output}. Look it over, and put it into {site.folder / 'defs.yaml'}.")


@contract.command()
@click.argument("source", metavar="PRODUCT.SOURCE")
@in_words
def learn(source: str) -> None:
    """Learn limits anew from the first days, as `learned:` says, into a file beside the declaration."""
    from headrace.contracts.learn import learn_limits
    from headrace.project import Project

    declared, site, name = Project.around(Path.cwd()).source(source)
    if name not in declared.contracts:
        raise click.ClickException(f"{source} has no contract: there is nothing to learn.")
    lesson = learn_limits(site, name, declared.sources[name], declared.contracts[name])
    click.echo(f"Learned {len(lesson.limits.columns)} columns from {lesson.limits.learned_from}: {lesson.file}")


@main.group()
def quarantine() -> None:
    """Look at rows that were set aside, mend them, and bring them in."""


@quarantine.command("list")
@click.argument("source", metavar="PRODUCT.SOURCE")
@click.option("--most", default=20, show_default=True, help="How many rows to show.")
@in_words
def list_rows(source: str, most: int) -> None:
    """List the rows that were set aside, each with its file, row and reason."""
    from headrace.contracts.mend import rows_aside
    from headrace.project import Project

    _, site, name = Project.around(Path.cwd()).source(source)
    rows = rows_aside(site, name)
    for row in rows.slice(0, most).to_pylist():
        click.echo(f"{row['_file']}:{row['_row']}: {row['_reason']}")
    more = max(0, rows.num_rows - most)
    click.echo(f"{rows.num_rows} rows of {source} are set aside{f'; {more} of them are not shown' if more else ''}.")


@quarantine.command()
@click.argument("source", metavar="PRODUCT.SOURCE")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A file to write instead of printing.")
@in_words
def export(source: str, output: Path | None) -> None:
    """Write the rows that were set aside as CSV, to be mended: reason, file and row beside what landed."""
    from headrace.contracts.mend import export_aside
    from headrace.project import Project

    declared, site, name = Project.around(Path.cwd()).source(source)
    rows = export_aside(site, name, declared.sources[name])
    if output is None:
        click.echo(rows, nl=False)
    else:
        output.write_bytes(rows)
        click.echo(f"Wrote {output}. Mend it, then: headrace quarantine replay {source} {output}")


@quarantine.command()
@click.argument("source", metavar="PRODUCT.SOURCE")
@click.argument("mended", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@in_words
def replay(source: str, mended: Path) -> None:
    """Bring the rows of a mended CSV in, each once; what still breaks the contract stays aside with its new reason."""
    from headrace.contracts.mend import mend_rows, still_aside
    from headrace.definitions import validate_days
    from headrace.project import Project

    project = Project.around(Path.cwd())
    declared, site, name = project.source(source)
    project.instance_home()
    found = mend_rows(site, name, declared.sources[name], mended)
    if found.keys.height:
        validate_days(declared, site, name, found.days)
    aside = still_aside(site, name, found)
    for row in aside.iter_rows(named=True):
        click.echo(f"{row['_file']}:{row['_row']}: {row['_reason']}")
    came_in = found.keys.height - aside.height
    click.echo(f"{found.new} rows were mended anew; {came_in} mended rows are in, {aside.height} are still set aside.")
    if found.new:
        click.echo(f"What is made of validated/{name} is now out of date: materialize it in Dagster.")


@main.group()
def demo() -> None:
    """Real flights of 2013, landed as they would have arrived."""


@demo.command()
@click.option("--through", type=click.DateTime(["%Y-%m-%d"]), required=True, help="The last day to land.")
@in_words
def land(through: datetime) -> None:
    """Replay flights, weather and aircraft into the landing folder."""
    from headrace.demo.land import land as land_days
    from headrace.project import Project

    landed = land_days(Project.around(Path.cwd()).place.landing, through.date())
    click.echo(str(landed))


@demo.command()
@in_words
def run() -> None:
    """Go once round the whole loop: land, ingest, train, release, score, drift, retrain."""
    from headrace.demo.run import run_demo
    from headrace.project import Project

    run_demo(Project.around(Path.cwd()), click.echo)


if __name__ == "__main__":
    sys.exit(main())
