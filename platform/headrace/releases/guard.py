"""The guard: whether the log, the live model's files and MLflow's alias are what was released, and what mends them."""

from collections.abc import Callable, Iterator

from headrace.core.errors import StoreError
from headrace.releases.incidents import Trouble, write_down
from headrace.store import runs
from headrace.store.evaluations import fault_of
from headrace.store.log import Head, Log
from headrace.store.releases import Release, anchor_of
from headrace.store.site import Site
from headrace.store.tell import tell_waiting, telling


def guard(site: Site) -> list[Trouble]:
    """Mend what can be mended of a product's releases, write down what was found, and return it.

    An entry of the log that no process of ours wrote goes out of it; files of the live model come back from MLflow's copy,
    if that is whole; what MLflow has not been told is told; its alias goes back to the live model, and what was registered there by hand is marked.
    Whatever else is wrong stays refused wherever it is read, and is said.
    """
    found = [*guard_home(site), *_untold(site)]
    try:
        with telling(site, wait_s=0):
            live = _live(site)
            told = list(_asked(site, live, _registry)) if live else []
    except StoreError:
        # Who tells MLflow now may be moving the alias: what stands there is looked at the next time.
        return found
    return [*found, *write_down(site, told)]


def guard_home(site: Site) -> list[Trouble]:
    """Mend what can be mended without asking MLflow: the log, and the live model's files. Write down what was found, and return it."""
    found = list(_entries(site))
    live = _live(site)
    if live:
        site.releases.log(site.product.product).settle()
        found += [*_asked(site, live, _files), *_measured(site, live.model)]
    return write_down(site, found)


def _untold(site: Site) -> list[Trouble]:
    """Tell MLflow what waits, and return what it can never be told; where it is away, or another process is telling, that is told later."""
    try:
        told = tell_waiting(site, wait_s=0)
    except StoreError:
        # Nothing is wrong: what waits is kept, and a training whose MLflow is away has said so.
        return []
    found = [Trouble("Something that MLflow was to be told cannot be told", what) for what in told.troubles]
    return write_down(site, found)


def _asked(site: Site, live: Release, look: Callable[[Site, Release], Iterator[Trouble]]) -> Iterator[Trouble]:
    """Yield what a look finds; where MLflow does not answer, that."""
    try:
        yield from look(site, live)
    except StoreError as error:
        yield Trouble("MLflow could not be asked", f"{error} It is asked again within a minute.")


def log_troubles(site: Site) -> list[str]:
    """Return what is wrong with the log of a product's releases, by all that tells of it; nothing is mended."""
    product = site.product.product
    faults = [str(fault) for fault in site.releases.faults(product)]
    faults += [f"the log of rollouts: {fault}" for fault in site.releases.rollouts(product).faults()]
    if faults:
        return faults
    log = site.releases.log(product)
    heads = {"MLflow's registered model": runs.told_head(site.place.mlflow_uri, product)}
    heads |= {f"the records of model {r.model[:12]}": recorded_head(site, r) for r in site.releases.all(product)}
    found = [words for where, head in heads.items() if head and (words := _against(log, head, where))]
    measured = [str(trouble) for release in site.releases.all(product) for trouble in _measured(site, release.model)]
    return [*found, *_released_files(site), *dict.fromkeys(measured)]


def recorded_head(site: Site, release: Release) -> Head | None:
    """Return which entry of the log decided about a model, as it is kept with the model; None where nothing is."""
    known = site.models.recorded(release.model, anchor_of(site.product.product, release))
    return (known["number"], known["digest"]) if known else None


def _against(log: Log, head: Head, where: str) -> str:
    count, digest = head
    entries = len(log.entries())
    if entries < count:
        return f"entries {entries + 1} to {count} were cut off: {where} knows of them"
    if log.digest_of(count) != digest:
        return f"entry {count} was edited, with its witness: {where} knows another"
    return ""


def _released_files(site: Site) -> Iterator[str]:
    """Yield which models that went live are there and not as they were stored."""
    went_live = {r.model: r.number for r in site.releases.all(site.product.product) if r.goes_live}
    for digest, number in went_live.items():
        if site.models.exists(digest):
            try:
                site.models.verify(digest)
            except StoreError as error:
                yield f"release {number}: {error}"


def _live(site: Site) -> Release | None:
    """Return what is live, if the log can tell."""
    product = site.product.product
    return None if site.releases.faults(product) else site.releases.live(product)


def _entries(site: Site) -> Iterator[Trouble]:
    product = site.product.product
    logs = {"The release log": site.releases.log(product), "The log of rollouts": site.releases.rollouts(product)}
    for name, log in logs.items():
        for fault in reversed(log.faults()):
            if fault.what == "not ours":
                there = log.set_aside(fault)
                yield Trouble(f"{name}: {fault}", f"It was moved to {there}, and what was live before is.", True)
            else:
                advice = "Nothing is released or scored until the folder is restored from a backup"
                yield Trouble(f"{name}: {fault}", f"{advice}: headrace releases verify {product}")


def _files(site: Site, live: Release) -> Iterator[Trouble]:
    product = site.product.product
    try:
        site.models.verify(live.model)
    except StoreError as error:
        what = f"The files of the live model {live.model[:12]} (release {live.number}) are not those that were released"
        copies = runs.kept_files(site.place.mlflow_uri, product, live.model)
        if any(site.models.restore(live.model, copy) for copy in copies):
            yield Trouble(what, "They came back from MLflow's copy, which has the same digest.", True)
        else:
            yield Trouble(what, f"{error} {_instead(site, live)}")


def _measured(site: Site, model: str) -> Iterator[Trouble]:
    fault = fault_of(site, model)
    if fault:
        yield Trouble(f"What was measured of model {model[:12]}", fault)


def _instead(site: Site, live: Release) -> str:
    """Return in words which earlier release could be live instead."""
    product = site.product.product
    for release in reversed(site.releases.all(product)):
        if release.goes_live and release.model != live.model and site.models.exists(release.model):
            return (
                f"The last release whose files are there: headrace rollback {product} --to {release.number} --why ..."
            )
    return "No earlier release is there to go back to."


def _registry(site: Site, live: Release) -> Iterator[Trouble]:
    product, uri = site.product.product, site.place.mlflow_uri
    seen = runs.registered(uri, product, site.models.is_known)
    for version in seen.strange:
        what = f"Version {version} of MLflow's registered model {product} was registered by hand"
        runs.mark_strange(uri, product, version)
        yield Trouble(what, "It was marked as never released; nothing is read from it.", True)
    if seen.digest != live.model:
        # The alias lags behind a release that nobody has told MLflow of; else somebody has moved it.
        is_moved = seen.told is not None and seen.told[0] >= live.number
        at = f"version {seen.champion}" if seen.champion else "no version"
        told = runs.mirror_champion(uri, product, live.model, site.releases.log(product).head(), live.number)
        if told is None:
            yield Trouble(
                f"MLflow's alias `champion` stands at {at}", f"Its registry has no version of {live.model[:12]}."
            )
        elif is_moved:
            what = f"MLflow's alias `champion` stood at {at}, and release {live.number} is live"
            yield Trouble(what, f"It stands at version {told} now.", True)
