"""The command that plants faults in a copy of a product, and looks which guards react."""

import sys
from pathlib import Path

import click

from headrace.saying import in_words


@click.command()
@click.argument("product")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    type=click.Choice(["drift", "late_source", "broken_rows", "outage", "bad_model"]),
    help="Which fault to plant; may be given several times. All by default.",
)
@click.option(
    "--shift",
    type=click.FloatRange(min=0, min_open=True),
    default=2.0,
    show_default=True,
    help="Drift, in standard deviations.",
)
@click.option(
    "--sandbox",
    type=click.Path(path_type=Path),
    help="A new folder for the copies; one in the system's temporary folder by default.",
)
@in_words
def drill(product: str, faults: tuple[str, ...], shift: float, sandbox: Path | None) -> None:
    """Plant faults in a copy of PRODUCT, and report which monitors, gates and rollbacks reacted, and after how long.

    PRODUCT itself is only read. Exit code 1 where a guard that is declared stayed silent.
    """
    from tempfile import mkdtemp

    from headrace.drills.declaration import FAULTS, Drill
    from headrace.drills.rehearse import RESULT
    from headrace.drills.rehearse import drill as drill_product
    from headrace.project import Project

    project = Project.around(Path.cwd())
    project.file_of(product)
    folder = sandbox or Path(mkdtemp(prefix="headrace-drill-"))
    plan = Drill.model_validate({"faults": faults or FAULTS, "shift": shift})
    report = drill_product(project, product, plan, folder, click.echo)
    click.echo(f"\n{report.text()}\n\nin JSON: {folder / RESULT}")
    for silent in report.silent:
        click.echo(
            f"{silent.fault}: {silent.expected} {'stayed silent' if silent.state == 'silent' else silent.state}",
            err=True,
        )
    sys.exit(1 if report.silent else 0)
