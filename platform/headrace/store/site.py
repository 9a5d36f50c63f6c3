"""A product's site: who it is, where its files lie, and the stores it works with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from headrace.core.clock import Clock, clock_of
from headrace.core.declaration import Identity
from headrace.core.errors import DeclarationError
from headrace.core.names import did_you_mean, memory_bytes
from headrace.core.place import Place
from headrace.store.code import Code
from headrace.store.engine import Engine
from headrace.store.erasures import Erasures
from headrace.store.findings import Findings
from headrace.store.ledger import Ledger
from headrace.store.log import Log
from headrace.store.models import Models
from headrace.store.releases import Releases
from headrace.store.spark import Spark
from headrace.store.spill import Spill
from headrace.store.story import Spool
from headrace.store.tables import Tables


@dataclass(frozen=True)
class Site:
    """What every room of one product works with. `folder` holds the declaration and the SQL files beside it."""

    product: Identity
    folder: Path
    place: Place
    environment: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """Where `env:` references are looked up; never shown."""

    @cached_property
    def clock(self) -> Clock:
        """The product's one clock."""
        return clock_of(self.product.clock, self.place.replay_clock)

    @cached_property
    def tables(self) -> Tables:
        """The tables of the project."""
        return Tables(self.place.tables)

    @cached_property
    def ledger(self) -> Ledger:
        """What each day of each table was made of."""
        return Ledger(self.place.ledger, self.tables)

    @cached_property
    def engine(self) -> Engine:
        """The engine over these tables."""
        return Engine(self.tables, self.spill)

    @cached_property
    def spill(self) -> Spill:
        """Where rows lie that the product's memory does not hold."""
        return Spill(self.place.spill, memory_bytes(self.product.memory))

    @cached_property
    def spark(self) -> Spark | None:
        """The cluster that makes the product's features, if it says `engine: spark`; raises DeclarationError if none is named."""
        if self.product.engine != "spark":
            return None
        if not self.place.spark_url:
            raise DeclarationError(
                "Nobody says where Spark is: set HEADRACE_SPARK_URL to spark://host:port, local[2], or "
                "sc://host:port for Spark Connect.",
                ("engine",),
            )
        if find_spec("pyspark") is None:
            raise DeclarationError("Spark needs pyspark: pip install 'headrace[spark]'", ("engine",))
        return Spark(self.place.spark_url, self.tables, self.engine)

    @cached_property
    def models(self) -> Models:
        """The models of the project."""
        return Models(self.place.models)

    @cached_property
    def releases(self) -> Releases:
        """The release logs of the project."""
        return Releases(self.place.logs, self.place.witness)

    @cached_property
    def spool(self) -> Spool:
        """What MLflow has not been told of this product yet."""
        return Spool(self.place.spool / self.product.product)

    @cached_property
    def code(self) -> Code:
        """The code that models were made by."""
        return Code(self.place.code)

    @cached_property
    def trainings(self) -> Log:
        """The log of this product's trainings, each with its reason, written when it is launched."""
        return Log(self.place.logs / self.product.product / "trainings")

    @cached_property
    def costs(self) -> Log:
        """The log of what this product's trainings took, step by step."""
        return Log(self.place.logs / self.product.product / "costs")

    @cached_property
    def findings(self) -> Findings:
        """What the checks of this product found last."""
        return self.findings_of(self.product.product)

    def findings_of(self, product: str) -> Findings:
        """Return what the checks of a product of the project found last."""
        return Findings(self.place.logs / product)

    @cached_property
    def erasures(self) -> Erasures:
        """Who was erased from this product, and is kept out."""
        return Erasures(self.place.logs / self.product.product / "erasures", self.place.home / "erasure.key")

    def text(self, file: str) -> str:
        """Return a file beside the declaration."""
        path = self.folder / file
        if not path.is_file():
            beside = [p.name for p in self.folder.iterdir() if p.is_file()]
            raise DeclarationError(
                f"{self.folder / 'defs.yaml'} names '{file}', which is not there.{did_you_mean(file, beside)}"
            )
        return path.read_text()
