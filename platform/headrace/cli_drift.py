"""The command that says what moved and why."""

from pathlib import Path

import click

from headrace.saying import in_words


@click.command()
@click.argument("product")
@click.option("--json", "as_json", is_flag=True, help="For programs: one object with all that is known.")
@in_words
def drift(product: str, as_json: bool) -> None:
    """Say what has moved in the rows that PRODUCT's live model scored last, in which of them, since when, and what brought it."""
    from headrace.core.errors import Refused
    from headrace.monitoring.drift_words import drift_text
    from headrace.monitoring.kept import known_causes
    from headrace.project import Project

    _, site = Project.around(Path.cwd()).load(product)
    live = site.releases.live(product)
    if live is None:
        raise Refused(f"No model of {product} is live: nothing is scored, and nothing can drift.")
    causes = known_causes(site, live.model)
    if causes is None:
        raise Refused(
            f"The drift of the live model {live.model[:12]} has not been measured yet: materialize {product}/monitoring/drift."
        )
    click.echo(causes.model_dump_json(indent=1) if as_json else drift_text(product, causes))
