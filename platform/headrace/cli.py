"""The `headrace` command: a few words beside Dagster's own."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from headrace.cli_alerts import alerts
from headrace.cli_backtest import backtest
from headrace.cli_canary import canary
from headrace.cli_card import card
from headrace.cli_contracts import contract, quarantine
from headrace.cli_decisions import decisions
from headrace.cli_drift import drift
from headrace.cli_drill import drill
from headrace.cli_erase import erase
from headrace.cli_explain import explain
from headrace.cli_export import export
from headrace.cli_features import features
from headrace.cli_incidents import incidents
from headrace.cli_keys import keys
from headrace.cli_leakcheck import leakcheck
from headrace.cli_loadtest import loadtest
from headrace.cli_online import get, skewcheck
from headrace.cli_ops import ops
from headrace.cli_package import package
from headrace.cli_parity import parity
from headrace.cli_release import approve, live, release, releases, rollback
from headrace.cli_reproduce import reproduce
from headrace.cli_serve import serve
from headrace.cli_why import why
from headrace.saying import in_words


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="headrace")
def main() -> None:
    """Declare an ML product in one file; get data, models and monitors as Dagster assets."""
    # Read when the threads of LightGBM and scikit-learn are made (decision 0040).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


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
    from headrace.store.spill import Spill
    from headrace.store.tables import Tables

    place = Project.around(Path.cwd()).place
    tables = Tables(place.tables)
    views = {name.replace("/", "_"): TableView(name) for name in tables.names()}
    click.echo(Engine(tables, Spill(place.spill)).text(query, views))


@main.command()
@click.argument("table")
@in_words
def history(table: str) -> None:
    """Show the versions of TABLE (an asset key with slashes): when, by which run, rows, days, why."""
    from headrace.project import Project
    from headrace.store.history import history_text
    from headrace.store.tables import Tables

    tables = Tables(Project.around(Path.cwd()).place.tables)
    click.echo(history_text(tables.versions(table), tables.removed(table)))


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
    from headrace.store.spill import Spill
    from headrace.store.tables import Tables

    project = Project.around(Path.cwd())
    tables = Tables(project.place.tables)
    engine = Engine(tables, Spill(project.place.spill))
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


main.add_command(alerts)
main.add_command(approve)
main.add_command(backtest)
main.add_command(canary)
main.add_command(card)
main.add_command(contract)
main.add_command(drift)
main.add_command(drill)
main.add_command(decisions)
main.add_command(erase)
main.add_command(explain)
main.add_command(export)
main.add_command(features)
features.add_command(get)
main.add_command(incidents)
main.add_command(keys)
main.add_command(leakcheck)
main.add_command(live)
main.add_command(package)
main.add_command(loadtest)
main.add_command(parity)
main.add_command(quarantine)
main.add_command(release)
main.add_command(releases)
main.add_command(rollback)
main.add_command(skewcheck)
main.add_command(reproduce)
main.add_command(ops)
main.add_command(serve)
main.add_command(why)

if __name__ == "__main__":
    sys.exit(main())
