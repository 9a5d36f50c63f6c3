"""The base of what a user may say: closed and frozen; and the identity of a product."""

from datetime import date
from typing import Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from headrace.core.clock import ClockKind
from headrace.core.names import Memory, Name, did_you_mean


class Declaration(BaseModel):
    """A part of a declaration: unknown keys are errors, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _name_unknown_keys(cls, given: Any) -> Any:
        """Say which key is unknown, and which one was probably meant."""
        known = {field.alias or name for name, field in cls.model_fields.items()}
        unknown = [key for key in given if key not in known] if isinstance(given, dict) else []
        if unknown:
            raise ValueError(
                f"unknown key '{unknown[0]}'; there are {', '.join(sorted(known))}.{did_you_mean(str(unknown[0]), known)}"
            )
        return given

    @model_validator(mode="before")
    @classmethod
    def _reads_on_as_written(cls, given: Any) -> Any:
        """Take the key `on` for what it says: YAML 1.1, as Dagster and we read it, makes `true` of it."""
        if "on" in cls.model_fields and isinstance(given, dict) and True in given and "on" not in given:
            return {"on" if key is True else key: value for key, value in given.items()}
        return given

    @classmethod
    def __get_pydantic_json_schema__(cls, of: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return what `dg check yaml` holds the keys against: where `on` is one, what it says may stand under `true`."""
        schema = handler(of)
        told = handler.resolve_ref_schema(schema)
        if "on" in told.get("properties", {}):
            others = told.get("additionalProperties")
            told["additionalProperties"] = {"anyOf": [told["properties"]["on"], *([others] if others else [])]}
            told["required"] = [key for key in told.get("required", []) if key != "on"]
        return schema


class Identity(Declaration):
    """Who a product is, and which days it lives in."""

    product: Name
    """The product's name: first part of all its asset keys."""
    owner: str | None = None
    """Who answers for it: an e-mail address or `team:name`."""
    approval: Literal["none", "required"] = "none"
    """`required`: a candidate that has passed every gate waits until somebody says yes to it (`headrace approve`)."""
    timezone: str = "UTC"
    """The zone whose calendar days are the product's partitions, such as America/New_York."""
    start: date | None = None
    """First day of its history; needed as soon as a source is partitioned by day."""
    end: date | None = None
    """Day after the last one, for a history that is closed; open by default."""
    clock: ClockKind = "wall"
    """`wall`, or `replay`: now is the end of the last landed day."""
    engine: Literal["duckdb", "spark"] = "duckdb"
    """What makes feature tables, label rows and the point-in-time join, and reads landed rows by their contract: DuckDB
    and polars here, or the Spark cluster that the environment variable HEADRACE_SPARK_URL names."""
    description: str = Field(default="", max_length=2000)
    """What the product is for, in a sentence."""
    memory: Memory = "2GiB"
    """About how much memory a query, a feature table or the training set may take: what is larger lies on disk meanwhile."""

    @field_validator("product")
    @classmethod
    def _is_no_page(cls, product: str) -> str:
        if product == "index":
            raise ValueError("'index' is the name of the page of all products: give this one another name")
        return product

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, zone: str) -> str:
        if zone not in available_timezones():
            raise ValueError(f"'{zone}' is not an IANA time zone.{did_you_mean(zone, available_timezones())}")
        ZoneInfo(zone)
        return zone

    def key(self, layer: str, name: str) -> list[str]:
        """Return the asset key of one of the product's assets."""
        return [self.product, layer, name]

    def table(self, layer: str, name: str) -> str:
        """Return the name of one of the product's tables: its asset key, joined."""
        return "/".join(self.key(layer, name))

    @property
    def calendar(self) -> str:
        """What says which day a moment lies in, and which days there are."""
        return f"{self.timezone}, {self.start} to {self.end}, by the {self.clock} clock"

    @property
    def stages(self) -> tuple[str, ...]:
        """The steps by which a release takes over from the one before it; none: at once."""
        return ()

    @property
    def owners(self) -> list[str]:
        """The owner as Dagster wants it."""
        return [self.owner] if self.owner else []
