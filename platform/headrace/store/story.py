"""What a step has to tell MLflow, kept on the disk until MLflow has heard it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from headrace.core.errors import DigestMismatch
from headrace.core.failpoints import failpoint
from headrace.store.checksum import bytes_digest
from headrace.store.publish import publish, sync_folder
from headrace.store.turn import turn_in

End = Literal["FINISHED", "FAILED", "KILLED"]
"""How MLflow calls the ends of a run."""
Type = Literal["double", "long", "boolean", "string"]
"""How MLflow calls what a column holds."""
_SUFFIX = ".story"


class _Closed(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="strings"
    )


class Origin(_Closed):
    """Who tells: which Dagster run, by which job, when."""

    run: str
    job: str
    at: datetime


class Dataset(_Closed):
    """Rows of one version of a table that a run has read."""

    name: str
    digest: str
    """Of what the rows say; MLflow takes 36 characters."""
    path: str
    """The folder of the Delta table."""
    version: int
    context: Literal["training", "testing"]
    columns: Mapping[str, Type]
    rows: int
    behind: Mapping[str, int] = {}
    """Table → the version of it that the rows are made of."""


class Copy(_Closed):
    """What MLflow is given of a model, beside its bytes, which are read from the store when it is told."""

    file: str
    """The file that its trainer wrote."""
    inputs: Mapping[str, Type]
    table: str
    """The table and version whose first rows are the example of an input."""
    version: int
    needs: list[str]
    """The distributions that it is loaded with, pinned."""
    tags: Mapping[str, str]
    """What its version in the registry says."""


class LoggedTrial(_Closed):
    """One of the sets of parameters that were tried: a run within the training's."""

    name: str
    params: Mapping[str, str]
    metrics: list[tuple[str, int, float]]
    """Name, step and value of each."""
    begun: datetime
    ended: datetime
    end: End
    tags: Mapping[str, str]


class Story(_Closed):
    """What one step has to tell of its run."""

    origin: Origin
    part: str
    """Which step tells: of each one's stories the last one counts."""
    params: Mapping[str, str] = {}
    metrics: Mapping[str, float] = {}
    tags: Mapping[str, str] = {}
    files: Mapping[str, bytes] = {}
    """Path below the run's artifacts → content."""
    datasets: list[Dataset] = []
    trials: list[LoggedTrial] = []
    model: str = ""
    """The digest of the model that it is about."""
    copy_of: Copy | None = None
    """What the registry is given of that model."""
    version_tags: Mapping[str, str] = {}
    """What is said of that model's version."""
    end: End | None = None
    """How the run has ended, if this is its last word for now."""

    def to_bytes(self) -> bytes:
        """Return the story as a file: the digest of what follows, a line break, JSON."""
        text = self.model_dump_json().encode()
        return bytes_digest(text).encode() + b"\n" + text

    @property
    def digest(self) -> str:
        """The digest of what it says."""
        return bytes_digest(self.model_dump_json().encode())


class Spool:
    """The stories of one product that MLflow has not heard yet: one file each, oldest first by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, story: Story) -> None:
        """Keep a story, whole or not at all; raises DiskFull where there is no room."""
        origin = story.origin
        name = f"{origin.at:%Y%m%dT%H%M%S%f}-{origin.run[:8]}-{story.part}{_SUFFIX}"
        publish(self.folder / name, story.to_bytes(), f"what MLflow was to be told of {story.part} is lost")
        failpoint("story_spooled")

    def waiting(self) -> list[Path]:
        """Return the files of the stories that wait, oldest first."""
        return sorted(self.folder.glob(f"*{_SUFFIX}"))

    def read(self, path: Path) -> Story:
        """Return a story; raises DigestMismatch where it is not as it was written."""
        digest, _, text = path.read_bytes().partition(b"\n")
        if digest.decode(errors="replace") != bytes_digest(text):
            raise _torn(path, "it was torn or edited")
        try:
            return Story.model_validate_json(text)
        except ValidationError as error:
            raise _torn(path, "another version of Headrace wrote it") from error

    def forget(self, path: Path) -> None:
        """Remove a story that was told."""
        path.unlink(missing_ok=True)
        sync_folder(self.folder)

    @contextmanager
    def turn(self, wait_s: float) -> Iterator[bool]:
        """Yield True to one process at a time; False where another one is still telling after `wait_s` seconds."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with turn_in(self.folder, wait_s) as is_ours:
            yield is_ours


def _torn(path: Path, why: str) -> DigestMismatch:
    return DigestMismatch(
        f"{path} cannot be read: {why}. MLflow cannot be told what it said. The model itself is not touched; remove the "
        "file when you have seen this."
    )
