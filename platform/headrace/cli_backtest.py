"""The command that replays a product's history under other policies of retraining."""

import sys
from datetime import date, datetime
from pathlib import Path

import click

from headrace.saying import in_words


@click.command()
@click.argument("product")
@click.option(
    "--policy",
    "policies",
    multiple=True,
    help='never, daily, weekly, monthly, "every 14d", declared, or triggers: drift, quality, "drift, age > 30d". May be given often.',
)
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="The last day to replay; the newest by default.")
@click.option("--exact", is_flag=True, help="Train models of all declared trees: about four times as long.")
@click.option("--json", "as_json", is_flag=True, help="For programs: one object with all that was found.")
@in_words
def backtest(product: str, policies: tuple[str, ...], until: datetime | None, exact: bool, as_json: bool) -> None:
    """Replay PRODUCT's history day by day under each policy, and say which one the evidence is for.

    Nothing of the product is changed. A page with the picture is left among its reports.
    """
    from headrace.backtest.declaration import policies_of
    from headrace.backtest.replay import backtest as replay
    from headrace.backtest.told import backtest_page, backtest_text
    from headrace.monitoring.pages import write_page
    from headrace.product import loop_of
    from headrace.project import Project

    declared, site = Project.around(Path.cwd()).load(product)
    compared = policies_of(policies, declared.retrain, declared.monitors)
    last: date | None = until.date() if until else None
    found = replay(loop_of(declared, site), compared, _say, last, exact=exact)
    page = write_page(backtest_page(found), site.place.reports / f"{product}.backtest.html")
    if as_json:
        click.echo(found.model_dump_json(indent=1))
    else:
        click.echo(f"{backtest_text(found)}\n\n  {page}")


def _say(text: str) -> None:
    click.echo(text, file=sys.stderr)
