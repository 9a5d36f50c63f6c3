"""The command that writes a model as a folder that answers anywhere."""

from pathlib import Path

import click

from headrace.saying import in_words


@click.command()
@click.argument("release", metavar="PRODUCT[@RELEASE]")
@click.option("--to", "folder", required=True, type=click.Path(path_type=Path), help="A folder that is empty, or new.")
@in_words
def package(release: str, folder: Path) -> None:
    """Write the live model of PRODUCT, or that of a release, with all that serving it needs, into a folder of its own."""
    from headrace.explain.card import release_named
    from headrace.packages.write import write_package
    from headrace.project import Project
    from headrace.serving.prepare import served_of

    product, _, word = release.partition("@")
    declared, site = Project.around(Path.cwd()).load(product)
    served = served_of(site, declared.graph, declared.model, declared.serve)
    written = write_package(site, served, release_named(site, "" if word == "live" else word), folder)
    click.echo(
        f"Wrote {written.folder}: release {written.release.number} of {product} (model {written.release.model[:12]}), version "
        f"{written.features} of its features; {written.files} files, {written.size / 1e6:.1f} MB. It was started once, and is ready."
    )
    click.echo(f"SHA-256 of its list, MANIFEST.json: {written.digest}")
    if written.unknown:
        click.echo(
            f"requirements.txt has no digests, for no lock file of the project knows {', '.join(written.unknown)}."
        )
    click.echo("How to run it: README.md in the folder.")
