"""The command that shows what the control loop decided, and why."""

from pathlib import Path

import click

from headrace.saying import in_words


@click.command()
@click.argument("product")
@click.option("--last", "most", type=click.IntRange(min=1), default=10, help="How many; ten by default.")
@click.option("--json", "as_json", is_flag=True, help="For programs: one object with decisions and failing looks.")
@in_words
def decisions(product: str, most: int, as_json: bool) -> None:
    """Show what was decided last about training PRODUCT again, in words, also where nothing was done; and looks that failed."""
    import json

    from headrace.automation.diary import Diary, in_words
    from headrace.project import Project

    _, site = Project.around(Path.cwd()).load(product)
    diary = Diary(site.place.logs / site.product.product)
    decided, troubles = diary.entries(most), diary.troubles(most)
    if as_json:
        click.echo(json.dumps({"decisions": decided, "looks": troubles}, indent=1))
        return
    click.echo("\n".join(map(in_words, decided)) or f"Nothing was decided about {product} yet: is a daemon running?")
    if troubles:
        click.echo("\nLooks of sensors, by the clock on the wall:\n" + "\n".join(map(in_words, troubles)))
