"""A first contract, written from what has landed."""

from typing import Any

import polars as pl
import pyarrow.compute as pc

from headrace.contracts.cast import cast_rows, guess_columns
from headrace.contracts.declaration import Column, Contract
from headrace.contracts.judge import repeats
from headrace.contracts.landed import landed_rows
from headrace.contracts.limits import OFTEN, value_range, value_set
from headrace.contracts.written import line
from headrace.core.errors import NoRows
from headrace.sources.convert import OWN
from headrace.sources.read import MALFORMED
from headrace.store.site import Site


def suggest_contract(site: Site, name: str) -> Contract:
    """Return a contract that all rows keep which have landed so far, lines that are no rows left out; raises NoRows.

    It holds types, which columns miss values, which are unique, sets of few values and rounded ranges.
    """
    landed = landed_rows(site, name, None)
    landed = landed.filter(pc.is_null(landed[MALFORMED]))
    if not landed.num_rows:
        raise NoRows(f"No row of '{name}' has landed yet: there is nothing to suggest a contract from.")
    guessed = guess_columns(site, landed, OWN)
    typed = pl.DataFrame(cast_rows(site, landed, guessed))
    return Contract(columns={column: _suggested(typed[column], guess) for column, guess in guessed.items()})


def contract_text(name: str, contract: Contract) -> str:
    """Return a contract as it stands in a declaration, a line a column."""
    columns = contract.model_dump(mode="json", by_alias=True, exclude_defaults=True)["columns"]
    lines = [f"      {line(column, said)}" for column, said in columns.items()]
    return "\n".join(["contracts:", f"  {name}:", "    columns:", *lines, ""])


def _suggested(values: pl.Series, guess: Column) -> Column:
    nullable = values.null_count() > 0
    is_key = not nullable and guess.type in ("string", "integer") and len(values) >= OFTEN
    if is_key and repeats(values.to_frame()).is_empty():
        return Column(type=guess.type, unique=True)
    said: dict[str, Any] = {"type": guess.type, "nullable": nullable, **value_set(values, guess.type)}
    if guess.type in ("integer", "double") and "one_of" not in said:
        said |= value_range(values)
    return Column.model_validate(said)
