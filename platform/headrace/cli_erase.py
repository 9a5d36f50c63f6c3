"""The command that erases a person."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from headrace.saying import in_words

if TYPE_CHECKING:
    from headrace.declaration import ProductDeclaration
    from headrace.sources.erase import Holding
    from headrace.store.erase import Erasure
    from headrace.store.person import Person
    from headrace.store.site import Site


@click.command()
@click.argument("product")
@click.option("--entity", required=True, metavar="COLUMN=VALUE", help="Who: the column that names them, and its value.")
@click.option("--landing", is_flag=True, help="Take their rows out of the files in the landing folder, too.")
@click.option("--live-too", is_flag=True, help="Remove the live model, too, if its files hold the value.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@in_words
def erase(product: str, entity: str, *, landing: bool, live_too: bool, dry_run: bool) -> None:
    """Erase a person from every version of every table of PRODUCT, its models, reports and logs, and keep them out."""
    from headrace.online.erase import entities_of
    from headrace.project import Project
    from headrace.resources import refuse_runs_since, refuse_while_running
    from headrace.sources.erase import holding_files, remove_rows
    from headrace.store.erase import left, look
    from headrace.store.person import Person

    person, project = Person.parse(entity), Project.around(Path.cwd())
    declared, site = project.load(product)
    instance = project.instance_home().resolve()
    others = [] if instance.is_relative_to(site.place.home) else [instance]
    now = datetime.now(UTC)
    refuse_while_running()
    landed = list(holding_files(site, declared.sources, person))
    if dry_run:
        _say(look(site, person, others), landed, person, "would go", landing=landing)
        _say_entities(entities_of(site, person), "would go")
        _say_what_is_yours(declared, site, person)
        return
    found, served = _taken_out(site, person, now, others, live_too=live_too)
    for file in landed if landing else ():
        remove_rows(file, person)
    remaining = left(site, person, others)
    refuse_runs_since(now)
    counts = {
        "landing": sum(file.rows > 0 for file in landed) if landing else 0,
        "left": len(remaining),
        "online": served,
    }
    entry = site.erasures.certify(person, now, found.facts | counts)
    landed = list(holding_files(site, declared.sources, person)) if landing else landed
    _say(found, landed, person, "erased", landing=False)
    _say_entities(served, "erased")
    for path in remaining:
        click.echo(f"still holds the value: {path}")
    _say_what_is_yours(declared, site, person)
    click.echo(f"Entry {entry['number']} of logs/{product}/erasures says so, without the value.")


def _taken_out(
    site: "Site", person: "Person", now: datetime, others: "list[Path]", *, live_too: bool
) -> "tuple[Erasure, int]":
    """Take a person out of the tables, where requests and predictions that were served are gathered first, and out of the online store."""
    from headrace.online.erase import erase_entities
    from headrace.online.gather import gather
    from headrace.serving.gather import gather_predictions
    from headrace.store.erase import erase as take_out

    _refuse_champion(site, person, others)
    gather(site)
    gather_predictions(site)
    return take_out(site, person, now, others, live_too=live_too), erase_entities(site, person)


def _refuse_champion(site: "Site", person: "Person", others: "list[Path]") -> None:
    """Raise Refused where requests are answered by a model that would go, while another takes over from it in steps."""
    from headrace.core.errors import Refused
    from headrace.rollout.state import current
    from headrace.store.erase import look

    rollout, product = current(site), site.product.product
    if rollout and rollout.champion.model in look(site, person, others).models:
        raise Refused(
            f"Model {rollout.champion.model[:12]} (release {rollout.champion.number}) holds the value and answers requests while "
            f"release {rollout.candidate.number} takes over in steps. Nothing was erased. Let that one take over at once, and "
            f"erase then: headrace canary promote {product} --why ..."
        )


def _say_entities(served: int, word: str) -> None:
    if served:
        click.echo(f"online features: {served} entities {word}")


def _say_what_is_yours(declared: "ProductDeclaration", site: "Site", person: "Person") -> None:
    from headrace.store.traces import traces

    for path in traces(site.folder, person):
        click.echo(f"{path}: holds the value, and is yours")
    for name, source in declared.sources.items():
        if source.in_bucket or not source.files:
            click.echo(
                f"source '{name}': {source.place} was not searched; from there, too, nothing of them comes in again"
            )


def _say(found: "Erasure", landed: "list[Holding]", person: "Person", word: str, *, landing: bool) -> None:
    for table in found.tables:
        click.echo(f"{table.table}: {table.rows} rows and {table.versions} earlier versions {word}")
    if not found.tables:
        click.echo(f"No table holds such a value in a column '{person.column}'.")
    for digest in found.models:
        live = " (live)" if found.live and found.live.model == digest else ""
        click.echo(f"model {digest[:12]}{live}: its files hold the value; {word}")
    for digest in found.trained_on:
        click.echo(f"model {digest[:12]} stays: it was trained on such rows and does not hold the value. Train again.")
    if found.live:
        click.echo("No model is live then: materialize the training set, model/evaluation and model/champion.")
    for path in found.files:
        click.echo(f"{path}: {word}")
    for file in landed:
        fate = f"would go (--landing): {file.rows} rows" if landing else "holds the value, and is yours"
        click.echo(f"{file.path}: {fate}")
    if landed and not landing and word == "erased":
        click.echo("Rows in those files stay out of the tables from now on. To remove them there, too: --landing")
    if not person.is_telling:
        click.echo(
            "The value is too short to be told from other text: malformed lines, reasons, logs, reports, records of models "
            "and run histories were not searched for it."
        )
