"""The command that makes a model again."""

import sys
from pathlib import Path

import click

from headrace.saying import in_words


@click.command()
@click.argument("which", metavar="PRODUCT[@VERSION]")
@click.option("--verify", is_flag=True, help="Make each table on the way again, too, and name the cells that differ.")
@click.option("--here", is_flag=True, help="In the environment that runs this command, not in a clean one.")
@in_words
def reproduce(which: str, *, verify: bool, here: bool) -> None:
    """Make a model of PRODUCT again, of the tables, code, libraries and seed of then, and compare it byte for byte.

    Exit code 1 where it comes out otherwise: then the first asset that differs is named.
    """
    from headrace.project import Project
    from headrace.reproduce import reproduce as make_again

    project = Project.around(Path.cwd())
    product, _, word = which.partition("@")
    _, site = project.load(product)
    decision = site.releases.named_or_live(product, word)
    if not here:
        from headrace.environment import run_in_clean

        words = ["reproduce", f"{product}@{decision.number}", "--here", *(["--verify"] if verify else [])]
        sys.exit(run_in_clean(site, decision.model, words, click.echo))
    if Path(sys.prefix).parent != site.place.home / "environments":
        click.echo("In the environment that runs this command:")
    found = make_again(site, decision, cells=verify)
    click.echo(str(found))
    sys.exit(0 if found.is_equal else 1)
