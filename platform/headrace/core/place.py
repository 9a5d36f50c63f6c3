"""Where a project keeps its things."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

REPLAY_CLOCK = ".replay_clock"
_NAMES = ("HOME", "MLFLOW_URI", "ONLINE_URL", "SPARK_URL")


@dataclass(frozen=True)
class Place:
    """A project's folders: `root` is what the user owns, `home` is what Headrace writes."""

    root: Path
    home: Path
    mlflow_server: str | None = field(default=None, repr=False)
    """The address of an MLflow server, if the project has one; never shown, for it may hold a password."""
    online_server: str | None = field(default=None, repr=False)
    """The address of the server that holds online features, if the project has one; never shown, either."""
    spark_url: str | None = field(default=None, repr=False)
    """The Spark cluster, if the project has one: `spark://host:port`, `local[2]`, or `sc://host:port` for Spark Connect; never
    shown, for it may hold a token."""
    keys_secret: str | None = field(default=None, repr=False)
    """What API keys are hashed under, if the environment says it; never shown."""
    ray_address: str | None = None
    """The head of the Ray cluster, `host:port`, if the project has one."""
    flower_python: Path | None = None
    """The interpreter of the environment that Flower is in, if the project has one."""
    traces_to: str | None = None
    """The collector that servers hand their traces to by OTLP over HTTP, if there is one."""
    journals: Path | None = None
    """Where predictions are written, if not below `home`: a package is never written to."""

    @classmethod
    def at(
        cls,
        root: Path,
        home: str | None = None,
        mlflow_server: str | None = None,
        online_server: str | None = None,
        spark_url: str | None = None,
    ) -> "Place":
        """Return the place of the project at `root`; `home` defaults to `<root>/.headrace`."""
        folder = Path(home or root / ".headrace").resolve()
        return cls(root.resolve(), folder, mlflow_server, online_server, spark_url)

    @classmethod
    def of_environment(cls, root: Path, environment: Mapping[str, str]) -> "Place":
        """Return the place of the project at `root` as HEADRACE_HOME and the addresses of servers in the environment say."""
        place = cls.at(root, *(environment.get(f"HEADRACE_{name}") for name in _NAMES))
        flower = environment.get("HEADRACE_FLOWER_PYTHON")
        return replace(
            place,
            keys_secret=environment.get("HEADRACE_KEYS_SECRET"),
            ray_address=environment.get("HEADRACE_RAY_ADDRESS"),
            flower_python=(root / flower).absolute() if flower else None,
            traces_to=environment.get("OTEL_EXPORTER_OTLP_ENDPOINT"),
        )

    @property
    def tables(self) -> Path:
        """The folder of Delta tables."""
        return self.home / "tables"

    @property
    def models(self) -> Path:
        """The folder of models, addressed by content."""
        return self.home / "models"

    @property
    def logs(self) -> Path:
        """The folder of append-only logs (releases, trainings)."""
        return self.home / "logs"

    @property
    def studies(self) -> Path:
        """The folder of studies: which parameters were tried, and what came of them."""
        return self.home / "studies"

    @property
    def lessons(self) -> Path:
        """The folder of lessons: rows that the workers of a cluster learn from, as long as they do."""
        return self.home / "lessons"

    @property
    def code(self) -> Path:
        """The folder of the code that models were made by, addressed by content."""
        return self.home / "code"

    @property
    def witness(self) -> Path:
        """The folder of what the release logs should hold, kept apart from them."""
        return self.home / "witness"

    @property
    def ledger(self) -> Path:
        """The folder of the ledger: what each day of each table was made of."""
        return self.home / "ledger"

    @property
    def keys(self) -> Path:
        """The folder of API keys: a file for each product."""
        return self.home / "keys"

    @property
    def spool(self) -> Path:
        """The folder of what MLflow has not been told yet."""
        return self.home / "spool"

    @property
    def online(self) -> Path:
        """The folder of online features, where no server holds them."""
        return self.home / "online"

    @property
    def predictions(self) -> Path:
        """The folder that predictions are written to until they are gathered."""
        return (self.journals or self.online) / "predictions"

    @property
    def hashing_key(self) -> Path:
        """The secret by which personal values of predictions are hashed."""
        return (self.journals or self.online) / "hashing.key"

    @property
    def reports(self) -> Path:
        """The folder of HTML reports."""
        return self.home / "reports"

    def card(self, product: str, release: int, kind: str) -> Path:
        """Return where the model card of a release lies: as Markdown (`md`) or as a page (`html`)."""
        return self.reports / f"{product}.release-{release}.{kind}"

    @property
    def spill(self) -> Path:
        """The folder where the engine spills what does not fit into memory."""
        return self.home / "spill"

    @property
    def mlflow_uri(self) -> str:
        """The MLflow tracking store: a server if one is named, else SQLite beside the tables."""
        return self.mlflow_server or f"sqlite:///{self.home / 'mlflow.db'}"

    @property
    def landing(self) -> Path:
        """The folder where files land."""
        return self.root / "landing"

    @property
    def replay_clock(self) -> Path:
        """The file that says how far a replay has come."""
        return self.landing / REPLAY_CLOCK
