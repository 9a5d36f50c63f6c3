"""What a user may say of a drill."""

from typing import Literal, get_args

from pydantic import Field, field_validator

from headrace.core.declaration import Declaration

Fault = Literal["drift", "late_source", "broken_rows", "outage", "bad_model"]
FAULTS: tuple[Fault, ...] = get_args(Fault)


class Drill(Declaration):
    """Which faults are planted, and how strong they are."""

    faults: tuple[Fault, ...] = FAULTS
    """Each is planted in a copy of its own."""
    shift: float = Field(default=2.0, gt=0, allow_inf_nan=False)
    """`drift`: how far values are moved, in standard deviations of the column."""
    broken: float = Field(default=0.5, gt=0, le=1)
    """`broken_rows`: the share of a day's rows that break the contract."""

    @field_validator("faults")
    @classmethod
    def _once_each(cls, faults: tuple[Fault, ...]) -> tuple[Fault, ...]:
        return tuple(dict.fromkeys(faults)) or FAULTS
