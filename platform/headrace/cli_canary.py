"""The commands about a release on its way to everybody: how it does against the one before it, and a person's word."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headrace.saying import in_words

if TYPE_CHECKING:
    from headrace.declaration import ProductDeclaration
    from headrace.rollout.advance import Standing
    from headrace.rollout.judge import Measured
    from headrace.rollout.state import Rollout, What
    from headrace.store.site import Site

_BY = click.option("--by", default=getuser, show_default="who is logged in", help="Who says so.")
_WHY = click.option("--why", required=True, help="Written into the log.")


@click.group()
def canary() -> None:
    """See how a release does that takes over in steps; let it take over at once, or go back."""


@canary.command()
@click.argument("product")
@click.option("--json", "as_json", is_flag=True, help="For programs: an object.")
@in_words
def status(product: str, *, as_json: bool) -> None:
    """Show how the release of PRODUCT that is taking over does against the one before it, and what it waits for."""
    declared, site = _product(product)
    standing = _looked(declared, site)
    if as_json:
        click.echo(json.dumps(_facts(site, standing), indent=1))
        return
    for line in _lines(standing) if standing else _last(site):
        click.echo(line)


@canary.command()
@click.argument("product")
@_WHY
@_BY
@in_words
def promote(product: str, why: str, by: str) -> None:
    """Let the release of PRODUCT that is taking over in steps answer everything from now on."""
    _, site = _product(product)
    rollout = _said(site, "promoted", by, why)
    click.echo(f"release {rollout.candidate.number} of {product} has taken over from release {rollout.champion.number}")
    click.echo(f"To undo: headrace rollback {product} --why ...")


@canary.command()
@click.argument("product")
@_WHY
@_BY
@in_words
def abort(product: str, why: str, by: str) -> None:
    """Let the release of PRODUCT that is taking over in steps go back: the one before it is live again."""
    _, site = _product(product)
    rollout = _said(site, "rolled back", by, why)
    click.echo(f"release {rollout.champion.number} of {product} is live again, instead of {rollout.candidate.number}")
    click.echo(f"To undo: headrace rollback {product} --to {rollout.candidate.number} --why ...")


def _product(product: str) -> "tuple[ProductDeclaration, Site]":
    from headrace.project import Project

    return Project.around(Path.cwd()).load(product)


def _said(site: "Site", what: "What", by: str, why: str) -> "Rollout":
    from headrace.rollout.advance import Said, say

    return say(site, Said(what, by, why, datetime.now(UTC)))


def _looked(declared: "ProductDeclaration", site: "Site") -> "Standing | None":
    from headrace.core.errors import DeclarationError
    from headrace.rollout.advance import look
    from headrace.rollout.evidence import Plan
    from headrace.rollout.state import current

    if current(site) is None:
        return None
    if not (declared.serve.canary and declared.label and declared.model):
        raise DeclarationError(
            f"A release of {declared.product} is taking over in steps, and `serve: canary:` is declared no longer: nobody "
            f"judges it. Declare it again, or end it: headrace canary promote {declared.product} --why ..., or abort"
        )
    return look(site, Plan(declared.serve.canary, declared.label, declared.model), datetime.now(UTC))


def _lines(standing: "Standing") -> Iterator[str]:
    from headrace.core.columns import in_columns

    rollout, judgement = standing.rollout, standing.judgement
    candidate, champion = rollout.candidate, rollout.champion
    yield f"release {candidate.number} (model {candidate.model[:12]}) against release {champion.number} ({champion.model[:12]})"
    steps = [f"[{stage}]" if place == rollout.step else stage for place, stage in enumerate(rollout.stages)]
    yield f"steps  {' '.join([*steps, 'all'])}, this one since {rollout.since:%Y-%m-%d %H:%M} UTC"
    head = (
        "measure",
        "champion",
        "candidate",
        "worse by",
        "at least",
        "at most",
        "tolerated",
        "of champion",
        "of candidate",
    )
    yield in_columns(head, [_row(measured) for measured in judgement.measures])
    yield from (f"{m.measure}: {m.note}" for m in judgement.measures if m.note)
    words = {"wait": "waits", "go_on": "takes its next step", "promote": "takes over", "roll_back": "goes back"}
    yield f"{words[judgement.verdict]}: " + f"\n{' ' * (len(words[judgement.verdict]) + 2)}".join(judgement.reasons)


def _row(measured: "Measured") -> tuple[object, ...]:
    values = (measured.champion, measured.candidate, measured.harm, measured.least, measured.most, measured.tolerance)
    shown = ["-" if value is None else _number(measured, value) for value in values]
    return (measured.measure, *shown, *measured.counts)


def _number(measured: "Measured", value: float) -> str:
    return f"{value:.2%}" if measured.measure in ("errors", "latency") else f"{value:.3f}"


def _last(site: "Site") -> Iterator[str]:
    """Yield how the last rollout ended, and which release answers."""
    from headrace.rollout.state import primary, rollouts_log

    live, entries = primary(site), rollouts_log(site).entries()
    answers = f"release {live.number} answers everything" if live else "no model is live"
    yield f"No rollout of {site.product.product} is under way: {answers}."
    if entries:
        last = entries[-1]
        yield f"the last one, of release {last['release']} against {last['against']}: {last['what']} at {last['at'][:16]} UTC by {last['who']}: {last['why']}"


def _facts(site: "Site", standing: "Standing | None") -> dict[str, Any]:
    from headrace.rollout.state import primary, rollouts_log

    live = primary(site)
    rollout = standing.rollout if standing else None
    return {
        "product": site.product.product,
        "primary": live.number if live else None,
        "rollout": {
            "release": rollout.candidate.number,
            "against": rollout.champion.number,
            "steps": list(rollout.stages),
            "step": rollout.step,
            "share": rollout.share,
            "shadow": rollout.shadow,
            "since": rollout.since.isoformat(),
        }
        if rollout
        else None,
        "judgement": standing.judgement.facts if standing else None,
        "history": rollouts_log(site).entries(),
    }
