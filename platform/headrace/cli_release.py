"""The commands about releases: what is live, and who decides. Those that a person waits for in trouble import little."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from headrace.saying import in_words

if TYPE_CHECKING:
    from headrace.project import Project
    from headrace.store.releases import Release, Releases

_BY = click.option("--by", default=getuser, show_default="who is logged in", help="Who asks for it.")


@click.command()
@click.argument("product")
@click.option("--at", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="A past moment, in UTC.")
@in_words
def live(product: str, at: datetime | None) -> None:
    """Say which model of PRODUCT is live, since when and why."""
    _, releases = _releases(product)
    release = releases.live(product, at.replace(tzinfo=UTC) if at else None)
    if release is None:
        click.echo(f"No model of {product} {'was' if at else 'is'} live.")
    else:
        click.echo(f"release {release.number} of {product}: model {release.model[:12]}")
        approved = f", approved by {release.approver}" if release.approver else ""
        click.echo(f"live since {release.at:%Y-%m-%d %H:%M} UTC, by {release.who}{approved}\nwhy: {release.why}")
        if not at and release.number in releases.unproven(product):
            click.echo(f"it takes over in steps ({', '.join(release.stages)}): headrace canary status {product}")
    waiting = None if at else releases.waiting(product)
    if waiting:
        click.echo(f"decision {waiting.number} waits for approval: model {waiting.model[:12]}, asked by {waiting.who}")


@click.command()
@click.argument("product")
@click.option("--model", help="Which model: six or more characters of its digest; the candidate by default.")
@_BY
@click.option("--why", default="asked for by name", show_default=True, help="Written into the log.")
@in_words
def release(product: str, model: str | None, by: str, why: str) -> None:
    """Release the candidate of PRODUCT, or a model by its digest, if its recorded evaluation passes every gate."""
    from headrace.models.candidate import the_candidate
    from headrace.project import Project
    from headrace.releases.release import Request, release_model

    declared, site = Project.around(Path.cwd()).load(product)
    digest = site.models.named(model) if model else the_candidate(site).digest
    before = len(site.releases.all(product))
    decision = release_model(site, Request(digest, by, why, by_name=True), declared.gates)
    said = "" if decision.number > before else " (decided before)"
    click.echo(
        f"decision {decision.number} of {product}: model {digest[:12]} is {_state(decision)}{said}\n{decision.why}"
    )
    if decision.goes_live:
        click.echo(_FOLLOWS)
    sys.exit(0 if decision.outcome != "refused" else 1)


_FOLLOWS = "Scores follow with their next run, MLflow's alias within a minute while Dagster's daemon runs."


@click.command()
@click.argument("product")
@click.option("--by", required=True, help="Who approves.")
@click.option("--why", default="", help="What to write down beside the name.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--no", "declines", is_flag=True, help="Say no: the candidate is refused.")
@in_words
def approve(product: str, by: str, why: str, *, yes: bool, declines: bool) -> None:
    """Show the evidence of the candidate of PRODUCT that waits, and release it if you say so."""
    from headrace.project import Project
    from headrace.releases.release import Answer, answer_waiting

    declared, site = Project.around(Path.cwd()).load(product)
    waiting = site.releases.waiting(product)
    for line in _evidence(waiting, site.releases.live(product)) if waiting else ():
        click.echo(line)
    if waiting and not (yes or declines) and not click.confirm("Release it?"):
        click.echo("Nothing was decided: it still waits.")
        return
    decision = answer_waiting(
        site, Answer(by, why, agrees=not declines, to=waiting.number if waiting else None), declared.gates
    )
    click.echo(f"decision {decision.number} of {product}: model {decision.model[:12]} is {_state(decision)}")
    if decision.goes_live:
        click.echo(_FOLLOWS)


@click.command()
@click.argument("product")
@click.option("--to", help="Which release: its number, or six or more characters of its model's digest.")
@click.option("--why", required=True, help="Written into the log.")
@_BY
@in_words
def rollback(product: str, to: str | None, why: str, by: str) -> None:
    """Let an earlier release of PRODUCT be live again, by default the one before: no training, and reversible."""
    from headrace.core.clock import clock_of
    from headrace.store.models import Models
    from headrace.store.rollback import Return, roll_back

    project, releases = _releases(product)
    clock = clock_of(project.clock_of(product), project.place.replay_clock)
    wanted = Return(by, why, clock.now(), to)
    decision = roll_back(releases, Models(project.place.models), product, wanted)
    click.echo(f"decision {decision.number} of {product}: release {decision.back_to} is live again, ", nl=False)
    click.echo(f"model {decision.model[:12]}, instead of release {decision.replaces}")
    click.echo(f"{_FOLLOWS}\nTo undo: headrace rollback {product} --to {decision.replaces} --why ...")


@click.group()
def releases() -> None:
    """List the decisions of a product, and look whether anybody has touched their log."""


@releases.command("list")
@click.argument("product")
@in_words
def list_releases(product: str) -> None:
    """List every decision about models of PRODUCT, the newest first."""
    from headrace.core.columns import in_columns

    _, log = _releases(product)
    decisions, live_now = log.all(product), log.live(product)
    rows = [
        (
            decision.number,
            f"{decision.at:%Y-%m-%d %H:%M}",
            f"{decision.outcome}{' (live)' if decision == live_now else ''}",
            decision.model[:12],
            decision.who,
            decision.approver or "-",
            decision.why,
        )
        for decision in reversed(decisions)
    ]
    head = ("decision", "when (UTC)", "outcome", "model", "asked by", "approved by", "why")
    click.echo(in_columns(head, rows) if rows else f"Nothing was decided about {product} yet.")


@releases.command()
@click.argument("product", required=False)
@in_words
def verify(product: str | None) -> None:
    """Look for entries of the log (of PRODUCT, or of all) that were edited, removed, reordered, cut off or written by hand.

    Held against each other: the chain of the entries, their witness in another folder, what MLflow was told at each
    release, and the files of each model that went live. Exit code 1 where anything is wrong.
    """
    from headrace.project import Project
    from headrace.releases.guard import log_troubles

    project = Project.around(Path.cwd())
    wrong = 0
    for name in [product] if product else project.products():
        _, site = project.load(name)
        troubles = log_troubles(site)
        for trouble in troubles:
            click.echo(f"{name}: {trouble}")
        wrong += len(troubles)
        if not troubles:
            click.echo(f"{name}: {len(site.releases.all(name))} decisions, each as it was written")
    sys.exit(1 if wrong else 0)


def _releases(product: str) -> "tuple[Project, Releases]":
    """Return the project around, and its release logs; raises DeclarationError for a product that nobody declares."""
    from headrace.project import Project
    from headrace.store.releases import Releases

    project = Project.around(Path.cwd())
    project.file_of(product)
    return project, Releases(project.place.logs, project.place.witness)


def _state(decision: "Release") -> str:
    return {"released": "live", "rolled back": "live again", "waiting": "waiting for approval"}.get(
        decision.outcome, decision.outcome
    )


def _evidence(waiting: "Release", live_now: "Release | None") -> Iterator[str]:
    evidence = waiting.evidence
    yield f"decision {waiting.number}: model {waiting.model[:12]} waits since {waiting.at:%Y-%m-%d %H:%M} UTC"
    yield f"  asked by  {waiting.who}: {waiting.why}"
    yield f"  judged on {evidence['rows']:,} rows of {evidence['training_set']}@{evidence['version']}"
    for gate in evidence["gates"]:
        yield f"  {'passed' if gate['passed'] else 'FAILED'}    {gate['gate']}: {gate['why']}"
    now = f"release {live_now.number}, model {live_now.model[:12]}" if live_now else "none"
    yield f"  live now  {now}"
