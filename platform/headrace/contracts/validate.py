"""Validation: raw rows become typed rows that keep the contract, and rows set aside with a reason."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts.cast import cast_rows, columns_of_schema, guess_columns
from headrace.contracts.check import Checked, check_rows
from headrace.contracts.declaration import Column, Contract
from headrace.core.days import Days
from headrace.core.errors import DataError
from headrace.core.names import did_you_mean
from headrace.sources.convert import OWN
from headrace.sources.read import DIGEST, FILE, MALFORMED, ROW
from headrace.store.site import Site
from headrace.store.tables import DAY

REASON = "_reason"


@dataclass(frozen=True)
class Validated:
    """The rows that go on, those that do not, and the verdict."""

    valid: pa.Table
    quarantined: pa.Table
    checked: Checked
    contract: Contract


def validate(site: Site, name: str, contract: Contract | None, days: Days | None) -> Validated:
    """Return the rows of a raw table, of some days if given, split by the contract.

    Without a contract the types are those of the validated table, or what all landed values fit.
    """
    table = site.product.table("raw", name)
    landed = site.tables.read(table, days=days).sort_by([(FILE, "ascending"), (ROW, "ascending")])
    contract = contract or Contract(columns=_usual_columns(site, name))
    _refuse_missing(name, landed, contract)
    typed = cast_rows(site, landed, contract.columns)
    checked = check_rows(landed, typed, contract, landed[MALFORMED].to_pylist())
    aside = [] if contract.on_fail == "warn" else list(checked.reasons)
    valid = typed.append_column(DAY, landed[DAY]) if DAY in landed.column_names else typed
    reasons = pa.array([checked.reasons[row] for row in aside], pa.string())
    return Validated(
        valid=valid.filter(_without(landed.num_rows, aside)),
        quarantined=landed.take(pa.array(aside, pa.int64())).drop_columns([DIGEST]).append_column(REASON, reasons),
        checked=checked,
        contract=contract,
    )


def is_broken(validated: Validated) -> bool:
    """Return whether so much is wrong that nobody should train on it."""
    if validated.contract.on_fail == "fail":
        return bool(validated.checked.reasons)
    return validated.checked.bad_share > validated.contract.max_bad


def _usual_columns(site: Site, name: str) -> dict[str, Column]:
    validated = site.product.table("validated", name)
    if site.tables.exists(validated):
        return columns_of_schema(site.tables.schema(validated), OWN)
    return guess_columns(site, site.tables.read(site.product.table("raw", name)), OWN)


def _refuse_missing(name: str, landed: pa.Table, contract: Contract) -> None:
    missing = [c for c in contract.columns if c not in landed.column_names]
    if missing:
        there = [c for c in landed.column_names if c not in OWN]
        raise DataError(
            f"The contract of '{name}' names {', '.join(repr(c) for c in missing)}, which nothing that landed has; "
            f"there are {', '.join(there)}.{did_you_mean(missing[0], there)}"
        )


def _without(count: int, rows: list[int]) -> pa.Array:
    return pc.invert(pc.is_in(pa.array(range(count), pa.int64()), pa.array(rows, pa.int64())))
