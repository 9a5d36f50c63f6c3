"""What a user may say about the search for parameters."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from headrace.core.declaration import Declaration
from headrace.core.names import Duration, did_you_mean
from headrace.models.tuning.space import Dimension, Value, dimension_of


class Tune(Declaration):
    """How long is searched, and where; all other keys are parameters: `num_leaves: [15, 127]`, a range, or a list to choose from."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, list[Value]]

    trials: int = Field(default=20, ge=1, le=10_000)
    """How many sets of parameters are tried at most. A greater number goes on where the smaller one ended."""
    within: Duration | None = None
    """How long they may take, such as 30m, from the first trial on, kills not counted: no trial is begun after that."""
    on: Literal["here", "ray"] = "here"
    """`here`: one trial after the other in the training's own process. `ray`: as many at once as the Ray cluster that the
    environment variable HEADRACE_RAY_ADDRESS names has processors."""

    @model_validator(mode="before")
    @classmethod
    def _name_unknown_keys(cls, given: Any) -> Any:
        """Say which key is neither one of ours nor a list of values, and which one was probably meant."""
        known = set(cls.model_fields)
        for key, value in given.items() if isinstance(given, dict) else ():
            if key not in known and not isinstance(value, list):
                raise ValueError(
                    f"`{key}: {value}` is no range and no choice: of a parameter say `{key}: [least, greatest]`, or a list of "
                    f"values.{did_you_mean(str(key), known)}"
                )
        return given

    @model_validator(mode="after")
    def _has_a_space(self) -> "Tune":
        if not self.space:
            raise ValueError("names no parameter to search for, such as `num_leaves: [15, 127]`")
        return self

    @property
    def space(self) -> dict[str, Dimension]:
        """Parameter → the values that it may have; raises ValueError for a list that says none."""
        return {name: dimension_of(name, values) for name, values in (self.__pydantic_extra__ or {}).items()}

    @property
    def ends(self) -> Iterator[dict[str, Value]]:
        """Each value that is written, one at a time, as parameters."""
        for name, values in (self.__pydantic_extra__ or {}).items():
            yield from ({name: value} for value in values)
