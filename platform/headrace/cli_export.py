"""The command that writes a model for other runtimes."""

from pathlib import Path

import click

from headrace.saying import in_words


@click.command()
@click.argument("release", metavar="PRODUCT[@RELEASE]")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--trees", type=click.IntRange(1), help="Only the first of its trees, if they pass the gates, too.")
@in_words
def export(release: str, file: Path, trees: int | None) -> None:
    """Write the live model of PRODUCT, or that of a release, as ONNX to FILE; refused where it would say something else."""
    from headrace.core.errors import DeclarationError, Refused
    from headrace.explain.card import release_named
    from headrace.project import Project
    from headrace.releases.export import export_model, first_trees, refuse_failing
    from headrace.store.publish import publish

    product, _, number = release.partition("@")
    declared, site = Project.around(Path.cwd()).load(product)
    if not declared.label or not declared.model:
        raise DeclarationError(f"{product} declares no model: there is nothing to export.")
    decision = release_named(site, number)
    if not decision.goes_live:
        raise Refused(
            f"Decision {decision.number} of {product} is '{decision.outcome}': only what went live is exported."
        )
    digest = decision.model
    if trees is not None:
        variant = first_trees(site, digest, trees)
        refuse_failing(site, declared.label, declared.model, variant, declared.gates)
        digest = variant.digest
    exported = export_model(site, declared.label, digest)
    publish(file, exported.onnx, f"{file} was not written")
    click.echo(
        f"Wrote {file}: {len(exported.onnx):,} bytes. Its scores of {exported.rows:,} rows differ from the model's by "
        f"{exported.most:.1g} at most."
    )
