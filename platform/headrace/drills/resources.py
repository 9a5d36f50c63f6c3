"""A product in this process: its own sensors look, and what they ask for is run at once, on an instance of the sandbox's own."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

import dagster as dg
from dagster import AssetCheckKey, AssetKey, DagsterEventType
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as CheckStatus

from headrace.automation.looks.sensors import PRODUCT, TRAINING, diary_of
from headrace.automation.loop import Loop
from headrace.core.errors import Refused
from headrace.declaration import ProductDeclaration
from headrace.definitions import quiet
from headrace.drills.sandbox import Sandbox
from headrace.incidents.incident import Incident
from headrace.incidents.note import incidents
from headrace.product import build, loop_of
from headrace.store.site import Site

SILENT = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
INSTANCE = "dagster"
_COMPLETED = frozenset({CheckStatus.SUCCEEDED, CheckStatus.FAILED})


@dataclass(frozen=True)
class Run:
    """A run that was done: whether it succeeded, and else what its failed steps have said."""

    succeeded: bool
    said: tuple[str, ...] = ()
    in_words: bool = True
    """Whether each failed step has said what is wrong itself, so that nobody has to read a traceback."""
    key: str = ""
    """What it was asked for as."""


@dataclass
class Stage:
    """A sandbox at work."""

    sandbox: Sandbox
    instance: dg.DagsterInstance
    cursors: dict[str, str]
    changes: dict[str, Any] = field(default_factory=dict)
    """What is declared otherwise than in the product, by key."""
    runs: list[Run] = field(default_factory=list)
    """Those that its sensors have asked for, oldest first."""
    seen: dict[str, str] = field(default_factory=dict)
    """What was measured of tables while a fault was planted, in words."""

    @property
    def site(self) -> Site:
        """Where it lies."""
        return self._loaded[1]

    @property
    def declared(self) -> ProductDeclaration:
        """What is declared of it."""
        return self._loaded[0]

    @cached_property
    def _loaded(self) -> tuple[ProductDeclaration, Site]:
        declared, site = self.sandbox.load()
        changed = declared.model_copy(update=self.changes)
        return changed, replace(site, product=changed)

    @property
    def loop(self) -> Loop:
        """The product as its sensors see it."""
        return loop_of(self.declared, self.site)

    @property
    def now(self) -> datetime:
        """The moment by the product's clock."""
        return self.site.clock.now()

    def remember_training(self) -> None:
        """Let the copy's Dagster know of the newest training: it has no runs of the original, and would ask for that one again."""
        entries, product = self.site.trainings.entries(), self.sandbox.product
        if entries:
            tags = {PRODUCT: product, TRAINING: str(entries[-1]["number"])}
            self.instance.add_run(dg.DagsterRun(job_name=product, tags=tags, status=dg.DagsterRunStatus.SUCCESS))

    def change(self, **declared: Any) -> None:
        """Declare something otherwise from now on."""
        self.changes |= declared
        vars(self).pop("_loaded", None)

    def look(self, sensor: str) -> list[Run]:
        """Let a sensor of the product look once, do the runs that it asks for, and return them."""
        asked, _ = self.ask(sensor)
        done = [self._done(request) for request in asked]
        self.runs += done
        return done

    def ask(self, sensor: str) -> tuple[list[dg.RunRequest], str]:
        """Let a sensor of the product look once, and return the runs that it asks for, or why it asks for none."""
        repository = self._repository()
        name = f"{self.sandbox.product}__{sensor}"
        known = self.cursors.get(name)
        context = dg.build_sensor_context(instance=self.instance, cursor=known, repository_def=repository)
        answer = repository.get_sensor_def(name).evaluate_tick(context)
        self.cursors[name] = answer.cursor or context.cursor or known or ""
        self.sandbox.keep_cursors(self.cursors)
        return list(answer.run_requests or []), answer.skip_message or ""

    def look_at_freshness(self) -> Run:
        """Run the checks that the product's hourly schedule asks for."""
        product, declared = self.site.product, self.declared
        watched = [product.key("raw", name) for name, source in declared.sources.items() if source.fresh_within]
        watched += [product.key("model", "champion")] if declared.monitors.freshness and declared.model else []
        if not watched:
            return Run(True)
        checks = {AssetCheckKey(AssetKey(key), "freshness") for key in watched}
        return self._run(set(), {}, checks)

    def make(self, keys: list[list[str]], tags: dict[str, str] | None = None) -> Run:
        """Make assets of the product's newest whole day, and return the run."""
        newest = str(self.loop.newest_day())
        ends = {f"dagster/asset_partition_range_{end}": newest for end in ("start", "end")}
        return self._run({AssetKey(key) for key in keys}, ends | (tags or {}))

    def failed_check(self, layer: str, name: str, check: str) -> str:
        """Return what a check has said last, if it failed; else an empty text."""
        said = self._said(layer, name, check)
        return "" if said is None or said.passed else said.description or f"{check} failed"

    def broken_share(self, source: str) -> float:
        """Return the share of rows, warned of or worse, that broke a source's contract when it was last held against it."""
        said = self._said("validated", source, "contract")
        rows, bad = (said.metadata[name].value if said else None for name in ("rows", "bad_rows"))
        return bad / rows if isinstance(bad, int) and isinstance(rows, int) and rows else 0.0

    def last_decision(self) -> dict[str, Any]:
        """Return what was written down last of training again; nothing where nothing was."""
        return next(iter(diary_of(self.loop).entries(1)), {})

    def incidents(self) -> list[Incident]:
        """Return the product's incidents."""
        return incidents(self.site)

    def _said(self, layer: str, name: str, check: str) -> dg.AssetCheckEvaluation | None:
        key = AssetCheckKey(AssetKey(self.site.product.key(layer, name)), check)
        told = self.instance.event_log_storage.get_asset_check_execution_history(key, limit=1, status=_COMPLETED)
        return told[0].evaluation if told else None

    def _done(self, request: dg.RunRequest) -> Run:
        tags = {**request.tags, "dagster/run_key": request.run_key or ""}
        return replace(self._run({*(request.asset_selection or ())}, tags), key=request.run_key or "")

    def _run(self, keys: set[AssetKey], tags: dict[str, str], checks: set[AssetCheckKey] | None = None) -> Run:
        job = self._repository().get_implicit_global_asset_job_def()
        subset = job.get_subset(asset_selection=keys, asset_check_selection=checks)
        done = subset.execute_in_process(instance=self.instance, tags=tags, raise_on_error=False, run_config=SILENT)
        failed = [event for event in done.all_events if event.event_type == DagsterEventType.STEP_FAILURE]
        in_words = all(event.step_failure_data.user_failure_data for event in failed)
        return Run(done.success, tuple(map(_words, failed)), in_words)

    def _repository(self) -> dg.RepositoryDefinition:
        return build(self.declared, self.site).get_repository_def()


@contextmanager
def staged(sandbox: Sandbox) -> Iterator[Stage]:
    """Bring a sandbox to life; its instance of Dagster lies in it."""
    quiet()
    home = sandbox.root / INSTANCE
    home.mkdir(exist_ok=True)
    # Without one Dagster says that it has none.
    (home / "dagster.yaml").touch()
    quietly = {"telemetry": {"enabled": False}, "nux": {"enabled": False}}
    with dg.DagsterInstance.local_temp(str(home), overrides=quietly) as instance, warnings.catch_warnings():
        # Charts of a few days have few dates on their axes: nobody looks at them here.
        warnings.filterwarnings("ignore", message="AutoDateLocator", category=UserWarning)
        yield Stage(sandbox, instance, sandbox.cursors())


def require(run: Run, what: str) -> None:
    """Raise Refused for a run that should have succeeded before any fault was planted."""
    if not run.succeeded:
        raise Refused(f"{what} failed before any fault was planted: {'; '.join(run.said)}. Mend the product first.")


def _words(failure: dg.DagsterEvent) -> str:
    """Return what a failed step has said, in one line."""
    data = failure.step_failure_data
    described = data.user_failure_data.description if data.user_failure_data else None
    error = data.error.cause or data.error if data.error else None
    words = described or (error.message if error else "failed without a word")
    return f"{failure.step_key}: {' '.join(words.split())}"
