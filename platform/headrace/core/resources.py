"""What Dagster shows beside an asset, what making it has cost and where its columns came from; and the instance that looks share."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import dagster as dg
from dagster._core.instance.ref import InstanceRef
from dagster._serdes import deserialize_value, serialize_value

from headrace.core.declaration import Identity
from headrace.core.spent import spent

COST = "headrace/cost/"
"""What metadata of what a step has spent begin with."""


def with_cost(event: Any) -> Any:
    """Return a materialization with what its step has spent so far; anything else as it is."""
    if not isinstance(event, dg.MaterializeResult):
        return event
    return event._replace(metadata={**(event.metadata or {}), **cost_metadata()})


def cost_metadata() -> dict[str, float | int]:
    """Return what the step at work has spent so far, as metadata; none outside of any."""
    now = spent()
    if now is None:
        return {}
    size = {} if now.bytes is None else {f"{COST}bytes": now.bytes}
    return {f"{COST}seconds": round(now.seconds, 3), f"{COST}cpu_seconds": round(now.cpu_seconds, 3), **size}


def column_lineage(
    product: Identity, lineage: dict[str, set[tuple[str, str, str]]]
) -> Iterator[tuple[str, dg.TableColumnLineage]]:
    """Yield the column lineage metadata: output column ← (layer, table, column); another product's layer is `<product>/<layer>`."""
    if lineage:
        deps = {
            column: [
                dg.TableColumnDep(
                    dg.AssetKey([*layer.split("/"), table] if "/" in layer else product.key(layer, table)), source
                )
                for layer, table, source in sorted(found)
            ]
            for column, found in lineage.items()
        }
        yield "dagster/column_lineage", dg.TableColumnLineage(deps)


def instance_of(context: dg.SensorEvaluationContext) -> dg.DagsterInstance:
    """Return the instance that a look is about, opened once a process: Dagster opens one for each look, which takes longer than most looks."""
    return _opened(serialize_value(context.instance_ref)) if context.instance_ref else context.instance


@lru_cache(maxsize=1)
def _opened(reference: str) -> dg.DagsterInstance:
    return dg.DagsterInstance.from_ref(deserialize_value(reference, InstanceRef))
