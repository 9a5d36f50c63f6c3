"""The front door to Dagster: what a platform's folder declares, and what its instance is doing."""

import atexit
import gc
import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import dagster as dg
from dagster import DagsterEventType, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetNode
from dagster._core.definitions.data_version import CODE_VERSION_TAG
from dagster._core.scheduler.instigation import InstigatorTick, TickStatus
from dagster._grpc.types import ExecuteExternalJobArgs, ExecuteRunArgs, ExecuteStepArgs
from dagster._serdes import deserialize_value
from dagster.components.core.component_tree import ComponentTreeException

from headrace.automation.looks.sensors import PRODUCT, REASON
from headrace.contracts.assets import contract_assets
from headrace.core.days import Days
from headrace.core.document import is_declaration, read_document
from headrace.core.errors import DataError
from headrace.declaration import ProductDeclaration
from headrace.incidents.resources import products_of
from headrace.resources import UNDER_WAY
from headrace.store.site import Site
from headrace.workspace import Mention, mentions

RUN_PRODUCTS = "HEADRACE_RUN_PRODUCTS"
"""Tells the processes of a run's steps what the run has found out."""
RunArguments = ExecuteExternalJobArgs | ExecuteRunArgs | ExecuteStepArgs
STEP_ENDS = {DagsterEventType.STEP_SUCCESS, DagsterEventType.STEP_FAILURE}
# A process that ends would look once more at each of a million objects, for most of a second, before they go all the same.
atexit.register(gc.freeze)


def load_platform(folder: Path, executor: dg.ExecutorDefinition = dg.in_process_executor) -> dg.Definitions:
    """Return the products and plain assets below `folder`; short steps share one process by default.

    A process that carries out a run gets what the run is about. Declarations are read strictly before Dagster reads them. Raises
    DeclarationError with file and line. Dagster asks several times in one process; while neither a file nor the environment has
    changed, the answer is the first one.
    """
    quiet()
    parts = _needed_folders(folder.parents[1])
    return _loaded(folder, executor, tuple(parts or [folder]), _state_of(folder), tuple(os.environ.items()))


def _needed_folders(root: Path) -> list[Path] | None:
    """Return the folders of the products that this process' run needs; None where it may need all that is declared.

    That is the case in a process that carries out no run, and for a run that is about something else than products.
    """
    about = _products_of_run()
    if not about:
        return None
    declared = mentions(root)
    names = {mention.product for mention in declared.values()}
    if not about <= names:
        return None
    needed = _with_owners(about, {mention.product: mention for mention in declared.values()})
    return [file.parent for file, mention in declared.items() if mention.product in needed]


def _with_owners(about: Iterable[str], declared: Mapping[str, Mention]) -> set[str]:
    """Return products, and those whose feature tables they use."""
    needed, waiting = set[str](), [*about]
    while waiting:
        product = waiting.pop()
        if product not in needed and product in declared:
            needed.add(product)
            waiting += declared[product].uses.values()
    return needed


def _products_of_run() -> set[str]:
    if told := os.environ.get(RUN_PRODUCTS):
        return set(told.split(","))
    arguments = next(_arguments(), None)
    if arguments is None or arguments.instance_ref is None:
        return set()
    with dg.DagsterInstance.from_ref(arguments.instance_ref) as instance:
        run = instance.get_run_by_id(arguments.run_id)
    if run is None:
        return set()
    found = products_of(run)
    os.environ[RUN_PRODUCTS] = ",".join(sorted(found))
    return found


def _arguments() -> Iterator[RunArguments]:
    """Yield what Dagster told a process that it began for a run: as an argument of the process, or of its command."""
    # There is no public way to see what a process of multiprocessing was begun with; without it all products are loaded.
    for text in [*getattr(multiprocessing.current_process(), "_args", ()), *sys.argv]:
        if isinstance(text, str) and text.startswith('{"__class__": "Execute'):
            said = deserialize_value(text)
            if isinstance(said, RunArguments):
                yield said


def _state_of(folder: Path) -> tuple[tuple[str, int, int], ...]:
    found = [(path, path.stat()) for path in sorted(folder.rglob("*")) if path.suffix != ".pyc" and path.is_file()]
    return tuple((str(path), state.st_mtime_ns, state.st_size) for path, state in found)


@lru_cache(maxsize=1)
def _loaded(folder: Path, executor: dg.ExecutorDefinition, parts: Sequence[Path], *_: object) -> dg.Definitions:
    for file in sorted(file for part in parts for file in part.glob("**/defs.yaml")):
        if is_declaration(file):
            read_document(file)
    if str(folder.parent) not in sys.path:
        sys.path.insert(0, str(folder.parent))
    try:
        tree = dg.ComponentTree.for_project(folder)
        declared = [tree.build_defs(None if part == folder else part.relative_to(folder)) for part in parts]
    except ComponentTreeException as error:
        raise dg.DagsterInvalidDefinitionError(_first_cause(error)) from None
    return dg.Definitions.merge(*declared, dg.Definitions(executor=executor))


def _first_cause(error: BaseException) -> str:
    """Return what is wrong in the words of the first error, which names file, line and key."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{error}"


def quiet() -> None:
    """Keep libraries from phoning home, from warning about betas that we chose knowingly, and from waiting by spinning (decision 0040)."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    warnings.filterwarnings("ignore", category=dg.BetaWarning)


def validate_days(declared: ProductDeclaration, site: Site, source: str, spans: Sequence[Days] | None) -> None:
    """Validate some days of a source (None: its whole table) in runs of the project's instance; raises DataError if one fails."""
    quiet()
    key = dg.AssetKey(site.product.key("validated", source))
    assets = [made for made in contract_assets(site, declared.sources, declared.contracts) if key in made.keys]
    with dg.DagsterInstance.get() as instance:
        for span in [None] if spans is None else spans:
            ends = {"start": span.first, "end": span.last} if span else {}
            tags = {f"dagster/asset_partition_range_{end}": str(day) for end, day in ends.items()}
            done = dg.materialize(assets, instance=instance, tags=tags, raise_on_error=False)
            if not done.success:
                raise DataError(f"{source} {span or ''} could not be validated: {_why(done)}")


def _why(run: dg.ExecuteInProcessResult) -> str:
    told = [event.step_failure_data for event in run.all_events if event.is_step_failure]
    said = told[0].user_failure_data if told else None
    return (said.description if said else None) or f"see run {run.run_id}"


@dataclass
class Watch:
    """Follows the runs of one product on one instance."""

    instance: dg.DagsterInstance
    product: str
    since: float
    """What failed before is old news."""
    _told: set[tuple[str, str]] = field(default_factory=set)

    def news(self) -> Iterator[str]:
        """Yield a line for each run that was started and each step that ended since the last look."""
        for run in reversed(self._runs()):
            if self._first(run.run_id, "run"):
                yield f"run {run.run_id[:8]}: {_purpose(run)}"
            yield from self._steps(run)

    def changed_code(self, definitions: dg.Definitions) -> list[str]:
        """Return the product's assets whose code version is not that of their newest materialization."""
        graph = definitions.resolve_asset_graph()
        nodes = [graph.get(key) for key in graph.executable_asset_keys if key.path[0] == self.product]
        return sorted(node.key.to_user_string() for node in nodes if self._made_by_other_code(node))

    def _made_by_other_code(self, node: BaseAssetNode) -> bool:
        event = self.instance.get_latest_materialization_event(node.key)
        made = event.asset_materialization if event else None
        return made is not None and (made.tags or {}).get(CODE_VERSION_TAG) != node.code_version

    def failed(self) -> str | None:
        """Return what is wrong with the newest run or with a sensor's newest look, if it failed."""
        return self._failed_run() or self._failed_sensor()

    def _failed_sensor(self) -> str | None:
        for sensor in self._sensors:
            tick = self._newest_tick(sensor)
            if tick and tick.status == TickStatus.FAILURE and tick.timestamp > self.since:
                return f"sensor {sensor}: {tick.error.to_string() if tick.error else 'failed'}"
        return None

    def _failed_run(self) -> str | None:
        records = self.instance.get_run_records(RunsFilter(tags={PRODUCT: self.product}), limit=1)
        newest = records[0] if records and records[0].create_timestamp.timestamp() > self.since else None
        if newest is None or newest.dagster_run.status != DagsterRunStatus.FAILURE:
            return None
        run = newest.dagster_run
        events = self.instance.all_logs(run.run_id, of_type=DagsterEventType.STEP_FAILURE)
        data = events[0].dagster_event.step_failure_data if events and events[0].dagster_event else None
        if data and data.user_failure_data and data.user_failure_data.description:
            return data.user_failure_data.description
        return data.error.to_string() if data and data.error else f"run {run.run_id} failed"

    def settled(self, since: float) -> bool:
        """Return whether nothing is under way, and each sensor has looked after `since` and the last run, and found nothing."""
        if self.instance.get_runs_count(RunsFilter(tags={PRODUCT: self.product}, statuses=UNDER_WAY)):
            return False
        records = self.instance.get_run_records(RunsFilter(tags={PRODUCT: self.product}), limit=1)
        since = max(since, (records[0].end_time or 0.0) if records else 0.0)
        return all(self._found_nothing(sensor, since) for sensor in self._sensors)

    @property
    def _sensors(self) -> list[str]:
        return [f"{self.product}__files", f"{self.product}__retrain"]

    def _found_nothing(self, sensor: str, since: float) -> bool:
        tick = self._newest_tick(sensor)
        return tick is not None and tick.status == TickStatus.SKIPPED and tick.timestamp > since

    def _newest_tick(self, sensor: str) -> InstigatorTick | None:
        state = next((s for s in self.instance.all_instigator_state() if s.name == sensor), None)
        ticks = self.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1) if state else []
        return ticks[0] if ticks else None

    def _runs(self) -> list[DagsterRun]:
        return list(self.instance.get_runs(RunsFilter(tags={PRODUCT: self.product}), limit=20))

    def _steps(self, run: DagsterRun) -> Iterator[str]:
        for event in self.instance.all_logs(run.run_id, of_type=STEP_ENDS):
            step = event.dagster_event
            if step is None or not self._first(run.run_id, step.step_key or ""):
                continue
            name = (step.step_key or "").removeprefix(f"{self.product}__").replace("__", "/")
            if step.event_type == DagsterEventType.STEP_FAILURE:
                yield f"  failed  {name}"
            else:
                yield f"  done    {name:<28} {step.step_success_data.duration_ms / 1000:5.1f} s"

    def _first(self, run_id: str, what: str) -> bool:
        new = (run_id, what) not in self._told
        self._told.add((run_id, what))
        return new


@contextmanager
def watching(product: str) -> Iterator[Watch]:
    """Yield a watch over the project's instance."""
    quiet()
    with dg.DagsterInstance.get() as instance:
        yield Watch(instance, product, time.time())


def _purpose(run: DagsterRun) -> str:
    days = {run.tags.get(f"dagster/asset_partition_range_{end}") for end in ("start", "end")} - {None}
    span = " to ".join(sorted(str(day) for day in days))
    return f"train, because {run.tags[REASON]}" if REASON in run.tags else f"ingest and score {span}"
