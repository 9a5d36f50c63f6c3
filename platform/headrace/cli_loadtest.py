"""The command that asks how much a server bears."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headrace.saying import in_words

if TYPE_CHECKING:
    from headrace.declaration import ProductDeclaration
    from headrace.load.report import Report
    from headrace.load.trial import Asked
    from headrace.store.site import Site

KEY = "HEADRACE_KEY"


def _rates(_: click.Context, __: click.Parameter, text: str) -> list[float]:
    """Return the rates that an option lists, in requests a second."""
    try:
        rates = [float(word) for word in text.split(",") if word.strip()]
    except ValueError:
        raise click.BadParameter(f"'{text}' lists no rates: write requests a second, such as 100,200,400") from None
    if any(not 1 <= rate <= 100_000 for rate in rates):
        raise click.BadParameter("a rate is from 1 to 100000 requests a second")
    return rates


@click.command()
@click.argument("product")
@click.option("--url", help=f"A server that runs already, such as http://127.0.0.1:8080; its key comes from {KEY}.")
@click.option(
    "--rates", default="", callback=_rates, help="Requests a second: 100,200,400. Default: what finds the capacity."
)
@click.option(
    "--seconds", default=5.0, show_default=True, type=click.FloatRange(0.5, 3600), help="How long each rate lasts."
)
@click.option("--connections", default=64, show_default=True, type=click.IntRange(1, 900), help="How many stay open.")
@click.option(
    "--requests",
    "file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="What to ask, one JSON object a line; rows of the training set by default.",
)
@click.option(
    "--overload", is_flag=True, help="Ask three times the capacity, too, and whether the server is well again."
)
@click.option("--candidate", is_flag=True, help="Test the candidate, and keep the evidence for the gates with it.")
@click.option("--picture", type=click.Path(path_type=Path, dir_okay=False), help="Where to write the curve, as PNG.")
@click.option("--json", "as_json", is_flag=True, help="For programs: one object.")
@in_words
def loadtest(product: str, **options: Any) -> None:
    """Ask a server of PRODUCT at one rate after the other, whatever becomes of earlier requests, and hold it to its promise.

    Without --url a server is started for it on this machine. Exit code 1 where `serve: {sla: ...}` is missed.
    """
    import json

    from headrace.core.charts import png
    from headrace.load.declaration import Plan
    from headrace.load.plots import load_plot
    from headrace.load.trial import Asked
    from headrace.project import Project

    if options["url"] and options["candidate"]:
        raise click.UsageError("--candidate starts a server of the candidate: leave --url out.")
    declared, site = Project.around(Path.cwd()).load(product)
    plan = Plan(**{name: options[name] for name in ("rates", "seconds", "connections", "overload")})
    report = _tried(declared, site, Asked(product, plan, declared.serve.promised), options)
    if options["picture"]:
        options["picture"].write_bytes(png(load_plot(report)))
    click.echo(json.dumps(report.facts(), indent=1) if options["as_json"] else report.text)
    if report.is_missed:
        sys.exit(1)


def _tried(declared: "ProductDeclaration", site: "Site", asked: "Asked", options: dict[str, Any]) -> "Report":
    from headrace.load.address import target_at
    from headrace.load.requests import requests_in, requests_of
    from headrace.load.trial import try_candidate, try_own, try_server
    from headrace.models.candidate import the_candidate
    from headrace.serving.prepare import served_of

    served = served_of(site, declared.graph, declared.model, declared.serve)
    bodies = requests_in(options["file"]) if options["file"] else requests_of(site, served)
    if options["url"]:
        target = target_at(options["url"], site.environment.get(KEY, ""))
        return try_server(asked, target, bodies, options["url"])
    click.echo(
        "A server is started for the test: limits by key and address are lifted, and its answers stay out of the journal.",
        err=True,
    )
    if options["candidate"]:
        return try_candidate(site, served, asked, the_candidate(site).digest, bodies)
    return try_own(site, served, asked, bodies)
